"""Containers as rows: made, started, stopped, killed, removed, found, shown."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from dashboard import gateway
from dashboard.containers import creation, handlers, lifecycle, services
from dashboard.containers.ids import give_ids
from dashboard.containers.limits import limits_in_force
from dashboard.containers.models import Container
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Denied
from dashboard.grammar import ContainerOptions, requests
from dashboard.jobs.models import Job
from dashboard.networks import addresses
from dashboard.terminals import sessions
from engine.errors import CommandNotFound, NetworkError

SHELL = ContainerOptions(image="ubuntu:14.04", interactive=True, tty=True)


@pytest.fixture
def ubuntu(present):
    return present("ubuntu:14.04")


@pytest.fixture
def made(ubuntu, user):
    return services.create(user, SHELL)


@pytest.fixture
def running(made, user, queue, engine):
    services.start(made, user, 30, 100)
    queue.run()
    made.refresh_from_db()
    assert made.state == "running"
    return made


def test_a_container_gets_an_id_a_name_and_an_address(made, ubuntu):
    assert len(made.container_id) == 64
    assert not made.short_id.isdecimal()
    assert made.name.count("_") == 1
    assert made.address.endswith(".2")
    assert (made.state, made.image, made.command_shown, made.tty) == ("created", ubuntu, "/bin/bash", True)
    assert ContainerOptions.from_json(made.options).name == made.name


def test_names_and_addresses_are_never_given_twice(ubuntu, user, monkeypatch):
    monkeypatch.setattr(creation, "random_name", lambda attempt: "calm_tern" if attempt < 2 else f"calm_tern{attempt}")
    made = [services.create(user, SHELL) for _ in range(3)]
    assert [row.name for row in made] == ["calm_tern", "calm_tern2", "calm_tern3"] or len({r.name for r in made}) == 3
    assert len({row.address for row in made}) == 3
    first = made[0].address
    Container.objects.filter(pk=made[0].pk).delete()
    assert services.create(user, SHELL).address == first


def test_a_lost_race_for_an_address_is_tried_again(ubuntu, user, monkeypatch):
    taken = services.create(user, SHELL).address
    answers = iter([taken, taken])
    real = addresses.free_address
    monkeypatch.setattr(addresses, "free_address", lambda *said: next(answers, None) or real(*said))
    assert services.create(user, SHELL).address != taken


def test_a_taken_name_is_dockers_conflict(ubuntu, user):
    first = services.create(user, ContainerOptions(image="ubuntu:14.04", name="web"))
    with pytest.raises(services.NameTaken) as caught:
        services.create(user, ContainerOptions(image="ubuntu:14.04", name="web"))
    assert caught.value.status == 409
    assert str(caught.value) == (
        f'Conflict. The container name "/web" is already in use by container "{first.container_id}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "a/b"}, "Invalid container name"),
        ({"memory_bytes": 1024}, "Minimum memory limit allowed is 6MB"),
        ({"nano_cpus": 10**15}, "range of CPUs is from 0.01"),
        ({"workdir": "srv"}, "needs to be an absolute path"),
        ({"cap_add": ("CAP_SYS_ADMIN",)}, "No container here can have CAP_SYS_ADMIN"),
        ({"security_opt": ("seccomp=unconfined",)}, "without a filter of system calls"),
        ({"oom_score": -5}, "1 to 1000 here"),
        ({"memory_swap_bytes": 1 << 30}, "You should always set the Memory limit"),
        ({"device_read_bps": ("/dev/null:1m",)}, "/dev/null is not a block device"),
        ({"stop_signal": "SIGNOPE"}, "Invalid signal: SIGNOPE"),
        ({"domainname": "d" * 65}, "A domain name has at most 64 characters"),
        ({"hostname": "-x"}, "invalid hostname format"),
        ({"entrypoint": ""}, "No command specified"),
        ({"image": "debian"}, "No such image: debian:latest"),
        ({"platform": "linux/arm64"}, "does not match the specified platform"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(ubuntu, user, options, sentence):
    with pytest.raises(DashboardError, match=sentence):
        services.create(user, ContainerOptions(**{"image": "ubuntu:14.04", **options}))
    assert not Container.objects.exists()


def test_strangers_may_nothing(running):
    for act in (services.stop, services.kill, services.restart, services.remove, services.start):
        with pytest.raises(Denied):
            act(running, None)
    with pytest.raises(Denied):
        services.create(None, SHELL)


def test_labels_are_the_images_and_its_own(ubuntu, user):
    row = services.create(user, ContainerOptions(image="ubuntu:14.04", labels=("made=here", "tier=web")))
    assert services.inspect(row)["Config"]["Labels"] == {"made": "here", "tier": "web"}
    assert services.container_line(row, None).labels == "made=here,tier=web"
    for filters, found in (
        ((("label", "tier"),), 1),
        ((("label", "tier=web"), ("label", "made=here")), 1),
        ((("label", "tier=db"),), 0),
        ((("label", "made=ubuntu:14.04"),), 0),
    ):
        rows = services.chosen_containers([row], requests.Ps(all=True, filters=filters))
        assert len(rows) == found


def test_rights_and_shares_reach_the_engine_and_inspect(ubuntu, user, queue, engine):
    wishes = {
        "cap_add": ("CAP_NET_RAW",),
        "cap_drop": ("ALL",),
        "security_opt": ("no-new-privileges=false", "no-new-privileges"),
        "ulimit": ("nofile=10:20",),
        "cpu_shares": 512,
        "memory_reservation_bytes": 32 << 20,
        "oom_score": 300,
    }
    row = services.create(user, replace(SHELL, **wishes))
    services.start(row, user)
    queue.run()
    request = engine.requests[row.container_id]
    assert (request.rights.cap_add, request.rights.cap_drop) == (("CAP_NET_RAW",), ("ALL",))
    assert request.rights.no_new_privileges is True
    assert request.rights.unconfined is False
    assert (request.shares.ulimits, request.shares.oom_score) == ((("nofile", 10, 20),), 300)
    host = services.inspect(row)["HostConfig"]
    assert (host["CapAdd"], host["CapDrop"]) == (["CAP_NET_RAW"], ["ALL"])
    assert (host["CpuShares"], host["MemoryReservation"], host["OomScoreAdj"]) == (512, 32 << 20, 300)
    assert host["Ulimits"] == [{"Name": "nofile", "Hard": 20, "Soft": 10}]


def test_its_own_time_to_stop_is_the_default_of_stop(ubuntu, user, queue, engine):
    row = services.create(user, replace(SHELL, stop_timeout_s=33))
    services.start(row, user)
    queue.run()
    services.stop(row, user)
    queue.run()
    assert ("stop", row.container_id, 33.0, None) in engine.calls


def test_starting_makes_the_engines_request_and_the_row_true(running, engine, ubuntu):
    request = engine.requests[running.container_id]
    assert [str(diff_id) for diff_id in request.layers] == [link.layer.diff_id for link in ubuntu.stack.all()]
    assert (request.tty, request.open_stdin) == (True, True)
    assert [place.address for place in engine.places[running.container_id]] == [running.address]
    assert str(request.config_digest) == ubuntu.image_id
    assert ("start", running.container_id, 30, 100) in engine.calls
    assert running.pid == 4321
    assert running.started_at is not None
    assert services.start(running, running.owner) is None


def test_options_reach_the_request(ubuntu, user, queue, engine):
    options = ContainerOptions(
        image="ubuntu:14.04",
        command=("sh", "-c", "a b"),
        entrypoint="/entry",
        env=("A=1", "GONE"),
        user="daemon",
        workdir="/srv",
        hostname="box",
        memory_bytes=64 << 20,
        nano_cpus=500_000_000,
        pids_limit=9,
    )
    made = services.create(user, options)
    services.start(made, user)
    queue.run()
    request = engine.requests[made.container_id]
    assert request.entrypoint == ("/entry",)
    assert request.command == ("sh", "-c", "a b")
    assert (request.env, request.user, request.working_dir, request.hostname) == (
        ("A=1", "GONE"),
        "daemon",
        "/srv",
        "box",
    )
    assert (request.memory_bytes, request.nano_cpus, request.pids) == (64 << 20, 500_000_000, 9)
    assert made.command_shown == "/entry sh -c 'a b'"


def test_the_end_is_written_down_and_released(running, engine):
    engine.end(running.container_id, 7)
    running.refresh_from_db()
    assert (running.state, running.exit_code, running.pid) == ("exited", 7, None)
    assert ("release", running.container_id) in engine.calls


def test_an_old_end_does_not_end_a_new_run(running, engine):
    from dashboard import gateway
    from dashboard.containers.handlers import ended_now

    ended_now(running.container_id, gateway.Exit(0, False, datetime.now(UTC) - timedelta(minutes=1)))
    running.refresh_from_db()
    assert running.state == "running"


def test_a_start_that_fails_keeps_the_reason_and_the_code(made, user, queue, engine):
    engine.fails = CommandNotFound("exec: nope: executable file not found in $PATH")
    job = services.start(made, user)
    queue.run()
    made.refresh_from_db()
    job.refresh_from_db()
    assert (made.state, made.exit_code) == ("created", 127)
    assert "not found in $PATH" in made.error
    assert (job.state, job.error_code) == ("failed", "command-not-found")
    engine.fails = NetworkError("no network")
    services.start(made, user)
    queue.run()
    made.refresh_from_db()
    assert (made.state, made.exit_code) == ("created", 125)


def test_stop_waits_kills_and_is_no_error_twice(running, user, queue, engine):
    services.stop(running, user, 3, "INT")
    running.refresh_from_db()
    assert running.state == "stopping"
    queue.run()
    running.refresh_from_db()
    assert (running.state, running.exit_code) == ("exited", 143)
    assert ("stop", running.container_id, 3.0, "INT") in engine.calls
    assert services.stop(running, user) is None
    with pytest.raises(DashboardError, match="Invalid signal: NOPE"):
        services.stop(running, user, signal="NOPE")


@pytest.mark.fault("F56")
def test_long_stops_never_take_all_of_the_engine_workers_threads(running, user, queue, engine, monkeypatch):
    """Seventeen stops with `-t 86400` once kept everybody from starting, killing and removing anything."""
    monkeypatch.setattr(handlers, "_long_waits", threading.BoundedSemaphore(1))
    with handlers._room_for(3600):
        job = services.stop(running, user, 3600)
        queue.run()
        job.refresh_from_db()
        assert job.state == "failed"
        assert "stopped with a long wait already" in job.error
        running.refresh_from_db()
        assert running.state == "running"
        services.stop(running, user, 3)
        queue.run()
    assert ("stop", running.container_id, 3.0, None) in engine.calls
    assert ("stop", running.container_id, 3600.0, None) not in engine.calls


def test_kill_needs_a_running_container_and_a_signal_that_exists(running, user, queue, engine):
    services.kill(running, user, "HUP")
    queue.run()
    assert ("kill", running.container_id, "HUP") in engine.calls
    services.kill(running, user)
    queue.run()
    running.refresh_from_db()
    assert (running.state, running.exit_code) == ("exited", 137)
    with pytest.raises(DashboardError, match="is not running"):
        services.kill(running, user)
    with pytest.raises(DashboardError, match="Invalid signal"):
        services.kill(running, user, "NOPE")


def test_a_new_run_has_lost_no_output_yet(running, user, queue, engine):
    Container.objects.update(log_lost=True)
    services.restart(running, user)
    queue.run()
    running.refresh_from_db()
    assert (running.state, running.log_lost) == ("running", False)


def test_restart_is_a_new_run(running, user, queue, engine):
    before = running.started_at
    services.restart(running, user, 1)
    queue.run()
    running.refresh_from_db()
    assert running.state == "running"
    assert running.started_at > before
    assert running.exit_code is None
    engine.end(running.container_id, 0)
    services.restart(running, user)
    queue.run()
    running.refresh_from_db()
    assert running.state == "running"


def test_a_running_container_is_only_removed_by_force(running, user, queue, engine):
    with pytest.raises(
        DashboardError, match="container is running: stop the container before removing or force remove"
    ):
        services.remove(running, user)
    services.remove(running, user, True)
    queue.run()
    assert not Container.objects.exists()
    assert ("remove", running.container_id) in engine.calls


def test_two_removes_at_once_are_one_removal_and_a_sentence(made, user, queue, engine):
    services.remove(made, user)
    with pytest.raises(DashboardError, match=f"removal of container {made.name} is already in progress"):
        services.remove(made, user)
    queue.run()
    assert not Container.objects.exists()
    assert Job.objects.filter(kind="remove_container").count() == 1


@pytest.mark.parametrize("error", [NetworkError("busy"), OSError(16, "busy")])
def test_a_removal_that_fails_leaves_a_dead_container_that_can_be_removed(
    made, user, queue, engine, monkeypatch, error
):
    def fail(container_id):
        raise error

    monkeypatch.setattr(engine, "remove", fail, raising=False)
    services.remove(made, user)
    queue.run()
    made.refresh_from_db()
    assert made.state == "dead"
    assert "busy" in made.error
    with pytest.raises(DashboardError, match="is dead and can only be removed"):
        services.start(made, user)
    monkeypatch.undo()


def test_the_writable_layer_of_one_is_not_the_others(ubuntu, user, queue, engine):
    first, second = services.create(user, SHELL), services.create(user, SHELL)
    for row in (first, second):
        services.start(row, user)
    queue.run()
    services.remove(first, user, True)
    queue.run()
    second.refresh_from_db()
    assert second.state == "running"
    assert second.image == ubuntu


def test_rm_waits_for_the_stream_that_reads_its_output(ubuntu, user, queue, engine):
    made = services.create(user, ContainerOptions(image="ubuntu:14.04", auto_remove=True))
    session = sessions.announce(made, user)
    services.start(made, user)
    queue.run()
    engine.end(made.container_id, 0)
    queue.run()
    assert Container.objects.filter(pk=made.pk, state="exited").exists()
    assert services.remove_if_due(made) is None
    sessions.end(session.pk)
    services.remove_if_due(made)
    queue.run()
    assert not Container.objects.exists()


def test_rm_does_not_wait_for_a_stream_whose_process_died(ubuntu, user, queue, engine):
    made = services.create(user, ContainerOptions(image="ubuntu:14.04", auto_remove=True))
    session = sessions.announce(made, user)
    services.start(made, user)
    queue.run()
    engine.end(made.container_id, 0)
    type(session).objects.update(heartbeat_at=timezone.now() - timedelta(seconds=lifecycle.STREAM_ALIVE_S + 1))
    services.remove_if_due(made)
    queue.run()
    assert not Container.objects.exists()


def test_rm_of_a_start_that_failed(ubuntu, user, queue, engine):
    made = services.create(user, ContainerOptions(image="ubuntu:14.04", auto_remove=True))
    engine.fails = CommandNotFound("nope")
    services.start(made, user)
    queue.run()
    assert not Container.objects.exists()


def test_containers_are_found_by_name_id_and_prefix(made, user):
    for text in (made.name, f"/{made.name}", made.container_id, made.short_id, made.container_id[:3]):
        assert services.find(text, user) == made
    for text in ("nope", "ffffffffffffffff", "", "%"):
        with pytest.raises(services.NoSuchContainer, match=f"No such container: {text}"):
            services.find(text, user)


def test_an_ambiguous_prefix_is_refused(ubuntu, user):
    for row in (services.create(user, SHELL), services.create(user, SHELL)):
        Container.objects.filter(pk=row.pk).update(container_id="aa" + row.container_id[2:])
    with pytest.raises(DashboardError, match="Multiple IDs found with provided prefix: aa"):
        services.find("aa", user)


def test_inspect_has_dockers_shape(running):
    shape = services.inspect(running)
    assert shape["Id"] == running.container_id
    assert shape["Name"] == f"/{running.name}"
    assert shape["State"]["Running"] is True
    assert shape["State"]["Pid"] == 4321
    assert shape["Config"]["Hostname"] == running.short_id
    assert shape["Config"]["Tty"] is True
    assert (shape["Path"], shape["Args"]) == ("/bin/bash", [])
    assert shape["NetworkSettings"]["IPAddress"] == str(running.address)


@pytest.mark.parametrize("said", [None, 0, -1])
def test_no_limit_means_the_default_for_the_engine_and_for_who_looks(ubuntu, user, engine, said):
    made = services.create(user, replace(SHELL, pids_limit=said))
    give_ids(made)
    assert handlers.request_of(made, rows=24, columns=80).pids is None
    limits = limits_in_force(ContainerOptions.from_json(made.options))
    assert (limits.pids.value, limits.pids.is_default) == (512, True)
    assert services.inspect(made)["HostConfig"]["PidsLimit"] == 512


def test_the_default_size_of_the_layer_is_written_down_with_the_container(ubuntu, user, monkeypatch):
    """Its layer keeps that size, whatever the default is later."""
    assert ContainerOptions.from_json(services.create(user, SHELL).options).storage_bytes is None
    config = gateway.engine_config()
    limits = replace(config.limits, writable_bytes=10 << 30)
    monkeypatch.setattr("dashboard.gateway.engine_config", lambda: replace(config, limits=limits))
    made = services.create(user, SHELL)
    asked = services.create(user, replace(SHELL, storage_bytes=1 << 30))
    assert [ContainerOptions.from_json(row.options).storage_bytes for row in (made, asked)] == [10 << 30, 1 << 30]
    assert services.inspect(made)["HostConfig"]["StorageOpt"] == {"size": str(10 << 30)}


def test_a_limit_that_was_said_is_in_force(ubuntu, user, engine):
    made = services.create(user, replace(SHELL, pids_limit=7, memory_bytes=512 << 20))
    give_ids(made)
    assert handlers.request_of(made, rows=24, columns=80).pids == 7
    shape = services.inspect(made)["HostConfig"]
    assert (shape["PidsLimit"], shape["Memory"], shape["NanoCpus"]) == (7, 512 << 20, 2_000_000_000)


def test_defaults_are_those_that_the_engine_can_give_on_this_host(made, tmp_path, settings):
    settings.BERTH_RUN = tmp_path
    info = {"default_memory_bytes": 1 << 30, "default_nano_cpus": 1_000_000_000, "default_pids": 64}
    (tmp_path / "findings.json").write_text(json.dumps({"at": 1, "findings": [], "info": info}))
    shape = services.inspect(made)["HostConfig"]
    assert (shape["PidsLimit"], shape["Memory"], shape["NanoCpus"]) == (64, 1 << 30, 1_000_000_000)


def test_the_exit_code_is_0_before_the_first_end_and_minus_1_when_nobody_saw_it(user, running, engine):
    never_started = services.create(user, SHELL)
    assert services.inspect(never_started)["State"]["ExitCode"] == 0
    assert services.inspect(running)["State"]["ExitCode"] == 0
    engine.end(running.container_id, None, reason="Its monitor was lost.")
    running.refresh_from_db()
    assert services.inspect(running)["State"]["ExitCode"] == -1


def test_ps_shows_running_ones_and_filters(running, user, queue, engine):
    other = services.create(user, ContainerOptions(image="ubuntu:14.04", name="other"))

    def names(**kwargs):
        return [
            row.name for row in services.chosen_containers(services.containers_for(user), requests.Ps(**kwargs), user)
        ]

    assert names() == [running.name]
    assert names(all=True) == ["other", running.name]
    assert names(last=1) == ["other"]
    assert names(filters=(("status", "created"),)) == ["other"]
    assert names(all=True, filters=(("name", "oth"),)) == ["other"]
    assert names(all=True, filters=(("id", other.short_id),)) == ["other"]
    assert len(names(all=True, filters=(("ancestor", "ubuntu:14.04"),))) == 2
    assert names(all=True, filters=(("before", "other"),)) == [running.name]
    assert names(all=True, filters=(("since", running.short_id),)) == ["other"]
    assert names(filters=(("since", running.short_id),)) == []
    with pytest.raises(DashboardError, match="No such container: gone"):
        names(filters=(("since", "gone"),))


@pytest.mark.parametrize("mistake", [("nope", "x"), ("status", "asleep"), ("exited", "often")])
def test_a_filter_that_cannot_be_is_refused_even_when_nothing_is_left_to_choose_from(mistake):
    with pytest.raises(DashboardError, match="invalid filter"):
        services.chosen_containers([], requests.Ps(filters=(("name", "x"), mistake)))


def test_wait_exit_returns_the_ended_row(running, engine):
    assert services.wait_exit(running, 0) is None
    engine.end(running.container_id, 3)
    assert services.wait_exit(running, 1).exit_code == 3
