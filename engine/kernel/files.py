"""Files where somebody else may be at work: locks, leases, atomic replacement, and removal that stays in its tree."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import signal
import stat
import time
from typing import TYPE_CHECKING, Self

from engine.kernel import mounts, openat2
from engine.kernel.libc import LIBRARY, checked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

_POLL_S = 0.01
_NOT_A_FOLDER_ANY_MORE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV})


class TreeHasMounts(OSError):
    """Something is mounted in a tree that should be removed; nothing behind a mount was touched."""


class FileLock:
    """An exclusive flock on a file of its own, freed by the kernel when its holder dies.

    Also excludes other threads of this process. Whoever holds it may remove the file: those who wait notice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def acquire(self, timeout_s: float | None = None) -> bool:
        """Whether we have it now; None waits for ever, 0 not at all."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (fd := self._try()) is None:
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        self._fd = fd
        return True

    def _try(self) -> int | None:
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if _try_flock(fd) and _is_at(fd, self.path):
            return fd
        os.close(fd)
        return None

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _try_flock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(fd: int, path: Path) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def read_lease(fd: int) -> Iterator[None]:
    """Hold a read lease: proof that nobody has the file open for writing (fcntl(2), F_SETLEASE).

    `fd` must be open for reading only. A writer who comes later waits, for at most /proc/sys/fs/lease-break-time.

    Raises:
        BlockingIOError: somebody has it open for writing.
    """
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)  # a broken lease would send SIGIO, and that kills
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    try:
        yield
    finally:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file_system(path: Path) -> None:
    """Make everything written to the file system of a folder survive a power cut: for trees, one call for all files.

    Raises:
        OSError: ENOSPC, EIO: something of it could not be written, perhaps not ours. Source: syncfs(2).
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        checked("syncfs", LIBRARY.syncfs(fd))
    finally:
        os.close(fd)


def ensure_folder(path: Path, mode: int, *, uid: int = 0, gid: int = 0) -> None:
    """A folder with exactly this owner and mode, made or corrected. Its parent must be there.

    Raises:
        OSError: ENOTDIR or ELOOP when something else has that name.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)  # noqa: PTH102 - the mode counts, and follows by descriptor
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if (found.st_uid, found.st_gid) != (uid, gid):
            os.fchown(fd, uid, gid)
        if stat.S_IMODE(found.st_mode) != mode:
            os.fchmod(fd, mode)
    finally:
        os.close(fd)


def write_atomic(path: Path, content: bytes, *, mode: int, uid: int = -1, gid: int = -1) -> None:
    """Replace a file: readers see all of the old or all of the new, also after a power cut.

    Owner before mode: chown would clear set-id bits, and the new owner never sees a mode meant for another.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fchown(fd, uid, gid)
            os.fchmod(fd, mode)
            os.fsync(fd)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def tree_bytes(path: Path, *, is_cancelled: Callable[[], bool]) -> int | None:
    """The sizes of all files below a folder together; a file with several names counts once, a folder nothing.

    Somebody hostile may be at work in it: links are not followed, mounts not entered, and what vanishes counts nothing.
    One descriptor and no recursion, whatever the depth.

    Returns:
        Bytes; None when `is_cancelled` said so in between.

    Raises:
        FileNotFoundError: no such folder.
        OSError: ENAMETOOLONG, a folder lies deeper than a path can say.
    """
    top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    total, seen, waiting = 0, set[int](), ["."]
    try:
        while waiting:
            if is_cancelled():
                return None
            for below, found in _listed(top, waiting.pop()):
                if stat.S_ISDIR(found.st_mode):
                    waiting.append(below)
                elif found.st_nlink == 1 or found.st_ino not in seen:
                    total += found.st_size
                    seen |= {found.st_ino} if found.st_nlink > 1 else set()
    finally:
        os.close(top)
    return total


def _listed(top: int, folder: str) -> Iterator[tuple[str, os.stat_result]]:
    resolve = openat2.NO_XDEV | openat2.NO_SYMLINKS | openat2.BENEATH
    try:
        fd = openat2.openat2(top, folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, resolve=resolve)
    except OSError as error:
        if error.errno in _NOT_A_FOLDER_ANY_MORE:
            return
        raise
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    yield f"{folder}/{entry.name}", entry.stat(follow_symlinks=False)
    finally:
        os.close(fd)


def remove_tree(path: Path) -> None:
    """Remove a file or a whole folder, and nothing else. Idempotent.

    Links are removed, never followed. Folders of any mode, depth and size work: deep ones are moved up to the top
    first, so three descriptors are enough. Where something is mounted it stops.

    Raises:
        TreeHasMounts: something is mounted at or below `path`; checked before the first removal, and again by the
            kernel at each folder.
    """
    if found := mounts.mounts_below(path):
        raise TreeHasMounts(errno.EBUSY, f"{found[0].target} is mounted", str(path))
    try:
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        with contextlib.suppress(FileNotFoundError):
            _remove_entry(parent, path.name)
    finally:
        os.close(parent)


def _remove_entry(parent: int, name: str) -> None:
    if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=parent)
        return
    top = _open_folder(parent, name)
    try:
        while queue := _empty_folder(top, top):
            for folder in queue:
                _empty_and_remove(top, folder)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _empty_and_remove(top: int, name: str) -> None:
    folder = _open_folder(top, name)
    try:
        _empty_folder(folder, top)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=top)


def _empty_folder(folder: int, top: int) -> list[str]:
    """Remove what is not a full folder; full ones are moved to `top` or, if they are there, returned."""
    full: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=folder)
            elif not _remove_if_empty(folder, entry.name):
                full.append(entry.name)
    if folder == top:
        return full
    for name in full:
        _allow(folder, name)
        os.rename(name, f".removed-{secrets.token_hex(16)}", src_dir_fd=folder, dst_dir_fd=top)
    return []


def _remove_if_empty(folder: int, name: str) -> bool:
    try:
        os.rmdir(name, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise TreeHasMounts(errno.EBUSY, f"{name} is mounted") from error
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EACCES):
            raise
        return False
    return True


def _open_folder(parent: int, name: str) -> int:
    _allow(parent, name)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        return openat2.openat2(parent, name, flags, resolve=openat2.NO_XDEV | openat2.NO_SYMLINKS | openat2.BENEATH)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise TreeHasMounts(errno.EBUSY, f"{name} is mounted") from error
        raise


def _allow(parent: int, name: str) -> None:
    """Give an owner who is not root the rights to empty a folder; root has them."""
    if os.geteuid() == 0:
        return
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{handle}", 0o700)  # noqa: PTH101 - a descriptor
    finally:
        os.close(handle)
