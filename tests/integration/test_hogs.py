"""Containers that take all they can get, or that do not want to end: the others, the pages and Berth itself go on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from engine.kernel import cgroups
from tests.support.checked import assert_sound
from tests.support.server import ROOT
from tests.support.terminal import Person
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
IMAGE = "ubuntu:14.04"
BERTH = str(ROOT / "script" / "berth")
MIB = 1 << 20
LOG_CAP_BYTES = 8 * 2 * 16 * MIB  # what is younger than three seconds, when nobody reads it
LINE = "a line that is printed for ever and ever"
ANSWER_S = 10  # for a page or a command beside a hog; a second on a machine that has nothing else to do


@pytest.fixture(autouse=True)
def sound_afterwards(berth):
    """After each fault: every part answers, and all that containers had is given back."""
    yield
    berth.remove_all()
    berth.assert_clean()
    assert_sound(berth)


def page_s(client, path: str) -> float:
    """Seconds that the page took; it must be there."""
    begun = time.monotonic()
    answer = client.get(path)
    assert answer.status_code == 200, answer.text[:500]
    return time.monotonic() - begun


def assert_answers(berth, client) -> None:
    """The list's page, the health check and the command line, as people use them."""
    assert page_s(client, "/containers/") < ANSWER_S
    begun = time.monotonic()
    berth.ok("ps")
    assert time.monotonic() - begun < ANSWER_S
    assert all(berth.health().values())


def programs_of(berth) -> dict[str, int]:
    return {name: berth.pid_of(name) for name in ("web", "images", "layers", "engine", "redis")}


def group(berth, container: str, controller: str) -> Path:
    path = f"/berth-{berth.tag}/{container}"
    (found,) = (one.folder(path) for one in cgroups.hierarchies() if controller in one.controllers)
    return found


# Load


@pytest.mark.fault("F17", "F49")
@pytest.mark.parametrize("count", [12, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def test_many_start_together_fail_together_and_stop_together(berth, count):
    names = [f"many{number}" for number in range(count)]
    for name in names:
        berth.ok("create", "--name", name, "--restart", "on-failure", "-m", "32m", IMAGE, "sleep", "1000")
    begun = time.monotonic()
    berth.ok("start", *names, timeout_s=400)
    assert time.monotonic() - begun < 180
    assert len(berth.ok("ps", "-q").split()) == count
    with berth.browser() as client:
        assert min(page_s(client, "/containers/") for _ in range(4)) < 1
        for container in berth.ok("ps", "-q", "--no-trunc").split():
            os.kill(berth.init_pid(container), signal.SIGKILL)
        assert page_s(client, "/containers/") < ANSWER_S

        def all_again() -> bool:
            found = json.loads(berth.ok("inspect", *names))
            return all(one["RestartCount"] == 1 and one["State"]["Running"] for one in found)

        until(lambda: f"all run again\n{berth.ok('ps', '-a')}{berth.logs()}", all_again, 180, every_s=0.5)
    berth.ok("stop", "-t", "0", *names, timeout_s=400)
    assert berth.ok("ps", "-q") == ""
    berth.ok("rm", *names, timeout_s=400)
    slow = [
        line for line in (berth.data / "logs" / "engine.log").read_text().splitlines() if "the tick 'containers" in line
    ]
    assert len(slow) <= count // 12, slow  # a round over 2 s; the machine may take one away


@pytest.mark.fault("F50")
@pytest.mark.parametrize("watchers", [4, pytest.param(20, marks=pytest.mark.long)])
def test_a_container_that_prints_at_full_speed_with_none_some_and_a_frozen_watcher(berth, watchers):
    container = berth.start_long("-it", "--name", "printer", IMAGE, "sh", "-c", f"yes {LINE}; exit 130")
    beside = berth.start_long("-it", "--name", "beside", IMAGE)
    web = berth.pid_of("web")
    size = written(berth, container)
    until("it prints without a watcher", lambda: written(berth, container) != size)
    watching = [
        subprocess.Popen([BERTH, "logs", "-f", "-n", "1", container], env=berth.environment, stdin=-3, stdout=-3)
        for _ in range(watchers)
    ]
    try:
        with Person([BERTH, "attach", "beside"], berth.environment) as other, berth.browser() as client:
            other.expect(r"root@.*# ")
            before = memory_mib(web)
            watching[0].send_signal(signal.SIGSTOP)
            for number in range(8):
                other.type(f"echo still-$(({number}+100))\n")
                other.expect(f"\nstill-{number + 100}\n", ANSWER_S)
                assert_answers(berth, client)
            assert memory_mib(web) - before < 32 + 2 * watchers
            size = written(berth, container)
            until("it prints beside a frozen watcher", lambda: written(berth, container) != size)
            assert berth.pid_of("web") == web
            let_go(watching)
            until("its log is within its cap", lambda: kept_bytes(berth, container) < LOG_CAP_BYTES)
            with Person([BERTH, "attach", "printer"], berth.environment) as person:
                person.expect("a line that is printed")
                init = Path(f"/proc/{berth.init_pid(container)}")
                person.type("\x03")  # and reads nothing any more
                until("Ctrl-C ends it", lambda: not init.exists(), ANSWER_S)
                assert person.exit_code(120) == 130
    finally:
        let_go(watching)
    assert berth.wait_state(container, "exited")["ExitCode"] == 130
    assert berth.state(beside)["Running"] is True


def log_files(berth, container: str) -> list[Path]:
    return list((berth.container_folder(container) / "io").glob("ctr.log*"))


def let_go(watching: list[subprocess.Popen]) -> None:
    for one in watching:
        one.kill()
        one.wait()


def kept_bytes(berth, container: str) -> int:
    with contextlib.suppress(FileNotFoundError):  # rotated away while we look
        return sum(path.stat().st_size for path in log_files(berth, container))
    return LOG_CAP_BYTES


def written(berth, container: str) -> int:
    """Grows as long as it prints, whatever is rotated away: inode numbers and sizes of what is there."""
    with contextlib.suppress(OSError):
        return hash(tuple(sorted((path.stat().st_ino, path.stat().st_size) for path in log_files(berth, container))))
    return 0


def memory_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon"):
            return int(line.split()[1]) / 1024
    raise AssertionError(pid)


@pytest.mark.fault("F51")
def test_a_fork_bomb_stays_inside_and_is_killed_within_10_s(berth):
    bomb = "b() { b | b & b; }; (b) & exec sleep 1000"
    container = berth.start_long("--name", "bomb", "--pids-limit", "200", IMAGE, "bash", "-c", bomb)
    beside = berth.start_long("--name", "beside", IMAGE, "sleep", "1000")
    counted = group(berth, container, "pids")

    def refused() -> int:
        return int((counted / "pids.events").read_text().split()[1])

    until("it meets its limit", refused)
    with berth.browser() as client:
        assert_answers(berth, client)
        assert page_s(client, f"/containers/{container}/") < ANSWER_S
    assert int((counted / "pids.current").read_text()) <= 200
    assert berth.ok("exec", beside, "echo", "fine") == "fine\n"
    begun = time.monotonic()
    berth.ok("kill", container)
    ended = berth.wait_state(container, "exited", within_s=10)
    assert time.monotonic() - begun < 15
    assert (ended["ExitCode"], ended["OOMKilled"]) == (137, False)
    assert berth.state(beside)["Running"] is True


@pytest.mark.fault("F52")
@pytest.mark.parametrize(
    ("flags", "script", "is_killed"),
    [
        ((), "tail -c 200000000 /dev/zero", True),
        (("--shm-size", "256m"), "dd if=/dev/zero of=/dev/shm/x bs=1M count=200", True),
        ((), "dd if=/dev/zero of=/page-cache bs=1M count=100 && cat /page-cache > /dev/null", False),
    ],
)
def test_memory_ends_inside_whatever_it_is_taken_for(berth, flags, script, is_killed):
    beside, before = berth.start_long(), programs_of(berth)
    hog = berth.ok("create", "-m", "32m", *flags, IMAGE, "sh", "-c", script).strip()
    score = int(Path(f"/proc/{berth.init_pid(beside)}/oom_score_adj").read_text())
    for pid in (*before.values(), berth.monitor_pid(beside)):
        assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) < score
    berth.ok("start", hog)
    ended = berth.wait_state(hog, "exited", within_s=60)
    if is_killed:
        assert ended["OOMKilled"] is True
        assert ended["ExitCode"] == 137
    else:
        assert (ended["ExitCode"], ended["OOMKilled"]) == (0, False)
    assert berth.state(beside)["Running"] is True
    assert programs_of(berth) == before


@pytest.mark.fault("F53")
def test_bytes_and_inodes_end_inside_a_layer_with_a_size(berth):
    beside = berth.start_long()
    script = (
        "dd if=/dev/zero of=/big bs=1M count=64 2>&1; rm /big; mkdir /d; i=0; "
        "while : 2>/dev/null > /d/$i; do i=$((i+1)); [ $i -lt 60000 ] || exit 9; done; echo made $i; "
        "rm -rf /d; echo room > /again && cat /again"
    )
    hog = berth.start_long("--storage-opt", "size=24m", IMAGE, "bash", "-c", script)
    ended = berth.wait_state(hog, "exited", within_s=120)
    said = berth.ok("logs", hog)
    assert "No space left on device" in said
    assert said.endswith("room\n"), said
    assert ended["ExitCode"] == 0
    assert berth.ok("exec", beside, "sh", "-c", "echo mine > /mine && cat /mine") == "mine\n"
    assert berth.ok("run", "--rm", IMAGE, "echo", "others start") == "others start\n"


@pytest.mark.fault("F54")
def test_containers_that_want_all_processors_leave_berth_its_share(berth):
    count = 2 * (os.cpu_count() or 1) + 2
    for _ in range(count):
        berth.start_long(IMAGE, "sh", "-c", "while :; do :; done")
    berth.start_long("-it", "--name", "beside", IMAGE)
    with Person([BERTH, "attach", "beside"], berth.environment) as person, berth.browser() as client:
        person.expect(r"root@.*# ")
        for number in range(3):
            assert_answers(berth, client)
            person.type(f"echo typed-$(({number}+100))\n")
            person.expect(f"\ntyped-{number + 100}\n", ANSWER_S)
        assert client.get("/system/").status_code == 200
        person.type("exit\n")


# Ends


def processes_in(berth, container: str) -> set[int]:
    return cgroups.pids(f"/berth-{berth.tag}/{container}")


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def children_in_state(state: str, pid: int) -> int:
    return [state_of(int(child)) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()].count(state)


@pytest.mark.fault("F56")
def test_what_ignores_sigterm_with_daemons_and_zombies_ends_at_the_kill(berth):
    script = (
        "trap '' TERM; setsid sh -c 'trap \"\" TERM HUP; sleep 1000 & exec sleep 1000' & "
        "(sleep 0.1 & exec true); echo up; while :; do sleep 1; done"
    )
    stubborn = berth.start_long(IMAGE, "bash", "-c", script)
    # a first process that reaps nobody: its orphans stay zombies as long as it lives
    careless = berth.start_long(IMAGE, "bash", "-c", "(sleep 0.1 & sleep 0.1 &) ; exec sleep 1000")
    berth.wait_output(stubborn, "up")
    until("zombies", lambda: children_in_state("Z", berth.init_pid(careless)) == 2)
    assert len(processes_in(berth, stubborn)) >= 3
    begun = time.monotonic()
    berth.ok("stop", "-t", "2", stubborn, careless)
    assert time.monotonic() - begun >= 2
    for container in (stubborn, careless):
        assert berth.state(container)["ExitCode"] == 137
        assert processes_in(berth, container) == set()


@pytest.mark.fault("F56")
@pytest.mark.long
def test_what_hangs_in_the_kernel_is_said_to_be_stuck_and_nobody_else_waits(berth):
    """A process that writes to a frozen file system cannot be killed: the kernel lets it go when it is thawed."""
    writer = berth.start_long("--storage-opt", "size=24m", IMAGE, "sh", "-c", "while :; do echo x >> /x; done")
    place = writable_layer(berth, writer)
    subprocess.run(["fsfreeze", "-f", place], check=True)
    try:
        pid = berth.init_pid(writer)
        until("it hangs", lambda: state_of(pid) == "D")
        stopping = subprocess.Popen(
            [BERTH, "stop", "-t", "1", writer], env=berth.environment, stderr=-1, stdout=-1, stdin=-3, text=True
        )
        with berth.browser() as client:
            while stopping.poll() is None:
                assert_answers(berth, client)
                assert page_s(client, f"/containers/{writer}/") < ANSWER_S
            assert "does not end, although it was killed" in stopping.communicate()[1]
            assert "does not end, although it was killed" in client.get(f"/containers/{writer}/").text
        state = berth.state(writer)
        assert state["Running"] is True
        assert "does not end, although it was killed" in state["Error"]
    finally:
        subprocess.run(["fsfreeze", "-u", place], check=True)
    ended = berth.wait_state(writer, "exited")
    assert (ended["ExitCode"], ended["Error"]) == (137, "")


def writable_layer(berth, container: str) -> str:
    folder = str(berth.container_folder(container))
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    (found,) = {words[4] for words in lines if words[4].startswith(folder) and " ext4 " in " ".join(words)}
    return found


@pytest.mark.fault("F19")
def test_a_monitor_and_a_web_process_that_hang_hide_no_end(berth):
    """Output is read from the log, so nobody can be waited for; the end is seen by the process itself."""
    script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"
    printing = berth.start_long(IMAGE, "sh", "-c", script)
    web = berth.pid_of("web")
    os.kill(web, signal.SIGSTOP)
    try:
        size = written(berth, printing)
        until("it prints on", lambda: written(berth, printing) != size)
        os.kill(berth.monitor_pid(printing), signal.SIGSTOP)
        os.kill(berth.init_pid(printing), signal.SIGKILL)
        until("the monitor is ended", lambda: not Path(f"/proc/{berth.monitor_pid(printing)}").exists())
    finally:
        os.kill(web, signal.SIGCONT)
    ended = berth.wait_state(printing, "exited", within_s=30)
    assert ended["ExitCode"] != 0


@pytest.mark.fault("F34")
def test_a_container_whose_log_has_no_room_goes_on_and_the_terminal_says_so(berth):
    """A tmpfs of 1 MiB in place of its log's folder."""
    container = berth.start_long("-it", "--name", "full", IMAGE)
    berth.ok("stop", "-t", "0", container)
    io = berth.container_folder(container) / "io"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0711", "tmpfs", str(io)], check=True)
    try:
        berth.ok("start", container)
        with Person([BERTH, "attach", container], berth.environment) as person:
            person.expect(r"root@.*# ")
            person.type("head -c 4000000 /dev/zero | tr '\\0' z; touch /printed\n")
            until("all was printed", lambda: berth.run_command("exec", container, "ls", "/printed").returncode == 0)
            person.expect("The disk is or was full: output is missing", 60)
        assert berth.state(container)["Running"] is True
        assert berth.ok("exec", container, "echo", "fine") == "fine\n"
        berth.ok("stop", "-t", "1", container)
        assert berth.state(container)["Running"] is False
    finally:
        subprocess.run(["umount", "-l", str(io)], check=True)


# Trees


@pytest.mark.fault("F39")
def test_a_tree_that_nobody_can_remove_is_removed_and_what_is_mounted_in_it_is_not(berth, tmp_path):
    container = berth.start_long("--name", "tree", IMAGE, "sh", "-c", "mkdir -p /t/a/b /t/m /t/many; exec sleep 1000")
    until("its tree", lambda: berth.run_command("exec", container, "ls", "/t/many").returncode == 0)
    script = "cd /t/many; i=0; while [ $i -lt 20000 ]; do : > $i; i=$((i+1)); done; chmod 0 /t/a/b /t/a"
    berth.ok("exec", container, "sh", "-c", script)
    berth.ok("stop", "-t", "0", container)
    (top,) = berth.container_folder(container).glob("upper/**/t")
    deep(top, 4096)
    (tmp_path / "precious").write_text("kept")
    subprocess.run(["mount", "--bind", str(tmp_path), str(top / "m")], check=True)
    remover = threading.Thread(target=berth.ok, args=("rm", container))
    remover.start()
    with berth.browser() as client:
        assert page_s(client, "/containers/") < ANSWER_S
    remover.join()
    assert not top.exists()
    assert (tmp_path / "precious").read_text() == "kept"
    assert str(top) not in Path("/proc/self/mountinfo").read_text()


def deep(folder: Path, depth: int) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
