"""Further commands as rows: asked for, started, ended, made true again, and forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from dashboard import gateway
from dashboard.containers import execreconcile, execs, services
from dashboard.containers.models import Container, Exec
from dashboard.core import gate
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Denied, Permission
from dashboard.grammar import ContainerOptions, ExecOptions
from dashboard.jobs.models import Job
from dashboard.terminals import sessions
from engine.errors import CommandNotFound

LS = ExecOptions(command=("ls", "-l", "a b"), env=("A=1",), workdir="/tmp", user="app")
SHELL = ExecOptions(interactive=True, tty=True)


@pytest.fixture
def running(pulled, user, queue, engine):
    pulled("centos:7")
    made = services.create(user, ContainerOptions(image="centos:7"))
    services.start(made, user)
    queue.run()
    made.refresh_from_db()
    return made


@pytest.fixture
def shell(running, user, queue):
    row, _ = services.start_exec(running, user, SHELL, rows=30, columns=100)
    queue.run()
    row.refresh_from_db()
    assert row.state == "running"
    return row


def state(row):
    row.refresh_from_db()
    return row.state


def test_what_is_asked_for_reaches_the_engine(running, user, queue, engine):
    row, job = services.start_exec(running, user, LS, rows=30, columns=100)
    assert (row.state, row.command_shown, row.requester) == ("starting", "ls -l 'a b'", user)
    queue.run()
    job.refresh_from_db()
    assert (state(row), job.state, job.result) == ("running", "succeeded", {"exec_id": row.exec_id})
    request = engine.execs.requests[row.exec_id]
    assert (request.command, request.env, request.working_dir, request.user) == (LS.command, ("A=1",), "/tmp", "app")
    assert (request.tty, request.open_stdin, request.rows, request.columns) == (False, False, 30, 100)
    assert engine.execs.is_watching(row.exec_id)


def test_a_shell_is_named_once_it_has_been_found(shell, engine):
    assert shell.command_shown == "/bin/bash"
    assert engine.execs.requests[shell.exec_id].command == ()
    assert (shell.tty, shell.open_stdin) == (True, True)


def test_its_end_is_told_to_its_readers_its_containers_page_and_the_list_of_terminals(shell, engine, monkeypatch):
    told = []
    monkeypatch.setattr(execs, "publish", lambda topic, payload: told.append((topic, payload["state"])))
    execs.exited(shell, gateway.Exit(0, False, timezone.now(), ""))
    topics = (f"exec.{shell.exec_id}", f"execs.{shell.container.container_id}", "execs")
    assert told == [(topic, "exited") for topic in topics]


def test_its_end_is_written_down(shell, engine):
    engine.execs.finish(shell.exec_id, 7)
    assert (state(shell), shell.exit_code, shell.error) == ("exited", 7, "")
    assert shell.finished_at is not None


def test_one_that_could_not_be_started_says_why(running, user, queue, engine):
    engine.execs.fails = CommandNotFound('exec: "nope": executable file not found in $PATH')
    row, job = services.start_exec(running, user, ExecOptions(command=("nope",)))
    queue.run()
    job.refresh_from_db()
    assert (job.state, job.error_code) == ("failed", "command-not-found")
    assert (state(row), row.exit_code, row.started_at) == ("exited", None, None)
    assert "executable file not found" in row.error


def test_a_container_that_does_not_run_takes_none(running, user, engine):
    engine.end(running.container_id, 0)
    with pytest.raises(DashboardError, match=f"container {running.container_id} is not running") as caught:
        services.start_exec(running, user, LS)
    assert caught.value.status == 409
    assert not Exec.objects.exists()


def test_there_is_a_bound_to_how_many(running, user, monkeypatch):
    monkeypatch.setattr(execs, "MOST", 2)
    for _ in range(2):
        services.start_exec(running, user, LS)
    with pytest.raises(DashboardError, match="2 commands run in this container already"):
        services.start_exec(running, user, LS)


def test_it_is_ended_on_request(shell, user, queue, engine):
    services.end_exec(shell, user)
    queue.run()
    assert engine.execs.ended == [shell.exec_id]
    assert (state(shell), shell.exit_code) == ("exited", 129)
    assert services.end_exec(shell, user) is None


@pytest.mark.threat("WS-04")
def test_both_need_the_right_on_the_container(shell, user):
    restore = gate.use_policy(lambda user, permission, obj: permission is not Permission.CONTAINER_EXEC)
    try:
        with pytest.raises(Denied):
            services.start_exec(shell.container, user, LS)
        with pytest.raises(Denied):
            services.end_exec(shell, user)
    finally:
        restore()


def test_a_job_that_runs_again_starts_nothing_twice(shell, user, queue, engine):
    first = engine.execs.requests.copy()
    engine.execs.requests.clear()
    job = Job.objects.get(kind="start_exec")
    Job.objects.filter(pk=job.pk).update(state="queued", fence=0)
    queue.enqueue(job)
    queue.run()
    assert engine.execs.requests == {}
    assert first
    job.refresh_from_db()
    assert job.state == "succeeded"


@pytest.mark.fault("F13")
def test_one_that_a_dead_worker_had_started_is_taken_over(running, user, queue, engine):
    row, _ = services.start_exec(running, user, SHELL)
    now = datetime.now(UTC)
    engine.execs.seen[row.exec_id] = gateway.Observed(gateway.State.RUNNING, 5432, None, now)
    queue.run()
    assert state(row) == "running"
    assert engine.execs.requests == {}
    assert engine.execs.is_watching(row.exec_id)


def test_it_goes_with_its_container(shell, user, queue):
    services.remove(shell.container, user, force=True)
    queue.run()
    assert not Container.objects.exists()
    assert not Exec.objects.exists()


# The reconciler


def lose_job(row):
    Job.objects.filter(params__exec_id=row.exec_id).update(state="failed")


def test_a_start_at_work_is_left_to_its_job(running, user, engine):
    row, _ = services.start_exec(running, user, SHELL)
    execreconcile.reconcile()
    assert state(row) == "starting"


@pytest.mark.fault("F13", "F20")
def test_a_start_that_was_cut_off_is_said(running, user, engine):
    row, _ = services.start_exec(running, user, SHELL)
    lose_job(row)
    engine.execs.seen[row.exec_id] = gateway.Observed(gateway.State.CREATED)
    execreconcile.reconcile()
    assert state(row) == "exited"
    assert "cut off" in row.error
    assert row.exit_code is None


@pytest.mark.fault("F13")
def test_one_that_runs_although_nobody_wrote_so(running, user, engine):
    row, _ = services.start_exec(running, user, SHELL)
    lose_job(row)
    engine.execs.seen[row.exec_id] = gateway.Observed(gateway.State.RUNNING, 5432, None, timezone.now())
    execreconcile.reconcile()
    assert state(row) == "running"
    assert engine.execs.is_watching(row.exec_id)


@pytest.mark.fault("F17")
def test_one_that_ended_while_nobody_watched(shell, engine):
    engine.execs.finish(shell.exec_id, 3, tells=False)
    engine.execs.watched.clear()
    execreconcile.reconcile()
    assert (state(shell), shell.exit_code) == ("exited", 3)


@pytest.mark.fault("F40")
def test_a_reboot_ends_all_with_an_unknown_code(shell, engine):
    engine.execs.watched.clear()
    engine.execs.finish(shell.exec_id, None, reason="The host was restarted.")
    execreconcile.reconcile()
    assert (state(shell), shell.exit_code, shell.error) == ("exited", None, "The host was restarted.")


def test_one_of_which_nothing_is_left(shell, engine):
    engine.execs.watched.clear()
    engine.execs.seen.clear()
    execreconcile.reconcile()
    assert (state(shell), shell.exit_code) == ("exited", None)
    assert "gone" in shell.error


def test_after_a_restart_of_the_worker_it_is_watched_again(shell, engine):
    engine.execs.watched.clear()
    execreconcile.reconcile()
    assert state(shell) == "running"
    assert engine.execs.is_watching(shell.exec_id)


def test_an_ended_one_is_forgotten_when_nobody_reads_it_any_more(shell, user, engine):
    engine.execs.finish(shell.exec_id, 0)
    execreconcile.reconcile()
    assert Exec.objects.count() == 1  # for who comes back to see how it ended
    Exec.objects.update(finished_at=timezone.now() - timedelta(minutes=2))
    reader = sessions.announce(shell.container, user, shell)
    execreconcile.reconcile()
    assert Exec.objects.count() == 1
    sessions.end(reader.pk)
    execreconcile.reconcile()
    assert not Exec.objects.exists()
    assert engine.execs.removed == [shell.exec_id]


def test_folders_that_no_row_knows_go_once_they_are_dead(shell, engine):
    engine.execs.strays = {"f" * 64, "e" * 64}
    engine.execs.seen["e" * 64] = gateway.Observed(gateway.State.RUNNING, 1)
    execreconcile.sweep()
    assert engine.execs.removed == ["f" * 64]


def test_an_error_with_one_does_not_keep_others_from_the_truth(running, user, queue, engine, monkeypatch):
    rows = [services.start_exec(running, user, SHELL)[0] for _ in range(2)]
    queue.run()
    engine.execs.watched.clear()
    real = engine.execs.observe

    def observe(container_id, exec_id):
        if exec_id == rows[0].exec_id:
            raise gateway.RuntimeFailed("no")
        return real(container_id, exec_id)

    monkeypatch.setattr(engine.execs, "observe", observe)
    execreconcile.reconcile()
    assert engine.execs.is_watching(rows[1].exec_id)


# Streams of it


def test_rm_waits_for_its_reader_too(running, user, queue, engine):
    Container.objects.filter(pk=running.pk).update(auto_remove=True)
    row, _ = services.start_exec(running, user, SHELL)
    queue.run()
    reader = sessions.announce(running, user, row)
    engine.end(running.container_id, 0)
    queue.run()
    assert Container.objects.exists()
    sessions.end(reader.pk)
    running.refresh_from_db()
    services.remove_if_due(running)
    queue.run()
    assert not Container.objects.exists()


def test_the_input_of_a_pipe_is_its_own(running, user, queue):
    pipe = ExecOptions(command=("cat",), interactive=True)
    first, second = (services.start_exec(running, user, pipe)[0] for _ in range(2))
    streams = [
        sessions.open_session(running, user, kind="cli", mode="attach", row=row) for row in (None, first, first, second)
    ]
    assert [sessions.take_input(stream) for stream in streams] == [True, True, False, True]


def test_inspect_names_those_that_run(shell, engine):
    assert services.inspect(shell.container)["ExecIDs"] == [shell.exec_id]
    engine.execs.finish(shell.exec_id, 0)
    assert services.inspect(shell.container)["ExecIDs"] is None
