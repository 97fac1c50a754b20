"""Through which door a request came and from where: for who writes it down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arrival:
    """`door`: "page", "socket" or "" (a worker). `address`: of the other end, "" for none that is known."""

    door: str = ""
    address: str = ""


_now: ContextVar[Arrival] = ContextVar("berth-arrival", default=Arrival())  # noqa: B039 - frozen


def arrival() -> Arrival:
    return _now.get()


@contextmanager
def arrived(door: str, address: str) -> Iterator[None]:
    token = _now.set(Arrival(door, address))
    try:
        yield
    finally:
        _now.reset(token)
