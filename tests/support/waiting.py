"""Waiting for what comes true a moment later, on a machine that does other work too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
WAIT_S = 30.0


def until(
    what: str | Callable[[], object], check: Callable[[], T], within_s: float = WAIT_S, *, every_s: float = 0.05
) -> T:
    """The first true answer of `check`. `what` says what was waited for; a function is asked when it did not come.

    It fails only after a look that began when the time was over: a look that takes seconds, as one through a program
    that has to be started, does not make what it looks at late.
    """
    deadline = time.monotonic() + within_s
    while True:
        is_last = time.monotonic() >= deadline
        if answer := check():
            return answer
        if is_last:
            raise AssertionError(f"not within {within_s:g} s: {what() if callable(what) else what}")
        time.sleep(every_s)
