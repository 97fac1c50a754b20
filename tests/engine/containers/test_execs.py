"""Further commands in running containers, looked at from inside and from outside (RUN rows of threats.md)."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.containers.states import State
from engine.errors import (
    CommandNotExecutable,
    CommandNotFound,
    EngineError,
    ImageUnfit,
    RequestRefused,
    ShellNotFound,
    UserUnknown,
    WrongState,
)
from engine.runtime.execrequest import ExecRequest
from engine.terminal import rotation
from tests.engine.containers.box import monitors, new_id, running
from tests.engine.test_api import command_of
from tests.support.images import symlink
from tests.support.waiting import until

pytestmark = pytest.mark.root


def test_a_command_has_its_own_output_and_exit_code(box):
    assert box.run("/bin/sh", "-c", "echo out; echo err >&2; exit 7") == (7, "out\n", "err\n")


def test_it_runs_in_the_container(box, lab):
    own = lab.request().hostname
    assert box.out("/bin/hostname").strip() == box.container_id[:12] != own
    assert "sleep" in box.out("/bin/sh", "-c", "cat /proc/1/cmdline")
    (lab.root(box.container_id) / "seen").write_text("from outside\n")
    assert box.out("/bin/cat", "/seen") == "from outside\n"


def test_a_quick_one_always_leaves_its_exit_code(box):
    for tty in (False, True):
        for _ in range(10):
            assert box.run("/bin/sh", "-c", "exit 3", tty=tty)[0] == 3


def test_a_terminal_has_its_size_and_is_not_deaf_after_its_first_viewer(box):
    exec_id = box.start("/bin/sh", tty=True, open_stdin=True, rows=33, columns=111)
    first = box.attach(exec_id)
    first.send(b"stty size; tty; echo $TERM\n")
    box.wait_for(exec_id, "xterm-256color")
    assert "33 111" in box.output(exec_id)[0]
    first.close()
    second = box.attach(exec_id)
    second.send(b"echo back-$((40+2)); exit 5\n")
    box.wait_for(exec_id, "back-42")
    assert box.wait(exec_id).code == 5
    second.close()


def test_end_of_file_reaches_a_pipe(box):
    exec_id = box.start("/bin/wc", "-c", open_stdin=True)
    sock = box.attach(exec_id)
    for _ in range(50):
        sock.send(b"x" * 4096)
    sock.shutdown(socket.SHUT_WR)
    assert box.wait(exec_id).code == 0
    assert box.output(exec_id)[0].strip() == str(50 * 4096)
    sock.close()


def test_without_input_it_reads_nothing(box):
    assert box.run("/bin/cat")[0] == 0


def test_its_end_is_told(box):
    told = queue.Queue()
    exec_id = box.start("/bin/sh", "-c", "read x; exit 42", open_stdin=True)
    box.execs.watch(box.container_id, exec_id, told.put)
    assert box.execs.is_watching(exec_id)
    sock = box.attach(exec_id)
    sock.send(b"go\n")
    found = told.get(timeout=5)
    assert (found.code, found.oom_killed, found.reason) == (42, False, "")
    sock.close()


@pytest.mark.parametrize(
    ("command", "kind", "sentence"),
    [
        (("nope",), CommandNotFound, r'^exec: "nope": executable file not found in \$PATH$'),
        (("/nope",), CommandNotFound, r'^exec: "/nope": stat /nope: no such file or directory$'),
        (("/etc/passwd",), CommandNotExecutable, r'^exec: "/etc/passwd": '),
        (("/etc",), CommandNotExecutable, r'^exec: "/etc": '),
    ],
)
def test_a_command_that_cannot_run_is_said_in_dockers_words_and_leaves_nothing_that_runs(
    box, lab, command, kind, sentence
):
    exec_id = new_id()
    with pytest.raises(kind, match=sentence):
        box.execs.start(box.container_id, ExecRequest(exec_id=exec_id, command=command))
    assert box.observe(exec_id).state is State.CREATED
    assert not monitors(lab, exec_id)
    box.execs.remove(box.container_id, exec_id)
    assert box.observe(exec_id).state is State.ABSENT


# Who, where and in which environment


def test_the_user_is_looked_up_in_the_container_as_it_is_now(lab):
    with running(lab) as box:
        box.run(
            "/bin/sh", "-c", "echo late:x:1234:5678::/tmp:/bin/sh >> /etc/passwd; echo crew:x:77:late >> /etc/group"
        )
        assert box.out("/bin/sh", "-c", "id -u; id -g; id -G; echo $HOME", user="late") == "1234\n5678\n5678 77\n/tmp\n"
        assert box.out("/bin/id", "-u", user="4000:4001").strip() == "4000"
        with pytest.raises(UserUnknown, match="unable to find user nobody-here: no matching entries in passwd file"):
            box.start("/bin/true", user="nobody-here")


def test_user_folder_and_environment_are_the_containers_own_unless_said_otherwise(lab):
    image = lab.image(Cmd=["/bin/sh"], Env=["PATH=/bin", "FROM=image", "GONE=1"], User="100:101", WorkingDir="/etc")
    with running(lab, config_digest=image, env=("FROM=container", "MORE=a b", "GONE")) as box:
        lines = box.out("/bin/sh", "-c", "id -u; id -g; pwd; env").splitlines()
        assert lines[:3] == ["100", "101", "/etc"]
        found = dict(line.split("=", 1) for line in lines[3:])
        assert (found["FROM"], found["MORE"], found["PATH"], found["HOME"]) == ("container", "a b", "/bin", "/")
        assert not {"GONE", "TERM"} & set(found)
        own = box.out("/bin/sh", "-c", "pwd; env", user="0", working_dir="/tmp", env=("FROM=here", "MORE"), tty=False)
        assert own.splitlines()[0] == "/tmp"
        assert "FROM=here" in own
        assert "MORE" not in own


@pytest.mark.threat("RUN-02")
@pytest.mark.parametrize("place", ["/proc/self/fd/7", "/proc", "/sys/fs", "/dev/fd/3", "/out", "/dev"])
def test_a_working_folder_never_leads_out(lab, place):
    layer = lab.layer([symlink("out", "/proc/1/root")])
    with running(lab, extra_layers=(layer,)) as box, pytest.raises((ImageUnfit, CommandNotExecutable)):
        box.start("/bin/true", working_dir=place)


def test_a_working_folder_that_is_not_there_is_not_made(box):
    with pytest.raises(CommandNotExecutable, match=r'chdir to cwd \("/not/there"\) failed: no such file or directory'):
        box.start("/bin/true", working_dir="/not/there")
    assert box.run("/bin/ls", "/not")[0] != 0


# Rights


@pytest.mark.threat("RUN-08")
def test_it_has_the_rights_of_the_container_and_no_more(box):
    status = "grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status"
    own = box.out("/bin/sh", "-c", status.replace("self", "1"))
    assert box.out("/bin/sh", "-c", status) == own
    assert "CapInh:\t0000000000000000" in own
    assert "CapAmb:\t0000000000000000" in own
    other = box.out("/bin/sh", "-c", status, user="1000")
    assert "CapEff:\t0000000000000000" in other
    assert "CapPrm:\t0000000000000000" in other


@pytest.mark.threat("RUN-02")
def test_no_descriptor_of_ours_reaches_it(box):
    listed = set(box.out("/bin/sh", "-c", "ls /proc/self/fd").split())
    assert listed <= {"0", "1", "2", "3"}


@pytest.mark.threat("RUN-13")
def test_it_counts_against_the_containers_limits(lab):
    with running(lab, pids=20, memory_bytes=64 * 1024 * 1024) as box:
        exec_id = box.start("/bin/sleep", "60")
        pid = box.observe(exec_id).pid
        groups = Path(f"/proc/{pid}/cgroup").read_text()
        assert f"{lab.config.cgroup}/{box.container_id}" in groups
        init = lab.engine.observe(box.container_id).pid
        assert groups == Path(f"/proc/{init}/cgroup").read_text()
        assert (
            Path(f"/proc/{pid}/oom_score_adj").read_text() == Path(f"/proc/{init}/oom_score_adj").read_text() == "200\n"
        )
        code, _, err = box.run("/bin/sh", "-c", "for i in $(seq 40); do sleep 5 & done")
        assert "fork" in err.lower(), (code, err)


@pytest.mark.threat("RUN-10")
def test_the_filter_of_system_calls_holds_for_it(box):
    code, out, _ = box.run("/usr/bin/perl", "-e", 'print syscall(272, 0x10000000) == 0 ? "open" : "refused: $!"')
    assert code == 0
    assert out.startswith("refused"), out


@pytest.mark.threat("RUN-18")
def test_its_environment_can_be_read_by_root_alone(box, lab):
    exec_id = box.start("/bin/sleep", "60", env=("SECRET=s3cret",))
    place = lab.config.exec_folder(box.container_id, exec_id)
    for path in (place / "process.json", place / "state.json"):
        assert path.stat().st_mode & 0o077 == 0, path
    io = place / "io"
    assert (io.stat().st_mode & 0o777, io.stat().st_gid) == (0o750, lab.config.gid)
    assert (io / "attach").stat().st_mode & 0o777 == 0o660
    assert (io / "ctr.log").stat().st_mode & 0o777 == 0o640
    monitor = json.loads((place / "state.json").read_bytes())["monitor"].split()[1]
    assert b"s3cret" not in Path(f"/proc/{monitor}/environ").read_bytes()
    box.execs.end(box.container_id, exec_id)


# Shells


def test_the_shell_is_the_users_own(box):
    assert box.out(user="root", env=("X=1",), tty=False) == ""
    exec_id = box.start(tty=True, open_stdin=True)
    sock = box.attach(exec_id)
    sock.send(b"echo I-am-$0\n")
    box.wait_for(exec_id, "I-am-/bin/")
    sock.close()
    box.execs.end(box.container_id, exec_id)
    assert box.wait(exec_id).code is not None


def test_an_image_without_a_shell_is_told_so(lab):
    with running(lab, "/usr/bin/perl", "-e", "sleep 600") as box:
        root = lab.root(box.container_id)
        for name in ("bin/sh", "bin/bash", "bin/ash", "usr/bin/sh", "usr/bin/bash"):
            (root / name).unlink(missing_ok=True)
        with pytest.raises(ShellNotFound, match="This image has no shell"):
            box.start(tty=True)


# Ends


def test_a_shell_is_ended_and_what_it_left_in_the_background_goes_on(box):
    exec_id = box.start("/bin/sh", tty=True, open_stdin=True)
    sock = box.attach(exec_id)
    sock.send(b"trap '' TERM; echo rea''dy\n")
    box.wait_for(exec_id, "ready")
    box.execs.end(box.container_id, exec_id)
    box.execs.end(box.container_id, exec_id)
    assert box.wait(exec_id).code == 129
    sock.close()


def test_one_that_ignores_everything_is_killed(box):
    exec_id = box.start("/bin/sh", "-c", "trap '' TERM HUP; echo up; while :; do sleep 1; done")
    box.wait_for(exec_id, "up")
    box.execs.end(box.container_id, exec_id)
    assert box.wait(exec_id).code == 137


@pytest.mark.fault("F17")
def test_it_ends_with_its_container_and_nothing_is_left(lab):
    told = queue.Queue()
    with running(lab) as box:
        ids = [box.start("/bin/sh", "-c", "sleep 600", tty=tty) for tty in (False, True, True)]
        pids = [box.observe(exec_id).pid for exec_id in ids]
        for exec_id in ids:
            box.execs.watch(box.container_id, exec_id, told.put)
        lab.engine.kill(box.container_id)
        assert {told.get(timeout=5).code for _ in ids} == {137}
        lab.wait_for(box.container_id, State.EXITED)
        lab.engine.release(box.container_id)
        assert not monitors(lab, *ids)
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        assert [box.observe(exec_id).exit.code for exec_id in ids] == [137] * 3
        with pytest.raises(WrongState, match=f"container {box.container_id} is not running"):
            box.start("/bin/true")
        place = lab.config.container(box.container_id)
    assert not place.exists()


@pytest.mark.fault("F15")
def test_a_command_whose_monitor_is_killed_is_ended(box):
    told = queue.Queue()
    exec_id = box.start("/bin/sleep", "600")
    box.execs.watch(box.container_id, exec_id, told.put)
    place = box.lab.config.exec_folder(box.container_id, exec_id)
    pid = box.observe(exec_id).pid
    os.kill(int((place / "conmon.pid").read_text()), 9)
    found = told.get(timeout=5)
    assert found.code is None
    assert "monitor" in found.reason
    stat = Path(f"/proc/{pid}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
    box.execs.remove(box.container_id, exec_id)
    assert not place.exists()


def test_a_running_one_is_not_removed_nor_started_twice(box):
    exec_id = box.start("/bin/sleep", "600")
    with pytest.raises(WrongState, match="still running"):
        box.execs.remove(box.container_id, exec_id)
    with pytest.raises(WrongState, match="started already"):
        box.execs.start(box.container_id, ExecRequest(exec_id=exec_id, command=("/bin/true",)))
    assert exec_id in box.execs.on_disk(box.container_id)
    box.execs.end(box.container_id, exec_id)
    box.execs.remove(box.container_id, exec_id)
    box.execs.remove(box.container_id, exec_id)
    assert exec_id not in box.execs.on_disk(box.container_id)


@pytest.mark.fault("F13")
def test_a_record_that_was_never_written_does_not_lose_it(box):
    """The worker died right after it had let conmon go."""
    exec_id = box.start("/bin/sh", "-c", "echo up; sleep 1; exit 4")
    box.wait_for(exec_id, "up")
    record = box.lab.config.exec_folder(box.container_id, exec_id) / "state.json"
    pid = box.observe(exec_id).pid
    record.unlink()
    found = box.observe(exec_id)
    assert (found.state, found.pid) == (State.RUNNING, pid)
    assert box.wait(exec_id).code == 4


def test_a_start_that_stumbles_over_a_mistake_of_ours_leaves_nothing_that_runs(box, monkeypatch):
    def mistaken(*_args, **_options):
        raise TypeError("a mistake of the test's")

    for place in ("execs.build_process", "execs.ExecStarted"):  # before it runs, and after
        exec_id = new_id()
        with monkeypatch.context() as patch:
            patch.setattr(f"engine.containers.{place}", mistaken)
            with pytest.raises(TypeError, match="mistake of the test's"):
                box.execs.start(box.container_id, ExecRequest(exec_id=exec_id, command=("/bin/sleep", "600")))
        until("it does not run", functools.partial(_is_gone, box, exec_id))


def _is_gone(box, exec_id) -> bool:
    left = [pid for pid in os.listdir("/proc") if pid.isdecimal() and exec_id in command_of(pid)]
    return not left and box.observe(exec_id).state is not State.RUNNING


@pytest.mark.fault("F13")
def test_a_start_that_was_cut_off_leaves_nothing_that_runs(box, lab):
    class Died(BaseException):
        pass

    def die(step):
        if step == "exec":
            raise Died

    exec_id = new_id()
    execs = type(box.execs)(
        type(lab.engine._parts)(lab.config, lab.engine._runc, lab.engine._network, die),
        lab.engine._locks,
        lab.engine._watcher,
        lab.engine._folder,
    )
    with pytest.raises(Died):
        execs.start(box.container_id, ExecRequest(exec_id=exec_id, command=("/bin/true",)))
    assert box.observe(exec_id).state is State.CREATED
    box.execs.start(box.container_id, ExecRequest(exec_id=exec_id, command=("/bin/true",)))  # the job comes again
    assert box.wait(exec_id).code == 0
    box.execs.remove(box.container_id, exec_id)


@pytest.mark.threat("RUN-17")
def test_output_without_end_is_bounded_on_disk(lab):
    with running(lab) as box:
        exec_id = box.start("/bin/sh", "-c", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done")
        io = box.io(exec_id)
        limits = type(lab.config.limits)(log_segment_bytes=64 * 1024)
        for _ in range(6):
            time.sleep(0.1)
            rotation.rotate(io, limits, gid=lab.config.gid, force=True)
        assert len(list(io.glob("ctr.log.[0-9]*"))) <= rotation.YOUNG_SEGMENTS
        box.execs.end(box.container_id, exec_id)


@pytest.mark.threat("RUN-17")
@pytest.mark.fault("F55")
@pytest.mark.parametrize("rounds", [25, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_rounds_of_commands_leave_nothing_behind(lab, rounds):
    def left() -> tuple[int, int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count(), len(monitors(lab))

    with running(lab) as box:
        before = None
        for number in range(rounds + 2):
            told = queue.Queue()
            exec_id = box.start("/bin/sh", "-c", "read x; exit 5", tty=number % 2 == 0, open_stdin=True)
            box.execs.watch(box.container_id, exec_id, told.put)
            with contextlib.closing(box.attach(exec_id)) as sock:
                sock.send(b"go\n")
                assert told.get(timeout=30).code == 5
            box.execs.remove(box.container_id, exec_id)
            before = left() if number == 1 else before
        deadline = time.monotonic() + 5
        while left() != before:
            assert time.monotonic() < deadline, (before, left())
            time.sleep(0.05)
        assert box.execs.on_disk(box.container_id) == set()


def test_ids_that_are_none_never_become_paths(box):
    for exec_id in ("../../etc", "", "A" * 64, "0" * 63):
        with pytest.raises(EngineError):
            box.execs.observe(box.container_id, exec_id)
        with pytest.raises(RequestRefused):
            ExecRequest(exec_id=exec_id)


def test_many_at_once_in_one_container(box):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: box.run("/bin/sh", "-c", f"echo {n}; exit {n}"), range(8)))
    assert found == [(n, f"{n}\n", "") for n in range(8)]


def test_what_it_said_can_be_read_and_no_more_than_is_asked_for(box):
    exec_id = box.start("/bin/sh", "-c", "echo out; echo err >&2; printf '%0100d' 7")
    box.wait(exec_id)
    whole = box.execs.read_output(box.container_id, exec_id, limit_bytes=1000)
    assert len(whole) == len("out\nerr\n") + 100
    assert b"out\n" in whole
    assert b"err\n" in whole
    assert box.execs.read_output(box.container_id, exec_id, limit_bytes=10) == whole[:10]
    box.execs.remove(box.container_id, exec_id)
    assert box.execs.read_output(box.container_id, exec_id, limit_bytes=10) == b""
