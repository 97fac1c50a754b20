"""Rows, keys, fences, retries: without a worker process, everything else real."""

from __future__ import annotations

import errno
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.db import connections, transaction
from django.utils import timezone

from dashboard.core import gate
from dashboard.core.gate import Denied, Permission
from dashboard.jobs import reconcile, registry, runner, services, stopping
from dashboard.jobs.models import Job, JobState
from engine.errors import Cancelled, LayerRejected, RegistryUnreachable

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch):
    jobs: list[int] = []
    for module in (services, runner, reconcile):
        monkeypatch.setattr(module, "enqueue", lambda job: jobs.append(job.pk) or True)
    return jobs


@pytest.fixture
def person(db):
    return User.objects.create_superuser("haeun", password=None)


@pytest.fixture
def kind(monkeypatch):
    """Registers a handler under the name "test" for this test."""

    def use(run, **how):
        chosen = registry.Handler(kind="test", queue="images", run=run, **how)
        monkeypatch.setitem(registry.handlers, "test", chosen)

    return use


def row(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def test_a_message_goes_out_when_the_transaction_commits_and_not_before(
    sent, person, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        job = services.submit("test", {"a": 1}, requester=person)
        assert sent == []
    assert sent == [job.pk]


def test_asking_again_with_the_same_key_joins_the_live_job(sent, person):
    first = services.submit("test", {}, requester=person, key="pull:x")
    assert services.submit("test", {"other": True}, requester=None, key="pull:x").pk == first.pk
    assert services.submit("test", {}, requester=person, key="pull:y").pk != first.pk
    services.fail(first, code="x", message="x")
    assert services.submit("test", {}, requester=person, key="pull:x").pk != first.pk


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_with_one_key_make_one_job(sent):
    found: list[int] = []
    start = threading.Barrier(20)

    def ask() -> None:
        start.wait()
        try:
            found.append(services.submit("test", {}, requester=None, key="same").pk)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert len(set(found)) == 1
    assert Job.objects.count() == 1


def test_a_claim_is_won_once(sent, person):
    job = services.submit("test", {}, requester=person)
    assert runner.claim(job.pk).fence == 1
    assert runner.claim(job.pk) is None
    assert runner.claim(999_999) is None


def test_what_a_handler_returns_and_reports_stands_in_the_row(sent, person, kind):
    def work(context):
        context.progress({"step": 1})
        context.progress({"step": 2})
        context.result["more"] = True
        return {"answer": 42}

    kind(work)
    job = services.submit("test", {}, requester=person)
    runner.run(job.pk)
    done = row(job)
    assert (done.state, done.result, done.progress) == (JobState.SUCCEEDED, {"answer": 42, "more": True}, {"step": 2})
    assert done.finished_at is not None


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [(LayerRejected("not a tar"), "layer-rejected", "not a tar"), (Denied(Permission.IMAGE_PULL, is_anonymous=False), "denied", "may not"),
     (ZeroDivisionError("secret"), "internal", "made a mistake")],
)  # fmt: skip
def test_a_failure_is_one_sentence(sent, person, kind, error, code, words):
    def work(context):
        raise error

    kind(work)
    job = services.submit("test", {}, requester=person)
    runner.run(job.pk)
    done = row(job)
    assert (done.state, done.error_code) == (JobState.FAILED, code)
    assert words in done.error
    assert "secret" not in done.error


def test_what_may_work_later_is_tried_again_with_growing_pauses_and_then_fails(sent, person, kind):
    def work(context):
        msg = "The registry does not answer."
        raise RegistryUnreachable(msg)

    kind(work, retries=2)
    job = services.submit("test", {}, requester=person)
    for pause_s in (2, 4):
        before = timezone.now()
        runner.run(job.pk)
        waiting = row(job)
        assert (waiting.state, waiting.error) == (JobState.QUEUED, "The registry does not answer.")
        assert waiting.not_before >= before + timedelta(seconds=pause_s)
        assert waiting.not_before <= timezone.now() + timedelta(seconds=pause_s * 1.25)
        runner.run(job.pk)  # a message that comes too early does nothing
        assert row(job).attempts == waiting.attempts
        Job.objects.update(not_before=timezone.now() - timedelta(seconds=1))
    runner.run(job.pk)
    assert (row(job).state, row(job).attempts) == (JobState.FAILED, 3)


@pytest.mark.fault("F47")
@pytest.mark.parametrize(
    "error",
    [OSError(errno.EMFILE, "Too many open files"), OSError(errno.EAGAIN, "Resource temporarily unavailable"),
     RuntimeError("can't start new thread")],
)  # fmt: skip
def test_a_worker_without_room_says_so_and_tries_again_where_that_is_done(sent, person, kind, error):
    def work(_context):
        raise error

    kind(work, retries=0)
    job = services.submit("test", {}, requester=person)
    runner.run(job.pk)
    assert (row(job).state, row(job).error_code, row(job).error) == (JobState.FAILED, "host-full", runner.NO_ROOM)
    kind(work, retries=1)
    job = services.submit("test", {}, requester=person)
    runner.run(job.pk)
    assert row(job).state == JobState.QUEUED


@pytest.mark.fault("F21")
def test_nothing_is_written_by_a_claim_that_was_taken_over(sent, person, kind):
    def work(context):
        Job.objects.filter(pk=context.job.pk).update(fence=context.job.fence + 5)
        context.progress({"late": True})
        context._looked_at -= 10
        assert context.cancelled()
        assert context.is_fenced
        return {"late": True}

    kind(work)
    job = services.submit("test", {}, requester=person)
    runner.run(job.pk)
    assert (row(job).state, row(job).result, row(job).progress) == (JobState.RUNNING, {}, {})


@pytest.mark.fault("F12")
def test_a_stopping_worker_puts_its_job_back(sent, person, kind):
    def work(context):
        stopping.ask()
        assert context.cancelled()
        msg = "stopped"
        raise Cancelled(msg)

    kind(work)
    job = services.submit("test", {}, requester=person)
    try:
        runner.run(job.pk)
    finally:
        stopping.reset()
    assert (row(job).state, row(job).fence) == (JobState.QUEUED, 2)
    assert sent == [job.pk]


def test_cancelling_a_queued_job_ends_it_and_an_ended_one_stays(sent, person):
    job = services.submit("test", {}, requester=person)
    assert services.cancel(job, person)
    assert row(job).state == JobState.CANCELLED
    assert not services.cancel(job, person)
    runner.run(job.pk)
    assert row(job).attempts == 0


def test_a_running_job_notices_that_it_was_cancelled(sent, person, kind):
    def work(context):
        services.cancel(context.job, person)
        context._looked_at -= 10
        if context.cancelled():
            raise registry.Interrupted
        return {}

    kind(work)
    job = services.submit("test", {}, requester=person)
    runner.run(job.pk)
    assert row(job).state == JobState.CANCELLED


def test_cancelling_asks_the_gate(sent, person):
    job = services.submit("test", {}, requester=person)
    restore = gate.use_policy(lambda user, permission, obj: False)
    try:
        with pytest.raises(Denied):
            services.cancel(job, person)
    finally:
        restore()
    assert not row(job).cancel_requested


@pytest.mark.threat("CEL-02")
def test_a_job_is_refused_when_its_requester_may_not_any_more(sent, person, kind):
    done = []
    kind(done.append, permission=Permission.SITE_ADMIN)
    denied = services.submit("test", {}, requester=User.objects.create_user("minsu"))
    runner.run(denied.pk)
    kind(done.append)
    closed = services.submit("test", {}, requester=person)
    User.objects.update(is_active=False)
    runner.run(closed.pk)
    orphan = services.submit("test", {}, requester=person)
    person.delete()
    runner.run(orphan.pk)
    assert [row(job).error_code for job in (denied, closed, orphan)] == ["denied"] * 3
    assert done == []
    runner.run(services.submit("test", {}, requester=None).pk)
    assert len(done) == 1


def test_a_parked_job_waits_without_a_heartbeat_until_it_is_finished(sent, person, kind):
    kind(lambda context: registry.PARKED)
    job = services.submit("test", {}, requester=person)
    runner.run(job.pk)
    Job.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    assert reconcile.revive_stale() == 0
    assert row(job).is_parked
    assert services.finish(row(job), result={"ok": 1})
    assert (row(job).state, row(job).is_parked) == (JobState.SUCCEEDED, False)
    assert not services.finish(row(job))


def test_a_job_that_kills_its_worker_is_given_up(sent, person):
    job = services.submit("test", {}, requester=person)
    for _ in range(reconcile.MOST_CLAIMS):
        assert runner.claim(job.pk) is not None
        Job.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=31))
        assert reconcile.revive_stale() == 1
    assert (row(job).state, row(job).error_code) == (JobState.FAILED, "worker-lost")


def test_at_its_start_the_engine_worker_takes_over_what_its_dead_predecessor_did(sent, person):
    mine = services.submit("test", {}, requester=person, queue="engine")
    other = services.submit("test", {}, requester=person, queue="images")
    for job in (mine, other):
        runner.claim(job.pk)
    assert reconcile.revive_queue("engine") == 1
    assert (row(mine).state, row(other).state) == (JobState.QUEUED, JobState.RUNNING)


def test_progress_reaches_the_row_at_most_once_a_second(sent, person, kind, django_assert_max_num_queries, monkeypatch):
    monkeypatch.setattr(registry, "time", SimpleNamespace(monotonic=lambda: 1000.0))  # within one second

    def work(context):
        with django_assert_max_num_queries(1):
            for number in range(500):
                context.progress({"n": number})

    kind(work)
    job = services.submit("test", {}, requester=person)
    runner.run(job.pk)
    assert row(job).progress == {"n": 499}


def test_old_jobs_go_and_live_ones_stay(sent, person):
    old = services.submit("test", {}, requester=person)
    services.fail(old, code="x", message="x")
    Job.objects.update(finished_at=timezone.now() - timedelta(days=31))
    live = services.submit("test", {}, requester=person)
    reconcile.forget_old()
    assert list(Job.objects.values_list("pk", flat=True)) == [live.pk]


def test_waiting_ends_with_the_job_or_with_patience(sent, person):
    job = services.submit("test", {}, requester=person)
    assert services.wait(job.pk, 0.05) is None
    services.finish(job)
    assert services.wait(job.pk, 5).state == JobState.SUCCEEDED
