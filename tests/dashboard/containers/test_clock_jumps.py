"""The host's clock is set, far ahead or far back: what works goes on, what waits waits no longer, what is lost is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from dashboard.containers import restartticks, services
from dashboard.containers.models import Container, Health
from dashboard.core import clock
from dashboard.core.gate import Permission
from dashboard.grammar import ContainerOptions
from dashboard.jobs import reconcile, runner
from dashboard.jobs.models import Job, JobState
from dashboard.terminals import sessions, ticks
from dashboard.terminals.models import StreamSession
from dashboard.transfers import services as transfers
from dashboard.transfers.models import Direction, Transfer
from dashboard.transfers.ticks import sweep_transfers

pytestmark = [pytest.mark.django_db, pytest.mark.fault("F42")]
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
JUMPS = [
    NOW + timedelta(hours=1),
    NOW - timedelta(hours=1),
    datetime(1970, 1, 2, tzinfo=UTC),
    datetime(2100, 1, 1, tzinfo=UTC),
]


class HostClock:
    """`now` is what everybody's clock says; `told` is the engine worker's loop, which looks before it does anything."""

    def __init__(self, monkeypatch) -> None:
        self.now, self._since_boot = NOW, 1000.0
        monkeypatch.setattr(timezone, "now", lambda: self.now)
        monkeypatch.setattr(clock, "_ahead_s", lambda: self.now.timestamp() - self._since_boot)
        self.loop = clock.Clock()

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self._since_boot += seconds
        self.loop.look_for_jump()

    def jumps(self, to: datetime) -> None:
        self.now = to

    def is_noticed(self) -> None:
        self.passes(1)


@pytest.fixture
def host(monkeypatch):
    return HostClock(monkeypatch)


@pytest.fixture
def working(db):
    user = User.objects.create_user("worker", password=None)

    def make(**fields) -> Job:
        return Job.objects.create(kind="test", queue="images", requester=user, updated_at=timezone.now(), **fields)

    return make


@pytest.fixture(params=JUMPS, ids=["an-hour-ahead", "an-hour-back", "1970", "2100"])
def jump(request):
    return request.param


def test_a_job_that_beats_goes_on_and_one_whose_worker_is_lost_is_found_in_half_a_minute(host, working, jump):
    job = working(state=JobState.RUNNING, fence=1, attempts=1, heartbeat_at=timezone.now())
    host.passes(3)
    host.jumps(jump)
    host.is_noticed()
    assert reconcile.revive_stale() == 0
    host.passes(reconcile.STALE_S - 6)
    assert reconcile.revive_stale() == 0
    host.passes(4)
    assert reconcile.revive_stale() == 1
    job.refresh_from_db()
    assert (job.state, job.fence) == (JobState.QUEUED, 2)


def test_a_beat_that_came_before_anybody_noticed_is_left_as_it_is(host, working, jump):
    job = working(state=JobState.RUNNING, fence=1, heartbeat_at=timezone.now())
    host.jumps(jump)
    Job.objects.update(heartbeat_at=timezone.now())
    beat = Job.objects.get(pk=job.pk).heartbeat_at
    host.is_noticed()
    assert Job.objects.get(pk=job.pk).heartbeat_at == beat


def test_a_retry_waits_for_as_long_as_it_was_to(host, working, jump):
    job = working(state=JobState.QUEUED, not_before=timezone.now() + timedelta(seconds=60))
    host.jumps(jump)
    host.is_noticed()
    assert runner.claim(job.pk) is None
    host.passes(60)
    assert runner.claim(job.pk) is not None


def test_a_message_that_is_lost_is_sent_again(host, working, jump, monkeypatch):
    sent = []
    monkeypatch.setattr(reconcile, "waiting_messages", lambda _queue: 0)
    monkeypatch.setattr(reconcile, "enqueue", lambda job: sent.append(job.pk) or True)
    job = working(state=JobState.QUEUED, enqueued_at=timezone.now())
    host.jumps(jump)
    host.is_noticed()
    assert reconcile.resend_lost() == 0
    host.passes(reconcile.MESSAGE_GRACE_S)
    assert reconcile.resend_lost() == 1
    assert sent == [job.pk]


@pytest.fixture
def container(present, user, queue):
    present("ubuntu:14.04")
    row = services.create(user, ContainerOptions(image="ubuntu:14.04", restart="always"))
    services.start(row, user)
    queue.run()
    row.refresh_from_db()
    return row


def test_a_restart_and_a_probe_come_when_they_were_to_come(host, container, engine, queue, jump):
    engine.end(container.container_id, 1)
    Container.objects.update(restart_at=timezone.now() + timedelta(seconds=50))
    Health.objects.create(container=container, next_at=timezone.now() + timedelta(seconds=20))
    host.jumps(jump)
    host.is_noticed()
    restartticks.begin_due()
    container.refresh_from_db()
    assert container.state == "exited"
    assert Health.objects.get().next_at - timezone.now() == timedelta(seconds=19)
    host.passes(50)
    restartticks.begin_due()
    container.refresh_from_db()
    assert container.state == "starting"


def test_streams_and_transfers_that_are_alive_stay_and_others_go(host, container, user, jump):
    stream = sessions.open_session(container, user, kind="cli", mode="attach")
    transfer = transfers.begin(user, Direction.OUT, permission=Permission.IMAGE_VIEW, team_id=1, subject="ubuntu:14.04")
    StreamSession.objects.update(heartbeat_at=timezone.now())
    Transfer.objects.update(heartbeat_at=timezone.now(), created_at=timezone.now())
    host.jumps(jump)
    host.is_noticed()
    assert sessions.count_of(user) == 1
    ticks.forget_old_streams()
    sweep_transfers()
    assert StreamSession.objects.filter(pk=stream.pk).exists()
    assert transfers.find_open(user, transfer.key) is not None
    host.passes(transfers.ABANDONED_AFTER.total_seconds())
    assert sessions.count_of(user) == 0
    sweep_transfers()
    assert transfers.find_open(user, transfer.key) is None


def test_moments_of_a_clock_that_was_set_back_while_no_engine_worker_ran_are_recognised(
    host, working, container, engine
):
    engine.end(container.container_id, 1)
    Container.objects.update(restart_at=timezone.now() + timedelta(seconds=50))
    lost = working(state=JobState.RUNNING, fence=1, attempts=1, heartbeat_at=timezone.now())
    waiting = working(state=JobState.QUEUED, not_before=timezone.now() + timedelta(seconds=60))
    host.jumps(NOW - timedelta(hours=1))
    assert reconcile.revive_stale() == 1
    assert runner.claim(waiting.pk) is not None
    assert runner.claim(lost.pk) is not None
    restartticks.begin_due()
    container.refresh_from_db()
    assert container.state == "starting"


def test_one_app_that_cannot_move_its_moments_keeps_no_other_from_it(host, working, monkeypatch, caplog):
    def broken(_by):
        raise ZeroDivisionError

    monkeypatch.setattr(clock.registry, "on_jump", [broken, *clock.registry.on_jump])
    working(state=JobState.RUNNING, fence=1, heartbeat_at=timezone.now())
    host.jumps(NOW + timedelta(hours=1))
    host.is_noticed()
    assert reconcile.revive_stale() == 0
    assert "the host's clock was set, by 3600 s" in caplog.text
    assert "could not be moved along" in caplog.text
