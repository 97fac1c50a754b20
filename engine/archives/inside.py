"""`python -m engine.archives.inside REQUEST`: what `cp` does in a container, by a process with the rights of its root.

The engine gives it the container's root and the archive as open descriptors. It enters the container's user namespace
first, and from then on may do no more than the container's own root: whatever somebody in there puts in its way, it is
nobody on the host. Everything it will ever load is loaded before that (threats.md 0.3), and it never changes its root folder.

It says one JSON object a line: `{"bytes": n}` as it goes on, and at the end `{"done": {…}}` or `{"error": …, "message": …}`.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from dataclasses import asdict, dataclass
from typing import Any

from engine.archives.files import chunks
from engine.archives.merge import Merger
from engine.archives.pack import pack_place
from engine.config import Limits
from engine.errors import ArchiveRejected, EngineError, FileUnknown, LayerRejected, RequestRefused, StoreFull
from engine.kernel import namespaces
from engine.kernel.openat2 import open_in_root
from engine.layers import names
from engine.layers.entries import Entry, Kind
from engine.layers.inflate import Source, inflate
from engine.layers.reader import TarReader

_PLACE = os.O_PATH | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_SYSTEM = ("proc", "sys", "dev")
_LINKS = 40
_FLUSH_BYTES, _TELL_BYTES = 1 << 20, 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`root` and `archive` are descriptors, `user_namespace` too, or -1: the container has none of its own.

    `path` is the container's. Out: `follow` a link there. In: `keep_owners`, and `is_plain`: the archive is one that a
    person has made, so `path` has to be a folder and nothing is renamed.
    """

    is_out: bool
    root: int
    archive: int
    user_namespace: int
    path: str
    follow: bool = False
    keep_owners: bool = False
    is_plain: bool = False
    archive_bytes: int
    archive_entries: int

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def main() -> None:
    wanted = Wanted(**json.loads(sys.argv[1]))
    try:
        if wanted.user_namespace >= 0:
            namespaces.become_root_of(wanted.user_namespace)
        done = _out(wanted) if wanted.is_out else _in(wanted)
    except LayerRejected as error:
        _fail(ArchiveRejected.code, str(error))
    except EngineError as error:
        _fail(error.code, str(error))
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        told = StoreFull("no space left on device in the container") if full else _refused(wanted.path, error)
        _fail(told.code, str(told))
    else:
        _say({"done": done})


def _refused(path: str, error: OSError) -> RequestRefused:
    if error.errno == errno.EROFS:
        return RequestRefused(f"{path} cannot be written to: it is read-only in the container")
    if error.errno == errno.EINVAL:
        return RequestRefused("an owner in the archive has no number in this container")
    return RequestRefused(f"{path} cannot be copied: {(error.strerror or str(error)).lower()}")


def _fail(code: str, message: str) -> None:
    _say({"error": code, "message": message})


def _say(said: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(said)}\n")
    sys.stdout.flush()


def _told(count: int) -> None:
    _say({"bytes": count})


def _system_devices(root: int) -> frozenset[int]:
    """Of /proc, /sys and /dev: nothing there is a file of the container's."""
    own = os.fstat(root).st_dev
    found = set()
    for name in _SYSTEM:
        try:
            found.add(os.stat(name, dir_fd=root, follow_symlinks=False).st_dev)
        except OSError:
            continue
    return frozenset(found - {own})


def _unknown(path: str) -> FileUnknown:
    return FileUnknown(f"Could not find the file {path} in the container")


def _out(wanted: Wanted) -> dict[str, int]:
    path, system = wanted.path, _system_devices(wanted.root)
    try:
        place = open_in_root(wanted.root, path, _PLACE | (0 if wanted.follow else os.O_NOFOLLOW))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _unknown(path) from error
    found = os.fstat(place)
    if found.st_dev in system:
        raise _of_the_system(path)
    if path.endswith("/") and not stat.S_ISDIR(found.st_mode):
        msg = f"{path} is not a directory"
        raise FileUnknown(msg)
    last = path.rstrip("/").rpartition("/")[2]
    name = b"" if last in {"", ".", ".."} else os.fsencode(last)
    out = _Out(wanted.archive)
    limits = Limits(archive_bytes=wanted.archive_bytes, archive_entries=wanted.archive_entries)
    packed = pack_place(place, name, out.write, limits, but=system)
    out.flush()
    return {"entries": packed.entries, "left_out": packed.left_out, "changed": packed.changed, "bytes": out.written}


def _of_the_system(path: str) -> RequestRefused:
    return RequestRefused(f"{path} lies in /proc, /sys or /dev: what is there is the system's and is not copied")


class _Out:
    """The archive's file: small pieces are gathered."""

    def __init__(self, fd: int) -> None:
        self.written = self._told = 0
        self._fd = fd
        self._pending = bytearray()

    def write(self, piece: bytes) -> None:
        self._pending += piece
        if len(self._pending) >= _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        view = memoryview(self._pending)
        while view:
            view = view[os.write(self._fd, view) :]
        self.written += len(self._pending)
        self._pending = bytearray()
        if self.written - self._told >= _TELL_BYTES:
            self._told = self.written
            _told(self.written)


def _in(wanted: Wanted) -> dict[str, int]:
    limits = Limits(archive_bytes=wanted.archive_bytes, archive_entries=wanted.archive_entries)
    source = Source(chunks(wanted.archive), lambda _count: None, lambda: None)
    reader = TarReader(inflate(source, limit_bytes=limits.archive_bytes + 2048 * limits.archive_entries))
    first = reader.next()
    if first is None:
        msg = "The archive is refused: it is empty."
        raise ArchiveRejected(msg)
    system = _system_devices(wanted.root)
    top, rename = _target(wanted, first)
    if os.fstat(top).st_dev in system:
        raise _of_the_system(wanted.path)
    merger = Merger(top, limits, rename=rename, keep_owners=wanted.keep_owners, but=system, tell=_told)
    merged = merger.run(reader, first)
    return {"entries": merged.entries, "dropped": merged.dropped, "bytes": merged.content_bytes}


def _target(wanted: Wanted, first: Entry) -> tuple[int, bytes | None]:
    """Docker's rules: the open folder that the archive goes into, and what its one top name becomes (None: stays)."""
    path = wanted.path
    place = _look_up(wanted.root, path)
    if place is not None and stat.S_ISDIR(os.fstat(place).st_mode):
        return os.open(".", _FOLDER, dir_fd=place), None
    if wanted.is_plain:
        if place is None:
            raise _unknown(path)
        msg = f"destination {path} must be a directory"
        raise RequestRefused(msg)
    is_folder = not names.normalise(first.name) or first.kind is Kind.DIRECTORY
    if place is not None and is_folder:
        msg = "cannot copy directory to a file"
        raise RequestRefused(msg)
    if path.endswith("/") and not is_folder:
        raise _unknown(path) if place is None else RequestRefused(f"{path} is not a directory")
    return _new_place(wanted.root, path, make_it=not names.normalise(first.name))


def _look_up(root: int, path: str) -> int | None:
    """What lies there, links followed; None where nothing does."""
    try:
        return open_in_root(root, path, _PLACE)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise _unknown(path) from error


def _new_place(root: int, path: str, *, make_it: bool) -> tuple[int, bytes | None]:
    """The folder that a name will be in, and the name. Links at the end of the way are followed, as the shell would."""
    for _link in range(_LINKS):
        parent, _, last = path.rstrip("/").rpartition("/")
        if last in {"", ".", ".."}:
            raise _unknown(path)
        try:
            folder = open_in_root(root, parent or "/", _FOLDER)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _unknown(parent or "/") from error
        link = _link_at(folder, last)
        if link is None:
            return _made(folder, last) if make_it else (folder, os.fsencode(last))
        os.close(folder)
        path = link if link.startswith("/") else f"{parent}/{link}"
    raise _unknown(path)


def _made(folder: int, name: str) -> tuple[int, None]:
    """For what was called `.`: a folder of that name."""
    os.mkdir(name, 0o755, dir_fd=folder)
    os.chown(name, 0, 0, dir_fd=folder, follow_symlinks=False)
    return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder), None


def _link_at(folder: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None


if __name__ == "__main__":
    main()
