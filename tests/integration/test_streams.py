"""Output and input through the command line, byte for byte, however slow, long or interrupted."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.support.server import ROOT
from tests.support.terminal import Person

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(600)]
IMAGE = "ubuntu:14.04"
BERTH = str(ROOT / "script" / "berth")
LINES = 20_000
STREAM = 'i=0; while [ $i -lt {rounds} ]; do yes "block $i {words}" | head -n {lines}; i=$((i+1)); done'
WORDS = "and the same words again " * 8


def _script(rounds: int) -> str:
    return STREAM.format(rounds=rounds, words=WORDS, lines=LINES)


def _block(number: int) -> bytes:
    return f"block {number} {WORDS}\n".encode() * LINES


def _sha_of(rounds: int) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for number in range(rounds):
        digest.update(block := _block(number))
        size += len(block)
    return digest.hexdigest(), size


class SlowReader:
    """Reads a pipe to its end, with pauses at the beginning so that everything before it fills up."""

    def __init__(self, pipe, *, pauses: int = 8, at_first: Callable[[], object] = lambda: None) -> None:
        self.size, self._digest = 0, hashlib.sha256()
        self._pipe, self._pauses, self._at_first = pipe, pauses, at_first

    def run(self) -> str:
        while data := self._pipe.read1(1 << 20):
            if not self.size:
                self._at_first()
            self._digest.update(data)
            self.size += len(data)
            if self._pauses:
                self._pauses -= 1
                time.sleep(0.3)
        return self._digest.hexdigest()


def _through_a_slow_pipe(berth, size_mb: int) -> None:
    rounds = size_mb * 1_000_000 // len(_block(0)) + 1
    expected, size = _sha_of(rounds)
    argv = [BERTH, "run", "--rm", "--cpus", "2", IMAGE, "sh", "-c", _script(rounds)]
    began = time.monotonic()
    with subprocess.Popen(
        argv, env=berth.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        reader = SlowReader(process.stdout)
        digest = reader.run()
        said = process.stderr.read()
        assert process.wait(60) == 0, said
    assert (reader.size, digest) == (size, expected), said
    print(f"{reader.size / 1e6 / (time.monotonic() - began):.0f} MB/s through a pipe, with rotation")
    assert berth.ok("ps", "-aq") == ""


def test_300_mb_through_a_slow_pipe_with_rotation_and_rm_have_the_right_sum(berth):
    _through_a_slow_pipe(berth, 300)


@pytest.mark.long
def test_a_gigabyte_through_a_slow_pipe_with_rotation_and_rm_has_the_right_sum(berth):
    _through_a_slow_pipe(berth, 1000)


def test_a_large_file_goes_in_whole(berth, tmp_path):
    data = os.urandom(30_000_000)
    with open(tmp_path / "large", "wb") as file:
        file.write(data)
    with open(tmp_path / "large", "rb") as file:
        done = berth.run_command("run", "--rm", "-i", IMAGE, "sha256sum", stdin=file)
    assert done.stdout == f"{hashlib.sha256(data).hexdigest()}  -\n", done.stderr
    assert done.returncode == 0


def test_a_file_through_cat_comes_back_the_same(berth, tmp_path):
    data = os.urandom(8_000_000)
    (tmp_path / "there").write_bytes(data)
    with open(tmp_path / "there", "rb") as file:
        done = berth.run_command("run", "--rm", "-i", IMAGE, "cat", stdin=file, text=False)
    assert (hashlib.sha256(done.stdout).digest(), done.returncode) == (hashlib.sha256(data).digest(), 0)


def test_a_short_pipe_ends_every_time(berth):
    for number in range(3):
        assert berth.ok("run", "--rm", "-i", IMAGE, "cat", input=f"through {number}\n") == (f"through {number}\n")


def test_an_empty_pipe_ends_too(berth):
    assert berth.ok("run", "--rm", "-i", IMAGE, "wc", "-c", input="").strip() == "0"


def test_standard_output_and_error_stay_apart(berth):
    done = berth.run_command("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)


def test_a_command_line_that_is_killed_ends_its_pipe(berth):
    argv = [BERTH, "run", "-i", "--name", "orphan", IMAGE, "sh", "-c", "echo up; cat; exit 4"]
    process = subprocess.Popen(argv, env=berth.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.read(3) == b"up\n"
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert berth.wait_state("orphan", "exited")["ExitCode"] == 4
    berth.ok("rm", "orphan")


def test_ctrl_c_of_the_command_line_goes_to_the_program(berth):
    script = "trap 'echo caught; exit 5' INT; echo up; while true; do sleep 0.1; done"
    argv = [BERTH, "run", "--rm", IMAGE, "sh", "-c", script]
    process = subprocess.Popen(argv, env=berth.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout.read(3) == b"up\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.read() == b"caught\n"
    assert process.wait(60) == 5
    process.stdout.close()


def test_logs_follow_a_detached_container_from_its_last_lines(berth):
    script = "trap 'echo later; exit 6' TERM; seq 1 100; while true; do sleep 0.1; done"
    container = berth.start_long("--name", "logged", IMAGE, "sh", "-c", script)
    assert re.fullmatch(r"[0-9a-f]{64}", container)
    berth.wait_output("logged", "100\n")
    argv = [BERTH, "logs", "-f", "--tail", "3", "logged"]
    with subprocess.Popen(argv, env=berth.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as following:
        assert following.stdout.read(len("98\n99\n100\n")) == b"98\n99\n100\n"
        berth.ok("kill", "-s", "TERM", "logged")
        assert following.stdout.read() == b"later\n"
        assert following.wait(60) == 0
    assert berth.ok("logs", "--tail", "2", "logged") == "100\nlater\n"
    assert berth.ok("logs", "logged") == "".join(f"{n}\n" for n in range(1, 101)) + "later\n"
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z? ?", berth.ok("logs", "-t", "--tail", "1", "logged"))
    assert berth.ok("wait", "logged") == "6\n"
    berth.ok("rm", "logged")


@pytest.mark.fault("F14")
def test_a_killed_web_process_costs_a_stream_no_byte(berth):
    block = b"".join(b"%d\n" % number for number in range(1, 60_001))
    expected, size = hashlib.sha256(block * 12).hexdigest(), len(block) * 12
    script = "i=0; while [ $i -lt 12 ]; do seq 1 60000; sleep 0.3; i=$((i+1)); done"
    argv = [BERTH, "run", "--rm", IMAGE, "sh", "-c", script]
    with subprocess.Popen(
        argv, env=berth.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        reader = SlowReader(process.stdout, pauses=6, at_first=lambda: berth.kill_program("web"))
        digest = reader.run()
        said = process.stderr.read().decode()
        assert process.wait(60) == 0, said
    assert (reader.size, digest) == (size, expected), said
    assert "connected again" in said
    berth.wait_healthy()


def test_the_detach_keys_leave_the_shell_running_and_attach_comes_back(berth):
    container = berth.start_long("-it", "--name", "shell", IMAGE)
    prompt = rf"root@{container[:12]}:/# "
    with Person([BERTH, "attach", "shell"], berth.environment) as first:
        first.expect(prompt)
        first.type("kept=here\n")
        first.expect(prompt, since=len(first.text))
        first.type("\x10\x11")
        assert first.exit_code() == 0
    with Person([BERTH, "attach", "--detach-keys", "ctrl-x,x", "shell"], berth.environment) as second:
        second.expect("kept=here")
        second.type("echo -$kept-\n")
        second.expect("\n-here-\n")
        second.type("\x18x")
        assert second.exit_code() == 0
    assert berth.state("shell")["Running"] is True
    with Person([BERTH, "attach", "shell"], berth.environment) as third:
        third.expect("-here-")
        third.type("exit 9\n")
        assert third.exit_code() == 9
    assert berth.state("shell")["ExitCode"] == 9
    berth.ok("rm", "shell")
