"""Putting right what a crash left: the engine's half of reconciling (F13, F16, F17, F20, F40).

Rules: what runs is left running, whoever asks, even if no row knows of it. What does not run keeps its folder (the
writable layer is somebody's work) and loses everything that only a run needs. Folders that no row knows are reported,
never removed: the database may be the older of the two (F25).
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import rootfs
from engine.archives.volumes import sweep_restored
from engine.containers.folder import ContainerFolder
from engine.containers.lifecycle import Parts, release, undo
from engine.containers.observe import observe
from engine.containers.record import read_record
from engine.containers.states import State
from engine.errors import EngineError
from engine.kernel import cgroups
from engine.network import names, relays
from engine.network.published import PublishedFiles
from engine.rootfs.places import is_container_id
from engine.runtime.conmon import monitor_cgroup
from engine.runtime.mountrequest import MountKind
from engine.runtime.request import SHORT_ID
from engine.store.partial import sweep_partial
from engine.volumes import folders

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.config import EngineConfig
    from engine.containers.locks import ContainerLocks

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Swept:
    """`cleaned`: leftovers were taken away; `orphans`: have a folder but no row; `failed`: could not be cleaned."""

    cleaned: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def list_known(parts: Parts) -> set[str]:
    """Every container of which anything is left: folder, runc state, mount, control group, network namespace."""
    return rootfs.containers_on_disk(parts.config) | _with_leftovers(parts)


def groups_of_containers(config: EngineConfig) -> set[str]:
    """Names of the control groups of containers, which are their ids."""
    own = {
        path.rpartition("/")[2] for path in (monitor_cgroup(config), names.cgroup_of(config), relays.cgroup_of(config))
    }
    return cgroups.children(config.cgroup) - own


def _with_leftovers(parts: Parts) -> set[str]:
    config = parts.config
    groups = groups_of_containers(config)
    short_ids = parts.network.namespaces()
    netns = {name for name in rootfs.containers_on_disk(config) if name[:SHORT_ID] in short_ids}
    published = {name for name in PublishedFiles(config.run / "ports").all() if is_container_id(name)}
    left = parts.runc.known() | rootfs.containers_mounted(config) | groups | set(parts.network.attached())
    return left | netns | published | _with_sockets(config)


def _with_sockets(config: EngineConfig) -> set[str]:
    """Containers that somebody could take for running ones by the sockets of their terminals."""
    folders = (ContainerFolder(config, name) for name in rootfs.containers_on_disk(config))
    return {folder.container_id for folder in folders if any(path.exists() for path in folder.bundle.sockets)}


def sweep(parts: Parts, known_ids: Collection[str], locks: ContainerLocks) -> Swept:
    """Take away what dead runs and cut off starts have left. Containers that somebody works on just now are passed over."""
    leftovers = _with_leftovers(parts)
    cleaned: list[str] = []
    failed: list[str] = []
    for container_id in sorted(leftovers | _cut_off(parts)):
        with locks.try_hold(container_id) as held:
            if not held:
                continue
            done = _clean(parts, container_id)
        if done is not None:
            (cleaned if done else failed).append(container_id)
    short_ids = parts.network.namespaces()  # before the folders: those are always made first
    on_disk = rootfs.containers_on_disk(parts.config)
    for short_id in short_ids - {name[:SHORT_ID] for name in on_disk}:
        parts.network.detach_leftover(short_id)
    sweep_partial(parts.config)
    sweep_restored(parts.config)
    folders.sweep_removed(parts.config)
    return Swept(tuple(cleaned), tuple(sorted(on_disk - set(known_ids))), tuple(failed))


def users_of_volume(config: EngineConfig, name: str) -> list[str]:
    """Ids of the containers on disk that have this volume; one whose request cannot be read is not asked."""
    found = []
    for container_id in sorted(rootfs.containers_on_disk(config)):
        with contextlib.suppress(EngineError):
            request = ContainerFolder(config, container_id).request()
            if any(mount.kind is MountKind.VOLUME and mount.source == name for mount in request.mounts):
                found.append(container_id)
    return found


def _cut_off(parts: Parts) -> set[str]:
    """Containers with the record of a run whose end nobody has written down yet."""
    records = {
        container_id: read_record(ContainerFolder(parts.config, container_id).record_file)
        for container_id in rootfs.containers_on_disk(parts.config)
    }
    return {container_id for container_id, record in records.items() if record is not None and record.exit is None}


def _clean(parts: Parts, container_id: str) -> bool | None:
    """True: cleaned; False: tried in vain; None: it runs, so there is nothing to do."""
    folder = ContainerFolder(parts.config, container_id)
    state = observe(parts.config, folder, parts.runc).state
    if state in (State.RUNNING, State.MONITOR_LOST):
        return None
    try:
        if state is State.ABSENT:
            undo(parts, folder)
        else:
            release(parts, folder)
    except EngineError:
        logger.exception("container %s could not be cleaned up", container_id[:12])
        return False
    return True
