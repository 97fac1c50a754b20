"""Opening paths that somebody hostile has made, as if a folder were the root. Source: openat2(2)."""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from engine.kernel.libc import syscall

NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH, IN_ROOT = 0x01, 0x02, 0x04, 0x08, 0x10
_TRIES = 32


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(folder: int, path: str, flags: int, *, resolve: int, mode: int = 0) -> int:
    """Like os.open with `dir_fd`, with RESOLVE_ rules. EAGAIN (a rename raced with `..`) is retried."""
    for attempt in range(_TRIES):
        how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
        try:
            return syscall("openat2", folder, path, how, ctypes.sizeof(how))
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EINTR) or attempt == _TRIES - 1:
                raise type(error)(error.errno, os.strerror(error.errno or 0), path) from error
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)


def open_in_root(root: int, path: str, flags: int = os.O_RDONLY, *, mode: int = 0) -> int:
    """Open `path` with the open folder `root` as `/`: `..` stops there, absolute links start there.

    Links through /proc are refused (ELOOP). Give O_NOFOLLOW to refuse a link as the last part; give O_NONBLOCK where a
    FIFO may lie in wait.
    """
    return openat2(root, path, flags, resolve=IN_ROOT | NO_MAGICLINKS, mode=mode)


def read_in_root(root: int, path: str, *, limit_bytes: int) -> bytes | None:
    """The content of a regular file in `root`; None when there is none, or it is anything else.

    Raises:
        OSError: EFBIG for more than `limit_bytes`.
    """
    try:
        fd = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG):
            return None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return None
    with os.fdopen(fd, "rb") as file:
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise OSError(errno.EFBIG, f"more than {limit_bytes} bytes", path)
    return content
