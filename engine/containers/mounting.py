"""A container's volumes, host paths and memory, mounted inside its root before runc sees it.

runc takes the root with everything in it, so it never looks up a path of the image as a place to mount on: the whole
class of races that swap such a path for a link (CVE-2021-30465) has nothing to act on. Places are found inside the root,
with what is mounted there already in view, so `/etc` as a volume and a command that lies in a volume work.

`check_mounts` looks afterwards at what the kernel says is mounted, whoever asked for it (RUN-06, RUN-07).
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from engine.errors import RequestRefused, RuntimeFailed
from engine.kernel import mounts
from engine.kernel.mounts import Attribute
from engine.runtime.mountrequest import MountKind
from engine.runtime.rootfiles import Maker, is_system_path, make_folder, make_mount_point, opened_path, opened_root
from engine.volumes import fill, hostpaths, mounting, places

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.config import EngineConfig
    from engine.containers.folder import ContainerFolder
    from engine.kernel.mounts import Mount
    from engine.rootfs import Owners
    from engine.runtime.mountrequest import MountRequest
    from engine.runtime.policy import Policy
    from engine.runtime.request import ContainerRequest


def mount_all(
    config: EngineConfig,
    folder: ContainerFolder,
    request: ContainerRequest,
    root: Path,
    policy: Policy,
    *,
    owners: Owners | None = None,
) -> frozenset[int]:
    """Mount what the request names into the container's mounted root, outer places before inner ones.

    A volume that is not there is made. The first start of a container fills empty volumes from the image.

    Returns:
        Ids of the mounts that are folders and files of the host, for a `Maker`.

    Raises:
        RequestRefused: a host path that the policy does not allow, or a place that is the system's.
        ImageUnfit: a place that is no folder in the image, or cannot be reached.
        StoreFull, StoreError, RuntimeFailed: a volume could not be made, filled or mounted.
    """
    if request.mounts:
        mounts.make_private(root)
    mounter = _Mounter(config, policy, owners, is_first=not folder.filled_marker.exists())
    ordered = sorted(request.mounts, key=lambda mount: mount.target.count("/"))
    for act in (
        mounter.fill,
        mounter.mount,
    ):  # while nothing is mounted yet a first copy can be of the image's files only
        for wanted in ordered:
            try:
                with opened_root(root) as opened:
                    act(opened, wanted)
            except OSError as error:
                msg = f"{wanted.target} could not be mounted: {error.strerror or error}."
                raise RuntimeFailed(msg, subject=folder.container_id) from error
    check_mounts(config, request, root, policy)
    folder.filled_marker.touch(mode=0o600)
    return frozenset(mounter.host_mounts)


class _Mounter:
    """One container's mounts, one after another. `root` is opened anew for each: the mounts before are in it."""

    def __init__(self, config: EngineConfig, policy: Policy, owners: Owners | None, *, is_first: bool) -> None:
        self._config = config
        self._policy = policy
        self._first_id = 0 if owners is None else owners.ids.first
        self._user_namespace = None if owners is None else owners.user_namespace
        self._is_first = is_first
        self.host_mounts: set[int] = set()

    def fill(self, root: int, wanted: MountRequest) -> None:
        """The first copy of the image's files into an empty volume, at the container's first start."""
        if wanted.kind is not MountKind.VOLUME or not wanted.copies or not self._is_first:
            return
        try:
            with opened_path(root, wanted.target) as source:
                if stat.S_ISDIR(os.fstat(source).st_mode):
                    fill.fill_if_empty(self._config, wanted.source, source, first_id=self._first_id)
        except (FileNotFoundError, NotADirectoryError):
            return  # the image has nothing there

    def mount(self, root: int, wanted: MountRequest) -> None:
        if wanted.kind is MountKind.MEMORY:
            options = _memory_options(wanted, _mode_at(root, wanted.target), self._first_id)
            with self._place(root, wanted.target) as target:
                mounting.mount_memory(target, options)
            return
        source = self._open_source(wanted)
        try:
            is_file = stat.S_ISREG(os.fstat(source).st_mode)
            # A host path keeps its owners: with the container's own, its root would write files of the host's root.
            namespace = self._user_namespace if wanted.kind is MountKind.VOLUME else None
            with self._place(root, wanted.target, is_file=is_file) as target:
                made = mounting.mount_folder(source, target, read_only=wanted.read_only, user_namespace=namespace)
            if wanted.kind is MountKind.HOST:
                self.host_mounts.add(made)
        finally:
            os.close(source)

    def _open_source(self, wanted: MountRequest) -> int:
        if wanted.kind is MountKind.HOST:
            return hostpaths.open_host_path(self._config, wanted.source, self._policy.host_paths)
        data = places.ensure_volume(self._config, wanted.source)
        return os.open(data, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    @contextlib.contextmanager
    def _place(self, root: int, target: str, *, is_file: bool = False) -> Iterator[int]:
        """The folder (or file) of the root at `target`, made if missing, as a descriptor."""
        by = Maker(self._first_id, self._user_namespace, frozenset(self.host_mounts))
        if is_file:
            where = make_mount_point(root, target, by=by)
        else:
            where = make_folder(root, target, by=by, what="place of a mount")
        with opened_path(root, where) as found:
            yield found


def _mode_at(root: int, target: str) -> int:
    """Without a mode of its own, memory takes that of the image's folder; 1777 where there is none, as with runc."""
    try:
        with opened_path(root, target) as found:
            return stat.S_IMODE(os.fstat(found).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return 0o1777


def _memory_options(wanted: MountRequest, mode: int, first_id: int) -> mounting.MemoryOptions:
    attributes = Attribute.NODEV
    if "exec" not in wanted.allows:
        attributes |= Attribute.NOEXEC
    if "suid" not in wanted.allows:
        attributes |= Attribute.NOSUID
    if wanted.read_only:
        attributes |= Attribute.READ_ONLY
    mode = mode if wanted.mode is None else wanted.mode
    return mounting.MemoryOptions(size=wanted.size, mode=mode, uid=first_id, gid=first_id, attributes=attributes)


def check_mounts(config: EngineConfig, request: ContainerRequest, root: Path, policy: Policy) -> None:
    """Refuse a root with anything mounted in it but volumes of ours, host paths that the policy allows, and memory.

    Asks the kernel what is there, and looks every source up again.

    Raises:
        RequestRefused: with what is wrong; nothing was started.
    """
    allowed = {_identity(path) for path in _sources(config, request, policy)}
    memory = sum(wanted.kind is MountKind.MEMORY for wanted in request.mounts)
    for place, mount in mounted_places(root):
        is_ours = _identity(mount.target) in allowed
        if not is_ours and mount.kind == "tmpfs" and memory:
            is_ours, memory = True, memory - 1
        if not is_ours or is_system_path(place) or "nodev" not in mount.options.split(","):
            msg = f"The host's policy does not allow what is mounted at {place}."
            raise RequestRefused(msg, subject=request.container_id)


def mounted_places(root: Path) -> list[tuple[str, Mount]]:
    """What is mounted in a container's root, outermost first, each with its place as the container sees it."""
    found = [(str(mount.target)[len(str(root.resolve())) :], mount) for mount in mounts.mounts_below(root)]
    return [(place, mount) for place, mount in found if place]


def _sources(config: EngineConfig, request: ContainerRequest, policy: Policy) -> Iterator[Path | int]:
    for wanted in request.mounts:
        if wanted.kind is MountKind.VOLUME:
            yield places.volume(config, wanted.source) / "_data"
        elif wanted.kind is MountKind.HOST:
            source = hostpaths.open_host_path(config, wanted.source, policy.host_paths)
            try:
                yield source
            finally:
                os.close(source)


def _identity(place: Path | int) -> tuple[int, int]:
    found = os.fstat(place) if isinstance(place, int) else place.lstat()
    return found.st_dev, found.st_ino
