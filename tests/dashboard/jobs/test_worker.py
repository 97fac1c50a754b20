"""Jobs through a real Redis and real Celery workers."""

from __future__ import annotations

import os
import pickle
import signal
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from dashboard.jobs import queue, reconcile, services
from dashboard.jobs.models import Job, JobState
from tests.dashboard.jobs.handlers import begun, enough, state
from tests.support.waiting import until

pytestmark = [pytest.mark.services]
LONG_S = 60


@pytest.fixture
def person(transactional_db):
    return User.objects.create_superuser("kim", password="a long password")


def _age(job: Job, seconds: float) -> None:
    before = timezone.now() - timedelta(seconds=seconds)
    Job.objects.filter(pk=job.pk).update(heartbeat_at=before, updated_at=before, enqueued_at=before)


@pytest.mark.threat("CEL-03")
@pytest.mark.threat("CEL-01")
def test_a_job_runs_in_a_worker_and_only_its_id_was_in_the_message(start_worker, redis_server, person):
    job = services.submit("test_echo", {"say": "canary-5f2e"}, requester=person)
    with redis_server.client() as client:
        held = b"".join(
            value for key in client.scan_iter() if client.type(key) == b"list" for value in client.lrange(key, 0, -1)
        )
    assert held
    assert b"canary-5f2e" not in held
    start_worker()
    ended = services.wait(job.pk, LONG_S)
    assert ended is not None
    assert (ended.state, ended.result["said"]) == (JobState.SUCCEEDED, "canary-5f2e")
    assert ended.result["pid"] != os.getpid()
    assert ended.attempts == 1


@pytest.mark.threat("CEL-01")
@pytest.mark.threat("CEL-02")
def test_forged_messages_do_nothing_and_the_worker_lives_on(start_worker, redis_server, person, tmp_path):
    worker = start_worker()

    class Boom:
        def __reduce__(self):
            return (open, (f"{tmp_path}/owned", "w"))

    with queue.app.connection_for_write() as connection:
        producer = connection.Producer()
        for args in (["1; rm -rf /"], [{"id": 1}], [999_999], [True], [1, 2]):
            queue.app.send_task("dashboard.jobs.run_job", args=args, queue="images", producer=producer)
        producer.publish(
            pickle.dumps(Boom()), content_type="application/x-python-serialize", content_encoding="binary",
            exchange="images", routing_key="images",
        )  # fmt: skip
        producer.publish(
            b"\xff\x00not json",
            content_type="application/json",
            content_encoding="utf-8",
            routing_key="images",
            exchange="images",
        )
    job = services.submit("test_echo", {"say": "still here"}, requester=person)
    assert services.wait(job.pk, LONG_S).state == JobState.SUCCEEDED
    assert worker.process.poll() is None
    assert not (tmp_path / "owned").exists()


@pytest.mark.threat("CEL-02")
def test_a_worker_refuses_what_is_meant_for_another_whatever_the_row_says(start_worker, person):
    start_worker()
    job = Job.objects.create(kind="test_engine_only", queue="images", requester=person)
    queue.enqueue(job)
    assert services.wait(job.pk, LONG_S).error_code == "wrong-queue"


@pytest.mark.threat("CEL-04")
def test_a_message_delivered_many_times_to_two_workers_is_done_once(start_worker, person, tmp_path):
    path = tmp_path / "begun"
    start_worker()
    start_worker()
    job = services.submit("test_wait", {"file": str(path)}, requester=person)
    for _ in range(12):
        queue.enqueue(job)
    until("both workers have had a message", lambda: queue.waiting_messages("images") == 0)
    enough(path)
    assert services.wait(job.pk, LONG_S).state == JobState.SUCCEEDED
    assert begun(path) == 1


@pytest.mark.threat("CEL-05")
@pytest.mark.fault("F01")
def test_a_job_whose_message_was_lost_is_sent_again_once(start_worker, redis_server, person):
    job = services.submit("test_echo", {"say": "lost"}, requester=person)
    with redis_server.client() as client:
        client.flushall()
    reconcile.resend_lost()
    assert queue.waiting_messages("images") == 0  # too young: its message may be on the way
    _age(job, 10)
    assert reconcile.resend_lost() == 1
    assert reconcile.resend_lost() == 0
    assert queue.waiting_messages("images") == 1
    start_worker()
    assert services.wait(job.pk, LONG_S).state == JobState.SUCCEEDED


@pytest.mark.fault("F12")
def test_a_worker_that_is_asked_to_end_puts_its_job_back_and_the_next_one_does_it(start_worker, person, tmp_path):
    path = tmp_path / "begun"
    worker = start_worker()
    job = services.submit("test_wait", {"file": str(path)}, requester=person)
    until("it has begun", lambda: begun(path) == 1)
    worker.process.terminate()
    until("it is put back", lambda: state(job) == JobState.QUEUED)
    assert worker.process.wait(LONG_S) == 0
    enough(path)
    start_worker()
    assert services.wait(job.pk, LONG_S).state == JobState.SUCCEEDED
    assert begun(path) == 2
    assert Job.objects.count() == 1


@pytest.mark.fault("F12")
def test_a_job_whose_worker_was_killed_is_done_by_another(start_worker, person, tmp_path):
    path = tmp_path / "begun"
    worker = start_worker()
    job = services.submit("test_wait", {"file": str(path)}, requester=person)
    until("it has begun", lambda: begun(path) == 1)
    worker.kill()
    assert reconcile.revive_stale() == 0
    _age(job, 31)
    assert reconcile.revive_stale() == 1
    assert state(job) == JobState.QUEUED
    enough(path)
    start_worker()
    assert services.wait(job.pk, LONG_S).state == JobState.SUCCEEDED
    assert Job.objects.get(pk=job.pk).attempts == 2


@pytest.mark.fault("F21")
def test_a_worker_that_wakes_up_late_writes_nothing(start_worker, person, tmp_path):
    path = tmp_path / "begun"
    slow = start_worker(processes=1)
    job = services.submit("test_wait", {"file": str(path)}, requester=person)
    until("it has begun", lambda: begun(path) == 1)
    os.killpg(slow.process.pid, signal.SIGSTOP)
    try:
        _age(job, 31)
        reconcile.revive_stale()
        enough(path)
        other = start_worker()
        ended = services.wait(job.pk, LONG_S)
        assert ended.state == JobState.SUCCEEDED
        other.stop()
    finally:
        os.killpg(slow.process.pid, signal.SIGCONT)
    until("the slow one has done it too", lambda: len(list(tmp_path.glob("begun.done-*"))) == 2)
    slow.stop()
    after = Job.objects.get(pk=job.pk)
    assert (after.fence, after.finished_at, after.state) == (ended.fence, ended.finished_at, JobState.SUCCEEDED)


def test_a_running_job_is_cancelled_at_its_next_look(start_worker, person, tmp_path):
    path = tmp_path / "begun"
    start_worker()
    job = services.submit("test_wait", {"file": str(path)}, requester=person)
    until("it has begun", lambda: begun(path) == 1)
    assert services.cancel(job, person)
    assert services.wait(job.pk, LONG_S).state == JobState.CANCELLED


def test_without_redis_a_job_waits_and_is_sent_when_it_is_back(start_worker, redis_server, person):
    redis_server.pause()
    try:
        job = services.submit("test_echo", {"say": "patient"}, requester=person)
        assert state(job) == JobState.QUEUED
        _age(job, 10)
        reconcile.reconcile()
    finally:
        redis_server.resume()
    Job.objects.filter(pk=job.pk).update(enqueued_at=None)
    assert reconcile.resend_lost() == 1
    start_worker()
    assert services.wait(job.pk, LONG_S).state == JobState.SUCCEEDED
