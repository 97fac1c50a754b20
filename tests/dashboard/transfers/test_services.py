"""The life of a transfer: whose it is, how many, who ends it, what is swept."""

from __future__ import annotations

import os
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from dashboard.core.errors import DashboardError, NotFound
from dashboard.core.gate import Denied, Permission
from dashboard.jobs.models import Job, JobState
from dashboard.transfers import services
from dashboard.transfers.models import Direction, Transfer

pytestmark = pytest.mark.django_db(transaction=True)


def file_of(data, transfer):
    return data / "transfers" / transfer.key


def age(transfer, **ages):
    Transfer.objects.filter(pk=transfer.pk).update(**{name: timezone.now() - ago for name, ago in ages.items()})


def test_a_person_has_a_few_on_their_way_and_no_more(incoming, user):
    made = [incoming() for _ in range(services.MOST_OF_PERSON)]
    with pytest.raises(DashboardError, match="8 archives on their way already"):
        incoming()
    services.end(made[0].key)
    incoming()


def test_nobody_begins_one(data):
    with pytest.raises(Denied):
        services.begin(None, Direction.IN, permission=Permission.VOLUME_RESTORE, team_id=1, subject="x")


def test_it_is_its_owners(outgoing, user, stranger):
    made = outgoing()
    assert services.find(user, made.key) == made
    with pytest.raises(NotFound):
        services.find(stranger, made.key)


def test_ended_it_has_no_file_and_no_job(outgoing, data, user):
    made = outgoing()
    Job.objects.filter(pk=made.job_id).update(state=JobState.RUNNING)
    services.end(made.key)
    services.end(made.key)
    assert not file_of(data, made).exists()
    assert Job.objects.get(pk=made.job_id).cancel_requested
    assert services.find_open(user, made.key) is None
    assert services.known(user, made.key) == made


def test_what_nobody_asks_for_any_more_is_ended(outgoing, incoming, data):
    fresh, silent, half, read = outgoing(), outgoing(), incoming(), incoming()
    for transfer in (half, read):
        file_of(data, transfer).write_bytes(b"x")
    services.attach(read, Job.objects.create(kind="restore_volume", state=JobState.RUNNING, queue="engine"))
    for transfer in (silent, half, read):
        age(transfer, heartbeat_at=services.ABANDONED_AFTER + timedelta(seconds=1))
    services.sweep()
    there = [file_of(data, transfer).exists() for transfer in (fresh, silent, half, read)]
    assert there == [True, False, False, True]  # a job is at work on the last
    services.beat(fresh.key)


def test_nothing_stays_for_ever_even_if_somebody_pretends_to_wait(outgoing, data):
    made = outgoing()
    age(made, created_at=services.LONGEST + timedelta(seconds=1))
    services.sweep()
    assert not file_of(data, made).exists()


def test_rows_are_forgotten_after_an_hour_and_files_without_a_row_soon(outgoing, data):
    made = outgoing()
    services.end(made.key)
    age(made, ended_at=services.REMEMBERED_FOR + timedelta(seconds=1))
    new, old = data / "transfers" / ("a" * 32), data / "transfers" / ("b" * 32)
    for path in (new, old):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 1000,) * 2)
    services.sweep()
    assert not Transfer.objects.exists()
    assert (new.exists(), old.exists()) == (True, False)
