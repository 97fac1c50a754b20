"""A tar into a folder that has things in it and that others may be changing: what `cp` into a container does.

Whoever runs this has the rights of the container's root and no more. Still nothing is followed: the way to each entry is
found by openat2 without links and beneath the folder, and each entry is made under a name of its own and then put in the
place of what was there in one step, so that a file is the old one or the new one (CPY-01, CPY-02, CPY-05).

Folders that are there stay as they are. A folder never takes the place of anything else, nor anything else that of a folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import TYPE_CHECKING

from engine.archives.unpack import Unpacked
from engine.errors import ArchiveRejected
from engine.kernel import openat2
from engine.layers import names
from engine.layers.entries import Entry, Kind
from engine.layers.headers import reject

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.config import Limits
    from engine.layers.reader import TarReader

_BENEATH = openat2.NO_MAGICLINKS | openat2.NO_SYMLINKS | openat2.BENEATH
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ZEROS = bytes(1 << 20)
_TELL_EVERY_BYTES = 4 << 20


class Merger:
    """Into the open folder `top`. What the archive calls X/… becomes `rename`/…; None: the names stay.

    `keep_owners`: as the archive says, else everything is root's. `but`: devices of the system's own file systems, in which
    nothing is put. `tell` hears from time to time how many bytes of content there are.
    """

    def __init__(
        self,
        top: int,
        limits: Limits,
        *,
        rename: bytes | None = None,
        keep_owners: bool = False,
        but: frozenset[int] = frozenset(),
        tell: Callable[[int], None] = lambda _bytes: None,
    ) -> None:
        self.merged = Unpacked()
        self._top = top
        self._limits = limits
        self._rename = rename
        self._keep_owners = keep_owners
        self._but = but
        self._tell = tell
        self._told_bytes = 0
        self._made: dict[bytes, Entry | None] = {}

    def run(self, reader: TarReader, first: Entry | None) -> Unpacked:
        """Every entry from `first` on, which was read already, then the folders that were made.

        Raises:
            LayerRejected, ArchiveRejected: broken, hostile, cut off, beyond a limit, or in the way of what is there.
            OSError: the container's file system refuses. What was put in before stays.
        """
        entry = first
        while entry is not None:
            self._count(entry)
            path = self._renamed(names.normalise(entry.name))
            if path:
                self._apply(entry, path, reader)
            entry = reader.next()
        reader.finish()
        if not reader.has_end:
            msg = "it has no end: it was cut off"
            raise reject(msg)
        for path in sorted(self._made, key=lambda path: path.count(b"/"), reverse=True):
            self._settle(path, self._made[path])
        return self.merged

    def _count(self, entry: Entry) -> None:
        self.merged.entries += 1
        if self.merged.entries > self._limits.archive_entries:
            msg = f"it has more than {self._limits.archive_entries} entries"
            raise reject(msg)
        if entry.kind is Kind.FILE:
            self.merged.content_bytes += entry.size
            if self.merged.content_bytes > self._limits.archive_bytes:
                msg = f"it is larger than {self._limits.archive_bytes} bytes when unpacked"
                raise reject(msg, entry.name)
        self.merged.dropped += len(entry.xattrs or {})

    def _renamed(self, path: bytes) -> bytes:
        if self._rename is None or not path:
            return path
        _, slash, rest = path.partition(b"/")
        return self._rename + slash + rest

    def _apply(self, entry: Entry, path: bytes, reader: TarReader) -> None:
        parent, last = names.split(path)
        folder = self._enter(parent)
        try:
            if entry.kind is Kind.DIRECTORY:
                self._make_folder(entry, path, folder, last)
            else:
                self._replace(entry, path, folder, last, reader)
        finally:
            os.close(folder)

    def _replace(self, entry: Entry, path: bytes, folder: int, last: bytes, reader: TarReader) -> None:
        if _is_folder(folder, last):
            raise _folder_in_the_way(path)
        draft = b".berth-cp-" + secrets.token_hex(8).encode()
        try:
            self._make(entry, folder, draft, reader)
            os.rename(draft, last, src_dir_fd=folder, dst_dir_fd=folder)
        except IsADirectoryError as error:
            raise _folder_in_the_way(path) from error
        finally:
            with contextlib.suppress(FileNotFoundError):  # also a second name of what has that name already
                os.unlink(draft, dir_fd=folder)

    def _make(self, entry: Entry, folder: int, draft: bytes, reader: TarReader) -> None:
        match entry.kind:
            case Kind.FILE:
                self._file(entry, folder, draft, reader)
            case Kind.HARD_LINK:
                self._hard_link(entry, folder, draft)
                return
            case Kind.SYMLINK:
                os.symlink(names.symlink_target(entry.link, entry.name), draft, dir_fd=folder)
            case Kind.FIFO:
                os.mkfifo(draft, entry.mode & 0o777, dir_fd=folder)
            case _:
                msg = f"it contains a {entry.kind.value}, which is not copied"
                raise reject(msg, entry.name)
        if entry.kind is not Kind.FILE:
            os.chown(draft, *self._owner(entry), dir_fd=folder, follow_symlinks=False)
            os.utime(draft, ns=(entry.mtime * 10**9,) * 2, dir_fd=folder, follow_symlinks=False)

    def _file(self, entry: Entry, folder: int, draft: bytes, reader: TarReader) -> None:
        fd = os.open(draft, _NEW, 0o600, dir_fd=folder)
        try:
            if entry.size:
                reader.copy_body(entry, lambda piece: self._write(fd, piece))
                os.ftruncate(fd, entry.size)
            os.fchown(fd, *self._owner(entry))
            os.fchmod(fd, entry.mode)
            os.utime(fd, ns=(entry.mtime * 10**9,) * 2)
        finally:
            os.close(fd)

    def _write(self, fd: int, piece: memoryview) -> None:
        """Whole pieces of zeros stay holes."""
        self._told_bytes += len(piece)
        if self._told_bytes >= _TELL_EVERY_BYTES:
            self._told_bytes = 0
            self._tell(self.merged.content_bytes)
        if piece[0] == 0 and bytes(piece) == _ZEROS[: len(piece)]:
            os.lseek(fd, len(piece), os.SEEK_CUR)
            return
        while piece:
            piece = piece[os.write(fd, piece) :]

    def _owner(self, entry: Entry) -> tuple[int, int]:
        return (entry.uid, entry.gid) if self._keep_owners else (0, 0)

    def _hard_link(self, entry: Entry, folder: int, draft: bytes) -> None:
        parent, target = names.split(self._renamed(names.normalise(entry.link)))
        missing = "a hard link points to something that is not in this archive before it"
        try:
            source = self._open(parent)
        except OSError as error:
            raise reject(missing, entry.name) from error
        try:
            os.link(target, draft, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, PermissionError) as error:
            raise reject(missing, entry.name) from error
        finally:
            os.close(source)

    def _make_folder(self, entry: Entry, path: bytes, folder: int, last: bytes) -> None:
        try:
            os.mkdir(last, 0o700, dir_fd=folder)
        except FileExistsError as error:
            if not _is_folder(folder, last):
                msg = f"cannot overwrite non-directory {_shown(path)} with directory"
                raise ArchiveRejected(msg) from error
            if path in self._made:
                self._made[path] = entry
        else:
            self._made[path] = entry

    def _enter(self, path: bytes) -> int:
        """The folder of that name, made with its parents where it is missing; the caller closes it."""
        try:
            return self._checked(self._open(path))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _no_way(error, path) from error
        done = b""
        for part in path.split(b"/"):
            at = self._open(done)
            done = done + b"/" + part if done else part
            try:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=at)
                    self._made[done] = None
            finally:
                os.close(at)
        try:
            return self._checked(self._open(path))
        except OSError as error:
            raise _no_way(error, path) from error

    def _open(self, path: bytes) -> int:
        return openat2.openat2(self._top, os.fsdecode(path) or ".", _FOLDER, resolve=_BENEATH)

    def _checked(self, fd: int) -> int:
        if os.fstat(fd).st_dev in self._but:
            os.close(fd)
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        return fd

    def _settle(self, path: bytes, entry: Entry | None) -> None:
        """Whoever uses the container may have taken it away meanwhile."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            fd = self._open(path)
            try:
                os.fchown(fd, *(self._owner(entry) if entry else (0, 0)))
                os.fchmod(fd, entry.mode if entry else 0o755)
                if entry is not None:
                    os.utime(fd, ns=(entry.mtime * 10**9,) * 2)
            finally:
                os.close(fd)


def _is_folder(folder: int, name: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _shown(path: bytes) -> str:
    return f'"{path.decode("utf-8", "backslashreplace")[:300]}"'


def _folder_in_the_way(path: bytes) -> ArchiveRejected:
    return ArchiveRejected(f"cannot overwrite directory {_shown(path)} with non-directory")


def _no_way(error: OSError, path: bytes) -> Exception:
    if error.errno in {errno.ENOTDIR, errno.ELOOP, errno.EXDEV}:
        return ArchiveRejected(f"{_shown(path)} is not a directory, or leads through a link")
    return error
