"""One inotify instance for all logs that a process follows (a user may have only 128 of them by default)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.kernel.inotify import Inotify, Mask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Listener = Callable[[bool], None]

_FOLDER_CHANGES = (
    Mask.CREATE | Mask.MOVED_TO | Mask.MOVED_FROM | Mask.DELETE | Mask.ATTRIB | Mask.IGNORED | Mask.OVERFLOW
)
_WATCHED = Mask.MODIFY | Mask.CREATE | Mask.MOVED_TO | Mask.MOVED_FROM | Mask.DELETE | Mask.ATTRIB | Mask.ONLYDIR


class LogWatch:
    """Calls listeners when something in a container's io folder changes.

    Give `fileno()` to the event loop and have it call `dispatch`. A listener is told whether files came, went or
    changed their rights (then a tail has to `rescan`) or were only written to. It must not raise or block.
    """

    def __init__(self) -> None:
        self._inotify = Inotify()
        self._listeners: dict[int, list[Listener]] = {}

    def fileno(self) -> int:
        return self._inotify.fileno()

    def add(self, io: Path, listener: Listener) -> int:
        """OSError when the folder is not there. The result is for `remove`."""
        watch = self._inotify.add(io, _WATCHED)
        self._listeners.setdefault(watch, []).append(listener)
        return watch

    def remove(self, watch: int, listener: Listener) -> None:
        listeners = self._listeners.get(watch, [])
        if listener in listeners:
            listeners.remove(listener)
        if not listeners and self._listeners.pop(watch, None) is not None:
            self._inotify.remove(watch)

    def dispatch(self) -> None:
        """Hand on what happened since the last call; several events of one folder become one call."""
        changed: dict[int, bool] = {}
        for event in self._inotify.drain():
            is_folder_change = bool(event.mask & _FOLDER_CHANGES)
            if event.mask & Mask.OVERFLOW:
                changed = dict.fromkeys(self._listeners, True)
            elif event.watch in self._listeners:
                changed[event.watch] = changed.get(event.watch, False) or is_folder_change
        for watch, is_folder_change in changed.items():
            for listener in list(self._listeners.get(watch, ())):
                listener(is_folder_change)

    def close(self) -> None:
        self._listeners.clear()
        self._inotify.close()
