"""What is in use, counted from the rows themselves: they are the reservations, so nothing can be left over (ADR 24).

The apps that own the rows register how theirs are counted.
"""

from __future__ import annotations

from collections.abc import Callable

Count = Callable[[int | None, int | None], int]
_counts: dict[str, Count] = {}


def register(kind: str, count: Count) -> None:
    """`count(team_id, person_id)`: of that team, of that person's in it, or (no team) of that person's everywhere."""
    _counts[kind] = count


def used(kind: str, team_id: int | None, person_id: int | None) -> int:
    """In the kind's unit; 0 where nothing is counted yet."""
    count = _counts.get(kind)
    return 0 if count is None else count(team_id, person_id)
