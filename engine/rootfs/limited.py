"""A writable layer with a limit: a file system of its own in one sparse file, `layer.img` (ADR 11).

The kernel enforces the limit, and a program that reaches it gets ENOSPC while no other container notices. The file takes
the space that is really used: what is deleted inside is given back (`discard`). Its loop device exists only while
the root is mounted. Whether a container is limited is decided once, when its layer is made: the file is there or not.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from engine.errors import HostUnfit, StoreFull
from engine.kernel import files, loop, mounts
from engine.kernel.process import ProcessFailed, run
from engine.rootfs import places

if TYPE_CHECKING:
    from pathlib import Path

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

    Raises:
        StoreFull: no space.
        HostUnfit: this host cannot make one.
    """
    path = image(config, container_id)
    partial = path.with_name("layer.img.partial")
    try:
        partial.unlink(missing_ok=True)
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(file, limit_bytes)
        finally:
            os.close(file)
        run([*_MAKE, str(partial)], timeout_s=_MAKE_S)
    except HostUnfit as error:
        msg = "A limit for the writable layer needs mkfs.ext4 on this host (apt-get install e2fsprogs)."
        raise HostUnfit(msg, subject=container_id) from error
    except (ProcessFailed, OSError) as error:
        partial.unlink(missing_ok=True)
        msg = f"The container's own file system could not be made: {error}"
        raise StoreFull(msg, subject=container_id) from error
    partial.rename(path)
    files.sync_folder(path.parent)


def mount(config: EngineConfig, container_id: str) -> None:
    """Mount the limited layer where the unlimited ones have a plain folder.

    A loop device that still has the file (a crash, a busy mount) is used again: two on one file would wreck it.

    Raises:
        HostUnfit: no loop device.
        OSError: the kernel refuses to mount it.
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
        try:
            mounts.attach(attached, places.upper(config, container_id).parent)
        finally:
            os.close(attached)
    finally:
        device.close()
