"""Files that were being written when somebody died: their names begin with a dot, and no reader takes them for anything."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config import EngineConfig

SWEPT_AFTER_S = 60.0  # one that is being written and synced has its final name long before
PATTERNS = ("layers/.*", "blobs/*/.*")


def partial_files(config: EngineConfig, *, older_than_s: float = SWEPT_AFTER_S) -> list[Path]:
    """In the final places of layers and blobs, and old enough that nobody is at work on them."""
    found = []
    for pattern in PATTERNS:
        for path in config.data.glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.lstat().st_mtime > older_than_s:
                    found.append(path)
    return sorted(found)


def sweep_partial(config: EngineConfig) -> None:
    """Remove them. Folders, which nothing of ours makes there, stay."""
    for path in partial_files(config):
        with contextlib.suppress(FileNotFoundError, IsADirectoryError, PermissionError):
            path.unlink()
