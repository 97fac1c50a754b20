"""How fast something is, on a machine that does other work too: what it could do while it was let."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence

STRETCH_BYTES = 5_000_000


class Pace:
    """Megabytes per second of a stream: over all of it, and over its best 5 MB."""

    def __init__(self) -> None:
        self._marks = [(time.monotonic(), 0)]
        self._last = self._marks[0]

    def had(self, total_bytes: int) -> None:
        self._last = (time.monotonic(), total_bytes)
        if total_bytes - self._marks[-1][1] >= STRETCH_BYTES:
            self._marks.append(self._last)

    @property
    def mean(self) -> float:
        return _speed(self._marks[0], self._last)

    @property
    def best(self) -> float:
        return max(_speed(earlier, later) for earlier, later in itertools.pairwise([*self._marks, self._last]))


def _speed(earlier: tuple[float, int], later: tuple[float, int]) -> float:
    seconds = later[0] - earlier[0]
    return (later[1] - earlier[1]) / seconds / 1e6 if seconds else 0.0


def best_median(times: Sequence[float], size: int = 20) -> float:
    """The least of the medians of each `size` measurements that followed each other."""
    return min(
        statistics.median(part) for part in (times[at : at + size] for at in range(0, len(times) - size + 1, size))
    )
