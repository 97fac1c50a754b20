"""Whether what is on this host is what its containers need, and nothing else: the engine's half of `system check`.

Theory. A container *lives* if its processes do (`observe`); everything that only a run needs may then be there, and must
be. Of every other one nothing may be left but its folder. One that somebody works on just now is passed over: in the
middle of a start both halves of that are false. Reads only; `recover.sweep` mends.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.containers import recover
from engine.containers.execfolder import exec_folders, observe_exec
from engine.containers.folder import ContainerFolder
from engine.containers.observe import Observed, observe
from engine.containers.record import read_record
from engine.containers.states import State
from engine.errors import EngineError
from engine.kernel import cgroups, loop, mounts
from engine.network import audit as networks
from engine.rootfs.places import is_container_id
from engine.runtime.conmon import monitors
from engine.runtime.request import SHORT_ID
from engine.store import audit as store
from engine.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from engine.config import EngineConfig
    from engine.containers.lifecycle import Parts
    from engine.containers.locks import ContainerLocks
    from engine.store.audit import StoreRows

GONE = "belongs to no running container"
_LIVES = (State.RUNNING, State.MONITOR_LOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What rows say: ids of all containers, and what the store must have. `is_quiet`: no other work of the engine goes
    on, so that this process must not hold anything either.
    """

    container_ids: frozenset[str]
    store: StoreRows
    is_quiet: bool = True


class Look:
    """One look at all containers of a host. `busy`: somebody works on them; `living`: their processes do."""

    def __init__(self, parts: Parts, locks: ContainerLocks) -> None:
        self.parts = parts
        self.config = parts.config
        self.seen: dict[str, Observed] = {}
        self.busy: set[str] = set()
        for container_id in sorted(name for name in recover.list_known(parts) if is_container_id(name)):
            with locks.try_hold(container_id) as held:
                if held:
                    self.seen[container_id] = observe(parts.config, self.folder(container_id), parts.runc)
                else:
                    self.busy.add(container_id)
        self.living = {container_id for container_id, found in self.seen.items() if found.state in _LIVES}
        self.may_have = self.living | self.busy

    def folder(self, container_id: str) -> ContainerFolder:
        return ContainerFolder(self.config, container_id)


def look(parts: Parts, locks: ContainerLocks, known: Known) -> list[Violation]:
    """Everything that is not as it must be at this moment, each once. What is just changing may be among it."""
    looking = Look(parts, locks)
    found = [
        *_mounts(looking),
        *_namespaces(looking),
        *_groups(looking),
        *_runc(looking),
        *_monitors(looking),
        *_loops(looking),
        *_folders(looking, known.container_ids),
        *_ids(looking),
        *networks.look(parts.config, looking.may_have),
        *store.look(parts.config, known.store),
        *(_own(parts.config) if known.is_quiet else ()),
    ]
    return list(dict.fromkeys(one for one in found if one.container_id not in looking.busy))


def _gone(kind: str, name: object, container_id: str = "") -> Violation:
    return Violation(invariant="I3", kind=kind, name=str(name), problem=GONE, container_id=container_id)


def _untrue(kind: str, name: object, problem: str, container_id: str = "") -> Violation:
    return Violation(invariant="I4", kind=kind, name=str(name), problem=problem, container_id=container_id)


def _strange(target: Path) -> Violation:
    """A mount that nothing of ours can have made: a person's."""
    return Violation(invariant="I3", kind="mount", name=str(target), problem="is none of Berth's", is_orphan=True)


def _mounts(looking: Look) -> Iterator[Violation]:
    """Below the data folder, only containers mount anything; each that lives has its root.

    An administrator may have given one of the data folder's own folders a disk of its own.
    """
    containers, data = looking.config.containers.resolve(), looking.config.data.resolve()
    roots = set()
    for mount in mounts.mounts_below(data):
        if data in (mount.target, mount.target.parent):
            continue
        parts = mount.target.relative_to(containers).parts if mount.target.is_relative_to(containers) else ()
        if not parts or not is_container_id(parts[0]):
            yield _strange(mount.target)
        elif parts[0] not in looking.may_have:
            yield _gone("mount", mount.target, parts[0])
        elif mount.kind == "overlay" and parts[1:] == ("rootfs", "merged"):
            roots.add(parts[0])
    for container_id in sorted(looking.living - roots):
        yield _untrue("container", container_id[:12], "runs without its root file system", container_id)


def _namespaces(looking: Look) -> Iterator[Violation]:
    run = looking.config.run.resolve()
    allowed = {container_id[:SHORT_ID] for container_id in looking.may_have}
    bound = {mount.target: mount.kind for mount in mounts.mounts_below(run) if mount.target != run}
    for target in sorted(bound):
        if target.parent == run / "netns" and target.name not in allowed:
            yield _gone("network namespace", target.name)
        elif target.parent not in (run / "netns", run / "stage") and target.parent.parent != run / "stage":
            yield _strange(target)
        elif target.parent == run / "stage" and target.name not in {name[:SHORT_ID] for name in looking.busy}:
            yield _gone("mount", target)
    for short_id in sorted(looking.parts.network.namespaces()):
        if run / "netns" / short_id not in bound and short_id not in allowed:
            yield _gone("network namespace", short_id)
    for container_id in sorted(looking.living):
        if (
            not _has_host_network(looking, container_id)
            and bound.get(run / "netns" / container_id[:SHORT_ID]) != "nsfs"
        ):
            yield _untrue("container", container_id[:12], "runs without its network namespace", container_id)


def _has_host_network(looking: Look, container_id: str) -> bool:
    with contextlib.suppress(EngineError):
        return looking.folder(container_id).request().shares_namespace("network")
    return False


def _groups(looking: Look) -> Iterator[Violation]:
    config = looking.config
    for name in sorted(recover.groups_of_containers(config) - looking.may_have):
        left = cgroups.pids(f"{config.cgroup}/{name}")
        yield _gone("control group", name[:12], name)
        if left:
            yield _gone("process", min(left), name)
    for container_id in sorted(looking.living):
        pid = looking.seen[container_id].pid
        if pid is not None and pid not in cgroups.pids(f"{config.cgroup}/{container_id}"):
            yield _untrue("container", container_id[:12], "runs outside of its control group", container_id)


def _runc(looking: Look) -> Iterator[Violation]:
    for container_id in sorted(looking.parts.runc.known() - looking.may_have):
        yield _gone("runc state", container_id[:12], container_id)


def _monitors(looking: Look) -> Iterator[Violation]:
    """Exactly one for each container that runs and each command in one (I5)."""
    wanted: dict[str, tuple[str, str]] = {}
    for container_id in looking.living:
        wanted[container_id] = ("container", container_id)
        for folder in exec_folders(looking.config, container_id):
            if observe_exec(folder).state in _LIVES:
                wanted[folder.exec_id] = ("command", container_id)
    found = monitors(looking.config)
    count = Counter(monitor.unit for monitor in found)
    for monitor in found:
        if monitor.unit not in wanted and monitor.container_id not in looking.busy:
            yield Violation(
                invariant="I5", kind="monitor", name=str(monitor.pid), problem="watches nothing that runs",
                container_id=monitor.container_id,
            )  # fmt: skip
        elif not monitor.is_in_group:
            yield Violation(
                invariant="I5", kind="monitor", name=str(monitor.pid), problem="is not in the monitors' control group",
                container_id=monitor.container_id,
            )  # fmt: skip
    for unit, (kind, container_id) in sorted(wanted.items()):
        if count[unit] != 1:
            problem = "has no monitor" if not count[unit] else "has more than one monitor"
            yield Violation(invariant="I5", kind=kind, name=unit[:12], problem=problem, container_id=container_id)


def _loops(looking: Look) -> Iterator[Violation]:
    """A layer's device lives as long as a container that has the layer; a limited writable layer's as its container."""
    config = looking.config
    layers = _layers_of(looking)
    for number, path in sorted(loop.backing_files().items()):
        if not path.is_relative_to(config.data.resolve()):
            continue
        owner = path.parent.name
        is_layer = path.parent == config.layers.resolve()
        if (is_layer and path.name.partition(".")[0] not in layers) or (not is_layer and owner not in looking.may_have):
            yield _gone("loop device", f"loop{number} ({path.name})", "" if is_layer else owner)


def _layers_of(looking: Look) -> set[str]:
    found: set[str] = set()
    for container_id in looking.may_have:
        with contextlib.suppress(EngineError):
            found.update(diff_id.hex for diff_id in looking.folder(container_id).request().layers)
    return found


def _folders(looking: Look, known: Collection[str]) -> Iterator[Violation]:
    config = looking.config
    for entry in sorted(config.containers.iterdir()) if config.containers.is_dir() else ():
        if not is_container_id(entry.name):
            yield Violation(
                invariant="I9", kind="folder", name=f"containers/{entry.name}", problem="is none of Berth's"
            )
        elif entry.name not in known and entry.name not in looking.busy:
            yield Violation(
                invariant="I4", kind="container", name=entry.name[:12], problem="has no row; it is left alone",
                container_id=entry.name, is_orphan=True,
            )  # fmt: skip
    for container_id, found in sorted(looking.seen.items()):
        yield from _ends(looking.folder(container_id), found)


def _ends(folder: ContainerFolder, found: Observed) -> Iterator[Violation]:
    """Exit files and sockets: of the run that is on, or of the last one."""
    name = folder.container_id
    if found.state in _LIVES:
        if (folder.bundle.exits / name).exists():
            yield _untrue("exit file", name[:12], "is there though the container runs", name)
        return
    for socket in folder.bundle.sockets:
        if socket.exists():
            yield _gone("socket", f"{name[:12]}/{socket.name}", name)
    record = read_record(folder.record_file)
    if record is not None and record.exit is None:
        yield _untrue("container", name[:12], "has ended, and nobody has written down how", name)


def _ids(looking: Look) -> Iterator[Violation]:
    """No two containers have an id of the host in common, unless this kernel leaves no choice (RUN-19)."""
    ranges: dict[int, str] = {}
    shared = looking.config.ids.shared.first
    for container_id in sorted(looking.seen):
        with contextlib.suppress(EngineError):
            ids = looking.folder(container_id).request().ids
            if ids is None or ids.first == shared:
                continue
            if (other := ranges.setdefault(ids.first, container_id)) != container_id:
                yield Violation(
                    invariant="I9", kind="ids", name=str(ids.first), container_id=container_id,
                    problem=f"belong to two containers, {other[:12]} and {container_id[:12]}",
                )  # fmt: skip


def _own(config: EngineConfig) -> Iterator[Violation]:
    """What only work in progress has: descriptors of namespaces, loop devices and files of containers; programs."""
    watched = tuple(f"{folder.resolve()}/" for folder in (config.containers, config.layers, config.volumes))
    for link in sorted(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            target = str(link.readlink())
            if target.startswith(("user:[", "net:[", "/dev/loop", *watched)):
                yield Violation(
                    invariant="I10", kind="descriptor", name=f"{link.name} ({target})", problem="is open in the engine"
                )
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            for pid in (task / "children").read_text("ascii").split():
                yield Violation(
                    invariant="I10", kind="process", name=pid, problem="is left of something that the engine did"
                )
