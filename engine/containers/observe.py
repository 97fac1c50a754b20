"""What a container really is, read from what cannot lie: processes by identity, exit files, the boot id.

Theory. Three things outlive us: conmon and the container (processes of this boot), runc's state folder (`/run`, gone
at reboot) and the container's folder (kept). The record says what we last knew; processes are found by pid *and* start
time *and* boot id, so a number that now belongs to somebody else is never taken for ours (F41). Nothing is changed
here: `recover.py` does that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engine.containers.record import Exit, Record, now, read_record
from engine.containers.states import State
from engine.kernel import cgroups, pidfd
from engine.runtime import conmon

if TYPE_CHECKING:
    from engine.config import EngineConfig
    from engine.containers.folder import ContainerFolder
    from engine.kernel.pidfd import ProcessIdentity
    from engine.runtime.runc import Runc

HOST_RESTARTED = "The host was restarted."
MONITOR_LOST = "The container's monitor was lost, so its exit code is unknown."


@dataclass(frozen=True, slots=True)
class Observed:
    """`pid` of the first process while it lives; `exit` when it has ended; `stage` of a start that was cut off.

    `paused`: its processes are held; only one that runs can be.
    """

    state: State
    pid: int | None = None
    exit: Exit | None = None
    started_at: datetime | None = None
    stage: str = ""
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Living:
    """The processes of a container that are alive now. `started` None: runc knows nothing of it (any more)."""

    monitor: ProcessIdentity | None
    init: ProcessIdentity | None
    started: bool | None


def living(folder: ContainerFolder, runc: Runc, record: Record | None) -> Living:
    """Found by what runc and conmon wrote themselves, so also when we died before we could write anything (F13)."""
    known = runc.state(folder.container_id)
    init = known.init if known is not None else (record.init if record is not None else None)
    monitor = record.monitor if record is not None else None
    if monitor is None or not monitor.is_alive():
        monitor = conmon.find_monitor(folder.bundle, folder.container_id)
    return Living(
        monitor=monitor if monitor is not None and monitor.is_alive() else None,
        init=init if init is not None and init.is_alive() else None,
        started=None if known is None else known.started,
    )


def observe(config: EngineConfig, folder: ContainerFolder, runc: Runc) -> Observed:
    """The container's state now. Reads only; about 0.2 ms."""
    if not folder.is_there():
        return Observed(State.ABSENT)
    record = read_record(folder.record_file)
    alive = living(folder, runc, record)
    if alive.init is not None:
        return _of_living(alive, record, paused=runc.is_paused(folder.container_id))
    if alive.monitor is not None and alive.started:
        # the command has ended and conmon is writing the last of its output: it will be gone in a moment
        return Observed(State.RUNNING, None, None, record.started_at if record else None)
    return _of_dead(config, folder, record, started=alive.started)


def _of_living(alive: Living, record: Record | None, *, paused: bool) -> Observed:
    pid = alive.init.pid if alive.init is not None else None
    started_at = record.started_at if record else None
    if not alive.started:
        return Observed(State.CREATED, pid, None, None, record.stage if record else "")
    state = State.RUNNING if alive.monitor is not None else State.MONITOR_LOST
    return Observed(state, pid, None, started_at, paused=paused)


def _of_dead(config: EngineConfig, folder: ContainerFolder, record: Record | None, *, started: bool | None) -> Observed:
    if record is None or (record.exit is None and record.boot_id == ""):
        return Observed(State.CREATED)
    if record.exit is not None:
        return Observed(State.EXITED, None, record.exit, record.started_at)
    found = find_exit(config, folder, record, started=started)
    if found is not None:
        return Observed(State.EXITED, None, found, record.started_at)
    return Observed(State.CREATED, None, None, None, record.stage)


def find_exit(config: EngineConfig, folder: ContainerFolder, record: Record, *, started: bool | None) -> Exit | None:
    """How the run that `record` speaks of ended; None when its command never ran (`started` is runc's word on that).

    The exit file counts first, whatever boot it is from. No run ends before it began: the host's clock may have been set
    back meanwhile, and who reads this tells an end of an earlier run by its time (F42).
    """
    if started is False or record.started_at is None:
        return None
    code = conmon.read_exit_code(folder.bundle, folder.container_id)
    if code is not None:
        when = datetime.fromtimestamp((folder.bundle.exits / folder.container_id).stat().st_mtime, UTC)
        return Exit(code, was_oom_killed(config, folder), max(when, record.started_at))
    reason = MONITOR_LOST if record.boot_id == pidfd.boot_id() else HOST_RESTARTED
    return Exit(None, was_oom_killed(config, folder), max(now(), record.started_at), reason)


def was_oom_killed(config: EngineConfig, folder: ContainerFolder) -> bool:
    """Conmon's note, or the kernel's own count while the group is still there."""
    kills = cgroups.oom_kills(f"{config.cgroup}/{folder.container_id}")
    return folder.bundle.oom_file.exists() or bool(kills)
