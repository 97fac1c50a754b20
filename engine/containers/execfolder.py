"""Further commands in a container, as they lie on disk and live in the process table.

containers/<id>/execs/<exec id>/     0711 root
    process.json                     the OCI process, with the environment        0600 (RUN-18)
    state.json                       record.py                                    0600
    pidfile conmon.pid conmon.log runc.log exit oom
    io/                              as the container's own: ctr.log*, attach, ctl, resizes, exit/

Theory. runc keeps no state of them, so everything is found by what conmon wrote and by process identity (F41). Each has
a conmon of its own; it and the command end with the container, because the container's first process takes its whole
PID namespace with it. A command goes on without any of us, as a container does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.containers.observe import HOST_RESTARTED, MONITOR_LOST, Living, Observed
from engine.containers.record import Exit, Record, now, read_record
from engine.containers.states import State
from engine.kernel import pidfd
from engine.kernel.files import ensure_folder, remove_tree
from engine.runtime import conmon
from engine.runtime.conmon import Bundle
from engine.runtime.execrequest import is_exec_id
from engine.terminal import rotation
from engine.terminal.resize import Size

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config import EngineConfig
    from engine.kernel.pidfd import ProcessIdentity

_PRIVATE = 0o600
_KILLED = 128 + signal.SIGKILL
_DRAIN_S, _KILL_S = 2.0, 10.0


class ExecFolder:
    """The paths of one further command, and the making and taking away of them."""

    def __init__(self, config: EngineConfig, container_id: str, exec_id: str) -> None:
        self._config = config
        self.container_id = container_id
        self.exec_id = exec_id
        self.path = config.exec_folder(container_id, exec_id)
        self.bundle = Bundle(self.path, self.path / "io", "process.json")

    @property
    def record_file(self) -> Path:
        return self.path / "state.json"

    def make(self, rows: int, columns: int) -> None:
        """Folder, log and size history, with their owners before conmon comes."""
        gid = self._config.gid
        ensure_folder(self.path.parent, 0o711)
        ensure_folder(self.path, 0o711)
        ensure_folder(self.bundle.io, 0o750, gid=gid)
        ensure_folder(self.bundle.exits, 0o750, gid=gid)
        rotation.prepare(self.bundle.io, Size.clamped(rows, columns), uid=self._config.uid, gid=gid)

    def write_process(self, process: dict[str, Any]) -> None:  # Any: JSON of the OCI runtime spec
        """For runc. It holds the environment, so it is root's alone."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self.bundle.spec_draft, flags, _PRIVATE), "w", encoding="utf-8") as file:
            json.dump(process, file, ensure_ascii=True)

    def remove(self) -> None:
        """Idempotent."""
        if self.path.is_dir():
            remove_tree(self.path)


def exec_folders(config: EngineConfig, container_id: str) -> list[ExecFolder]:
    """Of every command of this container that has left anything on disk."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        names = [entry.name for entry in (config.container(container_id) / "execs").iterdir()]
        return [ExecFolder(config, container_id, name) for name in sorted(names) if is_exec_id(name)]
    return []


def living_exec(folder: ExecFolder, record: Record | None) -> Living:
    """Found by what conmon and runc wrote themselves, so also when we died before we could write anything (F13)."""
    monitor = record.monitor if record is not None else None
    if monitor is None or not monitor.is_alive():
        monitor = conmon.find_monitor(folder.bundle, folder.container_id)
    init = record.init if record is not None else None
    if init is None and monitor is not None:
        init = conmon.find_init(folder.bundle, monitor)
    return Living(
        monitor=monitor if monitor is not None and monitor.is_alive() else None,
        init=init if init is not None and init.is_alive() else None,
        started=None,
    )


def observe_exec(folder: ExecFolder) -> Observed:
    """What it really is now. `CREATED`: its start was cut off, and nothing of it lives."""
    if not folder.path.is_dir():
        return Observed(State.ABSENT)
    record = read_record(folder.record_file)
    alive = living_exec(folder, record)
    started_at = record.started_at if record is not None else None
    if alive.init is not None:
        state = State.RUNNING if alive.monitor is not None else State.MONITOR_LOST
        return Observed(state, alive.init.pid, None, started_at)
    if alive.monitor is not None:  # it is being started, or conmon writes the last of its output
        return Observed(State.RUNNING, None, None, started_at)
    found = _exit_of(folder, record)
    return Observed(State.CREATED) if found is None else Observed(State.EXITED, None, found, started_at)


def _exit_of(folder: ExecFolder, record: Record | None) -> Exit | None:
    code = conmon.read_exit_code(folder.bundle, folder.container_id)
    if code is not None:
        when = (folder.bundle.exits / folder.container_id).stat().st_mtime
        # conmon notes each want of memory in the whole container: it was this command's only if it was killed.
        oom_killed = code == _KILLED and folder.bundle.oom_file.exists()
        return Exit(code, oom_killed, datetime.fromtimestamp(when, UTC))
    if record is None or record.started_at is None:
        return None
    reason = MONITOR_LOST if record.boot_id == pidfd.boot_id() else HOST_RESTARTED
    return Exit(None, oom_killed=False, finished_at=now(), reason=reason)


def end_all(config: EngineConfig, container_id: str) -> None:
    """After the container's end: its commands are dead; give their monitors a moment to write so, then kill them."""
    deadline = time.monotonic() + _DRAIN_S
    for folder in exec_folders(config, container_id):
        alive = living_exec(folder, read_record(folder.record_file))
        kill(alive.init)
        if not wait_for_end(alive.monitor, max(0.0, deadline - time.monotonic())):
            kill(alive.monitor)


def kill(identity: ProcessIdentity | None) -> bool:
    """Whether it is gone."""
    process = identity.open() if identity is not None else None
    if process is None:
        return True
    with process:
        process.signal(signal.SIGKILL)
        return process.wait(_KILL_S)


def wait_for_end(identity: ProcessIdentity | None, timeout_s: float) -> bool:
    """Whether it is gone by then."""
    process = identity.open() if identity is not None else None
    if process is None:
        return True
    with process:
        return process.wait(timeout_s)
