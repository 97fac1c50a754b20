"""Rows of volumes, their jobs, and what is left after crashes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from dashboard.containers import services as containers
from dashboard.containers.models import Container, VolumeUse
from dashboard.core import gate
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Denied, Permission
from dashboard.grammar import ContainerOptions
from dashboard.jobs.models import Job, JobState
from dashboard.volumes import services, ticks
from dashboard.volumes.models import Volume, VolumeState
from engine.errors import WrongState

pytestmark = pytest.mark.django_db(transaction=True)
OPTIONS = ContainerOptions(image="ubuntu:14.04")


def test_a_container_is_refused_a_volume_that_is_being_removed(user, pulled, queue):
    pulled("ubuntu:14.04")
    services.remove(services.create(user, "data"), user)
    with pytest.raises(DashboardError, match="is being removed just now"):
        containers.create(user, replace(OPTIONS, volumes=("data:/data",)))
    assert not Container.objects.exists()
    with pytest.raises(DashboardError, match="is being removed just now"):
        services.create(user, "data")
    queue.run()
    assert not Volume.objects.exists()
    containers.create(user, replace(OPTIONS, volumes=("data:/data",)))


def test_the_database_itself_keeps_a_volume_that_is_used(user, pulled):
    from django.db.models import ProtectedError

    pulled("ubuntu:14.04")
    made = containers.create(user, replace(OPTIONS, volumes=("data:/data", "data:/again")))
    with pytest.raises(ProtectedError):
        Volume.objects.get().delete()
    assert services.users_of(Volume.objects.get()) == [made.container_id]


def test_a_container_that_cannot_be_made_makes_no_volumes(user, pulled, monkeypatch):
    pulled("ubuntu:14.04")
    containers.create(user, replace(OPTIONS, name="taken"))
    with pytest.raises(containers.NameTaken):
        containers.create(user, replace(OPTIONS, name="taken", volumes=("data:/data",)))
    assert not Volume.objects.exists()


def test_using_a_volume_is_asked_of_the_gate(user, pulled):
    pulled("ubuntu:14.04")
    restore = gate.use_policy(lambda user, permission, obj: permission is not Permission.VOLUME_USE)
    try:
        with pytest.raises(Denied):
            containers.create(user, replace(OPTIONS, volumes=("data:/data",)))
    finally:
        restore()
    assert not Volume.objects.exists()
    assert not Container.objects.exists()


@pytest.mark.fault("F20")
def test_a_removal_whose_job_is_lost_is_asked_for_again(user, queue, engine):
    volume = services.create(user, "data")
    services.remove(volume, user)
    queue.waiting.clear()
    Job.objects.update(state=JobState.FAILED)
    ticks.resubmit_removals()  # not at once: the job may only have ended this moment
    assert not queue.waiting
    Volume.objects.update(updated_at=timezone.now() - timedelta(minutes=1))
    ticks.resubmit_removals()
    ticks.resubmit_removals()
    queue.run()
    assert not Volume.objects.exists()
    assert engine.calls == [("remove_volume", "data")]


@pytest.mark.fault("F25")
def test_a_volume_that_a_container_without_a_row_has_comes_back(user, queue, engine, monkeypatch):
    services.remove(services.create(user, "data"), user)
    engine.remove_volume_fails = WrongState("volume is in use - [abc]")
    told = []
    monkeypatch.setattr(services, "publish", lambda topic, payload: told.append((topic, payload["state"])))
    queue.run()
    assert Volume.objects.get().state == VolumeState.READY
    assert told == [("volumes", VolumeState.READY)]
    assert Job.objects.get().error == "volume is in use - [abc]"


@pytest.mark.fault("F25")
def test_a_folder_without_a_row_is_left_alone_and_reported_once(user, engine, caplog):
    services.create(user, "known")
    engine.volumes |= {"known": 1, "found": 1}
    ticks.report_unknown()
    ticks.report_unknown()
    assert [record.getMessage() for record in caplog.records] == ["the volume found has no row; it is left alone"]
    assert engine.calls == []


def test_removing_a_container_twice_after_a_crash_still_takes_its_anonymous_volumes(user, pulled, queue, engine):
    pulled("ubuntu:14.04")
    made = containers.create(user, replace(OPTIONS, volumes=("/own",)))
    containers.remove(made, user, volumes=True)
    real = Container.delete

    def die(self):
        raise SystemExit

    Container.delete = die
    try:
        with pytest.raises(SystemExit):
            queue.run()
    finally:
        Container.delete = real
    assert Volume.objects.get().state == VolumeState.REMOVING
    assert not VolumeUse.objects.exists()
    Volume.objects.update(updated_at=timezone.now() - timedelta(minutes=1))
    ticks.resubmit_removals()
    queue.run()
    assert not Volume.objects.exists()


def test_measuring_writes_sizes_down(user, queue, engine):
    services.create(user, "data")
    engine.volumes["data"] = 4096
    services.measure_stale(user)
    queue.run()
    assert Volume.objects.get().size_bytes == 4096
    services.measure_stale(user)
    assert not queue.waiting
