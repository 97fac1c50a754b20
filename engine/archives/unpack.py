"""A tar into a fresh folder that nobody else sees yet.

The reader is the one of layers: what two readers could understand differently is refused. Here more is: a name that comes
twice (but for folders), a way through a link, devices. Each parent is found by openat2 without links and beneath the folder,
each entry is new, so nothing is followed and nothing overwritten (TAR-01 to 04). Folders get owner, mode and time at the
end, deepest first: until then they are root's alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import StoreFull
from engine.kernel import openat2
from engine.layers import names, xattrs
from engine.layers.entries import Entry, Kind
from engine.layers.headers import reject
from engine.volumes.shifted import ACL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.config import Limits
    from engine.layers.reader import TarReader

_BENEATH = openat2.NO_XDEV | openat2.NO_MAGICLINKS | openat2.NO_SYMLINKS | openat2.BENEATH
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOM_EVERY_BYTES = 16 << 20
_ZEROS = bytes(1 << 20)
FOLDERS_LIMIT_BYTES = 512 << 20  # of memory, until they get what is said of them at the end
_FOLDER_COST_BYTES = 500  # of each, beside its name and attributes


def folder_cost(path: bytes, attributes: Mapping[bytes, bytes] | None) -> int:
    """What one folder is counted for, of `FOLDERS_LIMIT_BYTES`."""
    said = (attributes or {}).items()
    return _FOLDER_COST_BYTES + len(path) + sum(len(name) + len(value) for name, value in said)


@dataclass(slots=True)
class Unpacked:
    """`dropped` counts extended attributes that are not kept, or that this file system cannot keep."""

    entries: int = 0
    content_bytes: int = 0
    dropped: int = 0


class Unpacker:
    """Into the open, empty folder `top`. `check` is called often: it raises to stop (no room, cancelled)."""

    def __init__(self, top: int, limits: Limits, check: Callable[[], None]) -> None:
        self.unpacked = Unpacked()
        self._top = top
        self._limits = limits
        self._check = check
        self._folders: dict[bytes, Entry | None] = {}
        self._folders_bytes = 0
        self._unchecked_bytes = 0
        self._parent: tuple[bytes, int] = (b"", top)
        self._root: Entry | None = None

    def run(self, reader: TarReader) -> Unpacked:
        """Every entry, then the folders.

        Raises:
            LayerRejected: broken, ambiguous, hostile, cut off, or beyond a limit.
            StoreFull, OSError: the disk refuses.
            Whatever `check` raises.
        """
        try:
            while (entry := reader.next()) is not None:
                self._count(entry)
                self._apply(entry, names.normalise(entry.name), reader)
            reader.finish()
            self._refuse_cut_off(reader)
        finally:
            self._leave()
        for path in sorted(self._folders, key=lambda path: path.count(b"/"), reverse=True):
            self._settle(path, self._folders[path])
        if self._root is not None:
            self._finish_folder(self._top, self._root)
        return self.unpacked

    def _refuse_cut_off(self, reader: TarReader) -> None:
        if not self.unpacked.entries:
            msg = "it is empty"
            raise reject(msg)
        if not reader.has_end:
            msg = "it has no end: it was cut off"
            raise reject(msg)

    def _count(self, entry: Entry) -> None:
        self.unpacked.entries += 1
        if self.unpacked.entries > self._limits.archive_entries:
            msg = f"it has more than {self._limits.archive_entries} entries"
            raise reject(msg)
        if entry.kind is Kind.FILE:
            self.unpacked.content_bytes += entry.size  # holes count as what they seem to be (TAR-08)
            if self.unpacked.content_bytes > self._limits.archive_bytes:
                msg = f"it is larger than {self._limits.archive_bytes} bytes when unpacked"
                raise reject(msg, entry.name)
        if entry.xattrs:
            kept, dropped = xattrs.allowed(entry.xattrs, entry.name)
            acls = {key: value for key, value in entry.xattrs.items() if key.startswith(ACL.encode())}
            entry.xattrs = kept | acls
            self.unpacked.dropped += dropped - len(acls)
        if self.unpacked.entries % 256 == 0:
            self._check()

    def _apply(self, entry: Entry, path: bytes, reader: TarReader) -> None:
        if not path:
            if entry.kind is not Kind.DIRECTORY:
                msg = "the root folder is not a folder"
                raise reject(msg)
            self._root = entry
            return
        parent, last = names.split(path)
        folder = self._enter(parent)
        try:
            self._make(entry, path, folder, last, reader)
        except FileExistsError as error:
            msg = "a name comes twice"
            raise reject(msg, entry.name) from error
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                msg = "The disk is full: the archive could not be unpacked."
                raise StoreFull(msg) from error
            raise

    def _make(self, entry: Entry, path: bytes, folder: int, last: bytes, reader: TarReader) -> None:
        match entry.kind:
            case Kind.FILE:
                self._file(entry, folder, last, reader)
            case Kind.DIRECTORY:
                self._make_folder(entry, path, folder, last)
            case Kind.HARD_LINK:
                self._hard_link(entry, folder, last)
            case Kind.SYMLINK:
                os.symlink(names.symlink_target(entry.link, entry.name), last, dir_fd=folder)
                os.chown(last, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
                os.utime(last, ns=_times(entry), dir_fd=folder, follow_symlinks=False)
            case Kind.FIFO:
                os.mkfifo(last, 0o600, dir_fd=folder)
                os.chown(last, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
                os.chmod(last, entry.mode, dir_fd=folder)  # no link: made just now, where nobody else comes
                os.utime(last, ns=_times(entry), dir_fd=folder, follow_symlinks=False)
            case _:
                msg = f"it contains a {entry.kind.value}, and volumes hold none"
                raise reject(msg, entry.name)

    def _file(self, entry: Entry, folder: int, last: bytes, reader: TarReader) -> None:
        fd = os.open(last, _NEW, 0o600, dir_fd=folder)
        try:
            if entry.size:
                self._content(fd, entry, reader)
            self._attributes(fd, entry)
            os.utime(fd, ns=_times(entry))
        finally:
            os.close(fd)

    def _content(self, fd: int, entry: Entry, reader: TarReader) -> None:
        """Whole pieces of zeros stay holes. The reader rounds up to blocks: what is beyond the size is cut."""

        def write(piece: memoryview) -> None:
            self._unchecked_bytes += len(piece)
            if self._unchecked_bytes >= _ROOM_EVERY_BYTES:
                self._unchecked_bytes = 0
                self._check()
            if piece[0] == 0 and bytes(piece) == _ZEROS[: len(piece)]:
                os.lseek(fd, len(piece), os.SEEK_CUR)
                return
            while piece:
                piece = piece[os.write(fd, piece) :]

        reader.copy_body(entry, write)
        os.ftruncate(fd, entry.size)

    def _make_folder(self, entry: Entry, path: bytes, folder: int, last: bytes) -> None:
        try:
            os.mkdir(last, 0o700, dir_fd=folder)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(last, dir_fd=folder, follow_symlinks=False).st_mode):
                raise
        self._remember(path, entry)

    def _remember(self, path: bytes, entry: Entry | None) -> None:
        """A folder that comes twice counts twice: what it said before may have been as long."""
        self._folders_bytes += folder_cost(path, entry.xattrs if entry is not None else None)
        if self._folders_bytes > FOLDERS_LIMIT_BYTES:
            msg = "it has too many folders"
            raise reject(msg, path)
        if entry is not None:
            entry.name, entry.block = b"", None
        self._folders[path] = entry

    def _hard_link(self, entry: Entry, folder: int, last: bytes) -> None:
        parent, target = names.split(names.normalise(entry.link))
        missing = "a hard link points to something that is not in this archive before it"
        try:
            source = self._open_folder(parent)
        except OSError as error:
            raise reject(missing, entry.name) from error
        try:
            os.link(target, last, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, PermissionError) as error:
            raise reject(missing, entry.name) from error
        finally:
            os.close(source)

    def _enter(self, path: bytes) -> int:
        """The folder of that name, made with its parents where it is missing, as a descriptor that stays ours."""
        if path == self._parent[0]:
            return self._parent[1]
        self._leave()
        try:
            fd = self._open_folder(path)
        except FileNotFoundError:
            fd = self._make_way(path)
        except OSError as error:
            raise _no_way(error, path) from error
        self._parent = (path, fd)
        return fd

    def _make_way(self, path: bytes) -> int:
        """Folders that the archive only implies: 0755 root, until it says otherwise."""
        at, done = os.dup(self._top), b""
        for part in path.split(b"/"):
            done = done + b"/" + part if done else part
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=at)
                self._remember(done, None)
            try:
                further = openat2.openat2(at, os.fsdecode(part), _FOLDER, resolve=_BENEATH)
            except OSError as error:
                raise _no_way(error, path) from error
            finally:
                os.close(at)
            at = further
        return at

    def _open_folder(self, path: bytes) -> int:
        return openat2.openat2(self._top, os.fsdecode(path) or ".", _FOLDER, resolve=_BENEATH)

    def _leave(self) -> None:
        if self._parent[1] != self._top:
            os.close(self._parent[1])
        self._parent = (b"", self._top)

    def _settle(self, path: bytes, entry: Entry | None) -> None:
        fd = self._open_folder(path)
        try:
            if entry is None:
                os.fchmod(fd, 0o755)
            else:
                self._finish_folder(fd, entry)
        finally:
            os.close(fd)

    def _finish_folder(self, fd: int, entry: Entry) -> None:
        self._attributes(fd, entry)
        os.utime(fd, ns=_times(entry))

    def _attributes(self, fd: int, entry: Entry) -> None:
        """Owner before mode: chown would clear set-id bits; capabilities last, as it would clear those too."""
        os.fchown(fd, entry.uid, entry.gid)
        os.fchmod(fd, entry.mode)
        for name, value in (entry.xattrs or {}).items():
            try:
                os.setxattr(fd, name, value)
            except OSError:
                self.unpacked.dropped += 1


def _times(entry: Entry) -> tuple[int, int]:
    return (entry.mtime * 1_000_000_000,) * 2


def _no_way(error: OSError, path: bytes) -> Exception:
    if error.errno in {errno.ENOTDIR, errno.ELOOP, errno.EXDEV}:
        return reject("an entry lies below something that is not a folder", path)
    if error.errno == errno.ENAMETOOLONG:
        return reject("a name is too long", path)
    return error
