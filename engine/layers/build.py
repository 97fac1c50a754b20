"""One pass over a layer's archive: each entry into the tree, and what can be passed on at once to the writer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.layers import names, xattrs
from engine.layers.canonical import head
from engine.layers.entries import Entry, Kind
from engine.layers.headers import reject
from engine.layers.tree import ROOT, Directory, Tree

if TYPE_CHECKING:
    from engine.config import Limits
    from engine.ids import IdRange
    from engine.layers.reader import TarReader
    from engine.layers.squashfs import SquashfsWriter

IMPLICIT_LIST_BYTES = 60_000


class Survey:
    """The first pass. It writes as it goes, and stops writing (not reading) once a second pass is needed."""

    def __init__(self, writer: SquashfsWriter, limits: Limits, ids: IdRange | None = None) -> None:
        self.tree = Tree()
        self.entries = 0
        self.unpacked_bytes = 0
        self._writer = writer
        self._ids = ids
        self._limit = limits.layer_entries
        self._limit_bytes = limits.layer_bytes
        self._dropped_xattrs = 0
        self._dropped_aufs = 0

    def run(self, reader: TarReader) -> None:
        """Every entry of the archive.

        Raises:
            LayerRejected: an entry that is broken, hostile or beyond a limit.
            StoreFull, StoreError: the writer gave up.
        """
        next_entry, is_normal = reader.next, names.is_normal
        while (entry := next_entry()) is not None:
            self.entries += 1
            if self.entries > self._limit:
                msg = f"it has more than {self._limit} entries"
                raise reject(msg)
            if self._ids is not None:
                move_owner(entry, self._ids)
            name = entry.name
            if is_normal(name):
                self._apply(entry, self.tree.place(name), reader)
            elif (path := self._odd(entry)) is not None:
                self._apply(entry, self.tree.place(path) if path else ROOT, reader)

    def warnings(self) -> tuple[str, ...]:
        said = []
        if self._dropped_xattrs:
            said.append(
                f"{self._dropped_xattrs} extended attributes were left out: only user.* and security.capability are kept."
            )
        if self._dropped_aufs:
            said.append(f"{self._dropped_aufs} entries of AUFS's own bookkeeping were left out.")
        return tuple(said)

    def _odd(self, entry: Entry) -> bytes | None:
        """The normalised name; None when it was a whiteout, an opaque marker or AUFS's bookkeeping."""
        path = names.normalise(entry.name)
        if b".wh." not in path:
            return path
        parent, last = names.split(path)
        for part in parent.split(b"/"):
            if part.startswith(names.AUFS_PREFIX):
                self._dropped_aufs += 1
                return None
            if part.startswith(names.WHITEOUT):
                msg = "an entry lies below a whiteout"
                raise reject(msg, entry.name)
        if not last.startswith(names.WHITEOUT):
            return path
        if last == names.OPAQUE_MARKER:
            self.tree.add_opaque(parent)
        elif last.startswith(names.AUFS_PREFIX):
            self._dropped_aufs += 1
        else:
            self._whiteout(entry, parent, last[len(names.WHITEOUT) :])
        return None

    def _whiteout(self, entry: Entry, parent: bytes, gone: bytes) -> None:
        if gone in {b"", b".", b".."}:
            msg = "a whiteout names no file"
            raise reject(msg, entry.name)
        self.tree.add_whiteout(self.tree.place(parent + b"/" + gone if parent else gone))

    def _apply(self, entry: Entry, path: bytes, reader: TarReader) -> None:
        if entry.xattrs:
            entry.xattrs, dropped = xattrs.allowed(entry.xattrs, entry.name, _first(self._ids))
            self._dropped_xattrs += dropped
        tree = self.tree
        link = b""
        match entry.kind:
            case Kind.FILE:
                tree.add_file(path, self.entries)
                self._weigh(entry)
            case Kind.DIRECTORY:
                tree.add_directory(path, Directory(entry.mode, entry.uid, entry.gid, entry.mtime, entry.xattrs))
                return
            case Kind.HARD_LINK:
                link = tree.place(names.normalise(entry.link))
                tree.add_hard_link(path, link)
                entry.xattrs = None  # of the inode, which its first name has set (TAR-04)
            case Kind.SYMLINK:
                link = names.symlink_target(entry.link, entry.name)
                tree.add_file(path, self.entries, link=link)
                self.unpacked_bytes += len(link)
            case _:
                check_device(entry)
                tree.add_file(path, self.entries)
        if not tree.needs_replay:
            self._pass_on(entry, path, link, reader)

    def _weigh(self, entry: Entry) -> None:
        """Holes count as what they seem to be (TAR-08); all else is bounded by the archive's own length."""
        self.unpacked_bytes += entry.size
        if self.unpacked_bytes > self._limit_bytes:
            msg = f"it is larger than {self._limit_bytes} bytes when unpacked"
            raise reject(msg, entry.name)

    def _pass_on(self, entry: Entry, path: bytes, link: bytes, reader: TarReader) -> None:
        write = self._writer.write
        block = entry.block
        write(block if block is not None and path == entry.name and link == entry.link else head(entry, path, link))
        if entry.kind is Kind.FILE and entry.size:
            reader.copy_body(entry, write)


class Replay:
    """The second pass, for a layer that replaces its own files: only what survives, under the names that survive."""

    def __init__(self, writer: SquashfsWriter, tree: Tree, ids: IdRange | None = None) -> None:
        self.unpacked_bytes = 0
        self._writer = writer
        self._ids = ids
        self._plan = tree.plan()

    def run(self, reader: TarReader) -> None:
        """Raises LayerRejected, StoreFull, StoreError as the first pass does."""
        number = 0
        write = self._writer.write
        while (entry := reader.next()) is not None:
            number += 1
            surviving = self._plan.get(number)
            if surviving is None:
                continue
            if self._ids is not None:
                move_owner(entry, self._ids)
            if entry.xattrs:
                entry.xattrs, _ = xattrs.allowed(entry.xattrs, entry.name, _first(self._ids))
            first, *others = surviving
            link = entry.link if entry.kind is Kind.SYMLINK else b""
            self.unpacked_bytes += entry.size if entry.kind is Kind.FILE else len(link)
            write(head(entry, first, link))
            if entry.kind is Kind.FILE and entry.size:
                reader.copy_body(entry, write)
            for other in others:
                write(head(Entry(Kind.HARD_LINK, b"", b"", 0, 0, 0, 0, 0), other, first))


def move_owner(entry: Entry, ids: IdRange) -> None:
    """For a kernel that cannot show a layer with other owners: they are written as those of the containers."""
    entry.uid, entry.gid, entry.block = ids.outside(entry.uid), ids.outside(entry.gid), None


def _first(ids: IdRange | None) -> int:
    return 0 if ids is None else ids.first


def check_device(entry: Entry) -> None:
    """Devices are kept (the mount is nodev) but for 0:0, which overlayfs takes for a whiteout: those are only ours."""
    if entry.kind is Kind.CHAR_DEVICE and not entry.major and not entry.minor:
        msg = "it contains a character device 0:0, which would hide files of other layers"
        raise reject(msg, entry.name)


def write_directories(tree: Tree, writer: SquashfsWriter, ids: IdRange | None = None) -> None:
    """What was kept to the end: whiteouts, then all directories with their final owner, mode and opaque mark."""
    for path in list(tree.whiteouts()):
        writer.write(head(Entry(Kind.CHAR_DEVICE, b"", b"", 0, 0, 0, 0, 0), path, b""))
    implied = tree.implied()
    for path, directory in tree.directories.items():
        if directory is None and path not in tree.opaque and path != ROOT:
            continue  # tar2sqfs makes it: 0755 root:root
        mode, uid, gid, mtime, own = directory or Directory(0o755, _first(ids), _first(ids), 0, None)
        attributes = dict(own or {})
        if path in tree.opaque:
            attributes[xattrs.OPAQUE] = b"y"
        if path == ROOT:
            attributes[xattrs.IMPLICIT] = _listed(implied)
        entry = Entry(Kind.DIRECTORY, b"", b"", 0, mode, uid, gid, mtime, xattrs=attributes or None)
        writer.write(head(entry, path, b""))


def _listed(paths: list[bytes]) -> bytes:
    """Names with a NUL between them, as many as fit into an extended attribute.

    Also written when there are none: a squashfs without any attribute fails listxattr(2), which programs do not expect.
    """
    listed = b"\0".join(paths)
    return listed if len(listed) <= IMPLICIT_LIST_BYTES else listed[:IMPLICIT_LIST_BYTES].rpartition(b"\0")[0]
