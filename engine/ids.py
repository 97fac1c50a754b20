"""Who a container's users are on the host: ranges of ids. Pure.

A container with a user namespace of its own has 65,536 ids; its 0 (root) is the range's first on the host. What lies
beyond, an image's user 70000 for instance, cannot be anybody there: it is `NOBODY`, as the kernel shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

RANGE_IDS = 65_536
NOBODY = 65_534
HOST_IDS = 65_536
"""Below this are the host's own users: no container is ever given one of them."""
ID_MAXIMUM = 2**32 - 2


@dataclass(frozen=True, slots=True, order=True)
class IdRange:
    """Ids `first` up to, not including, `first + count`."""

    first: int
    count: int = RANGE_IDS

    @property
    def end(self) -> int:
        return self.first + self.count

    def __contains__(self, number: int) -> bool:
        return self.first <= number < self.end

    def overlaps(self, other: IdRange) -> bool:
        return self.first < other.end and other.first < self.end

    def outside(self, number: int) -> int:
        """The host's id of a container's."""
        return self.first + (number if 0 <= number < self.count else NOBODY)

    def owned(self, number: int) -> int:
        """An owner as an idmapped mount shows it, made one of this range: those that it cannot show become nobody."""
        return number if number in self else self.first + NOBODY


@dataclass(frozen=True, slots=True)
class IdPool:
    """What this Berth gives out: `ranges` ranges from `base` on.

    The first one is for a kernel on which all containers must share one (runtime.md 11); each other is one container's.
    """

    base: int
    ranges: int

    @property
    def shared(self) -> IdRange:
        return IdRange(self.base)

    def __contains__(self, wanted: IdRange) -> bool:
        place, rest = divmod(wanted.first - self.base, RANGE_IDS)
        return rest == 0 and 0 <= place < self.ranges and wanted.count == RANGE_IDS

    def free(self, *, used: Collection[int], taken: Collection[IdRange], start: int) -> Iterator[IdRange]:
        """Ranges of nobody: whose first id is not `used`, and that overlap nothing of `taken`.

        `start` says where to begin: engines that share a host begin elsewhere, and so seldom meet.
        """
        own = self.ranges - 1
        known = frozenset(used)
        for step in range(own):
            found = IdRange(self.base + (1 + (start + step) % own) * RANGE_IDS)
            if found.first not in known and not any(found.overlaps(other) for other in taken):
                yield found


def parse_subordinate(text: str) -> list[IdRange]:
    """The ranges of /etc/subuid or /etc/subgid (subuid(5): `name:first:count`); broken lines are passed over."""
    found = []
    for line in text.splitlines():
        parts = line.split(":")
        if len(parts) == 3 and parts[1].isdecimal() and parts[2].strip().isdecimal():
            found.append(IdRange(int(parts[1]), int(parts[2])))
    return found


def parse_accounts(text: str) -> list[IdRange]:
    """The ids of /etc/passwd or /etc/group (third field) that are not among the host's lowest."""
    fields = (line.split(":") for line in text.splitlines())
    numbers = (int(parts[2]) for parts in fields if len(parts) > 3 and parts[2].isdecimal())
    return [IdRange(number, 1) for number in numbers if number >= HOST_IDS]
