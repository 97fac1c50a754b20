"""Folders that a layer only implies must not steal the lower layers' owner and mode (TAR-18).

overlayfs shows a folder with the owner and mode it has in the topmost layer that contains it. A layer whose archive has
`tmp/x` but no entry for `tmp` contains a `tmp` all the same, 0755 root:root, and would hide that the one below is 1777.
Which folders those are, a layer file says in its root's xattr `trusted.berth.implicit` (engine.layers.build): names with
a NUL between them, `.` for the root. Here a container's new writable layer gets such folders with what the image means.
Docker's overlay2 does not do this; containerd and umoci do.

Also here: an opaque root, which overlayfs ignores, ends the stack.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

    from engine.ids import IdRange

    _Facts = tuple[int, int, int]  # mode, owner, group

_IMPLICIT = "trusted.berth.implicit"
_OPAQUE = "trusted.overlay.opaque"
_ROOT = b"."
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KNOWN_LIMIT = 256
_known: dict[Hashable, tuple[bytes, ...]] = {}


def visible(lowers: Sequence[int]) -> list[int]:
    """The layers (topmost first) down to the first whose root is opaque."""
    for index, layer in enumerate(lowers):
        if _root_xattr(layer, _OPAQUE) == b"y":
            return list(lowers[: index + 1])
    return list(lowers)


def lend(lowers: Sequence[int], upper: Path, *, stack: Hashable = None, ids: IdRange | None = None) -> None:
    """Make the folders that need it in `upper`, a new writable layer, and give its root the image's owner and mode.

    Owners are taken as the (idmapped) mounts `lowers` show them. `ids` are the container's: no folder gets an owner
    beyond them.

    `stack` names the layers, which never change: what they steal is found out once for each name. (An image whose
    layers hold no entries for their folders implies thousands of them.)

    Raises:
        OSError: `upper` could not be written; it is in an unknown state.
    """
    implied = [frozenset((_root_xattr(layer, _IMPLICIT) or b"").split(b"\0")) for layer in lowers]
    root = os.open(upper, _FOLDER)
    try:
        lender = _Lender(lowers, implied, ids)
        lender.copy(_ROOT, root)
        for path in _stolen(lowers, implied, stack):
            lender.make(path, root)
    finally:
        os.close(root)


def _stolen(lowers: Sequence[int], implied: Sequence[frozenset[bytes]], stack: Hashable) -> tuple[bytes, ...]:
    found = _known.get(stack) if stack is not None else None
    if found is None:
        look = _Look(lowers)
        paths = sorted(frozenset().union(*implied) - {_ROOT, b""})
        found = tuple(path for path in paths if look.is_stolen(implied, path))
        if stack is not None:
            if len(_known) >= _KNOWN_LIMIT:
                _known.clear()
            _known[stack] = found
    return found


class _Look:
    """Folders of the layers as they are, each looked at once. Only for reading: nothing is opened.

    A path is looked up whole, which is safe: its parents are known to be folders, and the layers cannot change.
    """

    def __init__(self, lowers: Sequence[int]) -> None:
        self._lowers = lowers
        self._seen: dict[tuple[int, bytes], tuple[_Facts | None, bool]] = {}
        self._opaque: dict[tuple[int, bytes], bool] = {}

    def is_stolen(self, implied: Sequence[frozenset[bytes]], path: bytes) -> bool:
        shown = self._find([frozenset()] * len(self._lowers), path)
        meant = self._find(implied, path)
        return shown is not None and meant is not None and shown != meant

    def _find(self, implied: Sequence[frozenset[bytes]], path: bytes) -> _Facts | None:
        """As `_find` below."""
        fallback = None
        for number, names in enumerate(implied):
            facts, hides_lower = self._look(number, path)
            if facts is not None and path not in names:
                return facts
            fallback = fallback or facts
            if hides_lower:
                break
        return fallback

    def _look(self, number: int, path: bytes) -> tuple[_Facts | None, bool]:
        """As `_look` below."""
        known = self._seen.get((number, path))
        if known is None:
            known = self._seen[number, path] = self._look_again(number, path)
        return known

    def _look_again(self, number: int, path: bytes) -> tuple[_Facts | None, bool]:
        parent, hides = path.rpartition(b"/")[0], False
        if parent:
            facts, hides = self._look(number, parent)
            if facts is None:
                return None, hides
        hides = hides or self._is_opaque(number, parent or _ROOT)
        try:
            status = os.stat(path, dir_fd=self._lowers[number], follow_symlinks=False)
        except FileNotFoundError:
            return None, hides
        if not stat.S_ISDIR(status.st_mode):
            return None, True
        return (status.st_mode, status.st_uid, status.st_gid), hides

    def _is_opaque(self, number: int, path: bytes) -> bool:
        if (number, path) not in self._opaque:
            place = b"/proc/self/fd/%d/%s" % (self._lowers[number], path)
            self._opaque[number, path] = _xattr(place, _OPAQUE) == b"y"
        return self._opaque[number, path]


class _Lender:
    """Makes folders in one new writable layer."""

    def __init__(self, lowers: Sequence[int], implied: Sequence[frozenset[bytes]], ids: IdRange | None) -> None:
        self._lowers = lowers
        self._implied = implied
        self._ids = ids
        self._made: set[bytes] = set()

    def make(self, path: bytes, root: int) -> None:
        """`path` and its parents; one that a crash has left half made is made again."""
        parts = path.split(b"/")
        at = os.dup(root)
        try:
            for depth, part in enumerate(parts, 1):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=at)
                below = os.open(part, _FOLDER, dir_fd=at)
                os.close(at)
                at = below
                here = b"/".join(parts[:depth])
                if here not in self._made:
                    self._made.add(here)
                    self.copy(here, at)
        finally:
            os.close(at)

    def copy(self, path: bytes, to: int) -> None:
        """Owner, mode, times and attributes that the image means for `path`."""
        source = _find(self._lowers, self._implied, path)
        if source is None:
            return
        try:
            status = os.fstat(source)
            os.fchown(to, self._owned(status.st_uid), self._owned(status.st_gid))
            os.fchmod(to, stat.S_IMODE(status.st_mode))  # after the owner: chown takes setgid away
            for name in _user_xattrs(source):
                os.setxattr(to, name, os.getxattr(source, name))
            os.utime(to, ns=(status.st_atime_ns, status.st_mtime_ns))
        finally:
            os.close(source)

    def _owned(self, number: int) -> int:
        return number if self._ids is None else self._ids.owned(number)


def _find(lowers: Sequence[int], implied: Sequence[frozenset[bytes]], path: bytes) -> int | None:
    """The folder `path` of the topmost layer that has an entry for it; failing that, of the topmost that implies it."""
    fallback = None
    for layer, names in zip(lowers, implied, strict=True):
        folder, hides_lower = _look(layer, path)
        if folder is not None and path not in names:
            if fallback is not None:
                os.close(fallback)
            return folder
        if folder is not None and fallback is None:
            fallback = folder
        elif folder is not None:
            os.close(folder)
        if hides_lower:
            break
    return fallback


def _look(layer: int, path: bytes) -> tuple[int | None, bool]:
    """The open folder, if the layer has it, and whether the same folder of lower layers is hidden.

    An opaque folder hides what is in it below, not its own owner and mode: so the last part's mark does not count.
    """
    at = os.open(_ROOT, _FOLDER, dir_fd=layer)
    hides = False
    for part in path.split(b"/"):
        hides = hides or _xattr(at, _OPAQUE) == b"y"
        try:
            below = os.open(part, _FOLDER, dir_fd=at)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                raise
            return None, hides or error.errno != errno.ENOENT  # a file, a link or a whiteout stands there
        finally:
            os.close(at)
        at = below
    return at, hides


def _user_xattrs(folder: int) -> list[str]:
    try:
        return [name for name in os.listxattr(folder) if name.startswith("user.")]
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return []
        raise


def _root_xattr(layer: int, name: str) -> bytes | None:
    """A mount's descriptor is only a path (O_PATH): attributes need it opened."""
    folder = os.open(_ROOT, _FOLDER, dir_fd=layer)
    try:
        return _xattr(folder, name)
    finally:
        os.close(folder)


def _xattr(folder: int | bytes, name: str) -> bytes | None:
    try:
        return os.getxattr(folder, name)
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.EOPNOTSUPP}:
            return None
        raise
