"""How containers are: what is asked, what the answers make of it, and that nothing piles up."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from dashboard.containers import execreconcile, healthprobes, reconcile, services
from dashboard.containers.healthcheck import check_of
from dashboard.containers.models import Container, Exec, Health
from dashboard.core.errors import DashboardError
from dashboard.grammar import ContainerOptions, requests
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.listing import render_containers
from dashboard.grammar.runvalues import read_duration, write_duration
from dashboard.history.models import Event
from engine.errors import CommandNotFound
from tests.support.waiting import WAIT_S

OF_IMAGE = {"Test": ["CMD", "ask", "it"], "Interval": 5_000_000_000, "Timeout": 2_000_000_000, "Retries": 7}


def image(**healthcheck):
    return {"config": {"Healthcheck": healthcheck} if healthcheck else {}}


def options(**more):
    return ContainerOptions(image="ubuntu:14.04", **more)


@pytest.mark.parametrize(
    ("text", "milliseconds", "written"),
    [("30s", 30_000, "30s"), ("1m30s", 90_000, "90s"), ("1.5h", 5_400_000, "90m"), ("500ms", 500, "500ms"),
     ("0", 0, "0ms"), ("2h", 7_200_000, "2h"), ("1500us", 1, "1ms")],
)  # fmt: skip
def test_durations(text, milliseconds, written):
    assert read_duration(text) == milliseconds
    assert write_duration(milliseconds) == written
    assert read_duration(written) == milliseconds


@pytest.mark.parametrize("text", ["", "5", "-5s", "5 s", "s", "5d", "5s5", "9999999h"])
def test_bad_durations_are_refused(text):
    with pytest.raises(ValueRefused, match="time: invalid duration"):
        read_duration(text)


def test_what_is_asked_comes_from_the_flags_then_from_the_image():
    assert check_of(image(), options()) is None
    found = check_of(image(**OF_IMAGE), options())
    assert (found.command, found.interval_ms, found.timeout_ms, found.retries) == (("ask", "it"), 5000, 2000, 7)
    found = check_of(image(**OF_IMAGE), options(health_interval_ms=9000))
    assert (found.command, found.interval_ms, found.retries) == (("ask", "it"), 9000, 7)
    found = check_of(image(**OF_IMAGE), options(health_cmd="true || false", health_retries=2))
    assert (found.test, found.command) == (("CMD-SHELL", "true || false"), ("/bin/sh", "-c", "true || false"))
    assert (found.interval_ms, found.retries) == (5000, 2)
    assert check_of(image(**OF_IMAGE), options(no_healthcheck=True)) is None
    found = check_of(image(), options(health_cmd="x"))
    assert (found.interval_ms, found.timeout_ms, found.start_period_ms, found.retries) == (30_000, 30_000, 0, 3)


@pytest.mark.parametrize(
    "hostile",
    [{"Test": "rm"}, {"Test": []}, {"Test": ["NONE"]}, {"Test": ["CMD"]}, {"Test": ["CMD", ""]}, {"Test": [1, 2]},
     {"Test": ["CMD-SHELL", "a", "b"]}, {"Test": ["OTHER", "x"]}, {"Test": None}, {"Test": ["CMD"] * 2000}],
)  # fmt: skip
def test_what_an_image_says_in_no_shape_of_dockers_is_no_wish(hostile):
    assert check_of({"config": {"Healthcheck": hostile}}, options()) is None


def test_numbers_of_an_image_are_kept_within_reason():
    wild = {"Interval": 1, "Timeout": -5, "StartPeriod": True, "Retries": "many"}
    found = check_of(image(Test=["CMD", "x"], **wild), options())
    assert (found.interval_ms, found.timeout_ms, found.start_period_ms, found.retries) == (1000, 30_000, 0, 3)


@pytest.fixture
def at_once(monkeypatch):
    for name in ("submit", "submit_end"):
        monkeypatch.setattr(healthprobes, name, lambda work: work())
    healthprobes._probes.clear()
    yield
    healthprobes._probes.clear()


@pytest.fixture
def asked(present, user, queue, engine, at_once):
    """A running container that is asked, with the first question on its way when `ask` is called."""
    present("ubuntu:14.04")

    def run(**more):
        row = services.create(user, options(**{"health_cmd": "ask", "health_retries": 2, **more}))
        services.start(row, user)
        queue.run()
        return row

    return run


def ask(row) -> str:
    """Have the next probe begun; its id."""
    Health.objects.filter(container=row).update(next_at=timezone.now())
    healthprobes.look()
    return Health.objects.get(container=row).exec_id


def shown(row) -> str:
    row = Container.objects.select_related("health").get(pk=row.pk)
    line = services.container_line(row, None)
    return render_containers(requests.Ps(format="{{.Status}}"), [line], now=row.started_at + timedelta(seconds=5))


def test_answers_make_it_healthy_and_failures_in_a_row_unhealthy(asked, engine):
    row = asked()
    assert shown(row) == "Up 5 seconds (health: starting)"
    for code, status, streak in ((0, "healthy", 0), (1, "healthy", 1), (1, "unhealthy", 2), (0, "healthy", 0)):
        exec_id = ask(row)
        assert engine.execs.requests[exec_id].command == ("/bin/sh", "-c", "ask")
        engine.execs.outputs[exec_id] = b"said " + str(code).encode()
        engine.execs.finish(exec_id, code)
        health = Health.objects.get(container=row)
        assert (health.status, health.failing_streak, health.exec_id) == (status, streak, "")
        assert health.next_at > timezone.now() + timedelta(seconds=25)
        assert exec_id in engine.execs.removed
    assert shown(row) == "Up 5 seconds (healthy)"
    for _ in range(5):
        engine.execs.finish(ask(row), 0)
    found = services.inspect(Container.objects.get(pk=row.pk))
    assert len(found["State"]["Health"]["Log"]) == 5
    assert found["State"]["Health"]["Status"] == "healthy"
    assert found["Config"]["Healthcheck"]["Test"] == ["CMD-SHELL", "ask"]
    assert not Exec.objects.exists()  # listed to nobody
    told = [event.action for event in Event.objects.all() if event.action.startswith(("health", "exec"))]
    assert told == ["health_status: healthy", "health_status: unhealthy", "health_status: healthy"]


def test_one_probe_at_a_time_and_the_interval_begins_at_its_end(asked, engine):
    row = asked()
    exec_id = ask(row)
    Health.objects.filter(container=row).update(next_at=timezone.now())
    healthprobes.look()
    assert Health.objects.get(container=row).exec_id == exec_id
    assert list(engine.execs.requests) == [exec_id]


def test_a_probe_that_takes_too_long_is_ended_and_counts_as_failed(asked, engine, monkeypatch):
    row = asked(health_timeout_ms=2000, health_retries=1)
    exec_id = ask(row)
    engine.execs.outputs[exec_id] = b"so far"
    healthprobes.look()
    assert engine.execs.ended == []
    probe = healthprobes._probes[exec_id]
    healthprobes._probes[exec_id] = healthprobes.replace(probe, deadline=0.0)
    healthprobes.look()
    assert engine.execs.ended == [exec_id]
    health = Health.objects.get(container=row)
    assert health.status == "unhealthy"
    assert health.log[-1]["ExitCode"] == -1
    assert health.log[-1]["Output"] == "Health check exceeded timeout (2s): so far"


def test_one_that_has_answered_in_time_is_not_failed_for_busy_threads(asked, engine, monkeypatch):
    row, waiting = asked(health_retries=1), []
    exec_id = ask(row)
    monkeypatch.setattr(healthprobes, "submit", waiting.append)
    engine.execs.finish(exec_id, 0)
    monkeypatch.setattr(healthprobes.time, "monotonic", lambda: float("inf"))
    healthprobes.look()
    assert engine.execs.ended == []
    for work in waiting:
        work()
    assert Health.objects.get(container=row).status == "healthy"


def test_ends_that_take_long_hold_up_no_probe():
    """Programs that ignore TERM take the engine three seconds each."""
    released, begun = threading.Event(), threading.Event()
    try:
        for _ in range(3 * healthprobes.THREADS):
            healthprobes.submit_end(lambda: released.wait(WAIT_S))
        healthprobes.submit(begun.set)
        assert begun.wait(WAIT_S / 2)
    finally:
        released.set()


def test_what_cannot_be_run_counts_as_failed_with_the_reason(asked, engine):
    row = asked(health_retries=1)
    engine.execs.fails = CommandNotFound('exec: "ask": executable file not found in $PATH')
    ask(row)
    health = Health.objects.get(container=row)
    assert (health.status, health.log[-1]["ExitCode"]) == ("unhealthy", -1)
    assert "executable file not found" in health.log[-1]["Output"]


def test_failures_while_it_starts_do_not_count(asked, engine):
    row = asked(health_retries=1, health_start_period_ms=60_000)
    engine.execs.finish(ask(row), 1)
    assert Health.objects.get(container=row).status == "starting"
    Container.objects.filter(pk=row.pk).update(started_at=timezone.now() - timedelta(seconds=61))
    engine.execs.finish(ask(row), 1)
    assert Health.objects.get(container=row).status == "unhealthy"


def test_one_that_has_ended_is_asked_nothing_and_a_late_answer_is_not_heard(asked, engine, user, queue):
    row = asked()
    exec_id = ask(row)
    engine.end(row.container_id, 0)
    engine.execs.finish(exec_id, 0)
    health = Health.objects.get(container=row)
    assert (health.status, health.next_at, health.log) == ("unhealthy", None, [])
    healthprobes.look()
    assert len(engine.execs.requests) == 1
    row.refresh_from_db()
    assert services.container_line(Container.objects.get(pk=row.pk), None).health == ""
    services.start(row, user)
    queue.run()
    assert Health.objects.get(container=row).status == "starting"


@pytest.mark.fault("F13")
def test_a_probe_of_a_worker_that_died_is_taken_away_and_asked_anew(asked, engine):
    row = asked()
    first = ask(row)
    healthprobes._probes.clear()
    healthprobes.look()
    assert first in engine.execs.removed
    second = Health.objects.get(container=row).exec_id
    assert second not in {"", first}
    engine.execs.finish(second, 0)
    assert Health.objects.get(container=row).status == "healthy"


@pytest.mark.parametrize("where", ["start", "read_output"])
def test_a_probe_that_could_not_be_dealt_with_is_asked_anew(asked, engine, monkeypatch, where):
    """A database that is locked, a full disk, a mistake of ours: no container is asked nothing from then on."""
    row = asked()
    monkeypatch.setattr(healthprobes, "submit", healthprobes._safely)

    def fails(*_words, **_more):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(engine.execs, where, fails)
        first = ask(row)
        if where == "read_output":
            engine.execs.finish(first, 0)
    assert Health.objects.get(container=row).exec_id == first
    healthprobes.look()
    second = Health.objects.get(container=row).exec_id
    assert second not in {"", first}
    assert first in engine.execs.removed
    engine.execs.finish(second, 0)
    assert Health.objects.get(container=row).status == "healthy"


def test_the_sweep_of_strays_leaves_a_probe_whose_answer_is_not_read_yet(asked, engine):
    row = asked()
    exec_id = ask(row)
    engine.execs.seen.pop(exec_id)
    engine.execs.strays.add(exec_id)
    execreconcile.sweep()
    assert exec_id not in engine.execs.removed


def test_a_container_that_was_found_running_is_asked_too(asked, engine):
    row = asked()
    Container.objects.filter(pk=row.pk).update(state="starting")
    Health.objects.all().delete()
    engine.watched.clear()
    reconcile.reconcile()
    assert Health.objects.get(container=row).status == "starting"


def test_lists_can_be_filtered_by_it(asked, engine, user, queue):
    row = asked()
    plain = services.create(user, options())
    services.start(plain, user)
    queue.run()
    engine.execs.finish(ask(row), 0)
    rows = list(Container.objects.select_related("health"))
    for value, found in (("healthy", [row]), ("none", [plain]), ("unhealthy", [])):
        assert services.chosen_containers(rows, requests.Ps(filters=(("health", value),))) == found


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"no_healthcheck": True, "health_cmd": "x"}, "--no-healthcheck conflicts with --health-* options"),
        ({"no_healthcheck": True, "health_interval_ms": 5000}, "--no-healthcheck conflicts"),
        ({"health_cmd": "x", "health_retries": -1}, "--health-retries cannot be negative"),
        ({"health_cmd": "x", "health_interval_ms": 10}, "at most once a second"),
    ],
)
def test_what_cannot_be_is_refused(present, user, more, sentence):
    present("ubuntu:14.04")
    with pytest.raises(DashboardError) as caught:
        services.create(user, options(**more))
    assert sentence in str(caught.value)


def test_no_healthcheck_is_shown_as_docker_does(present, user):
    present("ubuntu:14.04")
    row = services.create(user, options(no_healthcheck=True))
    assert services.inspect(row)["Config"]["Healthcheck"] == {"Test": ["NONE"]}
    assert "Health" not in json.dumps(services.inspect(row)["State"])
