from __future__ import annotations

import threading
import time

import pytest

from dashboard.core import clock
from dashboard.core.clock import Clock, Entry, Registry


def registry_of(**ticks) -> Registry:
    entries = {name: Entry(name=name, seconds=seconds, tick=tick) for name, (seconds, tick) in ticks.items()}
    return Registry(entries=entries)


def test_it_calls_each_at_its_own_pace():
    calls: list[str] = []
    both = threading.Event()

    def note(name: str):
        def tick() -> None:
            calls.append(name)
            if calls.count("fast") >= 5:
                both.set()

        return tick

    clock = Clock(registry_of(fast=(0.02, note("fast")), slow=(60, note("slow"))))
    clock.start()
    assert both.wait(30)
    clock.stop()
    assert calls.count("slow") == 1
    after = len(calls)
    time.sleep(0.1)
    assert len(calls) == after


@pytest.mark.django_db
def test_a_tick_that_fails_is_logged_waits_longer_and_stops_nobody(caplog):
    calls: list[str] = []

    def broken() -> None:
        calls.append("broken")
        raise ZeroDivisionError

    registry = registry_of(broken=(1, broken), sound=(1, lambda: calls.append("sound")))
    clock = Clock(registry)
    clock.run_due(time.monotonic())
    assert calls == ["broken", "sound"]
    assert "'broken' failed (1 in a row)" in caplog.text
    gap = registry.entries["broken"].due_at - registry.entries["sound"].due_at
    assert gap == pytest.approx(1, abs=0.3)
    for _ in range(20):
        registry.entries["broken"].due_at = 0
        clock.run_due(time.monotonic())
    assert registry.entries["broken"].due_at - time.monotonic() <= 60


def test_the_last_registration_of_a_name_counts():
    from dashboard.core import clock as module

    @module.every(5, name="a test's own")
    def first() -> None: ...

    @module.every(7, name="a test's own")
    def second() -> None: ...

    entry = module.registry.entries.pop("a test's own")
    assert (entry.seconds, entry.tick) == (7, second)


def test_a_hastened_tick_comes_at_once_and_only_once(monkeypatch):
    called = threading.Event()
    entries = Registry()
    monkeypatch.setattr(clock, "registry", entries)
    entries.entries["slow"] = Entry(name="slow", seconds=3600.0, tick=called.set, due_at=time.monotonic() + 3600)
    running = Clock(entries)
    running.start()
    try:
        assert not called.wait(0.1)
        clock.hasten("slow", 0.0)
        assert called.wait(5)
        called.clear()
        assert not called.wait(0.3)
    finally:
        running.stop()
