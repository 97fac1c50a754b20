"""Renaming, pausing and pruning; what else may be done to a container that is paused."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from dashboard import gateway
from dashboard.containers import operationhandlers, reconcile, services
from dashboard.containers.models import Container
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Denied
from dashboard.grammar import ContainerOptions, ExecOptions
from dashboard.jobs.models import Job
from dashboard.jobs.registry import JobContext
from engine.errors import RuntimeFailed
from tests.support.waiting import WAIT_S


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


@pytest.fixture
def paused(running, user, queue):
    services.pause(running, user)
    queue.run()
    running.refresh_from_db()
    assert running.state == "paused"
    return running


def state(row) -> str:
    row.refresh_from_db()
    return row.state


def test_a_new_name_is_the_rows_and_the_options(running, user):
    services.rename(running, user, "/bold_cod")
    row = Container.objects.get()
    assert (row.name, row.options["name"]) == ("bold_cod", "bold_cod")


def test_names_that_cannot_be_are_refused_and_nothing_changes(made, user):
    other = services.create(user, ContainerOptions(image="centos:7", name="bold_cod"))
    with pytest.raises(services.NameTaken) as taken:
        services.rename(made, user, "bold_cod")
    assert other.container_id in str(taken.value)
    with pytest.raises(DashboardError, match="same name as its current name"):
        services.rename(made, user, "calm_tern")
    with pytest.raises(DashboardError, match="Invalid container name"):
        services.rename(made, user, "a/b")
    Container.objects.filter(pk=made.pk).update(state="removing")
    with pytest.raises(DashboardError, match="already in progress"):
        services.rename(made, user, "fair_eel")
    made.refresh_from_db()
    assert made.name == made.options["name"] == "calm_tern"


def test_strangers_may_nothing(running):
    for act in (services.pause, services.unpause):
        with pytest.raises(Denied):
            act(running, None)
    with pytest.raises(Denied):
        services.rename(running, None, "bold_cod")
    with pytest.raises(Denied):
        services.prunable(None, (), now_ns=0)


def test_pausing_holds_it_and_unpausing_lets_it_go_on(paused, user, queue, engine):
    assert services.docker_state(paused) == "paused"
    shape = services.inspect(paused)["State"]
    assert (shape["Status"], shape["Running"], shape["Paused"]) == ("paused", True, True)
    services.unpause(paused, user)
    queue.run()
    assert state(paused) == "running"
    assert [call[0] for call in engine.calls if call[0] in {"pause", "unpause"}] == ["pause", "unpause"]


def test_what_is_paused_already_or_not_at_all_is_dockers_conflict(made, running, user, queue):
    with pytest.raises(DashboardError, match=f"Container {running.container_id} is not paused"):
        services.unpause(running, user)
    services.pause(running, user)
    queue.run()
    with pytest.raises(DashboardError, match=f"Container {running.container_id} is already paused"):
        services.pause(running, user)
    Container.objects.filter(pk=made.pk).update(state="exited")
    with pytest.raises(DashboardError, match=f"Container {made.container_id} is not running"):
        services.pause(made, user)


def test_a_paused_one_takes_no_commands_and_no_start_and_no_plain_removal(paused, user):
    for act, sentence in (
        (lambda: services.start_exec(paused, user, ExecOptions(command=("ls",))), "is paused, unpause the container"),
        (lambda: services.start(paused, user), "cannot start a paused container, try unpause instead"),
        (lambda: services.remove(paused, user), "container is paused and must be unpaused first"),
    ):
        with pytest.raises(DashboardError, match=sentence):
            act()
    assert state(paused) == "paused"


@pytest.mark.parametrize(
    ("act", "after"),
    [
        (services.stop, "exited"),
        (services.kill, "exited"),
        (services.restart, "running"),
        (lambda row, user: services.kill(row, user, "USR1"), "running"),
    ],
)
def test_what_ends_or_signals_it_lets_it_go_on(paused, user, queue, act, after):
    act(paused, user)
    queue.run()
    assert state(paused) == after


def test_a_paused_one_is_removed_by_force(paused, user, queue):
    services.remove(paused, user, force=True)
    queue.run()
    assert not Container.objects.exists()


def test_a_pause_that_meets_a_stop_is_taken_back(running, user, engine, queue, monkeypatch):
    real = engine.operations.pause

    def pause(container_id):
        real(container_id)
        Container.objects.filter(pk=running.pk).update(state="stopping")

    monkeypatch.setattr(engine.operations, "pause", pause)
    job = services.pause(running, user)
    queue.run()
    assert Job.objects.get(pk=job.pk).state == "failed"
    assert engine.observe(running.container_id).paused is False


def test_the_row_says_what_the_kernel_says(running, engine):
    engine.seen[running.container_id] = replace(engine.observe(running.container_id), paused=True)
    reconcile.reconcile()
    assert state(running) == "paused"
    reconcile.reconcile()
    assert state(running) == "paused"
    engine.seen[running.container_id] = replace(engine.observe(running.container_id), paused=False)
    reconcile.reconcile()
    assert state(running) == "running"


def test_a_job_that_pauses_is_not_disturbed(running, user, engine):
    services.pause(running, user)
    engine.seen[running.container_id] = replace(engine.observe(running.container_id), paused=True)
    reconcile.reconcile()
    assert state(running) == "running"


def test_a_paused_one_that_has_died_is_exited(paused, engine):
    engine.watched.clear()
    engine.seen[paused.container_id] = gateway.Observed(
        gateway.State.EXITED, None, gateway.Exit(137, False, timezone.now())
    )
    reconcile.reconcile()
    assert state(paused) == "exited"


def test_all_that_do_not_run_may_be_pruned(running, user):
    now_ns = int(timezone.now().timestamp() * 1e9)
    old = services.create(user, ContainerOptions(image="centos:7", name="old"))
    new = services.create(user, ContainerOptions(image="centos:7", name="new"))
    Container.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(hours=2), state="exited")
    assert services.prunable(user, (), now_ns=now_ns) == [old, new]
    assert services.prunable(user, (("until", "1h"),), now_ns=now_ns) == [old]
    Container.objects.filter(pk=new.pk).update(state="exited", restart_at=timezone.now())
    assert services.prunable(user, (), now_ns=now_ns) == [old]
    assert not services.is_down(new)
    Container.objects.filter(pk=new.pk).update(restart_at=None)
    kept = {"labels": ["tier=db", "mine="]}
    Container.objects.filter(pk=new.pk).update(options=new.options | kept)
    for labels, found in (
        (("tier=db",), [new]),
        (("tier", "mine"), [new]),
        (("tier=web",), []),
        (("made=centos:7",), [old, new]),
    ):
        assert services.prunable(user, [("label", one) for one in labels], now_ns=now_ns) == found
    assert services.is_down(new)
    assert not services.is_down(running)
    for filters in ((("until", "soon"),), (("size", "1"),)):
        with pytest.raises(DashboardError, match="invalid filter"):
            services.prunable(user, filters, now_ns=now_ns)


def test_two_renames_at_once_give_one_name_once(made, user):
    other = services.create(user, ContainerOptions(image="centos:7", name="other"))
    failed = []

    def rename(row):
        try:
            services.rename(row, user, "wanted")
        except services.NameTaken as error:
            failed.append(error)

    threads = [threading.Thread(target=rename, args=(row,)) for row in (made, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 1
    assert Container.objects.filter(name="wanted").count() == 1


def test_other_limits_are_the_engines_and_then_the_rows(running, user, queue, engine):
    before = dict(running.options)
    services.update(running, user, {"memory_bytes": 64 << 20, "pids_limit": -1})
    queue.run()
    wanted = gateway.LimitsWanted(memory_bytes=64 << 20, nano_cpus=None, pids=None)
    assert ("update", running.container_id, wanted) in engine.calls
    running.refresh_from_db()
    assert running.options == before | {"memory_bytes": 64 << 20, "pids_limit": -1}
    services.update(running, user, {"nano_cpus": 500_000_000})
    queue.run()
    running.refresh_from_db()
    assert (running.options["memory_bytes"], running.options["nano_cpus"]) == (64 << 20, 500_000_000)


def test_shares_and_the_restart_policy_are_changed_too(running, user, queue, engine):
    changes = {"memory_bytes": 64 << 20, "memory_swap_bytes": 96 << 20, "cpu_shares": 512, "restart": "always"}
    services.update(running, user, changes)
    queue.run()
    ((_, _, wanted),) = [call for call in engine.calls if call[0] == "update"]
    assert (wanted.shares.memory_swap_bytes, wanted.shares.cpu_shares) == (96 << 20, 512)
    running.refresh_from_db()
    assert running.restart_policy.name == "always"
    with pytest.raises(DashboardError, match="Minimum memoryswap limit should be larger than memory limit"):
        services.update(running, user, {"memory_bytes": 128 << 20})
    Container.objects.filter(pk=running.pk).update(auto_remove=True)
    with pytest.raises(DashboardError, match="because AutoRemove is enabled"):
        services.update(running, user, {"restart": "no"})


def test_two_changes_of_limits_at_once_are_both_in_force(running, user, engine, monkeypatch):
    """Each from another page: the engine is never asked for less than the row then says."""
    jobs = [services.update(running, user, changes) for changes in ({"memory_bytes": 64 << 20}, {"pids_limit": 33})]
    others, taken, said = [], threading.Event(), engine.operations.update

    def second():
        operationhandlers.update_container(JobContext(jobs[1]))
        connections.close_all()

    def update(container_id, wanted):
        if not others:
            others.append(threading.Thread(target=second))
            others[0].start()
            taken.wait(0.5)  # the other one, if nothing holds it
        said(container_id, wanted)
        taken.set()

    monkeypatch.setattr(engine.operations, "update", update)
    operationhandlers.update_container(JobContext(jobs[0]))
    others[0].join(WAIT_S)
    running.refresh_from_db()
    last = [call[2] for call in engine.calls if call[0] == "update"][-1]
    assert (running.options["memory_bytes"], running.options["pids_limit"]) == (64 << 20, 33)
    assert (last.memory_bytes, last.pids) == (64 << 20, 33)


def test_limits_that_cannot_be_leave_everything_as_it_was(running, user, queue, engine):
    for changes, sentence in (
        ({"memory_bytes": 1024}, "Minimum memory limit allowed is 6MB"),
        ({"nano_cpus": 10**15}, "range of CPUs is from 0.01"),
    ):
        with pytest.raises(DashboardError, match=sentence):
            services.update(running, user, changes)
    engine.operations.update_fails = RuntimeFailed("The container's limits could not be changed: busy")
    before = dict(running.options)
    job = services.update(running, user, {"memory_bytes": 64 << 20})
    queue.run()
    assert "could not be changed" in Job.objects.get(pk=job.pk).error
    running.refresh_from_db()
    assert running.options == before
    Container.objects.filter(pk=running.pk).update(state="removing")
    with pytest.raises(DashboardError, match='marked for removal and cannot be "update"'):
        services.update(running, user, {"memory_bytes": 64 << 20})
    with pytest.raises(Denied):
        services.update(running, None, {"memory_bytes": 64 << 20})


def test_what_was_only_looked_at_is_forgotten_soon(running, user, queue):
    looks = [services.processes(running, user), services.changes(running, user), services.pause(running, user)]
    queue.run()
    services.changes(running, user)  # has not ended
    operationhandlers.forget_looks()
    assert Job.objects.filter(pk__in=[job.pk for job in looks]).count() == 3
    Job.objects.exclude(finished_at=None).update(finished_at=timezone.now() - timedelta(hours=1))
    operationhandlers.forget_looks()
    kinds = Job.objects.values_list("kind", flat=True)
    assert "pause_container" in kinds
    assert [kind for kind in kinds if kind.startswith("list_")] == ["list_changes"]
