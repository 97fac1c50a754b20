"""Taking everything of this engine off the host, but for its data: what `script/server --clean-up` does."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from engine.containers.folder import ContainerFolder
from engine.containers.lifecycle import Parts, release, undo
from engine.containers.observe import observe
from engine.containers.recover import list_known
from engine.containers.states import State
from engine.errors import RuntimeFailed, WrongState
from engine.kernel import cgroups, mounts

if TYPE_CHECKING:
    from engine.containers.locks import ContainerLocks

logger = logging.getLogger(__name__)
_RUNS = (State.RUNNING, State.MONITOR_LOST)
_NAMED = 5
_KILL_S = 10.0


def dismantle(parts: Parts, locks: ContainerLocks, *, force: bool) -> int:
    """End all containers, and take away mounts, networks, firewall rules and control groups. Idempotent.

    Writable layers, logs, volumes and images stay, and what ended is written down as always. Nobody else may use the engine.

    Returns:
        How many containers were ended.

    Raises:
        WrongState: some run and `force` does not say that they may be ended; nothing was touched.
        RuntimeFailed: processes that cannot be killed are left in the control groups.
        EngineError: something else could not be taken away; the rest may be there still.
    """
    known = sorted(list_known(parts))
    folders = [ContainerFolder(parts.config, container_id) for container_id in known]
    running = [folder for folder in folders if observe(parts.config, folder, parts.runc).state in _RUNS]
    if running and not force:
        shown = ", ".join(folder.container_id[:12] for folder in running[:_NAMED])
        more = f" and {len(running) - _NAMED} more" if len(running) > _NAMED else ""
        msg = f"containers still run: {shown}{more}. Stop them, or add --force to end them."
        raise WrongState(msg)
    for folder in folders:
        with locks.hold(folder.container_id):
            (release if folder.is_there() else undo)(parts, folder)
    parts.network.remove()
    config = parts.config
    if cgroups.exists(config.cgroup) and not (
        cgroups.kill_all(config.cgroup, timeout_s=_KILL_S) and cgroups.remove(config.cgroup)
    ):
        msg = "Some processes of containers do not end; their control groups stay."
        raise RuntimeFailed(msg)
    for place in (config.run, config.containers, config.volumes):
        mounts.unmount_all(place)
    return len(running)
