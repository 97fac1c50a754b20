"""Room on the disk: a reserve is kept free, so that a pull can never take the last byte from running containers (F33)."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from engine.errors import StoreError, StoreFull

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config import EngineConfig

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def free_bytes(path: Path) -> int:
    """What an unprivileged process may still write to the file system of `path`; its nearest existing parent counts.

    Raises:
        StoreError: the file system does not answer.
    """
    while True:
        try:
            found = os.statvfs(path)
        except FileNotFoundError:
            if path == path.parent:
                raise
            path = path.parent
            continue
        except OSError as error:
            msg = f"The disk of {path} does not answer: {error.strerror}."
            raise StoreError(msg) from error
        return found.f_bavail * found.f_frsize


def ensure_room(config: EngineConfig, needed_bytes: int, what: str) -> None:
    """Raise unless `needed_bytes` more fit without touching the reserve.

    Raises:
        StoreFull: with both figures; nothing was written.
    """
    free = free_bytes(config.data)
    if free - needed_bytes >= config.limits.reserve_bytes:
        return
    reserve = human(config.limits.reserve_bytes)
    wanted = f"{what} needs {human(needed_bytes)}" if needed_bytes else f"{what} cannot go on"
    msg = f"disk full (store: {human(free)} free): {wanted}, and {reserve} are kept in reserve. Remove images or containers."
    raise StoreFull(msg)


def store_error(error: OSError, what: str) -> StoreError:
    """The sentence for a failed write: a full disk is told apart from everything else."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreFull(f"disk full (store: 0 B free): {what} could not be written. Remove images or containers.")
    return StoreError(f"{what} could not be written: {error.strerror}.")


def human(size: int) -> str:
    """1000-based with up to four digits, as Docker prints sizes."""
    value, unit = float(size), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.4g} {_UNITS[unit]}"
