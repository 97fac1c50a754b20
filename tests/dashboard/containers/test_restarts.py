"""Restart policies: when a container is started again, how long that waits, and who ends it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from dashboard import gateway
from dashboard.containers import lifecycle, reconcile, restartticks, services
from dashboard.containers.models import Container
from dashboard.containers.restartpolicy import LONGEST_MS, RestartPolicy, next_wait_ms
from dashboard.core.errors import DashboardError
from dashboard.grammar import ContainerOptions, requests
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.listing import render_containers
from dashboard.grammar.runvalues import read_restart
from engine.errors import CommandNotFound, WrongState


def run(user, queue, restart: str, **more) -> Container:
    row = services.create(user, ContainerOptions(image="ubuntu:14.04", restart=restart, **more))
    services.start(row, user)
    queue.run()
    row.refresh_from_db()
    assert row.state == "running"
    return row


@pytest.fixture
def made(present, user, queue):
    present("ubuntu:14.04")
    return lambda restart, **more: run(user, queue, restart, **more)


def after_its_wait(row, queue) -> str:
    """What becomes of a container whose wait is over."""
    Container.objects.filter(pk=row.pk).exclude(restart_at=None).update(restart_at=timezone.now())
    restartticks.begin_due()
    queue.run()
    row.refresh_from_db()
    return row.state


def test_waits_double_up_to_a_minute_and_begin_anew_after_ten_seconds():
    waits = [0]
    for _ in range(12):
        waits.append(next_wait_ms(waits[-1], ran_s=0.2))
    assert waits[1:5] == [100, 200, 400, 800]
    assert waits[-1] == LONGEST_MS
    assert next_wait_ms(LONGEST_MS, ran_s=10) == 100


@pytest.mark.parametrize(
    ("text", "read"),
    [("no", ""), ("always", "always"), ("unless-stopped", "unless-stopped"), ("on-failure", "on-failure"),
     ("on-failure:3", "on-failure:3"), ("on-failure:0", "on-failure")],
)  # fmt: skip
def test_policies_are_read(text, read):
    assert read_restart(text) == read


@pytest.mark.parametrize("text", ["often", "always:3", "on-failure:x", "on-failure:-1", "no:1", "on-failure:"])
def test_what_is_no_policy_is_refused(text):
    with pytest.raises(ValueRefused, match="invalid restart policy"):
        read_restart(text)


@pytest.mark.parametrize(
    ("text", "code", "restarts_before", "wants"),
    [
        ("", 1, 0, False),
        ("always", 0, 9, True),
        ("unless-stopped", 0, 9, True),
        ("on-failure", 0, 0, False),
        ("on-failure", 1, 99, True),
        ("on-failure", None, 0, True),
        ("on-failure:2", 1, 1, True),
        ("on-failure:2", 1, 2, False),
    ],
)
def test_who_wants_to_be_started_again(text, code, restarts_before, wants):
    assert RestartPolicy.of(text).wants(exit_code=code, restarts=restarts_before) is wants


def test_one_that_fails_is_started_again_as_often_as_was_said(made, engine, queue):
    row = made("on-failure:2")
    for count in (1, 2):
        engine.end(row.container_id, 3)
        row.refresh_from_db()
        assert (row.state, services.docker_state(row), row.restart_count) == ("exited", "restarting", count)
        assert row.restart_at > timezone.now() - timedelta(seconds=1)
        assert after_its_wait(row, queue) == "running"
    engine.end(row.container_id, 3)
    assert after_its_wait(row, queue) == "exited"
    assert services.docker_state(row) == "exited"
    assert services.inspect(row)["RestartCount"] == 2


def test_its_wait_is_not_cut_short(made, engine, queue):
    row = made("always")
    engine.end(row.container_id, 0)
    Container.objects.filter(pk=row.pk).update(restart_at=timezone.now() + timedelta(seconds=60))
    restartticks.begin_due()
    queue.run()
    row.refresh_from_db()
    assert row.state == "exited"


def test_while_it_waits_it_is_listed_as_docker_does(made, engine):
    row = made("always")
    engine.end(row.container_id, 1)
    row.refresh_from_db()
    assert services.chosen_containers([row], requests.Ps()) == [row]
    assert services.chosen_containers([row], requests.Ps(filters=(("status", "restarting"),))) == [row]
    line = services.container_line(row, None)
    text = render_containers(requests.Ps(format="{{.Status}}"), [line], now=row.finished_at + timedelta(seconds=5))
    assert text == "Restarting (1) 5 seconds ago"
    document = services.inspect(row)
    assert document["State"]["Restarting"] is document["State"]["Running"] is True
    assert document["HostConfig"]["RestartPolicy"] == {"Name": "always", "MaximumRetryCount": 0}


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
@pytest.mark.parametrize("act", [services.stop, services.kill])
def test_stop_and_kill_end_it_while_it_runs_and_while_it_waits(made, engine, queue, user, policy, act):
    row = made(policy)
    act(row, user)
    queue.run()
    assert after_its_wait(row, queue) == "exited"
    services.start(row, user)
    queue.run()
    engine.end(row.container_id, 1)
    row.refresh_from_db()
    assert services.docker_state(row) == "restarting"
    assert act(row, user) is None
    assert after_its_wait(row, queue) == "exited"
    assert services.docker_state(row) == "exited"


def test_a_signal_that_only_tells_it_something_leaves_its_policy(made, engine, queue, user):
    row = made("always")
    services.kill(row, user, "HUP")
    queue.run()
    engine.end(row.container_id, 1)
    assert after_its_wait(row, queue) == "running"


def test_restarting_by_hand_keeps_the_policy_and_counts_anew(made, engine, queue, user):
    row = made("always")
    engine.end(row.container_id, 1)
    assert after_its_wait(row, queue) == "running"
    services.restart(row, user)
    queue.run()
    row.refresh_from_db()
    assert (row.state, row.restart_count, row.restart_at) == ("running", 0, None)
    engine.end(row.container_id, 1)
    assert after_its_wait(row, queue) == "running"


def test_removing_one_that_waits_needs_force(made, engine, queue, user):
    row = made("always")
    engine.end(row.container_id, 1)
    row.refresh_from_db()
    with pytest.raises(DashboardError, match="container is restarting: stop the container before removing"):
        services.remove(row, user)
    services.remove(row, user, force=True)
    queue.run()
    assert not Container.objects.exists()


def test_a_policy_and_rm_exclude_each_other(made, user):
    options = ContainerOptions(image="ubuntu:14.04", restart="always", auto_remove=True)
    with pytest.raises(DashboardError, match="cannot specify both --restart and --rm"):
        services.create(user, options)


def test_a_start_by_policy_that_fails_is_tried_again_and_one_by_hand_is_not(made, engine, queue, user):
    row = made("always")
    engine.end(row.container_id, 1)
    engine.fails = CommandNotFound("gone for a moment")
    assert after_its_wait(row, queue) == "exited"
    assert (services.docker_state(row), row.restart_wait_ms) == ("restarting", 200)
    assert after_its_wait(row, queue) == "running"
    services.stop(row, user)
    queue.run()
    row.refresh_from_db()
    engine.fails = CommandNotFound("gone")
    services.start(row, user)
    queue.run()
    row.refresh_from_db()
    assert services.docker_state(row) == "exited"


def test_one_that_nobody_knows_how_to_start_is_not_tried_without_a_pause(made, engine, queue, monkeypatch):
    """A mistake of ours, or a broken row: the clock would come back for it every 20 ms."""
    broken, sound = made("always"), made("always")
    for row in (broken, sound):
        engine.end(row.container_id, 1)

    def begin(row):
        if row.pk == broken.pk:
            raise KeyError("options")
        lifecycle.begin(row, by_hand=False)

    monkeypatch.setattr(lifecycle, "start_again", begin)
    Container.objects.update(restart_at=timezone.now())
    restartticks.begin_due()
    sound.refresh_from_db()
    broken.refresh_from_db()
    assert (sound.state, broken.state) == ("starting", "exited")
    assert broken.restart_at > timezone.now() + timedelta(seconds=50)


@pytest.mark.fault("F40")
def test_after_a_restart_of_the_host_it_runs_again_unless_it_was_stopped(made, engine, queue, user):
    rows = {policy: made(policy) for policy in ("", "always", "unless-stopped", "on-failure")}
    services.stop(stopped := made("unless-stopped"), user)
    queue.run()
    engine.watched.clear()
    for row in rows.values():
        ended = gateway.Exit(None, False, datetime.now(UTC), "The host was restarted.")
        engine.seen[row.container_id] = gateway.Observed(gateway.State.EXITED, None, ended)
    reconcile.reconcile()
    states = {policy: after_its_wait(row, queue) for policy, row in rows.items()}
    assert states == {"": "exited", "always": "running", "unless-stopped": "running", "on-failure": "running"}
    assert after_its_wait(stopped, queue) == "exited"


def test_a_start_of_berth_brings_back_what_always_runs_and_one_of_its_worker_does_not(
    made, queue, user, settings, tmp_path
):
    settings.BERTH_RUN = tmp_path
    rows = {policy: made(policy) for policy in ("", "always", "unless-stopped")}
    for row in rows.values():
        services.stop(row, user)
    queue.run()
    restartticks.apply_after_start()  # no server: nothing
    assert {after_its_wait(row, queue) for row in rows.values()} == {"exited"}
    (tmp_path / "admin-token").write_text("first")
    restartticks.apply_after_start()
    assert [after_its_wait(row, queue) for row in rows.values()] == ["exited", "running", "exited"]
    services.stop(rows["always"], user)
    queue.run()
    restartticks.apply_after_start()  # the worker came back alone
    assert after_its_wait(rows["always"], queue) == "exited"


@pytest.mark.fault("F13")
def test_a_wait_that_nobody_was_there_for_is_begun_by_the_next_look(made, engine, queue):
    row = made("always")
    engine.end(row.container_id, 1)
    Container.objects.filter(pk=row.pk).update(restart_at=timezone.now() - timedelta(hours=1))
    restartticks.begin_due()
    queue.run()
    row.refresh_from_db()
    assert row.state == "running"


def test_a_forced_removal_wins_over_a_start_that_was_under_way(made, engine, queue, user, monkeypatch):
    row = made("always")
    engine.end(row.container_id, 1)
    row.refresh_from_db()
    real = engine.remove

    def remove(container_id):
        monkeypatch.setattr(engine, "remove", real)
        engine.start(container_id, rows=24, columns=80)  # the start had the lock, and has let it run
        raise WrongState("is running")

    monkeypatch.setattr(engine, "remove", remove)
    services.remove(row, user, force=True)
    queue.run()
    assert not Container.objects.exists()
    assert ("stop", row.container_id, 0, "KILL") in engine.calls


def test_killing_one_that_is_just_being_started_ends_it(made, engine, queue, user):
    row = made("always")
    engine.end(row.container_id, 1)
    Container.objects.filter(pk=row.pk).update(restart_at=timezone.now())
    restartticks.begin_due()  # its job waits
    row.refresh_from_db()
    assert (row.state, services.docker_state(row)) == ("starting", "restarting")
    services.kill(row, user)
    queue.run()
    assert after_its_wait(row, queue) == "exited"
