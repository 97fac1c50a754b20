"""Layer files as mounts without a path, shown with the owners that a container needs.

A layer file is never changed for a container: the mount translates (idmapped mounts). How a file was written stands in
its name (`EngineConfig.layer_file`), so no setting and no other kernel can make us take one for the other.

All containers that use a layer share its loop device, its superblock and its page cache, also across restarts of the
worker (settled.md 13).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import HostUnfit, NotStored, StoreError
from engine.ids import RANGE_IDS, IdRange
from engine.kernel import features, loop, mounts, namespaces

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from engine.config import EngineConfig
    from engine.digest import DiffId

_WRITABLE = 0o222


def topmost_first(diff_ids: Sequence[DiffId]) -> list[DiffId]:
    """The stack as overlayfs wants it: top first, each layer once.

    overlayfs refuses one layer at two places (ELOOP). Of a layer that an image names twice, the lower one shows
    nothing that the upper one does not hide, so the topmost is enough.
    """
    return list(dict.fromkeys(reversed(diff_ids)))


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose the files of a root are: ids of the host, and a user namespace that maps 0.. to them."""

    ids: IdRange
    user_namespace: int


def open_layers(
    config: EngineConfig, diff_ids: Sequence[DiffId], stack: ExitStack, owners: Owners | None = None
) -> list[int]:
    """A detached read-only mount for each layer, in the same order; `stack` closes them.

    Without `owners` files belong to whom the image says, by the host's own numbers.

    Raises:
        NotStored: a layer's file is not there, or was written for another kernel.
        StoreError: it is not one that `adopt_layer` has put there, or no squashfs.
        HostUnfit: no loop device could be had.
    """
    known = loop.bound_devices()
    maps = {0: owners.user_namespace} if owners is not None else {}
    first = owners.ids.first if owners is not None else 0
    found = []
    for diff_id in diff_ids:
        file, written = _open_written(config, diff_id, first)
        mount = _mount(file, diff_id, known)
        stack.callback(os.close, mount)
        if written != first:
            if written not in maps:
                maps[written] = namespaces.create_userns(IdRange(first, RANGE_IDS), inside=written)
                stack.callback(os.close, maps[written])
            mounts.idmap(mount, maps[written])
        found.append(mount)
    return found


def _open_written(config: EngineConfig, diff_id: DiffId, first: int) -> tuple[int, int]:
    """A file of the layer that can be shown with owners from `first` on, and from where on they are in it."""
    found = features.features()
    can_idmap = found.idmapped_layers or not found.ids_are_known  # then the mount will tell
    ways = [0, *written_ways(config, diff_id)] if can_idmap else [first]
    for written in ways:
        with contextlib.suppress(FileNotFoundError):
            return _open_file(config.layer_file(diff_id.hex, written), diff_id), written
    if config.layer_file(diff_id.hex).exists() or written_ways(config, diff_id):
        msg = (
            f"The layer {diff_id.short} was written for a kernel that shows a layer's owners in another way than this"
            " one; pull its image again."
        )
    else:
        msg = f"The layer {diff_id.short} is not stored on this host; pull its image again."
    raise NotStored(msg, subject=diff_id)


def written_ways(config: EngineConfig, diff_id: DiffId) -> list[int]:
    """From where on owners are in those files of a layer that have them moved up."""
    names = (path.name.split(".") for path in config.layers.glob(f"{diff_id.hex}.*.sqfs"))
    return sorted(int(parts[1]) for parts in names if len(parts) == 3 and parts[1].isdecimal())


def _mount(file: int, diff_id: DiffId, known: dict[tuple[int, int], int]) -> int:
    try:
        device = _bind(file, diff_id, known)
    finally:
        os.close(file)
    try:
        return mounts.mount_squashfs(device.path)
    except OSError as error:
        msg = f"The stored layer {diff_id.short} cannot be mounted; pull its image again. {error.strerror}"
        raise StoreError(msg, subject=diff_id) from error
    finally:
        device.close()


def _open_file(path: Path, diff_id: DiffId) -> int:
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != 0 or found.st_mode & _WRITABLE:
        os.close(file)
        msg = f"The file of layer {diff_id.short} is not the engine's own; it will not be mounted."
        raise StoreError(msg, subject=diff_id)
    return file


def _bind(file: int, diff_id: DiffId, known: dict[tuple[int, int], int]) -> loop.LoopDevice:
    try:
        return loop.bind(file, known)
    except OSError as error:
        why = "has none" if error.errno in (errno.ENOENT, errno.EPERM, errno.EACCES) else "gave none"
        msg = f"The layer {diff_id.short} needs a loop device and this host {why}: {error.strerror}."
        raise HostUnfit(msg, subject=diff_id) from error
