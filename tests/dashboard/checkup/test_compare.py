"""Rows that do not say what is so are found; those that a job is at work on are left alone."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from dashboard import gateway
from dashboard.catalog.models import Image, Layer, LayerState
from dashboard.checkup import compare, handlers
from dashboard.checkup.services import CHECK, Outcome, check
from dashboard.containers import lifecycle, services
from dashboard.containers.models import Container, PublishedPort
from dashboard.core.gate import Denied
from dashboard.grammar import ContainerOptions
from dashboard.jobs.models import Job, JobState
from dashboard.volumes.models import Volume, VolumeState

LONG_AGO = timedelta(hours=1)


@pytest.fixture
def running(present, user, queue):
    present("centos:7")
    container = services.create(user, ContainerOptions(image="centos:7"))
    services.start(container, user)
    queue.run()
    container.refresh_from_db()
    return container


def found() -> list[str]:
    return [str(one) for one in compare.look(own_job=0)]


def test_what_is_as_it_must_be_is_no_finding(running):
    assert found() == []


@pytest.mark.parametrize(
    ("seen", "problem"),
    [
        (gateway.State.EXITED, "is running and does not run"),
        (gateway.State.ABSENT, "is running and does not run"),
        (gateway.State.MONITOR_LOST, "is running and does not run"),
    ],
)
def test_a_row_that_says_it_runs(running, engine, seen, problem):
    engine.seen[running.container_id] = gateway.Observed(seen)
    assert f"I4 container {running.short_id} {problem}" in found()


def test_a_row_that_says_it_does_not(running, engine):
    Container.objects.update(state="exited")
    assert found() == [f"I4 container {running.short_id} is exited and runs"]


def test_one_that_nobody_watches_and_one_that_is_paused_behind_our_back(running, engine):
    engine.watched.clear()
    assert found() == [f"I4 container {running.short_id} runs and nobody watches for its end"]
    engine.seen[running.container_id] = gateway.Observed(gateway.State.RUNNING, 4321, paused=True)
    assert found() == [f"I4 container {running.short_id} is running and is not"]


def test_who_is_between_two_states_has_a_job_or_is_a_finding(running, user):
    Container.objects.update(state="starting")
    assert found() == [f"I4 container {running.short_id} is starting and nobody works on it"]
    Job.objects.create(kind=lifecycle.START, key=lifecycle.key_of(lifecycle.START, running), queue=lifecycle.QUEUE)
    assert found() == []


def test_networks_and_ports_are_compared(running, engine):
    engine.places[running.container_id] = ()
    PublishedPort.objects.create(
        container=running, protocol="tcp", address="127.0.0.1", port=8080, container_port=80, first=8080, last=8080
    )
    assert found() == [
        f"I4 container {running.short_id} is not in the networks that it should be in",
        f"I4 container {running.short_id} has not the ports of the host that it should have",
    ]


def test_ports_of_what_does_not_run_are_counted_wrong(running, engine):
    PublishedPort.objects.create(
        container=running, protocol="tcp", address="127.0.0.1", port=8080, container_port=80, first=8080, last=8080
    )
    Container.objects.update(state="exited")
    engine.seen[running.container_id] = gateway.Observed(gateway.State.EXITED)
    assert found() == [f"I7 ports {running.short_id} are kept though it does not run"]


def test_volumes_without_a_row_are_orphans_and_those_between_two_states_need_a_job(running, engine):
    engine.volumes["strange"] = 1
    Volume.objects.create(name="stuck", state=VolumeState.REMOVING)
    Volume.objects.update(updated_at=timezone.now() - LONG_AGO)
    assert found() == [
        "I4 volume strange has no row; it is left alone",
        "I4 volume stuck is removing and nobody works on it",
    ]
    assert [one.is_orphan for one in compare.look(own_job=0)] == [True, False]


def test_images_are_counted_and_whole(running):
    image = Image.objects.get()
    Image.objects.update(size_bytes=1)
    assert found() == [f"I7 image {image} has another size than its layers together"]
    Layer.objects.update(state=LayerState.DAMAGED)
    assert f"I1 image {image} has a layer that is not ready; pull it again" in found()


def test_what_nobody_takes_up_again_is_too_old(running, data):
    old = data / "ingest" / "sha256:old"
    for path in (old, data / "ingest" / "sha256:new"):
        path.touch()
    os.utime(old, (time.time() - 3 * 3600,) * 2)
    assert found() == ["I6 file ingest/sha256:old is older than anybody's lease of it"]


def test_a_job_whose_worker_is_gone_is_untrue(running):
    job = Job.objects.create(
        kind="pull_image", state=JobState.RUNNING, heartbeat_at=timezone.now() - LONG_AGO, key="pull:x"
    )
    assert found() == [f"I4 job {job.pk} (pull_image) is running and its worker is gone"]
    assert [str(one) for one in compare.look(own_job=job.pk)] == []


# The job


@pytest.fixture
def looks(monkeypatch):
    """What each look finds, in turn; the last one for ever."""
    left = []
    monkeypatch.setattr(handlers, "look", lambda _context: list(left.pop(0) if len(left) > 1 else left[0]))
    monkeypatch.setattr(handlers, "SETTLE_S", 0.1)
    monkeypatch.setattr(handlers, "LOOK_EVERY_S", 0.02)
    return left


MOUNT = gateway.Violation(invariant="I3", kind="mount", name="/x", problem="belongs to no running container")
RULE = gateway.Violation(invariant="I3", kind="rule", name="10.0.0.2", problem="belongs to no running container")
CONTEXT = SimpleNamespace(cancelled=lambda: False)


def test_only_what_every_look_has_seen_is_a_finding(looks):
    looks += [[MOUNT, RULE], [MOUNT], [MOUNT, RULE]]
    assert handlers.settled(CONTEXT, deep=False) == [MOUNT]


def test_a_clean_look_is_enough(looks):
    looks += [[], [MOUNT]]
    assert handlers.settled(CONTEXT, deep=False) == []


def test_it_stops_when_it_is_cancelled(looks):
    looks += [[MOUNT]]
    with pytest.raises(handlers.Interrupted):
        handlers.settled(SimpleNamespace(cancelled=lambda: True), deep=False)


def test_repairing_calls_what_the_clock_calls_and_says_what_is_left(looks, engine, user, queue, monkeypatch):
    engine.own_figures = lambda: gateway.Violation(invariant="I1", kind="", name="", problem="")  # any dataclass
    looks += [[MOUNT, RULE]]
    monkeypatch.setattr(handlers, "repair", lambda: looks.__setitem__(slice(None), [[RULE]]))
    job = check(user, repair=True)
    queue.run()
    outcome = Outcome.of(Job.objects.get(pk=job.pk))
    assert [one["name"] for one in outcome.findings] == ["10.0.0.2"]
    assert [one["name"] for one in outcome.repaired] == ["/x"]
    assert (outcome.count, outcome.is_clean) == (1, False)


def test_nobody_else_may_ask_for_it(user, django_user_model):
    with pytest.raises(Denied):
        check(django_user_model.objects.create_user("minsu"))
    assert not Job.objects.filter(kind=CHECK).exists()
