"""The watcher on real processes, without containers."""

from __future__ import annotations

import queue
import signal
import statistics
import subprocess
import threading
import time

import pytest

from engine.containers import exits
from engine.containers.exits import ExitWatcher
from engine.kernel.pidfd import ProcessIdentity

ID = "ef" * 32


@pytest.fixture
def watcher():
    opened = ExitWatcher()
    yield opened
    opened.close()


@pytest.fixture
def sleeper():
    """Makes processes that sleep; all are killed and reaped at the end."""
    made = []

    def make():
        process = subprocess.Popen(["/bin/sleep", "60"])
        made.append(process)
        return process, ProcessIdentity.of(process.pid)

    yield make
    for process in made:
        process.kill()
        process.wait()


def test_the_end_is_told_once_and_quickly(watcher, sleeper):
    taken = []
    for _ in range(5):
        (monitor, monitor_id), (init, init_id) = sleeper(), sleeper()
        told = queue.Queue()
        for _ in range(2):
            watcher.watch(ID, monitor=monitor_id, init=init_id, on_end=told.put)
        assert watcher.is_watching(ID)
        init.kill()
        monitor.kill()
        begun = time.monotonic()
        assert told.get(timeout=5) == ID
        taken.append(time.monotonic() - begun)
        with pytest.raises(queue.Empty):
            told.get(timeout=0.1)
        assert not watcher.is_watching(ID)
    assert statistics.median(taken) < 1


def test_what_has_ended_before_is_told_too(watcher):
    told = queue.Queue()
    watcher.watch(ID, monitor=None, init=None, on_end=told.put)
    assert told.get(timeout=5) == ID


@pytest.mark.fault("F16")
def test_a_command_without_its_monitor_is_killed(watcher, sleeper):
    (monitor, monitor_id), (init, init_id) = sleeper(), sleeper()
    told = queue.Queue()
    watcher.watch(ID, monitor=monitor_id, init=init_id, on_end=told.put)
    monitor.kill()
    assert told.get(timeout=5) == ID
    assert init.wait(30) == -signal.SIGKILL


@pytest.mark.fault("F19")
def test_a_monitor_that_hangs_after_the_end_is_killed(watcher, sleeper, monkeypatch):
    monkeypatch.setattr(exits, "DRAIN_S", 0.3)  # 5 s is what it is
    (monitor, monitor_id), (init, init_id) = sleeper(), sleeper()
    told = queue.Queue()
    watcher.watch(ID, monitor=monitor_id, init=init_id, on_end=told.put)
    init.kill()
    begun = time.monotonic()
    assert told.get(timeout=5) == ID
    assert 0.25 < time.monotonic() - begun < 4
    assert monitor.wait(30) == -signal.SIGKILL


@pytest.mark.fault("F41")
def test_a_process_that_only_has_the_number_is_never_signalled(watcher, sleeper):
    process, identity = sleeper()
    stranger = ProcessIdentity(identity.boot_id, identity.pid, identity.starttime + 1)
    told = queue.Queue()
    watcher.watch(ID, monitor=None, init=stranger, on_end=told.put)
    assert told.get(timeout=5) == ID
    assert process.poll() is None


def test_a_failing_callback_does_not_end_the_watch_over_others(watcher):
    told = queue.Queue()

    def fail(_container_id):
        raise RuntimeError

    watcher.watch(ID, monitor=None, init=None, on_end=fail)
    watcher.watch("00" * 32, monitor=None, init=None, on_end=told.put)
    assert told.get(timeout=5) == "00" * 32


def test_a_slow_callback_holds_up_no_other_container(watcher):
    entered, leave, told = threading.Event(), threading.Event(), queue.Queue()

    def slow(_container_id):
        entered.set()
        leave.wait(30)

    watcher.watch(ID, monitor=None, init=None, on_end=slow)
    assert entered.wait(5)
    watcher.watch("ab" * 32, monitor=None, init=None, on_end=told.put)
    assert told.get(timeout=5) == "ab" * 32
    assert watcher.is_watching(ID)
    leave.set()
    assert watcher.wait_until_told(ID, 5)


def test_callbacks_of_one_container_come_one_after_another(watcher, sleeper):
    said, leave = [], threading.Event()

    def first(_container_id):
        said.append("first begins")
        leave.wait(30)
        said.append("first ends")

    watcher.watch(ID, monitor=None, init=None, on_end=first)
    process, identity = sleeper()
    watcher.watch(ID, monitor=None, init=identity, on_end=lambda _: said.append("second"))
    process.kill()
    while any(run.init == identity for run in watcher._watches):
        time.sleep(0.01)
    time.sleep(0.05)
    assert said == ["first begins"]
    leave.set()
    assert watcher.wait_until_told(ID, 5)
    assert said == ["first begins", "first ends", "second"]


def test_what_is_forgotten_is_not_told(watcher, sleeper):
    (monitor, monitor_id), (init, init_id) = sleeper(), sleeper()
    told = queue.Queue()
    watcher.watch(ID, monitor=monitor_id, init=init_id, on_end=told.put)
    watcher.forget(ID)
    init.kill()
    monitor.kill()
    with pytest.raises(queue.Empty):
        told.get(timeout=0.2)


def test_many_are_watched_by_one_thread(watcher, sleeper):
    made = [sleeper() for _ in range(20)]
    told = queue.Queue()
    for number, (_, identity) in enumerate(made):
        watcher.watch(f"{number:064x}", monitor=None, init=identity, on_end=told.put)
    for process, _ in made:
        process.kill()
    assert len({told.get(timeout=5) for _ in made}) == 20
