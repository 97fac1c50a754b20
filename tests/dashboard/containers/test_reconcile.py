"""Rows that are wrong become true: each case of the table at the top of `reconcile.py`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dashboard import gateway
from dashboard.containers import reconcile, services
from dashboard.containers.models import Container
from dashboard.grammar import ContainerOptions
from dashboard.jobs.models import Job


@pytest.fixture
def container(present, user):
    present("centos:7")
    return services.create(user, ContainerOptions(image="centos:7"))


@pytest.fixture
def running(container, user, queue, engine):
    services.start(container, user)
    queue.run()
    container.refresh_from_db()
    return container


def state(row):
    row.refresh_from_db()
    return row.state


def seen(state, *, pid=None, exit_=None, **more):
    return gateway.Observed(state, pid, exit_, **more)


@pytest.mark.fault("F17")
def test_a_container_killed_from_outside_while_nobody_watched(running, engine):
    engine.watched.clear()
    ended = gateway.Exit(137, False, datetime.now(UTC))
    engine.seen[running.container_id] = seen(gateway.State.EXITED, exit_=ended)
    reconcile.reconcile()
    assert state(running) == "exited"
    assert running.exit_code == 137
    assert ("release", running.container_id) in engine.calls


@pytest.mark.fault("F40")
@pytest.mark.fault("F18")
def test_a_reboot_ends_everything_with_an_unknown_code(running, engine):
    engine.watched.clear()
    ended = gateway.Exit(None, False, datetime.now(UTC), "The host was restarted.")
    engine.seen[running.container_id] = seen(gateway.State.EXITED, exit_=ended)
    reconcile.reconcile()
    assert state(running) == "exited"
    assert running.exit_code is None
    assert running.error == "The host was restarted."


@pytest.mark.fault("F16")
def test_a_lost_monitor_ends_with_an_unknown_code(running, engine, user, queue):
    engine.watched.clear()
    engine.seen[running.container_id] = seen(gateway.State.MONITOR_LOST, pid=4321)
    reconcile.reconcile()
    assert state(running) == "exited"
    assert running.exit_code is None
    assert "monitor was lost" in running.error
    assert ("end_unmonitored", running.container_id) in engine.calls
    services.remove(running, user)
    queue.run()
    assert not Container.objects.exists()


@pytest.mark.fault("F20")
def test_a_running_row_of_which_nothing_is_left(running, engine):
    engine.watched.clear()
    del engine.seen[running.container_id]
    reconcile.reconcile()
    assert state(running) == "exited"
    assert running.exit_code is None


@pytest.mark.fault("F13")
def test_a_worker_that_died_after_the_start_is_adopted_by_the_next(container, engine, user, queue):
    services.start(container, user)
    queue.waiting.clear()
    Job.objects.filter(kind="start_container").delete()
    engine.seen[container.container_id] = seen(gateway.State.RUNNING, pid=99, started_at=datetime.now(UTC))
    reconcile.reconcile()
    assert state(container) == "running"
    assert container.pid == 99
    assert engine.is_watching(container.container_id)


@pytest.mark.fault("F13")
def test_a_start_job_that_runs_again_adopts_what_runs_already(container, engine, user, queue):
    services.start(container, user)
    engine.seen[container.container_id] = seen(gateway.State.RUNNING, pid=99, started_at=datetime.now(UTC))
    queue.run()
    assert state(container) == "running"
    assert container.pid == 99
    assert not [call for call in engine.calls if call[0] == "start"]


@pytest.mark.fault("F13")
def test_a_start_that_was_cut_off_is_undone_with_its_stage(container, engine, user, queue):
    services.start(container, user)
    queue.waiting.clear()
    Job.objects.filter(kind="start_container").delete()
    engine.seen[container.container_id] = seen(gateway.State.CREATED, stage="network")
    reconcile.reconcile()
    assert state(container) == "created"
    assert "cut off at the step 'network'" in container.error
    assert ("release", container.container_id) in engine.calls


def test_what_a_live_job_works_on_is_left_to_it(container, engine, user, queue):
    services.start(container, user)
    engine.seen[container.container_id] = seen(gateway.State.CREATED, stage="mount")
    reconcile.reconcile()
    assert state(container) == "starting"


def test_a_removal_whose_job_is_gone_is_asked_again(container, engine, user, queue):
    services.remove(container, user)
    queue.waiting.clear()
    Job.objects.filter(kind="remove_container").delete()
    reconcile.reconcile()
    queue.run()
    assert not Container.objects.exists()


def test_a_stop_whose_job_is_gone_is_running_again(running, engine, user, queue):
    services.stop(running, user)
    queue.waiting.clear()
    Job.objects.filter(kind="stop_container").delete()
    reconcile.reconcile()
    assert state(running) == "running"


def test_after_a_restart_of_the_worker_running_ones_are_watched_again(running, engine):
    engine.watched.clear()
    reconcile.reconcile()
    assert engine.is_watching(running.container_id)
    engine.end(running.container_id, 5)
    assert state(running) == "exited"
    assert running.exit_code == 5


@pytest.mark.fault("F25")
def test_a_row_from_an_older_backup_follows_the_running_container(running, engine):
    Container.objects.filter(pk=running.pk).update(state="exited", exit_code=0)
    reconcile.reconcile()
    assert state(running) == "running"
    assert running.exit_code is None


@pytest.mark.fault("F25")
def test_what_has_no_row_is_never_touched(container, engine, monkeypatch):
    engine.seen["d" * 64] = seen(gateway.State.RUNNING, pid=1)
    monkeypatch.setattr(reconcile, "_round", 0)
    reconcile.reconcile()
    assert not [call for call in engine.calls if "d" * 64 in call]
    assert "d" * 64 in engine.seen


def test_one_container_in_trouble_does_not_keep_the_others_from_their_truth(running, engine, user, queue, monkeypatch):
    other = services.create(user, ContainerOptions(image="centos:7"))
    Container.objects.filter(pk=other.pk).update(created_at=datetime.now(UTC) + timedelta(hours=1))
    engine.watched.clear()
    del engine.seen[running.container_id]
    real = engine.observe

    def observe(container_id):
        if container_id == other.container_id:
            raise OSError("broken")
        return real(container_id)

    monkeypatch.setattr(engine, "observe", observe)
    reconcile.reconcile()
    assert state(running) == "exited"


def test_rm_is_done_by_the_clock_when_nobody_else_did(present, user, engine, queue):
    present("centos:7")
    row = services.create(user, ContainerOptions(image="centos:7", auto_remove=True))
    Container.objects.filter(pk=row.pk).update(state="exited", exit_code=0)
    reconcile.reconcile()
    queue.run()
    assert not Container.objects.exists()
