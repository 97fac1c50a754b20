"""Making a container end: ask, wait, insist."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import TYPE_CHECKING

from engine.containers.observe import Living, living
from engine.containers.record import read_record
from engine.containers.states import Action, State, require
from engine.errors import EngineError, RuntimeFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.containers.folder import ContainerFolder
    from engine.kernel.pidfd import ProcessIdentity
    from engine.runtime.runc import Runc

KILL_WAIT_S = 30.0
_MONITOR_WAIT_S = 10.0


def send_signal(folder: ContainerFolder, runc: Runc, number: int) -> None:
    """Send a signal to the container's first process.

    Raises:
        WrongState: it is not running.
    """
    alive = _running(folder, runc, Action.KILL)
    process = alive.init.open() if alive.init is not None else None
    sent = False
    if process is not None:
        with process:
            sent = process.signal(number)
    if not sent:
        require(Action.KILL, State.EXITED, folder.container_id)
    thaw(folder, runc)


def thaw(folder: ContainerFolder, runc: Runc) -> None:
    """Let a paused container go on, or the signal that it was sent would never reach it. As Docker does."""
    if runc.is_paused(folder.container_id):
        with contextlib.suppress(EngineError):  # it has ended, or somebody was faster
            runc.resume(folder.container_id, folder.bundle.runc_log)


def stop(folder: ContainerFolder, runc: Runc, *, number: int, timeout_s: float) -> None:
    """Send `number`, give it `timeout_s`, then SIGKILL. Returns when its monitor has written how it ended.

    A container that has ended already is left alone.

    Raises:
        RuntimeFailed: it does not end even when killed (a process that hangs in the kernel).
    """
    alive = living(folder, runc, read_record(folder.record_file))
    if alive.init is None and alive.monitor is None:
        return

    def ends(signal_number: int, within_s: float) -> bool:
        return _ends(alive.init, signal_number, within_s, then=lambda: thaw(folder, runc))

    if not ends(number, timeout_s) and not ends(signal.SIGKILL, KILL_WAIT_S):
        msg = f"The container {folder.container_id[:12]} does not end, although it was killed."
        raise RuntimeFailed(msg, subject=folder.container_id)
    _await(alive.monitor, _MONITOR_WAIT_S)


def _running(folder: ContainerFolder, runc: Runc, action: Action) -> Living:
    alive = living(folder, runc, read_record(folder.record_file))
    if alive.init is None or not alive.started:
        require(action, State.EXITED if folder.is_there() else State.ABSENT, folder.container_id)
    return alive


def _ends(identity: ProcessIdentity | None, number: int, timeout_s: float, *, then: Callable[[], None]) -> bool:
    process = identity.open() if identity is not None else None
    if process is None:
        return True
    with process:
        process.signal(number)
        then()
        return process.wait(timeout_s)


def _await(identity: ProcessIdentity | None, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    process = identity.open() if identity is not None else None
    if process is not None:
        with process:
            process.wait(max(0.0, deadline - time.monotonic()))
