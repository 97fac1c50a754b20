"""`exec` on a whole Berth, through the real client: words and exit codes as Docker's, ends, and what is left over."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.support.server import ROOT
from tests.support.terminal import Person
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(180)]
BERTH = str(ROOT / "script" / "berth")


@pytest.fixture
def box(berth):
    yield berth.start_long()
    berth.remove_all()


def exec_folders(berth, container: str) -> set[str]:
    return {path.name for path in (berth.container_folder(container) / "execs").glob("*")}


def running_execs(berth, container: str) -> set[str]:
    """Those whose monitor lives."""
    folder = berth.container_folder(container) / "execs"
    found = set()
    for path in folder.glob("*/conmon.pid"):
        if os.path.exists(f"/proc/{path.read_text()}") and str(folder).encode() in _words(int(path.read_text())):
            found.add(path.parent.name)
    return found


def _words(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def test_a_shell_on_a_terminal(berth, box):
    with Person([BERTH, "exec", "-it", box, "bash"], berth.environment, rows=30, columns=100) as person:
        person.expect(r"[#$] ")
        person.type("stty size; echo in-$((6*7)); tty\n")
        person.expect(r"30 100")
        person.expect("in-42")
        person.expect("/dev/pts/")
        person.resize(40, 120)
        person.type('until [ "$(stty size)" = "40 120" ]; do sleep 0.1; done; echo re""sized\n')
        person.expect("resized")
        person.type("exit 7\n")
        assert person.exit_code() == 7
    assert berth.state(box)["Running"]


def test_a_pipe_goes_in_and_comes_out(berth, box):
    done = berth.run_command("exec", "-i", box, "cat", input="x\ny\n")
    assert (done.stdout, done.stderr, done.returncode) == ("x\ny\n", "", 0)
    done = berth.run_command("container", "exec", box, "sh", "-c", "echo out; echo err >&2; exit 42")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 42)
    assert berth.run_command("exec", box, "cat", input="never read").stdout == ""


def test_a_large_file_goes_in_whole(berth, box, tmp_path):
    data = os.urandom(5_000_000)
    (tmp_path / "large").write_bytes(data)
    with open(tmp_path / "large", "rb") as file:
        argv = [BERTH, "exec", "-i", box, "cat"]
        done = subprocess.run(argv, env=berth.environment, stdin=file, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == data


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("BOX", "nope"), 127, 'exec: "nope": executable file not found in $PATH'),
        (("BOX", "/nope"), 127, 'exec: "/nope": stat /nope: no such file or directory'),
        (("BOX", "/etc/passwd"), 126, 'exec: "/etc/passwd": '),
        (("-w", "/not/there", "BOX", "ls"), 126, 'chdir to cwd ("/not/there") failed: no such file or directory'),
        (
            ("-u", "nobody-here", "BOX", "ls"),
            126,
            "unable to find user nobody-here: no matching entries in passwd file",
        ),
        (("-d", "BOX", "nope"), 1, 'exec: "nope": executable file not found in $PATH'),
        (("nothing-of-that-name", "ls"), 1, "No such container: nothing-of-that-name"),
        (("-it", "BOX", "sh"), 1, "the input device is not a TTY"),
        (
            ("--privileged", "BOX", "sh"),
            125,
            "berth does not take --privileged: a command has the rights of its container",
        ),
        (("BOX",), 1, '"berth exec" requires at least 2 arguments.'),
    ],
)
def test_what_cannot_be_is_said_with_dockers_codes(berth, box, words, code, sentence):
    done = berth.run_command("exec", *(box if word == "BOX" else word for word in words))
    assert sentence in done.stderr
    assert (done.returncode, done.stdout) == (code, "")


def test_a_container_that_does_not_run_takes_none(berth, box):
    berth.ok("kill", box)
    berth.ok("wait", box)
    done = berth.run_command("exec", box, "ls")
    assert done.returncode == 1
    assert done.stderr == f"Error: container {box} is not running\n"


def test_user_folder_and_environment(berth, box):
    script = "id -u; pwd; echo $A-$FROM_HERE"
    argv = [BERTH, "exec", "-e", "A=a b", "-e", "FROM_HERE", "-u", "1000", "-w", "/tmp", box, "sh", "-c", script]
    environment = berth.environment | {"FROM_HERE": "outside"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "1000\n/tmp\na b-outside\n"


def test_a_detached_one_prints_nothing_and_goes_on(berth, box):
    assert berth.ok("exec", "-d", box, "sh", "-c", "sleep 1; echo done > /made; sleep 600") == ""
    until("the file", lambda: berth.run_command("exec", box, "cat", "/made").stdout == "done\n")
    assert len(running_execs(berth, box)) == 1
    berth.ok("kill", box)
    until("its end", lambda: not running_execs(berth, box))


def test_detach_keys_leave_the_shell_running_and_say_so_as_docker(berth, box):
    with Person([BERTH, "exec", "-it", box, "sh"], berth.environment) as person:
        person.expect(r"[#$] ")
        person.type("\x10\x11")
        person.expect("read escape sequence")
        assert person.exit_code() == 1
    assert len(running_execs(berth, box)) == 1


def test_ctrl_c_ends_watching_and_not_the_command(berth, box):
    argv = [BERTH, "exec", "-i", box, "sh", "-c", "echo up; sleep 600"]
    with subprocess.Popen(argv, env=berth.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert len(running_execs(berth, box)) == 1


@pytest.mark.fault("F17")
def test_it_ends_with_its_container(berth, box):
    with Person([BERTH, "exec", "-it", box, "sh"], berth.environment) as person:
        person.expect(r"[#$] ")
        berth.ok("kill", box)
        assert person.exit_code() == 137


@pytest.mark.fault("F13", "F14")
def test_a_shell_outlives_the_engine_worker_and_the_web_process(berth, box):
    with Person([BERTH, "exec", "-it", box, "sh"], berth.environment) as person:
        person.expect(r"[#$] ")
        person.type("X=kept; echo re''ady\n")
        person.expect("ready")
        berth.kill_program("engine")
        berth.kill_program("web")
        person.expect("connected again", 60)
        person.type("echo still-$X\n")
        person.expect("still-kept", 60)
        person.type("exit 3\n")
        assert person.exit_code(60) == 3
    assert not running_execs(berth, box)


def test_rm_of_a_running_container_takes_its_commands_along(berth, box):
    berth.ok("exec", "-d", box, "sleep", "600")
    folder = berth.container_folder(box)
    berth.ok("rm", "-f", box)
    assert not folder.exists()
    berth.assert_clean()
