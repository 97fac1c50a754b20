"""Whether this worker has been asked to end. One byte of shared memory, so that the pool's processes see it too."""

from __future__ import annotations

import mmap

_flag = mmap.mmap(-1, 1)  # anonymous and shared: made before the pool forks


def ask() -> None:
    """Running jobs go back to QUEUED at their next look (F12)."""
    _flag[0] = 1


def is_asked() -> bool:
    return _flag[0] != 0


def reset() -> None:
    """For tests."""
    _flag[0] = 0
