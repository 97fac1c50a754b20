"""Loop devices that free themselves: read-only ones for layers, writable ones for limited writable layers.

A file that is bound already (by an earlier life of the worker, or another container) is never bound twice: two devices
would mean two superblocks and two page caches of one layer. Source: Linux `uapi/linux/loop.h`, loop(4).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_GET_FREE, _CONFIGURE, _GET_STATUS64 = 0x4C82, 0x4C0A, 0x4C05
_READ_ONLY, _AUTOCLEAR = 1, 4
_INFO = struct.Struct("<QQQQQIIII64s64s32sQQ")
_CONFIG_TAIL = bytes(64)
_RACES = (errno.EBUSY, errno.ENXIO, errno.ENODEV, errno.ENOENT)
_TRIES = 200
_REMEMBERED = 4096
_binding = threading.Lock()
_own: dict[tuple[int, int], int] = {}
"""What this process has bound: a hint that is newer than any scan of another thread."""


@dataclass(frozen=True, slots=True)
class LoopDevice:
    """Hold `fd` until the device is mounted: closing the last user of an autoclear device frees it."""

    fd: int
    path: Path

    def close(self) -> None:
        os.close(self.fd)


def bound_devices(*, writable: bool = False) -> dict[tuple[int, int], int]:
    """(device, inode) of each file that is bound, to the number of its loop device. A hint only: devices
    come and go, `bind` verifies.
    """
    found: dict[tuple[int, int], int] = {}
    for folder in Path("/sys/block").glob("loop*/loop"):
        number = int(folder.parent.name.removeprefix("loop"))
        with contextlib.suppress(OSError):
            device = _open(number)
            try:
                if (backing := _backing(device, writable)) is not None:
                    found[backing] = number
            finally:
                device.close()
    return found


def backing_files() -> dict[int, Path]:
    """The path of each bound file, by the number of its loop device; of a file that was removed, its last one."""
    found: dict[int, Path] = {}
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            text = path.read_text("utf-8", "surrogateescape").removesuffix("\n").removesuffix(" (deleted)")
            found[int(path.parents[1].name.removeprefix("loop"))] = Path(text)
    return found


def bind(file: int, known: dict[tuple[int, int], int] | None = None, *, writable: bool = False) -> LoopDevice:
    """A loop device of an open regular file: the one that has it already, or a new one.

    `known`: what `bound_devices` said, when many files are bound in a row. Threads of one process always get one
    device for one file; that no second process binds at the same time is the caller's to see to.

    Raises:
        OSError: no loop devices on this host (ENOENT, EACCES), or it stayed busy.
    """
    hints = bound_devices(writable=writable) if known is None else known
    for attempt in range(_TRIES):
        try:
            return _bind_once(file, hints, writable)
        except OSError as error:
            if error.errno not in _RACES or not Path("/dev/loop-control").exists():
                raise
        time.sleep(min(0.001 * (attempt + 1), 0.02))
    msg = "no loop device became free"
    raise OSError(errno.EBUSY, msg)


def _bind_once(file: int, hints: dict[tuple[int, int], int], writable: bool) -> LoopDevice:
    stat = os.fstat(file)
    wanted = (stat.st_dev, stat.st_ino)
    with _binding:
        for found in (_own, hints):
            if wanted in found and (device := _reuse(found[wanted], wanted, writable)) is not None:
                return device
        device = _configure(file, writable)
        if len(_own) >= _REMEMBERED:
            _own.clear()
        _own[wanted] = int(device.path.name.removeprefix("loop"))
        return device


def _open(number: int) -> LoopDevice:
    path = Path(f"/dev/loop{number}")
    return LoopDevice(os.open(path, os.O_RDONLY | os.O_CLOEXEC), path)


def _reuse(number: int, wanted: tuple[int, int], writable: bool) -> LoopDevice | None:
    """The device, if it is (still) bound to that file."""
    try:
        device = _open(number)
    except OSError:
        return None
    try:
        is_it = _backing(device, writable) == wanted
    except OSError:
        is_it = False
    if not is_it:
        device.close()
        return None
    return device


def _backing(device: LoopDevice, writable: bool) -> tuple[int, int] | None:
    """(device, inode) behind it, if it is of that kind and shows the whole file."""
    buffer = bytearray(_INFO.size)
    fcntl.ioctl(device.fd, _GET_STATUS64, buffer)
    backing, inode, _, offset, size_limit, _, _, _, flags = _INFO.unpack(bytes(buffer))[:9]
    if bool(flags & _READ_ONLY) is writable or offset or size_limit:
        return None
    return backing, inode


def _configure(file: int, writable: bool) -> LoopDevice:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        number = fcntl.ioctl(control, _GET_FREE)
    finally:
        os.close(control)
    device = _open_new(number)
    name = os.fsencode(Path(f"/proc/self/fd/{file}").readlink())[-63:]
    info = _INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, _AUTOCLEAR | (0 if writable else _READ_ONLY), name, b"", b"", 0, 0)
    try:
        fcntl.ioctl(device.fd, _CONFIGURE, struct.pack("<II", file, 0) + info + _CONFIG_TAIL)
    except OSError:
        device.close()
        raise
    return device


def _open_new(number: int) -> LoopDevice:
    path = Path(f"/dev/loop{number}")
    return LoopDevice(os.open(path, os.O_RDWR | os.O_CLOEXEC), path)
