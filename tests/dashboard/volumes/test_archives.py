"""Backups and restores as rows and jobs: who may, what excludes what, what every end leaves behind."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from dashboard import gateway
from dashboard.containers import services as containers
from dashboard.core import gate
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Denied, Permission
from dashboard.grammar import ContainerOptions
from dashboard.jobs import stopping
from dashboard.jobs.models import Job, JobState
from dashboard.transfers import services as transfers
from dashboard.volumes import archives, handlers, services, ticks
from dashboard.volumes.models import Volume, VolumeState
from engine.errors import ArchiveRejected, StoreFull

pytestmark = pytest.mark.django_db(transaction=True)
OPTIONS = ContainerOptions(image="ubuntu:14.04")


@pytest.fixture
def volume(user):
    return services.create(user, "data")


@pytest.fixture
def arrive(volume, user, data):
    """An archive that has arrived for the volume."""

    def make(content=b"new"):
        made = archives.begin_restore(volume, user)
        (data / "transfers" / made.key).write_bytes(content)
        assert transfers.arrived(made, len(content))
        return made

    return make


def state() -> str:
    return Volume.objects.get().state


def files(data):
    return list((data / "transfers").iterdir())


def test_a_backup_is_a_file_that_waits_to_be_sent(volume, user, queue, engine, data):
    made = archives.begin_backup(volume, user)
    assert not transfers.find(user, made.key).is_ready
    queue.run()
    ready = transfers.find(user, made.key)
    assert (ready.is_ready, ready.filename, ready.job.result["entries"]) == (True, "data.tar", 3)
    assert (data / "transfers" / made.key).read_bytes() == b"tar of data"


def test_two_people_back_one_volume_up_at_once(volume, user, queue, engine, data):
    for _ in range(2):
        archives.begin_backup(volume, user)
    queue.run()
    assert len(files(data)) == 2


def test_archives_leave_threads_to_the_containers(volume, user, queue, engine, data, arrive, monkeypatch):
    """Each may take hours; one that finds no place is refused, and the volume is as it was."""
    monkeypatch.setattr(handlers, "_places", threading.BoundedSemaphore(1))
    made, backup = arrive(), archives.begin_backup(services.create(user, "other"), user)
    with handlers._place():
        job = archives.restore(volume, user, made)
        queue.run()
    for refused in (job, backup.job):
        refused.refresh_from_db()
        assert refused.state == JobState.FAILED
        assert refused.error.endswith(
            "archives of volumes are being written or read already. Try again when one of them is done."
        )
    assert {one.state for one in Volume.objects.all()} == {VolumeState.READY}
    assert engine.archives == {}
    archives.restore(volume, user, arrive())
    queue.run()
    assert engine.archives == {"data": b"new"}


def test_a_restore_replaces_and_leaves_no_file(volume, user, queue, engine, data, arrive):
    made = arrive()
    job = archives.restore(volume, user, made)
    assert state() == VolumeState.RESTORING
    queue.run()
    job.refresh_from_db()
    assert (job.state, job.result) == (JobState.SUCCEEDED, {"entries": 3, "dropped": 0})
    assert engine.archives == {"data": b"new"}
    assert state() == VolumeState.READY
    assert files(data) == []


@pytest.mark.parametrize("error", [ArchiveRejected("The archive is refused: it is empty."), StoreFull("disk full")])
def test_a_restore_that_fails_leaves_a_volume_that_can_be_used(volume, user, queue, engine, data, arrive, error):
    job = archives.restore(volume, user, arrive())
    engine.archive_fails = error
    queue.run()
    job.refresh_from_db()
    assert (job.state, job.error) == (JobState.FAILED, str(error))
    assert state() == VolumeState.READY
    assert files(data) == []
    assert engine.archives == {}


def test_while_it_is_restored_nobody_else_has_it(volume, user, queue, engine, pulled, arrive):
    pulled("ubuntu:14.04")
    second = arrive()
    archives.restore(volume, user, arrive())
    for act in (
        lambda: archives.begin_backup(volume, user),
        lambda: archives.begin_restore(volume, user),
        lambda: archives.restore(volume, user, second),
        lambda: services.remove(volume, user),
        lambda: services.create(user, "data"),
        lambda: containers.create(user, replace(OPTIONS, volumes=("data:/data",))),
    ):
        with pytest.raises(DashboardError, match="is being restored just now"):
            act()
    queue.run()
    containers.create(user, replace(OPTIONS, volumes=("data:/data",)))


def test_while_it_is_backed_up_it_is_neither_removed_nor_restored(volume, user, queue, engine, pulled):
    pulled("ubuntu:14.04")
    archives.begin_backup(volume, user)
    for act in (lambda: services.remove(volume, user), lambda: archives.begin_restore(volume, user)):
        with pytest.raises(DashboardError, match="is being backed up just now"):
            act()
    containers.create(user, replace(OPTIONS, volumes=("data:/data",)))  # but used, as it is no snapshot
    queue.run()


def test_while_it_is_removed_nothing_else_happens(volume, user, queue, engine):
    services.remove(volume, user)
    for act in (archives.begin_backup, archives.begin_restore):
        with pytest.raises(DashboardError, match="is being removed just now"):
            act(volume, user)
    queue.run()
    for act in (archives.begin_backup, archives.begin_restore):
        with pytest.raises(services.NoSuchVolume, match="get data: no such volume"):
            act(volume, user)


def test_containers_that_have_it_are_named(volume, user, queue, engine, pulled, arrive):
    made = arrive()
    pulled("ubuntu:14.04")
    container = containers.create(user, replace(OPTIONS, volumes=("data:/data",)))
    for act in (lambda: archives.begin_restore(volume, user), lambda: archives.restore(volume, user, made)):
        with pytest.raises(services.VolumeInUse) as refused:
            act()
        assert str(refused.value) == f"restore data: volume is in use - [{container.container_id}]"
    assert state() == VolumeState.READY


@pytest.mark.parametrize(
    ("permission", "act"),
    [(Permission.VOLUME_BACKUP, archives.begin_backup), (Permission.VOLUME_RESTORE, archives.begin_restore)],
)
def test_each_has_a_right_of_its_own(volume, user, permission, act):
    restore = gate.use_policy(lambda user, asked, obj: asked is not permission)
    try:
        with pytest.raises(Denied):
            act(volume, user)
    finally:
        restore()


def test_the_right_is_asked_again_when_the_job_begins(volume, user, queue, engine, arrive):
    job = archives.restore(volume, user, arrive())
    restore = gate.use_policy(lambda user, asked, obj: False)
    try:
        queue.run()
    finally:
        restore()
    job.refresh_from_db()
    assert (job.state, job.error_code) == (JobState.FAILED, "denied")
    Volume.objects.update(updated_at=timezone.now() - timedelta(minutes=1))
    ticks.release_restored()
    assert state() == VolumeState.READY
    assert engine.archives == {}


def test_a_backup_that_is_ended_while_it_is_written_leaves_no_file(volume, user, queue, engine, data):
    made = archives.begin_backup(volume, user)
    engine.during_archive = lambda _name: transfers.end(made.key)
    queue.run()
    assert files(data) == []


def test_a_restore_that_nobody_has_begun_is_cancelled_at_once(volume, user, queue, engine, data, arrive):
    made = arrive()
    archives.restore(volume, user, made)
    archives.cancel_restore(made)
    assert state() == VolumeState.READY
    queue.run()
    assert files(data) == []
    assert engine.archives == {}


def test_a_restore_that_is_cancelled_leaves_the_volume_as_it_was(
    volume, user, queue, engine, data, arrive, monkeypatch
):
    monkeypatch.setattr("dashboard.jobs.registry.LOOK_EVERY_S", 0)
    made = arrive()
    job = archives.restore(volume, user, made)
    engine.during_archive = lambda _name: archives.cancel_restore(made)
    queue.run()
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    assert engine.archives == {}
    assert state() == VolumeState.READY
    assert files(data) == []


@pytest.mark.fault("F12")
def test_a_worker_that_ends_does_it_again_later(volume, user, queue, engine, data, arrive):
    job = archives.restore(volume, user, arrive())
    engine.during_archive = lambda _name: stopping.ask()
    try:
        queue.run(1)
        job.refresh_from_db()
        assert (job.state, state()) == (JobState.QUEUED, VolumeState.RESTORING)
        assert len(files(data)) == 1
    finally:
        stopping.reset()
    engine.during_archive = None
    queue.run()
    assert engine.archives == {"data": b"new"}
    assert (state(), files(data)) == (VolumeState.READY, [])


@pytest.mark.fault("F20")
def test_a_volume_whose_restore_is_lost_is_given_back(volume, user, queue, engine, arrive):
    archives.restore(volume, user, arrive())
    queue.waiting.clear()
    ticks.release_restored()
    Volume.objects.update(updated_at=timezone.now() - timedelta(minutes=1))
    ticks.release_restored()
    assert state() == VolumeState.RESTORING  # its job is only queued
    Job.objects.update(state=JobState.FAILED)
    ticks.release_restored()
    assert state() == VolumeState.READY


def test_the_archive_is_gone(data):
    with pytest.raises(gateway.NotStored, match="The archive is gone"):
        gateway.open_transfer("0" * 32)
