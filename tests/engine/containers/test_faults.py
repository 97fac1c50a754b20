"""What is cut off, killed or restarted ends in a true state and leaves nothing (F13, F16, F17, F18, F20, F40, F41)."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from engine.api import Engine
from engine.containers.folder import ContainerFolder
from engine.containers.lifecycle import STEPS
from engine.containers.record import Record, read_record, write_record
from engine.containers.states import State
from engine.errors import CommandNotFound, HostUnfit, NetworkError, RequestRefused, RuntimeFailed
from engine.kernel import cgroups, mounts, namespaces, pidfd
from engine.kernel.pidfd import ProcessIdentity
from engine.runtime import conmon, runc
from tests.engine.test_api import assert_nothing_runs
from tests.support.waiting import until

pytestmark = pytest.mark.root


@pytest.fixture
def restarted(lab):
    """The engine of a worker that was started again: knows nothing but what is on disk and in the kernel."""
    engine = Engine(lab.config)
    engine.prepare()
    yield engine
    engine.close()


def die_at(lab, container_id, moment, *, ports=()):
    config = lab.config
    argv = [sys.executable, "-m", "tests.support.probe.worker", str(config.data), str(config.run_parent)]
    argv += [str(config.uid), str(config.gid), container_id, moment, *map(str, ports)]
    assert subprocess.run(argv, timeout=120, check=False).returncode == -signal.SIGKILL


@pytest.mark.fault("F13")
@pytest.mark.parametrize("moment", [*STEPS, "creating"])
def test_a_start_that_was_cut_off_is_rolled_back_and_can_be_repeated(lab, restarted, moment):
    container_id = lab.create("/bin/sleep", "60")
    die_at(lab, container_id, moment)
    if moment == "creating":  # conmon and runc go on without their worker, until they want its user namespace
        created = lab.config.container(container_id) / "pidfile"
        until("the container is made", lambda: created.exists() or not conmon.strays(lab.config, container_id))
    found = restarted.observe(container_id)
    assert found.state is State.CREATED
    assert found.stage == ("create" if moment == "creating" else moment)
    assert container_id in restarted.list_known()
    swept = restarted.sweep({container_id})
    assert swept.cleaned == (container_id,)
    assert_nothing_runs(lab, container_id)
    assert restarted.sweep({container_id}).cleaned == ()
    restarted.start(container_id)
    assert restarted.observe(container_id).state is State.RUNNING
    lab.take_away(container_id)


@pytest.mark.fault("F13")
def test_a_start_that_was_cut_off_can_be_repeated_without_a_sweep(lab, restarted):
    container_id = lab.create("/bin/sleep", "60")
    die_at(lab, container_id, "start")
    restarted.start(container_id)
    assert restarted.observe(container_id).state is State.RUNNING
    lab.take_away(container_id)


@pytest.mark.fault("F13")
@pytest.mark.parametrize("stage", ["network", "start"])
def test_a_start_that_was_cut_off_can_be_removed(lab, restarted, stage):
    container_id = lab.create("/bin/sleep", "60")
    die_at(lab, container_id, stage)
    restarted.remove(container_id)
    assert_nothing_runs(lab, container_id)
    assert container_id not in restarted.list_known()


@pytest.mark.fault("F13")
def test_a_container_that_was_started_is_adopted_by_the_next_worker(lab, restarted):
    container_id = lab.create("/bin/sh", "-c", "until [ -e /enough ]; do sleep 0.05; done; exit 5")
    die_at(lab, container_id, "started")
    found = restarted.observe(container_id)
    assert found.state is State.RUNNING
    assert found.started_at is not None
    told = queue.Queue()
    restarted.watch(container_id, told.put)
    assert restarted.sweep(set()).cleaned == ()
    (lab.root(container_id) / "enough").touch()
    assert told.get(timeout=30).code == 5
    restarted.remove(container_id)


@pytest.mark.fault("F13")
def test_a_container_whose_record_is_lost_is_still_found_by_its_id(lab, restarted):
    with lab.started("/bin/sleep", "60", tty=True) as container_id:
        (lab.config.container(container_id) / "state.json").unlink()
        assert restarted.observe(container_id).state is State.RUNNING
        restarted.stop(container_id, 0)


def mistaken(*_args, **_options):
    raise TypeError("a mistake of the test's")


@pytest.mark.parametrize(
    "place",
    [
        *("folder.ContainerFolder.make_io", "lifecycle.create_isolation", "lifecycle.Start._launch"),
        *("lifecycle.Start._attach", "lifecycle.mount_all", "lifecycle.build_spec", "lifecycle.Start._start"),
    ],
)
def test_a_start_that_stumbles_over_a_mistake_of_ours_is_undone_as_well(lab, monkeypatch, place):
    container_id = lab.create("/bin/sleep", "60")
    with monkeypatch.context() as patch:
        patch.setattr(f"engine.containers.{place}", mistaken)
        with pytest.raises(TypeError, match="mistake of the test's"):
            lab.engine.start(container_id)
    assert_nothing_runs(lab, container_id)
    assert not (lab.config.container(container_id) / "state.json").exists()
    lab.engine.start(container_id)
    lab.take_away(container_id)


@pytest.mark.fault("F33")
def test_a_full_disk_at_the_very_beginning_is_a_sentence_and_the_last_end_stays(lab, monkeypatch):
    container_id = lab.create("/bin/sh", "-c", "exit 6")
    lab.engine.start(container_id)
    lab.wait_for(container_id, State.EXITED)
    lab.engine.release(container_id)

    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("engine.containers.folder.ContainerFolder.make_io", full)
        with pytest.raises(RuntimeFailed, match=r"could not be started \(begin\): No space left on device"):
            lab.engine.start(container_id)
    assert lab.engine.observe(container_id).exit.code == 6
    lab.take_away(container_id)


@pytest.mark.fault("F13")
@pytest.mark.parametrize("obstacle", [mistaken, lambda *_: (_ for _ in ()).throw(NetworkError("in the way"))])
def test_a_start_says_its_own_reason_also_when_it_cannot_be_undone(lab, restarted, monkeypatch, obstacle):
    container_id = lab.create("/no/such/program")
    with monkeypatch.context() as patch:
        patch.setattr("engine.network.Network.detach", obstacle)
        with pytest.raises(CommandNotFound, match="/no/such/program"):
            lab.engine.start(container_id)
    assert container_id in lab.engine._network.attached()
    assert not mounts.mounts_below(lab.config.container(container_id))  # the undos after it were tried
    assert restarted.sweep({container_id}).cleaned == (container_id,)
    assert_nothing_runs(lab, container_id)
    lab.take_away(container_id)


@pytest.mark.fault("F16")
@pytest.mark.parametrize("options", [{"tty": True}, {}, {"open_stdin": True}])
def test_a_container_whose_monitor_was_killed_ends_with_an_unknown_code(lab, options):
    told = queue.Queue()
    with lab.started("/bin/sh", "-c", "trap '' HUP; sleep 60", **options) as container_id:
        lab.engine.watch(container_id, told.put)
        monitor = read_record(lab.config.container(container_id) / "state.json").monitor
        os.kill(monitor.pid, signal.SIGKILL)
        found = told.get(timeout=5)
        assert found.code is None
        assert "monitor was lost" in found.reason
        assert lab.engine.observe(container_id).state is State.EXITED
        lab.engine.release(container_id)
        assert_nothing_runs(lab, container_id)
        assert lab.engine.observe(container_id).exit.code is None


@pytest.mark.fault("F16")
def test_a_monitor_lost_while_no_worker_ran_is_seen_and_the_container_ended(lab, restarted):
    with lab.started("/bin/sh", "-c", "trap '' HUP; while :; do sleep 1; done") as container_id:
        os.kill(read_record(lab.config.container(container_id) / "state.json").monitor.pid, signal.SIGKILL)
        until("it is seen", lambda: restarted.observe(container_id).state is State.MONITOR_LOST)
        assert restarted.sweep({container_id}).cleaned == ()
        restarted.end_unmonitored(container_id)
        assert restarted.observe(container_id).state is State.EXITED
        assert restarted.observe(container_id).exit.code is None


@pytest.mark.fault("F18")
def test_with_monitor_and_container_killed_the_code_is_unknown_and_never_zero(lab, restarted):
    with lab.started("/bin/sleep", "60") as container_id:
        record = read_record(lab.config.container(container_id) / "state.json")
        os.kill(record.monitor.pid, signal.SIGKILL)
        os.kill(record.init.pid, signal.SIGKILL)
        found = lab.wait_for(container_id, State.EXITED)
        assert found.exit.code is None
        assert restarted.sweep({container_id}).cleaned == (container_id,)
        assert restarted.observe(container_id).exit.code is None


@pytest.mark.fault("F42")
def test_a_run_that_ends_after_the_clock_was_set_back_does_not_end_before_it_began(lab, restarted):
    container_id = lab.create("/bin/sh", "-c", "exit 6")
    lab.engine.start(container_id)
    began = read_record(lab.config.container(container_id) / "state.json").started_at
    lab.wait_for(container_id, State.EXITED)
    os.utime(ContainerFolder(lab.config, container_id).bundle.exits / container_id, (0, 0))
    (lab.config.container(container_id) / "state.json").write_text(
        json.dumps(json.loads((lab.config.container(container_id) / "state.json").read_text()) | {"exit": None})
    )
    assert restarted.observe(container_id).exit.finished_at >= began
    assert restarted.observe(container_id).exit.code == 6
    lab.take_away(container_id)


@pytest.mark.fault("F20")
@pytest.mark.parametrize("damage", ["empty", "truncated", "no-state"])
def test_a_runc_that_was_cut_off_leaves_a_folder_that_is_removed(lab, damage):
    container_id = lab.create("/bin/true")
    folder = lab.config.run / "runc" / container_id
    folder.mkdir(mode=0o700)
    os.mkfifo(folder / "exec.fifo")
    if damage != "no-state":
        (folder / "state.json").write_text("" if damage == "empty" else '{"id": "x", "init_process_pid": 12')
    assert lab.engine.observe(container_id).state is State.CREATED
    assert lab.engine.sweep({container_id}).cleaned == (container_id,)
    assert not folder.exists()
    lab.engine.start(container_id)
    lab.take_away(container_id)


@pytest.mark.fault("F20")
def test_everything_killed_inside_create_is_cleaned_up(lab, restarted):
    container_id = lab.create("/bin/sleep", "60")
    die_at(lab, container_id, "creating")
    cgroups.kill_all(f"{lab.config.cgroup}/conmon")
    assert restarted.observe(container_id).state is State.CREATED
    restarted.sweep({container_id})
    assert_nothing_runs(lab, container_id)
    restarted.start(container_id)
    lab.take_away(container_id)


@pytest.mark.fault("F40")
def test_after_a_reboot_what_ran_has_ended_and_nothing_is_left(lab, tmp_path, monkeypatch):
    container_id, created = lab.create("/bin/sleep", "60"), lab.create("/bin/true")
    lab.engine.start(container_id)
    ended = lab.create("/bin/sh", "-c", "exit 6")
    lab.engine.start(ended)
    lab.wait_for(ended, State.EXITED)
    cut_off = lab.create("/bin/sleep", "60")
    die_at(lab, cut_off, "create")
    reboot(lab, tmp_path, monkeypatch)
    engine = Engine(lab.config)
    begun = time.monotonic()
    engine.prepare()
    assert engine.observe(container_id).state is State.EXITED
    assert engine.observe(container_id).exit.code is None
    assert engine.observe(container_id).exit.reason == "The host was restarted."
    assert engine.observe(ended).exit.code == 6
    assert engine.observe(created).state is State.CREATED
    assert engine.observe(cut_off).state is State.CREATED
    engine.sweep({container_id, created, ended, cut_off})
    assert time.monotonic() - begun < 5
    for one in (container_id, created, ended, cut_off):
        assert_nothing_runs(lab, one)
    assert engine.observe(container_id).exit.reason == "The host was restarted."
    engine.start(container_id)
    assert engine.observe(container_id).state is State.RUNNING
    for one in (container_id, created, ended, cut_off):
        lab.take_away(one)
    engine.close()


def reboot(lab, tmp_path, monkeypatch):
    """Kill all, drop /run, unmount, change the boot id (the recipe of F40)."""
    cgroups.kill_all(lab.config.cgroup)
    mounts.unmount_all(lab.config.data)
    lab.engine._network.remove()
    for path in (lab.config.run / "netns").glob("*"):
        namespaces.delete_netns(path)
    mounts.unmount_all(lab.config.run)
    assert not mounts.mounts_below(lab.config.run_parent)
    shutil.rmtree(lab.config.run)
    for name in cgroups.children(lab.config.cgroup):
        cgroups.remove(f"{lab.config.cgroup}/{name}")
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("00000000-0000-4000-8000-000000000001\n")
    monkeypatch.setattr(pidfd, "BOOT_ID_FILE", boot_id)


@pytest.mark.fault("F41")
def test_a_stranger_with_a_stored_number_is_never_signalled(lab, restarted):
    container_id = lab.create("/bin/sleep", "60")
    lab.engine.start(container_id)
    path = lab.config.container(container_id) / "state.json"
    record = read_record(path)
    os.kill(record.monitor.pid, signal.SIGKILL)
    os.kill(record.init.pid, signal.SIGKILL)
    lab.wait_for(container_id, State.EXITED)
    stranger = subprocess.Popen(["/bin/sleep", "60"])
    try:
        plant(lab, container_id, path, record, stranger.pid)
        assert restarted.observe(container_id).state is State.EXITED
        restarted.stop(container_id, 0)
        restarted.end_unmonitored(container_id)
        restarted.sweep({container_id})
        restarted.remove(container_id)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.fault("F41")
def test_a_thread_with_a_stored_number_is_in_nobodys_way(lab, restarted):
    container_id = lab.create("/bin/sleep", "60")
    lab.engine.start(container_id)
    path = lab.config.container(container_id) / "state.json"
    record = read_record(path)
    os.kill(record.monitor.pid, signal.SIGKILL)
    os.kill(record.init.pid, signal.SIGKILL)
    lab.wait_for(container_id, State.EXITED)
    may_end = threading.Event()
    thread = threading.Thread(target=may_end.wait)
    thread.start()
    try:
        plant(lab, container_id, path, record, thread.native_id)
        assert restarted.observe(container_id).state is State.EXITED
        restarted.sweep({container_id})
        restarted.remove(container_id)
        assert restarted.observe(container_id).state is State.ABSENT
    finally:
        may_end.set()
        thread.join()


def plant(lab, container_id, path, record: Record, pid: int):
    """Everything that stores a number now names the stranger: our record, runc's state, conmon's pid files."""
    old = (record.monitor.starttime, record.init.starttime)
    boot = record.boot_id
    identities = [ProcessIdentity(boot, pid, started) for started in old]
    write_record(path, Record("start", boot, *identities, record.started_at, None))
    state_file = lab.config.run / "runc" / container_id / "state.json"
    state = json.loads(state_file.read_text()) | {"init_process_pid": pid}
    state_file.write_text(json.dumps(state))
    for name in ("pidfile", "conmon.pid"):
        lab.config.container(container_id).joinpath(name).write_text(str(pid))


@pytest.mark.fault("F25")
def test_a_folder_that_no_row_knows_is_reported_and_kept(lab):
    container_id = lab.create("/bin/true")
    swept = lab.engine.sweep(set())
    assert container_id in swept.orphans
    assert lab.engine.observe(container_id).state is State.CREATED
    assert container_id not in lab.engine.sweep({container_id}).orphans
    lab.engine.remove(container_id)


def test_leftovers_without_a_folder_are_taken_away(lab):
    container_id = "9" * 64
    cgroups.create(f"{lab.config.cgroup}/{container_id}")
    (lab.config.run / "netns").mkdir(exist_ok=True)
    namespaces.create_netns(lab.config.run / "netns" / "888888888888")
    lab.engine.sweep(set())
    assert_nothing_runs(lab, container_id)
    assert not (lab.config.run / "netns" / "888888888888").exists()


def test_a_half_made_folder_is_absent_and_can_be_made_again(lab):
    request = lab.request("/bin/true")
    lab.config.container(request.container_id).mkdir(mode=0o711)
    assert lab.engine.observe(request.container_id).state is State.ABSENT
    lab.engine.create(request)
    lab.engine.start(request.container_id)
    lab.take_away(request.container_id)


def test_a_container_outlives_its_worker_with_shell_and_log(lab, restarted):
    container_id = lab.create("/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo line-$i; sleep 0.02; done")
    die_at(lab, container_id, "started")
    lab.wait_for_output(container_id, "line-30")
    monitor = read_record(lab.config.container(container_id) / "state.json").monitor
    with open(f"/proc/{monitor.pid}/cgroup") as file:
        assert all(line.strip().endswith(f"{lab.config.cgroup}/conmon") for line in file)
    restarted.stop(container_id, 0)
    lines = lab.output(container_id)[0].splitlines()
    assert lines == [f"line-{n}" for n in range(1, len(lines) + 1)]
    restarted.remove(container_id)


@pytest.mark.threat("RUN-01")
def test_the_host_may_refuse_a_weak_runtime(lab, tmp_path, monkeypatch):
    policy = tmp_path / "engine.toml"
    policy.write_text("[ceilings]\nrequire_patched_runtime = true\n")
    engine = Engine(dataclasses.replace(lab.config, policy_file=policy))
    container_id = lab.create("/bin/true")
    monkeypatch.setattr(runc, "version", lambda _program: "1.1.5+ds1")
    with pytest.raises(HostUnfit, match="policy refuses"):
        engine.start(container_id)
    assert_nothing_runs(lab, container_id)
    monkeypatch.setattr(runc, "version", lambda _program: "1.3.6")
    engine.start(container_id)
    lab.take_away(container_id)
    engine.close()


@pytest.mark.threat("RUN-07")
def test_ceilings_of_the_host_hold_whatever_a_request_says(lab, tmp_path):
    policy = tmp_path / "engine.toml"
    policy.write_text("[ceilings]\npids = 10\nno_new_privileges = true\n")
    engine = Engine(dataclasses.replace(lab.config, policy_file=policy))
    with pytest.raises(RequestRefused, match="at most 10 processes"):
        engine.create(lab.request("/bin/true", pids=11))
    container_id = lab.create("/bin/grep", "NoNewPrivs", "/proc/self/status")
    engine.start(container_id)
    assert lab.result(container_id).out.split() == ["NoNewPrivs:", "1"]
    lab.take_away(container_id)
    engine.close()
