"""Files of the folder `transfers`, as the unprivileged processes use them."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from dashboard.gateway.config import engine_config
from engine.errors import NotStored
from engine.store.space import ensure_room

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


def _path(key: str) -> Path:
    return engine_config().transfers / os.path.basename(key)  # noqa: PTH119 - never more than a name


def new_transfer(key: str) -> int:
    """A new file to write, as a descriptor.

    Raises:
        OSError: there is one of that name already, or the disk refuses.
    """
    return os.open(_path(key), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def open_transfer(key: str) -> int:
    """The file that the engine has written, as a descriptor.

    Raises:
        NotStored: it is not there.
    """
    try:
        return os.open(_path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        msg = "The archive is gone: it was cancelled, or nobody asked for it any more."
        raise NotStored(msg, subject=key) from error


def discard_transfer(key: str) -> None:
    """Idempotent."""
    _path(key).unlink(missing_ok=True)


def abandoned_transfers(*, kept: Collection[str], older_than_s: float) -> list[Path]:
    """Files that no row knows and nobody has written to for so long."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for path in engine_config().transfers.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.name not in kept and time.time() - path.lstat().st_mtime > older_than_s:
                    found.append(path)
    return found


def sweep_transfers(*, kept: Collection[str], older_than_s: float) -> None:
    """Remove what `abandoned_transfers` finds."""
    for path in abandoned_transfers(kept=kept, older_than_s=older_than_s):
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            path.unlink()


def ensure_room_for(what: str) -> None:
    """Go on only if writing more would not touch the disk's reserve.

    Raises:
        StoreFull: it would.
    """
    ensure_room(engine_config(), 0, what)
