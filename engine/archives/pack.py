"""A folder as a tar, while containers may be changing it.

Everything goes by descriptor, name by name: an entry is looked at through a handle that follows nothing, and what is
opened is what that handle stands for, so nobody can put a device or a link in its place in between (CPY-01). What
vanishes meanwhile is left out; a file that shrinks is filled up with zeros, one that grows is cut: it is no snapshot.
Devices and sockets are left out. Holes are kept (pax sparse 1.0, as GNU tar writes them).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from engine.archives import unpack
from engine.errors import ArchiveRejected
from engine.layers import canonical, names, xattrs
from engine.layers.entries import Entry, Kind
from engine.layers.headers import BLOCK_BYTES
from engine.volumes.shifted import ACL

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.config import Limits

    Write = Callable[[bytes], object]
    """Takes the next bytes of the archive; raises StoreFull, StoreError or Cancelled."""

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CHUNK = 1 << 20
_REGIONS = 10_000
_NAMES_LIMIT_BYTES = 256 << 20  # of those that are in memory at a time
_NAME_COST_BYTES = 100  # of each, beside its letters
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ELOOP, errno.ENXIO})


@dataclass(slots=True)
class Packed:
    """`left_out` counts devices and sockets; `changed` files that shrank while they were read."""

    entries: int = 0
    left_out: int = 0
    changed: int = 0
    content_bytes: int = 0
    _links: dict[tuple[int, int], bytes] = field(default_factory=dict)


def pack_place(place: int, name: bytes, write: Write, limits: Limits, *, but: frozenset[int]) -> Packed:
    """Write what lies in a container as a tar: the open folder or link or file `place` (O_PATH) and all that is in it.

    Its own entry is called `name`; an empty one makes a folder's `./`. Other file systems are gone into, but for those
    of the devices `but`. Extended attributes are left out. As `pack` in all else; whoever calls this has the rights of
    the container's root, and the owners are the container's.

    Raises:
        As `pack`; PermissionError where that root may not read.
    """
    packer = _Packer(write, limits, but=but)
    with contextlib.ExitStack() as stack:
        seen = _opened(stack, place)
        packer.add(seen, name)
    if not packer.packed.entries:
        msg = "it is a device or a socket"
        raise unfit(msg, name)
    write(canonical.END)
    return packer.packed


def pack(top: int, write: Write, limits: Limits) -> Packed:
    """Write the open folder `top` and all that is in it as a tar, itself as `./`.

    Nothing is written that `unpack` would refuse under the same limits.

    Raises:
        ArchiveRejected: more entries or bytes than the limits allow, a name that is too long or too deep, or more names
            in one folder, or of files with several, than are held in memory.
        OSError: the folder cannot be read.
        Whatever `write` raises. What was written is of no use then.
    """
    packer = _Packer(write, limits, only=os.fstat(top).st_dev)
    packer.folder(top, b"")
    write(canonical.END)
    return packer.packed


class _Seen(NamedTuple):
    """`fd`: open for reading, of folders and regular files; `link`: of a symbolic link, its text."""

    found: os.stat_result
    fd: int = -1
    link: bytes = b""


class _Packer:
    """`only`: the one device that is packed, with extended attributes; else all `but` some, without."""

    def __init__(self, write: Write, limits: Limits, *, only: int = 0, but: frozenset[int] = frozenset()) -> None:
        self.packed = Packed()
        self._write = write
        self._limits = limits
        self._only = only
        self._but = but
        self._names_bytes = self._folders_bytes = 0

    def folder(self, fd: int, path: bytes) -> None:
        """`fd` is open for reading."""
        entry = _entry(Kind.DIRECTORY, os.fstat(fd), self._attributes(fd))
        self._folders_bytes += unpack.folder_cost(path, entry.xattrs)
        if self._folders_bytes > unpack.FOLDERS_LIMIT_BYTES:
            msg = "it has too many folders"
            raise unfit(msg, path)
        self._head(entry, path)
        listed = self._listed(fd, path)
        for name in listed:
            self._below(fd, path, name)
        self._names_bytes -= sum(map(_cost, listed))

    def _listed(self, fd: int, path: bytes) -> list[bytes]:
        """A container can put more names into a folder than this host has memory for."""
        found = []
        with os.scandir(fd) as entries:
            for entry in entries:
                found.append(os.fsencode(entry.name))
                self._hold(found[-1], path)
        return sorted(found)

    def _hold(self, name: bytes, path: bytes) -> None:
        self._names_bytes += _cost(name)
        if self._names_bytes > _NAMES_LIMIT_BYTES:
            msg = "its names are too long in total"
            raise unfit(msg, path)

    def _below(self, folder: int, parent: bytes, name: bytes) -> None:
        path = parent + b"/" + name if parent else name
        with contextlib.ExitStack() as stack:
            try:
                seen = _look(stack, folder, name)
            except OSError as error:
                if error.errno in _GONE:
                    return
                raise
            if self._is_wanted(seen.found.st_dev):
                _refuse_unfit(path)
                self.add(seen, path)

    def _is_wanted(self, device: int) -> bool:
        """Something that the host has mounted in a volume is not the volume's."""
        return device == self._only if self._only else device not in self._but

    def _attributes(self, fd: int) -> dict[bytes, bytes]:
        return _attributes(fd) if self._only else {}

    def add(self, seen: _Seen, path: bytes) -> None:
        mode = seen.found.st_mode
        if stat.S_ISDIR(mode):
            self.folder(seen.fd, path)
        elif self._again(path, seen.found):
            return
        elif stat.S_ISREG(mode):
            self._file(seen.fd, path)
        elif stat.S_ISLNK(mode):
            self._head(_entry(Kind.SYMLINK, seen.found), path, seen.link)
        elif stat.S_ISFIFO(mode):
            self._head(_entry(Kind.FIFO, seen.found), path)
        else:
            self.packed.left_out += 1

    def _again(self, path: bytes, found: os.stat_result) -> bool:
        """A further name of what is in the archive already."""
        if found.st_nlink < 2 or not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            return False
        identity = (found.st_dev, found.st_ino)
        first = self.packed._links.setdefault(identity, path)
        if first == path:
            self._hold(path, path)
            return False
        self._head(_entry(Kind.HARD_LINK, found), path, first)
        return True

    def _file(self, fd: int, path: bytes) -> None:
        found = os.fstat(fd)
        entry = _entry(Kind.FILE, found, self._attributes(fd))
        self._weigh(found.st_size, path)
        regions = _regions(fd, found)
        if regions is None:
            entry.size = found.st_size
            self._head(entry, path)
            self._body(fd, [(0, found.st_size)])
            return
        listed = _map([*regions, (found.st_size, 0)])  # without an end GNU tar would make the file too short
        entry.size = len(listed) + sum(size for _, size in regions)
        self._head(entry, path, extra=_sparse_records(path, found.st_size))
        self._write(listed)
        self._body(fd, regions)

    def _body(self, fd: int, regions: list[tuple[int, int]]) -> None:
        written, shrank = 0, False
        for offset, size in regions:
            at, end = offset, offset + size
            while at < end:
                chunk = os.pread(fd, min(_CHUNK, end - at), at)
                if not chunk:
                    chunk, shrank = bytes(min(_CHUNK, end - at)), True
                self._write(chunk)
                at += len(chunk)
            written += size
        self._write(bytes(-written % BLOCK_BYTES))
        self.packed.changed += shrank

    def _head(self, entry: Entry, path: bytes, link: bytes = b"", *, extra: bytes = b"") -> None:
        self.packed.entries += 1
        if self.packed.entries > self._limits.archive_entries:
            msg = f"it has more than {self._limits.archive_entries} entries"
            raise unfit(msg)
        if entry.xattrs:
            acls = {key: value for key, value in entry.xattrs.items() if key.startswith(ACL.encode())}
            entry.xattrs = xattrs.allowed(entry.xattrs, path)[0] | acls
        self._write(canonical.head(entry, path, link, extra=extra))

    def _weigh(self, size: int, path: bytes) -> None:
        self.packed.content_bytes += size
        if self.packed.content_bytes > self._limits.archive_bytes:
            msg = f"it holds more than {self._limits.archive_bytes} bytes"
            raise unfit(msg, path)


def _look(stack: contextlib.ExitStack, folder: int, name: bytes) -> _Seen:
    """What has that name now; the descriptors live as long as `stack`."""
    handle = os.open(name, _LOOK, dir_fd=folder)
    stack.callback(os.close, handle)
    return _opened(stack, handle)


def _opened(stack: contextlib.ExitStack, handle: int) -> _Seen:
    found = os.fstat(handle)
    if stat.S_ISLNK(found.st_mode):
        return _Seen(found, link=os.readlink(b"", dir_fd=handle))
    if stat.S_ISDIR(found.st_mode):
        fd = os.open(".", _READ | os.O_DIRECTORY, dir_fd=handle)
    elif stat.S_ISREG(found.st_mode):
        fd = os.open(f"/proc/self/fd/{handle}", _READ)
    else:
        return _Seen(found)
    stack.callback(os.close, fd)
    return _Seen(found, fd)


def unfit(why: str, path: bytes = b"") -> ArchiveRejected:
    where = f" (at '{path[:300].decode('utf-8', 'backslashreplace')}')" if path else ""
    return ArchiveRejected(f"It does not fit into an archive: {why}{where}.")


def _cost(name: bytes) -> int:
    return len(name) + _NAME_COST_BYTES


def _refuse_unfit(path: bytes) -> None:
    if len(path) > names.NAME_LIMIT_BYTES - 1:
        msg = "a name is too long"
        raise unfit(msg, path)
    if path.count(b"/") >= names.DEPTH_LIMIT:
        msg = f"a name is deeper than {names.DEPTH_LIMIT} folders"
        raise unfit(msg, path)


def _entry(kind: Kind, found: os.stat_result, attributes: dict[bytes, bytes] | None = None) -> Entry:
    mode = stat.S_IMODE(found.st_mode)
    seconds = found.st_mtime_ns // 1_000_000_000
    return Entry(kind, b"", b"", 0, mode, found.st_uid, found.st_gid, seconds, xattrs=attributes or None)


def _attributes(fd: int) -> dict[bytes, bytes]:
    """Those that a container can give a file; what goes away meanwhile is not there."""
    found: dict[bytes, bytes] = {}
    with contextlib.suppress(OSError):
        for name in os.listxattr(fd):
            if name.startswith(("user.", ACL)) or name == xattrs.CAPABILITY.decode():
                with contextlib.suppress(OSError):
                    found[os.fsencode(name)] = os.getxattr(fd, name)
    return found


def _regions(fd: int, found: os.stat_result) -> list[tuple[int, int]] | None:
    """Where a file with holes has data: offset and size; None for one without."""
    size = found.st_size
    if found.st_blocks * 512 >= size:
        return None
    regions: list[tuple[int, int]] = []
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break
        if start >= size:
            break
        if len(regions) == _REGIONS:  # the rest as one: what is a hole in it is written as zeros
            regions.append((start, size - start))
            break
        at = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        regions.append((start, at - start))
    return regions


def _map(regions: list[tuple[int, int]]) -> bytes:
    """Sparse form 1.0: a count, then offset and size by turns, a line each, in whole blocks."""
    numbers = [len(regions), *(number for region in regions for number in region)]
    text = b"".join(b"%d\n" % number for number in numbers)
    return text + bytes(-len(text) % BLOCK_BYTES)


def _sparse_records(path: bytes, size: int) -> bytes:
    records = ((b"major", b"1"), (b"minor", b"0"), (b"name", path), (b"realsize", b"%d" % size))
    return b"".join(canonical.record(b"GNU.sparse." + key, value) for key, value in records)
