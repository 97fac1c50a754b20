"""System calls that Python does not offer, by ctypes. Only this package uses it.

Numbers from 424 on are the same on every architecture (kernel `scripts/syscall.tbl`).
"""

from __future__ import annotations

import ctypes
import os

LIBRARY = ctypes.CDLL(None, use_errno=True)
LIBRARY.syscall.restype = ctypes.c_long
LIBRARY.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
LIBRARY.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
LIBRARY.setns.argtypes = [ctypes.c_int, ctypes.c_int]
LIBRARY.setdomainname.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
LIBRARY.unshare.argtypes = [ctypes.c_int]
LIBRARY.syncfs.argtypes = [ctypes.c_int]
LIBRARY.inotify_init1.argtypes = [ctypes.c_int]
LIBRARY.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
LIBRARY.inotify_rm_watch.argtypes = [ctypes.c_int, ctypes.c_int]

SYSCALLS = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "openat2": 437,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
}
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

Argument = int | bytes | str | ctypes.Structure | None


def failed(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def syscall(name: str, *arguments: Argument) -> int:
    """The result of a system call.

    Raises:
        OSError: with its errno; ENOSYS on a kernel that does not have it.
    """
    result = int(LIBRARY.syscall(ctypes.c_long(SYSCALLS[name]), *map(_convert, arguments)))
    if result < 0:
        raise failed(name)
    return result


def checked(what: str, result: int) -> int:
    """The result of a libc function that says -1 and errno when it fails."""
    if result < 0:
        raise failed(what)
    return result


def _convert(argument: Argument) -> object:
    if argument is None:
        return ctypes.c_void_p(None)
    if isinstance(argument, int):
        return ctypes.c_long(argument)
    if isinstance(argument, ctypes.Structure):
        return ctypes.byref(argument)
    return ctypes.c_char_p(os.fsencode(argument))
