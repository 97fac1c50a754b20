"""What a container has changed, as `docker diff` tells it: its writable layer against the layers below.

Theory. overlayfs keeps in the writable layer whole files and the folders that lead to them; a character device 0:0 hides
what is below, and `trusted.overlay.opaque` on a folder hides all that is in it below. Both trees are read one folder at
a time, each folder by its path from an opened top and never through a link: the container's own root may be at work in
the upper one all the while. Layers cannot change.

As Docker, it lists the folders above a change too, and not what every container gets to be mounted on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from engine.errors import Cancelled, StoreError
from engine.kernel import features, openat2
from engine.rootfs import implied, limited
from engine.rootfs.lower import Owners, open_layers, topmost_first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.config import EngineConfig
    from engine.digest import DiffId
    from engine.ids import IdRange

MOST = 50_000
_RESOLVE = openat2.NO_XDEV | openat2.NO_SYMLINKS | openat2.BENEATH
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV})
_OPAQUE = "trusted.overlay.opaque"
_PLACEHOLDERS = frozenset({"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev", "/proc", "/sys"})


class Kind(StrEnum):
    ADDED = "A"
    CHANGED = "C"
    DELETED = "D"


@dataclass(frozen=True, slots=True)
class Change:
    kind: Kind
    path: str  # from `/` on; bytes that are no text, and control characters, are replaced


def list_changes(
    config: EngineConfig,
    container_id: str,
    diff_ids: Sequence[DiffId],
    *,
    ids: IdRange | None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> list[Change]:
    """All changes, in the order of their paths; none before the first start. Whether it runs or not.

    Raises:
        StoreError: there are more than `MOST`, or they cannot be read.
        NotStored: a layer is missing.
        Cancelled: `is_cancelled` said so.
    """
    with contextlib.ExitStack() as stack:
        try:
            upper = stack.enter_context(_opened_upper(config, container_id))
            if upper is None:
                return []
            owners = None if ids is None or features.features().idmapped_layers else Owners(ids, -1)
            lowers = implied.visible(open_layers(config, topmost_first(diff_ids), stack, owners))
            return _Walk(upper, lowers, container_id, is_cancelled).run()
        except OSError as error:
            msg = f"The files of container {container_id[:12]} cannot be looked at: {error.strerror}."
            raise StoreError(msg, subject=container_id) from error


@contextlib.contextmanager
def _opened_upper(config: EngineConfig, container_id: str) -> Iterator[int | None]:
    with contextlib.ExitStack() as stack:
        try:
            upper = stack.enter_context(limited.writable_layer(config, container_id))
            fd = os.open(upper, _FOLDER | os.O_CLOEXEC)
        except FileNotFoundError:
            yield None
            return
        stack.callback(os.close, fd)
        yield fd


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder that both may have. `below`: the layers that show in it; `is_hidden`: they do not, since it is a new one."""

    path: str
    below: tuple[int, ...]
    is_hidden: bool


class _Walk:
    def __init__(self, upper: int, lowers: Sequence[int], container_id: str, is_cancelled: Callable[[], bool]) -> None:
        self._upper = upper
        self._lowers = lowers
        self._container_id = container_id
        self._is_cancelled = is_cancelled
        self._found: dict[str, Kind] = {}

    def run(self) -> list[Change]:
        waiting = [_Folder(".", tuple(range(len(self._lowers))), is_hidden=False)]
        while waiting:
            if self._is_cancelled():
                msg = "The work was cancelled."
                raise Cancelled(msg, subject=self._container_id)
            waiting += self._look_into(waiting.pop())
        for path in list(self._found):
            while path := path.rpartition("/")[0]:
                self._found.setdefault(path, Kind.CHANGED)
        return [Change(self._found[path], shown(path)) for path in sorted(self._found)]

    def _note(self, folder: str, name: str, kind: Kind) -> None:
        self._found[f"{folder}/{name}"[1:]] = kind
        if len(self._found) > MOST:
            msg = f"More than {MOST} files have changed in this container: too many to list."
            raise StoreError(msg, subject=self._container_id)

    def _look_into(self, folder: _Folder) -> list[_Folder]:
        """Notes what is in it, and returns the folders in it."""
        with contextlib.ExitStack() as stack:
            try:
                here = _opened(self._upper, folder.path, stack)
            except OSError as error:
                if error.errno in _GONE:
                    return []
                raise
            below = [(number, _opened(self._lowers[number], folder.path, stack)) for number in folder.below]
            is_hidden = folder.is_hidden or _is_opaque(here)
            entries = list(_listed(here))
            folders = [
                _Folder(f"{folder.path}/{name}", _showing(below, name), is_hidden)
                for name, status in entries
                if self._compare(folder.path, name, status, below) and stat.S_ISDIR(status.st_mode)
            ]
            if is_hidden:
                for name in _names(below) - {name for name, _ in entries}:
                    self._note(folder.path, name, Kind.DELETED)
            return folders

    def _compare(self, folder: str, name: str, status: os.stat_result, below: list[tuple[int, int]]) -> bool:
        """Notes an entry if it is another than below; False for one that is only a mark of something deleted."""
        if _is_whiteout(status):
            self._note(folder, name, Kind.DELETED)
            return False
        before, path = list(_below(below, name)), f"{folder}/{name}"[1:]
        if not before:
            if not _is_placeholder(path, status):
                self._note(folder, name, Kind.ADDED)
        elif not stat.S_ISDIR(status.st_mode) or not any(_is_same_folder(status, one, path) for one in before):
            self._note(folder, name, Kind.CHANGED)
        return True


def _opened(top: int, path: str, stack: contextlib.ExitStack) -> int:
    fd = openat2.openat2(top, path, _FOLDER, resolve=_RESOLVE)
    stack.callback(os.close, fd)
    return fd


def _listed(folder: int) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                yield entry.name, entry.stat(follow_symlinks=False)


def _lstat(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise


def _below(below: list[tuple[int, int]], name: str) -> Iterator[os.stat_result]:
    """What the layers have by that name, from the one that shows down to the last that could show through a folder."""
    for _number, folder in below:
        status = _lstat(folder, name)
        if status is None:
            continue
        if _is_whiteout(status):
            return
        yield status
        if not stat.S_ISDIR(status.st_mode):
            return


def _showing(below: list[tuple[int, int]], name: str) -> tuple[int, ...]:
    """The layers that show in the folder of that name."""
    found = []
    for number, folder in below:
        status = _lstat(folder, name)
        if status is None:
            continue
        if not stat.S_ISDIR(status.st_mode):  # a whiteout too
            break
        found.append(number)
        with contextlib.ExitStack() as stack:
            if _is_opaque(_opened(folder, name, stack)):
                break
    return tuple(found)


def _names(below: list[tuple[int, int]]) -> set[str]:
    """What shows of the layers in a folder."""
    names, seen = set[str](), set[str]()
    for _number, folder in below:
        for name, status in _listed(folder):
            if name not in seen and not _is_whiteout(status):
                names.add(name)
            seen.add(name)
    return names


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(folder: int) -> bool:
    try:
        return os.getxattr(folder, _OPAQUE) == b"y"
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.EOPNOTSUPP}:
            return False
        raise


def _is_same_folder(status: os.stat_result, before: os.stat_result, path: str) -> bool:
    """By mode and time of the last change, as Docker; layers know whole seconds. `/etc` may have got placeholders."""
    is_same_time = int(status.st_mtime) == int(before.st_mtime) or path == "/etc"
    return status.st_mode == before.st_mode and is_same_time


def _is_placeholder(path: str, status: os.stat_result) -> bool:
    """What a start makes where the image has nothing to mount on."""
    return path in _PLACEHOLDERS and (stat.S_ISDIR(status.st_mode) or status.st_size == 0)


def shown(path: str) -> str:
    """A path as it may be printed, whoever chose the names in it."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
