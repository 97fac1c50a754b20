"""Whether and when a container that has ended is started again. Pure.

As Docker's: the first wait is 100 ms, each further one twice as long up to a minute, and a run of 10 seconds makes it
short again. `on-failure` counts starts, not failures in a row. Whoever stops a container by hand ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

ALWAYS, UNLESS_STOPPED, ON_FAILURE = "always", "unless-stopped", "on-failure"
FIRST_MS, LONGEST_MS = 100, 60_000
SETTLED_S = 10.0


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """`most` starts again at most, 0 any number; of `on-failure` only."""

    name: str = "no"
    most: int = 0

    @classmethod
    def of(cls, text: str) -> Self:
        """Of `ContainerOptions.restart`."""
        name, _colon, most = text.partition(":")
        return cls(name or "no", int(most) if most.isdecimal() else 0)

    def wants(self, *, exit_code: int | None, restarts: int) -> bool:
        """After an end that nobody asked for. `exit_code` None: unknown, as after a host's restart."""
        if self.name == ON_FAILURE:
            return exit_code != 0 and (self.most == 0 or restarts < self.most)
        return self.name in {ALWAYS, UNLESS_STOPPED}


def next_wait_ms(wait_ms: int, *, ran_s: float) -> int:
    """`wait_ms`: the last one, 0 when there was none."""
    if wait_ms == 0 or ran_s >= SETTLED_S:
        return FIRST_MS
    return min(wait_ms * 2, LONGEST_MS)
