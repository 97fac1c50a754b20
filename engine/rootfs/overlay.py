"""Mounting and unmounting root file systems.

Rules: a container's writable layer is mounted at most once (lock, and a look at mountinfo under it); layers have no
path, so nothing that removes paths can reach them; an overlay is built detached and appears at its place complete.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from engine.errors import EngineError, HostUnfit, RuntimeFailed, StoreFull, WrongState
from engine.kernel import features, files, mounts, namespaces
from engine.kernel.features import OverlayMethod
from engine.rootfs import implied, limited, places
from engine.rootfs.lower import open_layers, topmost_first

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from engine.config import EngineConfig
    from engine.digest import DiffId
    from engine.ids import IdRange
    from engine.rootfs.lower import Owners

T = TypeVar("T")
logger = logging.getLogger(__name__)

_STAGE_BYTES = 1 << 20
BUSY_S = 5.0  # how long a start waits for the last user of an earlier root
_BUSY_STEP_S = 0.1


def rootfs_path(config: EngineConfig, container_id: str) -> Path:
    """Where the container's root is (or would be) mounted."""
    return places.merged(config, container_id)


def mount_rootfs(
    config: EngineConfig,
    container_id: str,
    diff_ids: Sequence[DiffId],
    owners: Owners | None = None,
    *,
    limit_bytes: int | None = None,
) -> Path:
    """Mount a container's root: its layers (bottom first, as in `rootfs.diff_ids`) and its own writable layer.

    `limit_bytes` is the size of a writable layer that is made now; one that is there keeps the limit it was made with.

    Idempotent: what is mounted already stays. The container's folder must exist. On any error nothing is left mounted;
    the empty folders for the writable layer may stay. `owners`: who its users are on this host; the same at each mount
    of a container, as its writable layer keeps them.

    Raises:
        WrongState: the container has no folder.
        NotStored, StoreError: a layer is missing or damaged.
        StoreFull: no space for the folders.
        HostUnfit: no loop device, squashfs or overlayfs here.
        RuntimeFailed: the kernel refused, with what it said.
    """
    target = places.merged(config, container_id)
    with places.lock(config, container_id):
        if not target.parent.parent.is_dir():
            msg = f"The container {container_id[:12]} has no folder."
            raise WrongState(msg, subject=container_id)
        if _is_whole(target):
            return target
        unmount_rootfs_locked(config, container_id)
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                with ExitStack() as stack:
                    _prepare_upper(config, container_id, limit_bytes)
                    _mount(config, container_id, diff_ids, stack, owners)
            except EngineError:
                unmount_rootfs_locked(config, container_id)
                raise
            except OSError as error:
                unmount_rootfs_locked(config, container_id)
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise _translated(error, container_id, len(diff_ids)) from error
                time.sleep(_BUSY_STEP_S)  # an earlier root was detached while somebody used it, and has the layer still
            else:
                return target


def unmount_rootfs(config: EngineConfig, container_id: str) -> None:
    """Unmount a container's root. Idempotent. One that stays busy is detached: it goes with its last user."""
    with places.lock(config, container_id):
        unmount_rootfs_locked(config, container_id)


def unmount_rootfs_locked(config: EngineConfig, container_id: str) -> None:
    for place in (places.merged(config, container_id), places.upper(config, container_id).parent):
        if not mounts.unmount_all(place):
            logger.warning("the root of container %s was busy and has been detached", container_id[:12])


def _prepare_upper(config: EngineConfig, container_id: str, limit_bytes: int | None) -> None:
    """The place of the writable layer: a plain folder, or a file system of limited size."""
    upper = places.upper(config, container_id)
    files.ensure_folder(upper.parent, 0o700)
    image = limited.image(config, container_id)
    if limit_bytes is not None and not image.exists() and not upper.exists():
        limited.make(config, container_id, limit_bytes)
    if image.exists():
        limited.mount(config, container_id)
        files.ensure_folder(upper.parent, 0o700)  # the root of what is mounted now (TAR-12)


def is_rootfs_mounted(config: EngineConfig, container_id: str) -> bool:
    return mounts.is_mounted(places.merged(config, container_id))


def containers_mounted(config: EngineConfig) -> set[str]:
    """Ids of the containers that have anything mounted in their folder."""
    folder = config.containers.resolve()
    below = (mount.target.relative_to(folder).parts for mount in mounts.mounts_below(folder))
    return {parts[0] for parts in below if parts and places.is_container_id(parts[0])}


def _is_whole(target: Path) -> bool:
    return [mount.kind for mount in mounts.mounts_below(target)] == ["overlay"]


def _mount(
    config: EngineConfig, container_id: str, diff_ids: Sequence[DiffId], stack: ExitStack, owners: Owners | None
) -> None:
    method = features.features().overlay
    if method is OverlayMethod.NONE:
        msg = f"This host's kernel cannot mount overlayfs: {features.features().overlay_problem}."
        raise HostUnfit(msg)
    ids = owners.ids if owners is not None else None
    lowers = implied.visible(open_layers(config, topmost_first(diff_ids), stack, owners))
    _make_folders(config, container_id, lowers, stack=tuple(diff_ids), ids=ids)
    lowers = lowers or [_empty_layer(config, stack)]
    mount = {OverlayMethod.FDS: _mount_fds, OverlayMethod.PATHS: _mount_paths, OverlayMethod.OPTIONS: _mount_options}
    mount[method](config, container_id, lowers)


def _empty_layer(config: EngineConfig, stack: ExitStack) -> int:
    """The only lower layer of an image that has none: overlayfs needs one."""
    folder = config.run / "empty"
    files.ensure_folder(folder, 0o755)
    mount = mounts.clone(folder)
    stack.callback(os.close, mount)
    return mount


def _make_folders(
    config: EngineConfig, container_id: str, lowers: Sequence[int], *, stack: tuple[DiffId, ...], ids: IdRange | None
) -> None:
    """The folders of places.py; a new writable layer takes owner and mode of `/` from the image, as Docker does.

    The container's root, who is not ours, passes through `rootfs/` to its own `/`; nobody else does.
    """
    root = 0 if ids is None else ids.first
    upper, merged = places.upper(config, container_id), places.merged(config, container_id)
    files.ensure_folder(places.work(config, container_id), 0o700)
    files.ensure_folder(merged.parent, 0o700, uid=root, gid=root)
    files.ensure_folder(merged, 0o700)
    if not upper.exists():
        partial = upper.with_name("partial")
        files.ensure_folder(partial, 0o755, uid=root, gid=root)
        implied.lend(lowers, partial, stack=stack, ids=ids)
        partial.rename(upper)


def _with_index(config: EngineConfig, container_id: str, mount: Callable[[mounts.Overlay], T]) -> T:
    """`index=on` keeps hard links whole and lets the kernel refuse a second mount of the writable layer.

    It also remembers the layers, and refuses (ESTALE) others: after a layer was pulled again, without it.
    """
    upper, work = places.upper(config, container_id), places.work(config, container_id)
    try:
        return mount(mounts.Overlay(upper=upper, work=work, index=True))
    except OSError as error:
        if error.errno not in (errno.ESTALE, errno.EINVAL):
            raise
        return mount(mounts.Overlay(upper=upper, work=work, index=False))


def _mount_fds(config: EngineConfig, container_id: str, lowers: Sequence[int]) -> None:
    _attach(config, container_id, _with_index(config, container_id, lambda o: mounts.overlay_of_fds(lowers, o)))


def _attach(config: EngineConfig, container_id: str, mount: int) -> None:
    try:
        mounts.attach(mount, places.merged(config, container_id))
    finally:
        os.close(mount)


def _mount_paths(config: EngineConfig, container_id: str, lowers: Sequence[int]) -> None:
    with ExitStack() as stack:
        stage = _stage(config, container_id, lowers, stack)
        paths = [stage / str(number) for number in range(len(lowers))]
        _attach(config, container_id, _with_index(config, container_id, lambda o: mounts.overlay_of_paths(paths, o)))


def _mount_options(config: EngineConfig, container_id: str, lowers: Sequence[int]) -> None:
    target = places.merged(config, container_id)
    names = [str(number) for number in range(len(lowers))]
    with ExitStack() as stack:
        stage = os.open(_stage(config, container_id, lowers, stack), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, stage)  # closed first, or the stage would stay busy
        _with_index(
            config,
            container_id,
            lambda o: namespaces.in_folder(stage, lambda: mounts.mount_overlay_by_options(names, o, target)),
        )


def _stage(config: EngineConfig, container_id: str, lowers: Sequence[int], stack: ExitStack) -> Path:
    """Attach the layers as `0`, `1`, … in a private memory file system, for kernels that want paths.

    Leaving `stack` takes all of it off again: the overlay keeps what it needs.
    """
    place = config.run / "stage" / container_id[:12]
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    mounts.unmount_all(place)
    tmpfs = mounts.mount_tmpfs(size_bytes=_STAGE_BYTES)
    try:
        mounts.attach(tmpfs, place)
    finally:
        os.close(tmpfs)
    stack.callback(place.rmdir)
    stack.callback(mounts.unmount, place, lazy=True)
    mounts.make_private(place)
    for number, lower in enumerate(lowers):
        folder = place / str(number)
        folder.mkdir()
        mounts.attach(lower, folder)
    return place


def _translated(error: OSError, container_id: str, layers: int) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(
            "The disk is full: there is no space for the container's writable layer.", subject=container_id
        )
    if error.errno == errno.E2BIG:
        return HostUnfit(f"This kernel cannot stack {layers} layers: {error.strerror}.", subject=container_id)
    said = error.strerror or str(error)
    return RuntimeFailed(f"The root file system could not be mounted: {said}", subject=container_id)
