"""Periodic work. Apps register functions; the one clock thread of the engine worker calls them (settled.md 5).

A tick that raises is logged and tried again after a pause that doubles up to a minute; it never stops the others. Ticks
run one after another, so each does a bounded amount and returns; whoever needs longer submits a job.

Heartbeats, pauses and due times are rows: moments of the host's clock, which somebody may set. The loop compares it with
the monotonic one, and has moments written before a jump moved along before anything looks at them. What cannot be moved,
since the engine worker was down, is recognised by lying further ahead than anybody plans.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import close_old_connections, connections
from django.db.models import F, Model, QuerySet
from django.utils import timezone

log = logging.getLogger(__name__)
Tick = Callable[[], None]
Shift = Callable[[timedelta], None]
LONGEST_PAUSE_S = 60.0
JUMP_S = 10.0  # less is within every grace
SLOW_S = 2.0


@dataclass(slots=True, kw_only=True)
class Entry:
    name: str
    seconds: float
    tick: Tick
    due_at: float = 0.0
    failures: int = 0
    took_s: float = 0.0  # the last time


@dataclass(slots=True)
class Registry:
    entries: dict[str, Entry] = field(default_factory=dict)
    at_start: list[Tick] = field(default_factory=list)
    on_jump: list[Shift] = field(default_factory=list)
    hurry: threading.Event = field(default_factory=threading.Event)


registry = Registry()


def every(seconds: float, *, name: str = "") -> Callable[[Tick], Tick]:
    """Register a function to be called about every so many seconds. The name is for the log and must be its own."""

    def register(tick: Tick) -> Tick:
        label = name or f"{tick.__module__}.{tick.__qualname__}"
        registry.entries[label] = Entry(name=label, seconds=seconds, tick=tick)
        return tick

    return register


def at_start(tick: Tick) -> Tick:
    """Register a function to be called once when the engine worker starts, after the engine is prepared."""
    registry.at_start.append(tick)
    return tick


def on_jump(shift: Shift) -> Shift:
    """Register a function that moves an app's moments along when the host's clock was set; it gets by how much."""
    registry.on_jump.append(shift)
    return shift


def move_along(rows: QuerySet[Model], *columns: str, by: timedelta) -> None:
    """Add `by` to the moments that were written before the jump; those written since are nearer to now, and stay."""
    side, middle = ("lt" if by > timedelta(0) else "gt"), timezone.now() - by / 2
    for column in columns:
        rows.filter(**{f"{column}__{side}": middle}).update(**{column: F(column) + by})


def hasten(name: str, seconds: float) -> None:
    """Have a registered function called in so many seconds at the latest, once. In a process without a clock: nothing."""
    entry = registry.entries[name]
    entry.due_at = min(entry.due_at, time.monotonic() + seconds)
    registry.hurry.set()


def took_ms(*names: str) -> int:
    """How long these functions took together, each the last time that it was called in this process."""
    return round(1000 * sum(registry.entries[name].took_s for name in names if name in registry.entries))


class Clock:
    """One thread. `stop` waits for the running tick."""

    def __init__(self, entries: Registry = registry) -> None:
        self._registry = entries
        self._stopping = threading.Event()
        self._ahead_s = _ahead_s()
        self._thread = threading.Thread(target=self._run, name="berth-clock", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        self._stopping.set()
        self._registry.hurry.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._registry.hurry.clear()
                close_old_connections()
                self.look_for_jump()
                pause_s = self.run_due(time.monotonic())
                self._registry.hurry.wait(pause_s)
        finally:
            connections.close_all()

    def look_for_jump(self) -> None:
        """Have everybody's moments moved along if the host's clock was set since the last look."""
        before, self._ahead_s = self._ahead_s, _ahead_s()
        by = timedelta(seconds=self._ahead_s - before)
        if abs(by) < timedelta(seconds=JUMP_S):
            return
        log.warning("the host's clock was set, by %.0f s", by.total_seconds())
        for shift in self._registry.on_jump:
            try:
                shift(by)
            except Exception:  # a loop's edge, as below
                log.exception("moments of %s could not be moved along", shift.__module__)

    def run_due(self, now: float) -> float:
        """Call what is due, and say how many seconds nothing will be."""
        for entry in list(self._registry.entries.values()):
            if entry.due_at <= now and not self._stopping.is_set():
                _call(entry)
        next_due = min((entry.due_at for entry in self._registry.entries.values()), default=now + 1.0)
        return min(max(next_due - time.monotonic(), 0.02), 1.0)


def _ahead_s() -> float:
    """Grows and shrinks only when the host's clock is set, or was asleep."""
    return time.time() - time.monotonic()


def _call(entry: Entry) -> None:
    began = time.monotonic()
    close_old_connections()
    entry.due_at = math.inf  # until it ends; it may be hastened meanwhile
    try:
        entry.tick()
    except Exception:  # a loop's edge: one tick's trouble is not the others'
        entry.failures += 1
        log.exception("the tick %r failed (%d in a row)", entry.name, entry.failures)
        connections.close_all()
    else:
        entry.failures = 0
    ended = time.monotonic()
    entry.took_s = ended - began
    if entry.took_s > SLOW_S:
        log.warning("the tick %r took %.1f s", entry.name, entry.took_s)
    period_s = min(entry.seconds * 2 ** min(entry.failures, 8), max(LONGEST_PAUSE_S, entry.seconds))
    entry.due_at = min(entry.due_at, ended + period_s)
