"""What a layer's tree looks like after each entry: which name wins, where whiteouts and opaque marks end up. Pure.

Theory. tar2sqfs takes a file only once, but a directory at any time after its children; so files are passed on at once
and directories and whiteouts are kept to the end, where every late word about them is known. Only a file that was
already passed on and is then replaced needs a second pass over the archive (`needs_replay`): then `plan()` says under
which names each entry of the archive survives.

`number` is an entry's place in the archive. Every name of one inode (hard links) maps to the number of the entry that
brought its content. Directories' names are real: resolving follows the layer's own symbolic links, so a path whose
parent is a key of `directories` contains no link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.layers.headers import reject
from engine.layers.names import DEPTH_LIMIT, NAME_LIMIT_BYTES, split

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES_LIMIT_BYTES = 256 * 1024 * 1024
_LINKS_FOLLOWED = 40
_STEPS_LIMIT = 20_000_000
_REPLACED_LIMIT = 20_000_000
ROOT = b""


class Directory(NamedTuple):
    mode: int
    uid: int
    gid: int
    mtime: int
    xattrs: dict[bytes, bytes] | None


class Tree:
    """Raises LayerRejected where an entry cannot be applied; the tree is of no more use then."""

    def __init__(self) -> None:
        self.directories: dict[bytes, Directory | None] = {ROOT: None}
        """None: implied by what is below it, without an entry of its own."""
        self.files: dict[bytes, int] = {}
        self.opaque: set[bytes] = set()
        self.needs_replay = False
        self._links: dict[bytes, bytes] = {}
        self._whiteouts: set[bytes] = set()
        self._names_bytes = 0
        self._replaced = 0
        self._steps = 0

    def place(self, path: bytes) -> bytes:
        """Where an entry of this name really goes; its parents exist after this.

        Raises:
            LayerRejected: the way leads through a file, or through too many symbolic links.
        """
        parent, last = split(path)
        if parent in self.directories:
            return path
        return self._join(self._enter(parent), last)

    def add_directory(self, path: bytes, directory: Directory) -> None:
        if path in self.files:
            self._remove_file(path)
            self.opaque.add(path)
        if path not in self.directories:
            self._count(path)
        self.directories[path] = directory

    def add_file(self, path: bytes, number: int, *, link: bytes | None = None) -> None:
        """Anything but a directory; `link` is the target of a symbolic link."""
        self._make_room(path)
        self._count(path)
        self.files[path] = number
        if link is not None:
            self._links[path] = link
            self._names_bytes += len(link)

    def add_hard_link(self, path: bytes, target: bytes) -> None:
        """Another name for what `target` (a place) is now.

        Raises:
            LayerRejected: the target is no file of this layer so far (TAR-04).
        """
        self._make_room(path)
        number = self.files.get(target)
        if number is None:
            msg = "a hard link points to something that is not in this layer before it"
            raise reject(msg, path)
        self.add_file(path, number, link=self._links.get(target))

    def add_whiteout(self, path: bytes) -> None:
        """`path` (a place) is gone from the layers below."""
        self._count(path)
        self._whiteouts.add(path)

    def add_opaque(self, path: bytes) -> None:
        """Of the directory `path` nothing below this layer is seen."""
        self.opaque.add(self._enter(path))

    def whiteouts(self) -> Iterator[bytes]:
        """Whiteouts that nothing of this layer stands in for. Call when all entries are in; completes `opaque`."""
        for path in sorted(self._whiteouts):
            parent, _ = split(path)
            if path in self.directories:
                self.opaque.add(path)
            elif path not in self.files and parent in self.directories:
                yield path

    def implied(self) -> list[bytes]:
        """Directories without an entry of their own that may be in a lower layer, parents first; the root is `.`."""
        return sorted(
            path or b"."
            for path, directory in self.directories.items()
            if directory is None and path not in self._whiteouts
        )

    def plan(self) -> dict[int, list[bytes]]:
        """For each entry that survives, by number, its names in order of the archive."""
        plan: dict[int, list[bytes]] = {}
        for path, number in self.files.items():
            plan.setdefault(number, []).append(path)
        return plan

    def _enter(self, path: bytes) -> bytes:
        """The real directory that `path` leads to, made where it is missing; symbolic links stay inside the root."""
        followed = 0
        at = ROOT
        parts = path.split(b"/")[::-1] if path else []
        while parts:
            part = parts.pop()
            if part in {b"", b"."}:
                continue
            if part == b"..":
                at = split(at)[0]
                continue
            here = self._join(at, part)
            link = self._links.get(here)
            if link is not None:
                followed += 1
                parts += link.split(b"/")[::-1]
                self._steps += len(parts)
                if followed > _LINKS_FOLLOWED or self._steps > _STEPS_LIMIT:
                    msg = "its parent folders are too many symbolic links"
                    raise reject(msg, path)
                at = ROOT if link.startswith(b"/") else at
                continue
            if here in self.files:
                msg = "an entry lies below something that is not a folder"
                raise reject(msg, path)
            if here not in self.directories:
                self._count(here)
                self.directories[here] = None
            at = here
        return at

    def _join(self, parent: bytes, last: bytes) -> bytes:
        return parent + b"/" + last if parent else last

    def _make_room(self, path: bytes) -> None:
        if path in self.files:
            self._remove_file(path)
        elif path in self.directories:
            self._remove_directory(path)

    def _remove_file(self, path: bytes) -> None:
        """What was passed on cannot be taken back: that needs the second pass."""
        del self.files[path]
        self._links.pop(path, None)
        self.needs_replay = True

    def _remove_directory(self, path: bytes) -> None:
        if path == ROOT:
            msg = "it replaces the root folder by something else"
            raise reject(msg)
        self._replaced += len(self.files) + len(self.directories)
        if self._replaced > _REPLACED_LIMIT:
            msg = "it replaces too many folders by files"
            raise reject(msg, path)
        below = path + b"/"
        for name in [name for name in self.files if name.startswith(below)]:
            self._remove_file(name)
        for name in [name for name in self.directories if name.startswith(below)]:
            del self.directories[name]
        del self.directories[path]

    def _count(self, path: bytes) -> None:
        if len(path) > NAME_LIMIT_BYTES or path.count(b"/") >= DEPTH_LIMIT:
            msg = "symbolic links make a name too long or too deep"
            raise reject(msg, path)
        self._names_bytes += len(path)
        if self._names_bytes > NAMES_LIMIT_BYTES:
            msg = "its names are too long in total"
            raise reject(msg)
