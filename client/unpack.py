"""The tar that `cp` brings out of a container, onto this machine. Standard library only, and not its `tarfile`.

The archive is what Berth writes: plain headers, pax records, files with holes. Nothing else is taken, so nothing in it can
be read in two ways. Each part of a name is entered without following links, beneath the folder that the person named, and
each file is made beside the old one and put in its place: a hostile container cannot reach anything else (CPY-03).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = 512
NAME_LIMIT = 4096
RECORDS_LIMIT = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE, _HARD_LINK, _LINK, _DIRECTORY, _FIFO = b"0", b"1", b"2", b"5", b"6"
_KNOWN = (_FILE, _HARD_LINK, _LINK, _DIRECTORY, _FIFO)


class Refused(Exception):
    """Why it goes no further, in one sentence. What was put in place before stays."""


@dataclass(slots=True)
class Entry:
    name: bytes
    kind: bytes
    link: bytes
    size: int
    mode: int
    uid: int
    gid: int
    mtime: int
    holes: bool = False
    real_size: int = 0


class _Reader:
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._pending = memoryview(b"")

    def take(self, count: int) -> Iterator[memoryview]:
        """So many bytes, in pieces."""
        while count:
            if not self._pending:
                self._pending = memoryview(next(self._pieces, b""))
                if not self._pending:
                    msg = "the archive was cut off"
                    raise Refused(msg)
            piece = self._pending[:count]
            self._pending = self._pending[len(piece) :]
            count -= len(piece)
            yield piece

    def exactly(self, count: int) -> bytes:
        return b"".join(self.take(count))

    def skip_padding(self, size: int) -> None:
        self.exactly(-size % BLOCK)

    def entries(self) -> Iterator[Entry]:
        records: dict[bytes, bytes] = {}
        while any(block := self.exactly(BLOCK)):
            entry = _header(block)
            if entry.kind == b"x":
                if entry.size > RECORDS_LIMIT:
                    msg = "the archive has a header that is too long"
                    raise Refused(msg)
                records = _records(self.exactly(entry.size))
                self.skip_padding(entry.size)
                continue
            if entry.kind not in _KNOWN:
                msg = "the archive holds something that is not copied"
                raise Refused(msg)
            yield _completed(entry, records)
            records = {}
        for _rest in self._pieces:
            pass  # to the last byte, which the sender counts


def _header(block: bytes) -> Entry:
    checksum = sum(block[:148]) + 8 * 32 + sum(block[156:])
    if block[257:262] != b"ustar" or _number(block[148:156]) != checksum:
        msg = "the archive is damaged"
        raise Refused(msg)
    return Entry(
        name=block[:100].rstrip(b"\0"),
        kind=block[156:157],
        link=block[157:257].rstrip(b"\0"),
        size=_number(block[124:136]),
        mode=_number(block[100:108]) & 0o7777,
        uid=_number(block[108:116]),
        gid=_number(block[116:124]),
        mtime=_number(block[136:148]),
    )


def _number(field: bytes) -> int:
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    text = field.strip(b" \0")
    if text and not all(0x30 <= digit <= 0x37 for digit in text):
        msg = "the archive is damaged"
        raise Refused(msg)
    return int(text or b"0", 8)


def _records(data: bytes) -> dict[bytes, bytes]:
    found = {}
    while data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or not len(length) < int(length) <= len(data):
            msg = "the archive is damaged"
            raise Refused(msg)
        key, _, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        found[key] = value
        data = data[int(length) :]
    return found


def _completed(entry: Entry, records: dict[bytes, bytes]) -> Entry:
    entry.name = records.get(b"GNU.sparse.name") or records.get(b"path") or entry.name
    entry.link = records.get(b"linkpath", entry.link)
    entry.holes = records.get(b"GNU.sparse.major") == b"1"
    if entry.holes:
        entry.real_size = int(records.get(b"GNU.sparse.realsize", b"0"))
    return entry


def _parts(name: bytes) -> list[bytes]:
    """`a/./b/` as [a, b]; the top folder as []."""
    parts = [part for part in name.split(b"/") if part not in {b"", b"."}]
    if b".." in parts or b"\0" in name or len(name) > NAME_LIMIT or name.startswith(b"/"):
        msg = "the archive holds a name that leads elsewhere"
        raise Refused(msg)
    return parts


class Unpacker:
    """Puts an archive at `to` by the rules of Docker's `cp`. `keep_owners`: as the archive says, where we may."""

    def __init__(self, to: str, *, keep_owners: bool) -> None:
        self._to = to
        self._keep_owners = keep_owners and os.geteuid() == 0
        self._top = -1
        self._rename: bytes | None = None
        self._made: list[tuple[list[bytes], Entry]] = []

    def run(self, pieces: Iterator[bytes]) -> None:
        """Every entry.

        Raises:
            Refused: with why.
            OSError: this machine's disk refuses.
            Whatever `pieces` raises.
        """
        reader = _Reader(pieces)
        try:
            for entry in reader.entries():
                parts = _parts(entry.name)
                if self._top < 0:
                    self._open_top(parts, entry)
                self._put(self._renamed(parts), entry, reader)
            for parts, entry in reversed(self._made):
                self._settle(parts, entry)
        finally:
            if self._top >= 0:
                os.close(self._top)

    def _open_top(self, parts: list[bytes], first: Entry) -> None:
        to, is_content = self._to, not parts
        if Path(to).is_dir():
            self._top = os.open(to, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            return
        if os.path.lexists(to) and first.kind == _DIRECTORY:
            msg = f"cannot copy a directory to the file {to}"
            raise Refused(msg)
        if to.endswith("/") and first.kind != _DIRECTORY:
            msg = f"no such directory: {to}"
            raise Refused(msg)
        parent, name = os.path.split(to.rstrip("/"))
        try:
            self._top = os.open(parent or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            msg = f"invalid output path: directory {parent} does not exist"
            raise Refused(msg) from error
        if is_content:
            os.mkdir(name, dir_fd=self._top)
            above, self._top = self._top, os.open(name, _FOLDER, dir_fd=self._top)
            os.close(above)
        else:
            self._rename = os.fsencode(name)

    def _renamed(self, parts: list[bytes]) -> list[bytes]:
        return parts if self._rename is None or not parts else [self._rename, *parts[1:]]

    def _put(self, parts: list[bytes], entry: Entry, reader: _Reader) -> None:
        if not parts:
            return
        folder = self._enter(parts[:-1])
        try:
            if entry.kind == _DIRECTORY:
                self._folder(folder, parts, entry)
            else:
                self._replace(folder, parts, entry, reader)
        finally:
            os.close(folder)

    def _enter(self, parts: list[bytes]) -> int:
        at = os.dup(self._top)
        for part in parts:
            try:
                further = os.open(part, _FOLDER, dir_fd=at)
            except OSError as error:
                msg = f"{_shown(parts)} is not a directory, or leads through a link"
                raise Refused(msg) from error
            finally:
                os.close(at)
            at = further
        return at

    def _folder(self, folder: int, parts: list[bytes], entry: Entry) -> None:
        try:
            os.mkdir(parts[-1], 0o700, dir_fd=folder)
        except FileExistsError as error:
            if not _is_folder(folder, parts[-1]):
                msg = f"cannot overwrite non-directory {_shown(parts)} with directory"
                raise Refused(msg) from error
        else:
            self._made.append((parts, entry))

    def _replace(self, folder: int, parts: list[bytes], entry: Entry, reader: _Reader) -> None:
        last = parts[-1]
        if _is_folder(folder, last):
            msg = f"cannot overwrite directory {_shown(parts)} with non-directory"
            raise Refused(msg)
        draft = b".berth-cp-" + secrets.token_hex(6).encode()
        try:
            if entry.kind == _FILE:
                self._file(folder, draft, entry, reader)
            elif entry.kind == _LINK:
                os.symlink(entry.link, draft, dir_fd=folder)
            elif entry.kind == _HARD_LINK:
                self._hard_link(folder, draft, entry)
            else:
                os.mkfifo(draft, entry.mode & 0o777, dir_fd=folder)
            if self._keep_owners and entry.kind != _HARD_LINK:
                os.chown(draft, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
                if entry.kind == _FILE:
                    os.chmod(draft, entry.mode, dir_fd=folder)
            os.replace(draft, last, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=folder)

    def _file(self, folder: int, draft: bytes, entry: Entry, reader: _Reader) -> None:
        fd = os.open(draft, _NEW, 0o600, dir_fd=folder)
        try:
            if entry.holes:
                _write_regions(fd, entry, reader)
            else:
                for piece in reader.take(entry.size):
                    _write(fd, piece)
            reader.skip_padding(entry.size)
            os.fchmod(fd, entry.mode & 0o777)  # never set-id for us, who may be root
            os.utime(fd, (entry.mtime, entry.mtime))
        finally:
            os.close(fd)

    def _hard_link(self, folder: int, draft: bytes, entry: Entry) -> None:
        parts = self._renamed(_parts(entry.link))
        source = self._enter(parts[:-1])
        try:
            os.link(parts[-1], draft, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(source)

    def _settle(self, parts: list[bytes], entry: Entry) -> None:
        fd = self._enter(parts)
        try:
            if self._keep_owners:
                os.fchown(fd, entry.uid, entry.gid)
            os.fchmod(fd, entry.mode if self._keep_owners else entry.mode & 0o777)
            os.utime(fd, (entry.mtime, entry.mtime))
        finally:
            os.close(fd)


def _write(fd: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(fd, piece) :]


def _write_regions(fd: int, entry: Entry, reader: _Reader) -> None:
    """A map in whole blocks, then what is not holes (GNU tar's sparse form 1.0)."""
    text, read = b"", 0

    def number() -> int:
        nonlocal text, read
        while b"\n" not in text:
            if read > RECORDS_LIMIT:
                msg = "the archive is damaged"
                raise Refused(msg)
            text += reader.exactly(BLOCK)
            read += BLOCK
        line, _, text = text.partition(b"\n")
        if not line.isdigit():
            msg = "the archive is damaged"
            raise Refused(msg)
        return int(line)

    regions = [(number(), number()) for _ in range(number())]
    if sum(size for _, size in regions) + read != entry.size:
        msg = "the archive is damaged"
        raise Refused(msg)
    for offset, size in regions:
        os.lseek(fd, offset, os.SEEK_SET)
        for piece in reader.take(size):
            _write(fd, piece)
    os.ftruncate(fd, entry.real_size)


def _is_folder(folder: int, name: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _shown(parts: list[bytes]) -> str:
    return b"/".join(parts).decode("utf-8", "backslashreplace")
