"""Containers that are there, on the real runc: pausing them, and looking into them."""

from __future__ import annotations

import contextlib
import statistics
import time

import pytest

from engine.containers import operations
from engine.containers.operations import LimitsWanted
from engine.containers.states import State
from engine.errors import RequestRefused, RuntimeFailed, WrongState
from engine.kernel import cgroups
from engine.runtime.shares import SharesRequest
from tests.engine.test_api import attach
from tests.support.waiting import until

pytestmark = pytest.mark.root
COUNTING = ("/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done")
POLITE = ("/bin/sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done")


def log_bytes(lab, container_id) -> int:
    return (lab.config.io(container_id) / "ctr.log").stat().st_size


def _still(lab, container_id) -> int:
    """How long its log is, if it did not grow for six turns of its loop; else 0."""
    before = log_bytes(lab, container_id)
    time.sleep(0.3)
    return before if log_bytes(lab, container_id) == before else 0


def test_a_paused_container_does_nothing_until_it_goes_on(lab):
    with lab.started(*COUNTING) as container_id:
        lab.wait_for_output(container_id, "3\n")
        lab.engine.operations.pause(container_id)
        assert lab.engine.observe(container_id).paused
        held = until("conmon has written what there was", lambda: _still(lab, container_id))
        with pytest.raises(WrongState, match="already paused"):
            lab.engine.operations.pause(container_id)
        lab.engine.operations.unpause(container_id)
        assert not lab.engine.observe(container_id).paused
        until("it goes on", lambda: log_bytes(lab, container_id) > held)
        with pytest.raises(WrongState, match="is not paused"):
            lab.engine.operations.unpause(container_id)


def test_what_does_not_run_cannot_be_paused(lab):
    container_id = lab.create("/bin/true")
    for act in (lab.engine.operations.pause, lab.engine.operations.unpause):
        with pytest.raises(WrongState, match=f"Container {container_id} is not running"):
            act(container_id)
    lab.engine.remove(container_id)
    with pytest.raises(WrongState, match="No such container"):
        lab.engine.operations.pause(container_id)


def test_a_stop_reaches_a_paused_container_at_once(lab):
    with lab.started(*POLITE) as container_id:
        lab.wait_for_output(container_id, "ready")
        lab.engine.operations.pause(container_id)
        began = time.monotonic()
        lab.engine.stop(container_id, 20)
        assert time.monotonic() - began < 10
        assert lab.wait_for(container_id, State.EXITED).exit.code == 7


@pytest.mark.parametrize(("number", "code"), [("KILL", 137), ("TERM", 7)])
def test_a_kill_reaches_a_paused_container(lab, number, code):
    with lab.started(*POLITE) as container_id:
        lab.wait_for_output(container_id, "ready")
        lab.engine.operations.pause(container_id)
        lab.engine.kill(container_id, number)
        assert lab.wait_for(container_id, State.EXITED).exit.code == code


def test_a_paused_container_takes_no_further_command(lab, box):
    lab.engine.operations.pause(box.container_id)
    try:
        with pytest.raises(WrongState, match="is paused, unpause the container before exec"):
            box.run("/bin/true")
    finally:
        lab.engine.operations.unpause(box.container_id)
    assert box.out("/bin/echo", "again") == "again\n"


def test_what_runc_says_is_told(lab):
    with lab.started("/bin/sleep", "60") as container_id:
        log = lab.config.container(container_id) / "runc.log"
        with pytest.raises(RuntimeFailed, match=r"The container could not go on: .+"):
            lab.engine.operations._parts.runc.resume(container_id, log)
    with pytest.raises(RuntimeFailed, match=r"The container could not be paused: .+"):
        lab.engine.operations._parts.runc.pause(container_id, lab.config.run / "none.log")


def test_processes_are_told_with_the_users_that_the_container_has(lab, box):
    sleeping = box.start("/bin/sh", "-c", "sleep 600; :", user="tester", tty=True)
    until("both", lambda: len(lab.engine.operations.processes(box.container_id)) == 3)
    first, *others = lab.engine.operations.processes(box.container_id)
    assert (first.user, first.facts.uid, first.facts.command) == ("root", 0, "/bin/sleep 600")
    assert first.facts.pid == lab.engine.observe(box.container_id).pid
    assert first.facts.started_at <= time.time() < first.facts.started_at + 600
    assert {(one.user, one.facts.uid, one.facts.terminal) for one in others} == {("tester", 1000, "pts/0")}
    assert others[1].facts.parent == others[0].facts.pid
    box.execs.end(box.container_id, sleeping)
    box.wait(sleeping)


def test_a_process_cannot_lie_about_itself_with_control_characters(lab):
    lie = "exec -a \"$(printf 'a\\033[2Jb) R 1 1 1')\" bash -c 'sleep 600; :'"
    with lab.started("/bin/bash", "-c", lie) as container_id:
        until("its new name", lambda: "?[2J" in lab.engine.operations.processes(container_id)[0].facts.command)
        one = lab.engine.operations.processes(container_id)[0]
        assert one.facts.command == "a?[2Jb) R 1 1 1 -c sleep 600; :"
        assert one.facts.parent > 1


def test_what_does_not_run_has_no_processes(lab):
    container_id = lab.create("/bin/true")
    with pytest.raises(WrongState, match="is not running"):
        lab.engine.operations.processes(container_id)
    assert lab.engine.operations.changes(container_id) == []
    lab.engine.remove(container_id)


@pytest.mark.parametrize("limit", [None, 32 << 20])
def test_changes_are_told_running_and_stopped(lab, limit):
    script = "echo 1 >/made; rm /etc/passwd; mkdir /etc/new; echo ready; read x"
    with lab.started("/bin/sh", "-c", script, open_stdin=True, writable_bytes=limit) as container_id:
        lab.wait_for_output(container_id, "ready")
        wanted = ["C /etc", "A /etc/new", "D /etc/passwd", "A /made"]
        assert [f"{one.kind} {one.path}" for one in lab.engine.operations.changes(container_id)] == wanted
        lab.engine.stop(container_id, 0)
        lab.engine.release(container_id)
        assert [f"{one.kind} {one.path}" for one in lab.engine.operations.changes(container_id)] == wanted


def test_figures_of_all_running_containers_in_one_look(lab):
    spin = ("/bin/sh", "-c", "echo ready; while :; do :; done")
    with lab.started(*spin, memory_bytes=64 << 20) as busy, lab.started("/bin/sleep", "60") as idle:
        lab.wait_for_output(busy, "ready")
        first = lab.engine.operations.figures()
        assert {busy, idle} <= set(first)
        time.sleep(0.5)
        found = lab.engine.operations.figures()
        assert found[busy].cpu_percent > 20
        assert found[idle].cpu_percent < 5
        assert found[busy].memory_limit_bytes == 64 << 20
        assert 0 < found[busy].memory_bytes < 64 << 20
        assert found[idle].processes == 1
    assert not {busy, idle} & set(lab.engine.operations.figures())


def test_traffic_is_counted_from_the_containers_side(lab):
    words = "x=$(head -c 1000 /dev/zero | tr '\\0' x); echo ready; read y"
    script = f"{words}; for i in $(seq 200); do echo $x >/dev/udp/192.0.2.1/9; done; read y"
    with lab.started("/bin/bash", "-c", script, open_stdin=True) as container_id:
        lab.wait_for_output(container_id, "ready")
        before = lab.engine.operations.figures()[container_id]
        with contextlib.closing(attach(lab, container_id)) as sock:
            sock.send(b"go\n")
            until("it has sent", lambda: _sent(lab, container_id) > before.sent_bytes + 100_000)
        after = lab.engine.operations.figures()[container_id]
        assert after.received_bytes - before.received_bytes < 100_000


def _sent(lab, container_id) -> int:
    return lab.engine.operations.figures()[container_id].sent_bytes


def _limits(lab, container_id) -> tuple[int, int, int]:
    """Memory, share of the processors in thousandths, processes: as the kernel has them."""
    path = f"{lab.config.cgroup}/{container_id}"
    found = {}
    for hierarchy in cgroups.hierarchies():
        for name in ("memory.limit_in_bytes", "memory.max", "cpu.cfs_quota_us", "cpu.max", "pids.max"):
            with contextlib.suppress(OSError):
                found[name] = int((hierarchy.folder(path) / name).read_text().split()[0])
    memory = found.get("memory.limit_in_bytes", found.get("memory.max"))
    return memory, found.get("cpu.cfs_quota_us", found.get("cpu.max")) // 100, found["pids.max"]


def test_limits_are_changed_while_it_runs_and_for_its_next_start(lab):
    wanted = LimitsWanted(memory_bytes=48 << 20, nano_cpus=500_000_000, pids=33)
    with lab.started("/bin/sleep", "60", memory_bytes=64 << 20) as container_id:
        lab.engine.operations.pause(container_id)
        lab.engine.operations.update(container_id, wanted)
        assert lab.engine.observe(container_id).paused
        lab.engine.operations.unpause(container_id)
        assert _limits(lab, container_id) == (48 << 20, 500, 33)
        lab.engine.operations.update(container_id, LimitsWanted(memory_bytes=96 << 20, nano_cpus=500_000_000, pids=33))
        assert _limits(lab, container_id) == (96 << 20, 500, 33)
        lab.engine.stop(container_id, 0)
        lab.engine.release(container_id)
        lab.engine.operations.update(container_id, wanted)
        lab.engine.start(container_id)
        assert _limits(lab, container_id) == (48 << 20, 500, 33)
        assert not (lab.config.container(container_id) / "resources.json").exists()


@pytest.mark.threat("RUN-07")
@pytest.mark.parametrize(
    ("wider", "complaint"),
    [({"pids": {"limit": -1}}, "processes without a limit"), ({"memory": {"limit": -1}}, "memory without a limit"),
     ({"cpu": {"quota": -1, "period": 100_000}}, "processor time without a limit"), ({"devices": []}, "other devices")],
)  # fmt: skip
def test_the_policy_looks_at_what_a_running_container_is_given_too(lab, monkeypatch, wider, complaint):
    """However it was built: an update has the same last look as a start."""
    built = operations.resources
    with lab.started("/bin/sleep", "60") as container_id:
        before = _limits(lab, container_id)
        with monkeypatch.context() as mistaken:
            mistaken.setattr(operations, "resources", lambda *words: built(*words) | wider)
            with pytest.raises(RequestRefused, match=complaint):
                lab.engine.operations.update(container_id, LimitsWanted())
        assert _limits(lab, container_id) == before


def test_shares_are_changed_and_given_back_while_it_runs(lab):
    with lab.started("/bin/sleep", "60") as container_id:
        lab.engine.operations.update(container_id, LimitsWanted(shares=SharesRequest(cpu_shares=512, cpus="0")))
        assert _shares(lab, container_id) == (512, "0")
        lab.engine.operations.update(container_id, LimitsWanted())
        assert _shares(lab, container_id)[0] == 1024
        with pytest.raises(RequestRefused, match="Requested CPUs are not available"):
            lab.engine.operations.update(container_id, LimitsWanted(shares=SharesRequest(cpus="4000")))


def _shares(lab, container_id) -> tuple[int, str]:
    """As version 1 counts them; 512 and 1024 are 20 and 39 of version 2."""
    path, found = f"{lab.config.cgroup}/{container_id}", {}
    for hierarchy in cgroups.hierarchies():
        for name in ("cpu.shares", "cpu.weight", "cpuset.cpus"):
            with contextlib.suppress(OSError):
                found[name] = (hierarchy.folder(path) / name).read_text().strip()
    shares = int(found.get("cpu.shares", 0)) or {20: 512, 39: 1024}[int(found["cpu.weight"])]
    return shares, found["cpuset.cpus"]


def test_limits_that_cannot_be_leave_a_running_container_as_it_was(lab):
    script = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); echo ready; read y"
    with lab.started("/bin/bash", "-c", script, open_stdin=True, memory_bytes=128 << 20) as container_id:
        lab.wait_for_output(container_id, "ready")
        before = _limits(lab, container_id)
        with pytest.raises(RequestRefused, match="Minimum memory limit"):
            lab.engine.operations.update(container_id, LimitsWanted(memory_bytes=1))
        if any(hierarchy.version == 1 and "memory" in hierarchy.controllers for hierarchy in cgroups.hierarchies()):
            with pytest.raises(RuntimeFailed, match="The container's limits could not be changed"):
                lab.engine.operations.update(container_id, LimitsWanted(memory_bytes=8 << 20))
        assert _limits(lab, container_id) == before
        assert lab.engine.observe(container_id).state is State.RUNNING
    lab.engine.operations.update("e" * 64, LimitsWanted())  # never started: there is nothing to change


@pytest.mark.long
def test_a_look_at_a_hundred_containers_takes_15_ms_of_a_processor(lab):
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(lab.started("/bin/sleep", "600"))
        taken_s = []
        for _ in range(20):
            began = time.thread_time()
            assert len(lab.engine.operations.figures()) >= 100
            taken_s.append(time.thread_time() - began)
        assert statistics.median(taken_s) < 0.015, taken_s
