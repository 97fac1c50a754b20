"""Filters of `ps`, `images` and `volume`: `-f NAME=VALUE`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from dashboard.core.errors import DashboardError


def refuse_unknown(filters: Iterable[tuple[str, str]], known: Mapping[str, Callable[[str], bool]]) -> None:
    """Look at all filters before any row, so that a mistake is told even when there is nothing to choose from.

    Args:
        filters: names and values, as they were typed.
        known: for each name, whether a value makes sense.

    Raises:
        DashboardError: a name that is not known, or a value that can fit nothing (400).
    """
    for name, value in filters:
        if name not in known:
            msg = f"invalid filter '{name}'"
            raise DashboardError(msg, status=400)
        if not known[name](value):
            msg = f"invalid filter '{name}={value}'"
            raise DashboardError(msg, status=400)


def anything(_value: str) -> bool:
    return True
