"""The life of a worker process: readiness, soft stop, and what only the engine worker has."""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import signal
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from celery import signals
from django.db import connection, connections

from dashboard import gateway
from dashboard.core import workers
from dashboard.core.clock import Clock, registry
from dashboard.jobs import reconcile, stopping

log = logging.getLogger(__name__)
LOCK_WAIT_S = 3.0
PARENT_LOOK_S = 1.0
ENGINE = "engine"
_held: list[Any] = []  # the engine worker's lock, clock and open database, for as long as the process lives


class SecondEngine(SystemExit):
    """There is an engine worker on this data folder already."""


def name() -> str:
    return os.environ.get("BERTH_WORKER", "")


def connect_signals() -> None:
    """Called once in a worker's main process, before its pool is made."""
    signals.worker_init.connect(_on_init, weak=False)
    signals.worker_ready.connect(_on_ready, weak=False)
    signals.worker_shutting_down.connect(_on_shutting_down, weak=False)
    signals.worker_process_init.connect(_on_process_init, weak=False)


def _on_init(**_: object) -> None:
    if name() == ENGINE:
        take_engine_lock()
        hold_database()
        prepare_engine()
    else:
        share_memory()


def share_memory() -> None:
    """Before a pool is forked: what there is by now stays in pages of the parent's, which a search for garbage would copy."""
    _ = gateway.extract_layer  # with the libraries that it loads
    gc.collect()
    gc.freeze()


def _on_process_init(**_: object) -> None:
    """A pool's process: descriptors of the parent's connections are not ours, and it ends with its parent."""
    connections.close_all()
    threading.Thread(target=_follow_parent, args=(os.getppid(),), name="berth-parent", daemon=True).start()


def _follow_parent(parent: int) -> None:
    """A killed worker's pool would go on without anybody who gives it work, beside the new worker's."""
    while os.getppid() == parent:
        time.sleep(PARENT_LOOK_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _on_ready(**_: object) -> None:
    if name() == ENGINE:
        clock = Clock()
        clock.start()
        _held.append(clock)
    workers.say_ready(name())
    log.info("the %s worker is ready", name() or "nameless")


def _on_shutting_down(**_: object) -> None:
    """SIGTERM: running jobs go back to QUEUED (F12). The pool then ends by itself."""
    stopping.ask()
    for held in _held:
        if isinstance(held, Clock):
            held.stop()


def take_engine_lock() -> None:
    """Hold `engine.lock` in the run folder until this process ends, however it ends.

    Raises:
        SecondEngine: another process has it.
    """
    path = workers.engine_lock()
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    lock = path.open("a")
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                msg = "Another engine worker runs on this data folder. There may be only one."
                raise SecondEngine(msg) from None
            time.sleep(0.1)
        else:
            break
    _held.append(lock)


def hold_database() -> None:
    """SQLite's files beside the database are made by who opens it first and go with who closes it last. Were that root, a
    first write of web could find them before they are its own ("attempt to write a readonly database"). So root opens
    it once as its owner, and stays.
    """
    path = Path(str(connection.settings_dict["NAME"]))
    if connection.vendor != "sqlite" or os.geteuid() != 0 or not path.exists():
        return
    owner = path.stat()
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        held = sqlite3.connect(path, check_same_thread=False)
        _held.append(held)
        held.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:  # the first job that needs it says so in a sentence
        log.exception("the database could not be opened")
    finally:
        os.seteuid(0)
        os.setegid(0)


def prepare_engine() -> None:
    """Folders, control groups, network; then what apps do at the engine's start; jobs of a dead worker are queued again.

    A host that lacks something is no reason to end: pages and pulls work, the system page says what is missing, and
    each start of a container fails with the sentence.
    """
    try:
        gateway.engine().prepare()
    except gateway.EngineError as error:
        log.error("this host cannot run containers: %s", error)  # noqa: TRY400 - a sentence, not a crash
    reconcile.revive_queue(ENGINE)
    for tick in registry.at_start:
        try:
            tick()
        except Exception:  # a start-up edge: the rest must come up
            log.exception("%s failed at the engine's start", tick.__qualname__)
    connections.close_all()
