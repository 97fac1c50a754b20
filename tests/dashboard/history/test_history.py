"""What happens is written down with the change itself, chosen by filters, and not kept for ever."""

from __future__ import annotations

import time

import pytest
from django.db import transaction

from dashboard.catalog import services as catalog
from dashboard.containers import handlers, reconcile, services, states
from dashboard.containers.models import Container, ContainerState
from dashboard.core import gate
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Denied, Permission
from dashboard.grammar import ContainerOptions, ExecOptions
from dashboard.history import services as history
from dashboard.history.models import Event, EventType
from dashboard.history.services import Reader, forget_old, record
from dashboard.volumes import services as volumes


def told() -> list[str]:
    return [event.action for event in Event.objects.filter(type="container")]


def every(rows):
    return rows


@pytest.fixture
def made(present, user):
    present("centos:7")
    return services.create(user, ContainerOptions(image="centos:7", name="calm_tern"))


@pytest.fixture
def running(made, user, queue):
    services.start(made, user)
    queue.run()
    made.refresh_from_db()
    return made


def test_the_life_of_a_container_is_written_down(running, user, queue, engine):
    services.pause(running, user)
    queue.run()
    services.unpause(running, user)
    queue.run()
    services.rename(running, user, "bold_cod")
    services.kill(running, user, "USR1")
    queue.run()
    services.stop(running, user)
    queue.run()
    services.remove(running, user)
    queue.run()
    assert told() == ["create", "start", "pause", "unpause", "rename", "kill", "die", "stop", "destroy"]
    events = {event.action: event for event in Event.objects.all()}
    assert events["create"].attributes == {"image": "centos:7", "name": "calm_tern"}
    assert events["rename"].attributes == {"image": "centos:7", "name": "bold_cod", "oldName": "/calm_tern"}
    assert events["kill"].attributes["signal"] == "10"
    assert events["die"].attributes | {"exitCode": "143", "execDuration": "0"} == events["die"].attributes
    assert {event.actor for event in Event.objects.filter(type="container")} == {running.container_id}


def test_a_removal_by_force_is_an_end_too(running, user, queue):
    services.remove(running, user, force=True)
    queue.run()
    assert told() == ["create", "start", "die", "destroy"]
    assert Event.objects.get(action="die").attributes["exitCode"] == "137"


def test_an_end_by_itself_says_why(running, engine):
    Container.objects.filter(pk=running.pk).update(oom_killed=True)
    running.refresh_from_db()
    ended = handlers.gateway.Exit(137, True, running.started_at)
    states.exited(running, ended)
    assert told()[-2:] == ["oom", "die"]


def test_a_restart_is_an_end_and_a_start(running, user, queue):
    services.restart(running, user)
    queue.run()
    assert told() == ["create", "start", "die", "stop", "start", "restart"]


def test_commands_in_it_are_written_down(running, user, queue, engine):
    row, _ = services.start_exec(running, user, ExecOptions(command=("sh", "-c", "a\x1b[2Jb")))
    queue.run()
    engine.execs.finish(row.exec_id, 3)
    assert told()[-3:] == ["exec_create: sh -c 'a?[2Jb'", "exec_start: sh -c 'a?[2Jb'", "exec_die"]
    assert Event.objects.last().attributes["exitCode"] == "3"


def test_images_and_volumes_too(made, user, queue):
    volume = volumes.create(user, "data")
    volumes.remove(volume, user)
    queue.run()
    services.remove(made, user)
    queue.run()
    catalog.remove("centos:7", user)
    said = [(event.type, event.action, event.attributes.get("name", event.actor)) for event in Event.objects.all()]
    assert [one for one in said if one[0] == "volume"] == [("volume", "create", "data"), ("volume", "destroy", "data")]
    assert [one[1:] for one in said if one[0] == "image"][:2] == [("pull", "centos:7"), ("untag", "centos:7")]
    assert said[-1][:2] == ("image", "delete")


def test_what_was_written_down_late_stands_where_it_happened(running, user):
    before = Event.objects.last().time_ns
    for moment, action in ((before + 2, "die"), (before + 1, "kill")):
        fields = {"time_ns": moment, "type": EventType.CONTAINER, "actor": running.container_id}
        Event.objects.create(action=action, attributes={}, **fields)
    assert [event.action for event in Reader.since(before + 1, user, (), every).read()] == ["kill", "die"]


def test_a_change_that_is_rolled_back_never_happened(running):
    before = Event.objects.count()
    with transaction.atomic():
        states.change(running, among=[ContainerState.RUNNING], to=ContainerState.PAUSED)
        transaction.set_rollback(True)
    assert Event.objects.count() == before


def test_what_changes_nothing_is_no_event(running):
    before = Event.objects.count()
    states.change(running, among=[ContainerState.RUNNING], to=ContainerState.RUNNING)
    states.change(running, among=[ContainerState.EXITED], to=ContainerState.RUNNING)
    reconcile.reconcile()
    assert Event.objects.count() == before


@pytest.fixture
def some(transactional_db):
    for action, name in (("create", "web"), ("exec_start: ls -l", "web"), ("die", "db")):
        record(EventType.CONTAINER, action, {"web": "a", "db": "b"}[name] * 64, image="ubuntu:14.04", name=name)
    record(EventType.IMAGE, "pull", "centos:7", name="centos:7")
    record(EventType.VOLUME, "create", "data", driver="local")


@pytest.mark.parametrize(
    ("filters", "actions"),
    [
        ((), ["create", "exec_start: ls -l", "die", "pull", "create"]),
        ((("container", "web"),), ["create", "exec_start: ls -l"]),
        ((("container", "bbbb"),), ["die"]),
        ((("container", "web"), ("container", "db"), ("event", "die")), ["die"]),
        ((("event", "exec_start"),), ["exec_start: ls -l"]),
        ((("image", "centos:7"),), ["pull"]),
        ((("image", "ubuntu:14.04"), ("type", "container"), ("event", "create")), ["create"]),
        ((("type", "image"), ("type", "volume")), ["pull", "create"]),
        ((("volume", "data"),), ["create"]),
        ((("type", "network"),), []),
    ],
)
def test_filters_choose(some, user, filters, actions):
    assert [event.action for event in Reader.since(0, user, filters, every).read()] == actions


def test_filters_that_nothing_fits_are_refused(user):
    for filters in ((("label", "a"),), (("type", "planet"),)):
        with pytest.raises(DashboardError, match="invalid filter"):
            Reader.since(0, user, filters, every)
    with pytest.raises(Denied):
        Reader.since(0, None, (), every)


def test_a_reader_tells_each_event_once_whatever_the_order_of_commits(some, user):
    reader = Reader.since(None, user, (), every)
    assert reader.read() == []
    record(EventType.VOLUME, "create", "one")
    late = Event.objects.create(
        pk=Event.objects.last().pk + 10, time_ns=time.time_ns(), type="volume", action="x", actor=""
    )
    assert [event.action for event in reader.read()] == ["create", "x"]
    Event.objects.create(pk=late.pk - 5, time_ns=time.time_ns(), type="volume", action="earlier number", actor="")
    assert [event.action for event in reader.read()] == ["earlier number"]
    assert reader.read() == []


def test_between_two_moments(some, user):
    middle = Event.objects.all()[2].time_ns
    assert [event.action for event in Reader.since(middle, user, (), every).read()] == ["die", "pull", "create"]
    assert [event.action for event in Reader.since(0, user, (), every).read(until_ns=middle)][-1] == "die"


def test_only_what_one_may_see_is_told(some, user):
    restore = gate.use_policy(lambda user, permission, obj: permission is Permission.CONTAINER_VIEW)
    try:
        assert {event.type for event in Reader.since(0, user, (), every).read()} == {"container"}
    finally:
        restore()


def test_only_the_newest_are_kept(some):
    assert forget_old(most=9) == 0
    assert forget_old(most=2) == 3
    assert [event.action for event in Event.objects.all()] == ["pull", "create"]
    from dashboard.core.clock import registry

    assert "old events" in registry.entries
    assert history.MOST == 10_000
