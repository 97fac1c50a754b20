from __future__ import annotations

from types import SimpleNamespace

import pytest

from dashboard import gateway
from dashboard.containers.models import Exec
from dashboard.core import clock
from dashboard.terminals import ticks
from engine.errors import WrongState
from engine.terminal.rotation import LogState
from tests.dashboard.terminals.conftest import change

pytestmark = pytest.mark.django_db(transaction=True)


class Execs:
    """The engine's part for further commands."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def rotate_logs(self, container_id, exec_id, *, keep_from=None):
        self.asked.append((container_id, exec_id, keep_from))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Engine:
    """Stands where the root worker's engine stands; only its answers matter here (rotation has its own tests)."""

    def __init__(self, answer):
        self.answer, self.asked, self.kept_from, self.execs = answer, [], [], Execs(answer)

    def rotate_logs(self, container_id, *, keep_from=None):
        self.asked.append(container_id)
        self.kept_from.append(keep_from)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def engine(monkeypatch):
    def use(answer):
        made = Engine(answer)
        monkeypatch.setattr(gateway, "engine", lambda: made, raising=False)
        return made

    return use


def test_the_clock_knows_them():
    assert {"logs", "old streams", "execs", "stray execs"} <= set(clock.registry.entries)


def test_logs_of_running_containers_are_looked_at(container, engine):
    made = engine(LogState(was_rotated=False, is_full=False))
    ticks.rotate_logs()
    change(container, state="exited")
    ticks.rotate_logs()
    assert made.asked == [container.container_id]
    container.refresh_from_db()
    assert not container.log_lost


def test_what_a_command_line_stream_still_reads_is_kept(container, engine, monkeypatch):
    monkeypatch.setattr(
        ticks.sessions, "wanted_segments", lambda: {("container", container.pk): 4, ("exec", container.pk): 2}
    )
    made = engine(LogState(was_rotated=False, is_full=False))
    ticks.rotate_logs()
    assert made.kept_from == [4]


@pytest.mark.fault("F34")
def test_a_full_disk_is_marked_on_the_row(container, engine):
    engine(LogState(was_rotated=False, is_full=True))
    ticks.rotate_logs()
    container.refresh_from_db()
    assert container.log_lost


def test_one_container_that_fails_stops_no_other(container, engine):
    made = engine(WrongState("gone"))
    ticks.rotate_logs()
    assert made.asked == [container.container_id]


@pytest.fixture
def command(container):
    return Exec.objects.create(exec_id="e" * 64, container=container, state="running", tty=True)


@pytest.mark.fault("F34")
def test_logs_of_running_commands_are_looked_at_too(container, command, engine, monkeypatch):
    made = engine(LogState(was_rotated=False, is_full=True))
    monkeypatch.setattr(ticks.sessions, "wanted_segments", lambda: {("exec", command.pk): 3})
    ticks.rotate_logs()
    command.refresh_from_db()
    assert command.log_lost
    Exec.objects.update(state="exited")
    ticks.rotate_logs()
    assert made.execs.asked == [(container.container_id, command.exec_id, 3)]


def test_one_that_has_just_gone_stops_no_other(container, command, engine):
    made = engine(WrongState("gone"))
    ticks.rotate_logs()
    assert (len(made.asked), len(made.execs.asked)) == (1, 1)


def test_a_turn_that_lasts_too_long_goes_on_where_it_stopped(container, command, engine, monkeypatch):
    made = engine(LogState(was_rotated=False, is_full=False))
    times = iter([0, 0, 100])  # when the turn begins, and at each of the two
    monkeypatch.setattr(ticks, "time", SimpleNamespace(monotonic=lambda: next(times, 0)))
    ticks.rotate_logs()
    assert (len(made.asked), len(made.execs.asked)) == (1, 0)
    ticks.rotate_logs()
    assert (len(made.asked), len(made.execs.asked)) == (2, 1)
    assert ticks._next_turn_after == [ticks.FIRST]
