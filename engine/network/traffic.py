"""How much containers have received and sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.network import links
from engine.network.ports import counted

if TYPE_CHECKING:
    from collections.abc import Iterable


class Traffic:
    """Remembers whose ports are whose until it is asked for other containers, or told to forget."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._counting: frozenset[str] = frozenset()
        self._ports_of: dict[str, list[str]] = {}

    def forget(self) -> None:
        self._counting = frozenset()

    def of(self, container_ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Bytes received and sent, over all its networks; without those that have no port.

        One read of the host's side of all ports. Whose they are is asked for again when there are other containers.
        """
        asked, host_side = frozenset(container_ids), counted()
        if asked != self._counting:
            found = links.attached(self._tag)
            self._ports_of = {one: [port.name for port in found if port.container_id == one] for one in asked}
            self._counting = asked
        # What came in on the host's side, the container has sent.
        sums = {one: [host_side.get(name, (0, 0)) for name in names] for one, names in self._ports_of.items() if names}
        return {one: (sum(out for _, out in both), sum(came for came, _ in both)) for one, both in sums.items()}
