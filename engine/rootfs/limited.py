"""A writable layer with a limit: a file system of its own in one sparse file, `layer.img` (ADR 11).

The kernel enforces the limit, and a program that reaches it gets ENOSPC while no other container notices. The file takes
the space that is really used: what is deleted inside is given back (`discard`). Its loop device exists only while
the root is mounted. Whether a container is limited is decided once, when its layer is made: the file is there or not.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import HostUnfit, StoreFull
from engine.kernel import files, loop, mounts
from engine.kernel.process import ProcessFailed, run
from engine.rootfs import places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.config import EngineConfig

_MAKE_S = 60.0
_JOURNAL_MIB = 4
_MAKE = (
    *("/usr/sbin/mkfs.ext4", "-q", "-F", "-m", "0", "-i", "16384", "-J", f"size={_JOURNAL_MIB}", "-O", "^resize_inode"),
    *("-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard,assume_storage_prezeroed=1,root_owner=0:0"),
)


def image(config: EngineConfig, container_id: str) -> Path:
    return places.container_folder(config, container_id) / "layer.img"


def make(config: EngineConfig, container_id: str, limit_bytes: int) -> None:
    """The file and the file system in it; whole or not there. About 20 ms and 150 KiB.

    Atomic: it is made as `layer.img.partial` and renamed, so a `layer.img` that is there is a whole one.

    Raises:
        StoreFull: no space; nothing of it is left.
        HostUnfit: this host cannot make one; nothing of it is left.
    """
    path = image(config, container_id)
    partial = path.with_name("layer.img.partial")
    try:
        partial.unlink(missing_ok=True)  # of a start that was cut off
        _make(partial, limit_bytes)
        partial.rename(path)
    except HostUnfit as error:
        msg = "A limit for the writable layer needs mkfs.ext4 on this host (apt-get install e2fsprogs)."
        raise HostUnfit(msg, subject=container_id) from error
    except (ProcessFailed, OSError) as error:
        msg = f"The container's own file system could not be made: {error}"
        raise StoreFull(msg, subject=container_id) from error
    finally:
        partial.unlink(missing_ok=True)
    files.sync_folder(path.parent)


def _make(partial: Path, limit_bytes: int) -> None:
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(file, limit_bytes)
    finally:
        os.close(file)
    run([*_MAKE, str(partial)], timeout_s=_MAKE_S)


def mount(config: EngineConfig, container_id: str) -> None:
    """Mount the limited layer where the unlimited ones have a plain folder. Mounts again where it is mounted: the caller has looked.

    Raises:
        HostUnfit: no loop device. As for OSError, nothing is mounted and no device is held.
        OSError: the kernel refuses to mount it.
    """
    with opened(config, container_id) as attached:
        mounts.attach(attached, places.upper(config, container_id).parent)


@contextlib.contextmanager
def opened(config: EngineConfig, container_id: str) -> Iterator[int]:
    """The limited layer as a detached mount: a descriptor of its root. Without one that is attached too, leaving this
    unmounts it and frees its loop device.

    A loop device that still has the file (a crash, a busy mount, one that is mounted just now) is used again, and with it
    the file system: two on one file would wreck it.

    Raises:
        FileNotFoundError: the container has no limit, or no writable layer yet.
        HostUnfit, OSError: as `mount`.
    """
    file = os.open(image(config, container_id), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        device = loop.bind(file, writable=True)
    except OSError as error:
        msg = f"A limit for the writable layer needs a loop device and this host gives none: {error.strerror}."
        raise HostUnfit(msg, subject=container_id) from error
    finally:
        os.close(file)
    try:
        attached = mounts.mount_ext4(device.path)
    finally:
        device.close()
    try:
        yield attached
    finally:
        os.close(attached)


@contextlib.contextmanager
def writable_layer(config: EngineConfig, container_id: str) -> Iterator[Path]:
    """The folder of a container's writable layer, limited or not, running or not; a limited one for as long as this lasts.

    Raises:
        HostUnfit, OSError: as `mount`. An unlimited one may be missing before the first start.
    """
    upper = places.upper(config, container_id)
    if not image(config, container_id).exists():
        yield upper
        return
    with opened(config, container_id) as top:
        yield Path(f"/proc/self/fd/{top}") / upper.name
