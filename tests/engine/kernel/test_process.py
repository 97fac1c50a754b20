from __future__ import annotations

import contextlib
import os
import sys
import time

import pytest

from engine.errors import HostUnfit
from engine.kernel.process import Process, ProcessFailed, Rlimits, User, run
from tests.support.waiting import until

PYTHON = sys.executable


def test_it_returns_what_the_program_said():
    done = run([PYTHON, "-c", "import sys; print('out'); print('err', file=sys.stderr)"], timeout_s=60)
    assert (done.returncode, done.stdout, done.stderr_text) == (0, b"out\n", "err\n")


def test_large_input_and_output_do_not_hang_it():
    data = os.urandom(3_000_000)
    assert run(["cat"], input=data, timeout_s=60).stdout == data


def test_no_input_means_an_empty_one():
    assert run(["cat"], timeout_s=60).stdout == b""


def test_arguments_are_never_read_by_a_shell():
    assert run(["echo", "$(id); `id` && *"], timeout_s=60).stdout == b"$(id); `id` && *\n"


def test_the_environment_is_the_minimal_one_and_no_secret_leaks(monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    names = {line.partition(b"=")[0] for line in run(["env"], timeout_s=60).stdout.splitlines()}
    assert names == {b"PATH", b"LC_ALL"}
    assert run(["env"], env={"A": "b"}, timeout_s=60).stdout == b"A=b\n"


def test_only_given_descriptors_are_passed_on():
    kept, other = os.pipe()
    try:
        os.set_inheritable(other, True)
        shown = run(["ls", "/proc/self/fd"], pass_fds=(kept,), timeout_s=60).stdout.split()
        assert set(map(int, shown)) - {0, 1, 2, kept} <= {3, 4}
        assert str(other).encode() not in shown or other in {3, 4}
    finally:
        os.close(kept)
        os.close(other)


def test_a_failure_carries_status_and_words():
    with pytest.raises(ProcessFailed, match="status 3: broken") as caught:
        run(["sh", "-c", "echo broken >&2; exit 3"], timeout_s=60)
    assert (caught.value.returncode, caught.value.timed_out) == (3, False)
    assert run(["sh", "-c", "exit 3"], timeout_s=60, check=False).returncode == 3


def test_a_missing_program_is_a_sentence():
    with pytest.raises(HostUnfit, match="'no-such-program' is not installed"):
        run(["no-such-program"], timeout_s=60)


def test_out_of_time_kills_the_whole_session():
    started = time.monotonic()
    with pytest.raises(ProcessFailed, match="did not end in time") as caught:
        run(["sh", "-c", "sleep 300 & echo $! >&2; wait"], timeout_s=2)
    assert caught.value.timed_out
    assert time.monotonic() - started < 60
    child = int(caught.value.stderr)

    def is_dead():
        with contextlib.suppress(OSError), open(f"/proc/{child}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
        return True

    until("its child's end", is_dead)


def test_a_daemon_left_behind_does_not_make_it_wait():
    started = time.monotonic()
    done = run(["sh", "-c", "sleep 300 & echo $!"], timeout_s=60)
    assert time.monotonic() - started < 30
    os.kill(int(done.stdout), 9)


def test_limits_hold_before_the_program_begins_and_are_clamped():
    limits = Rlimits(address_space_bytes=1 << 30, open_files=10**9, file_bytes=4096)
    shown = run(["sh", "-c", "ulimit -v; ulimit -c; ulimit -f; ulimit -n"], rlimits=limits, timeout_s=60).stdout.split()
    assert shown[:3] == [b"1048576", b"0", b"8"]
    assert int(shown[3]) > 100


@pytest.mark.root
def test_another_user_has_no_groups_of_ours_and_may_be_limited_too():
    done = run(
        ["sh", "-c", "id -u; id -G; ulimit -v"],
        user=User(65534, 65534),
        rlimits=Rlimits(address_space_bytes=1 << 30),
        timeout_s=60,
    )
    assert done.stdout.split() == [b"65534", b"65534", b"1048576"]


def test_a_fed_process_gets_all_bytes():
    with Process(["wc", "-c"], stdin="pipe", stdout="pipe") as process:
        for _ in range(100):
            process.write(b"x" * 10_000)
        process.stdin.close()
        assert process.stdout.read().strip() == b"1000000"
        process.check(5)


def test_a_process_that_stops_reading_is_a_broken_pipe_and_tells_why():
    with Process(["sh", "-c", "echo 'no space left' >&2; exit 2"], stdin="pipe") as process:
        process.wait(5)
        with pytest.raises(BrokenPipeError):
            process.write(b"x" * 100_000)
        with pytest.raises(ProcessFailed, match="no space left"):
            process.check()


def test_only_the_tail_of_long_errors_is_kept():
    with Process(["sh", "-c", "yes error | head -c 1000000 >&2; echo last >&2"]) as process:
        process.wait(10)
    assert len(process.stderr_tail()) == 64 * 1024
    assert process.stderr_tail().endswith("last\n")


def test_leaving_the_block_by_an_error_kills_and_reaps():
    with pytest.raises(KeyError), Process(["sleep", "300"]) as process:
        raise KeyError
    assert process.wait() == -9


def test_a_killed_process_reports_its_signal_and_kill_may_be_repeated():
    with Process(["sleep", "300"]) as process:
        with pytest.raises(ProcessFailed) as caught:
            process.wait(0.05)
        assert caught.value.timed_out
        process.kill()
        assert process.wait(5) == -9
        process.kill()
        assert process.poll() == -9


def test_without_pipes_asking_for_them_is_an_error():
    with Process(["true"]) as process:
        for name in ("stdin", "stdout"):
            with pytest.raises(ValueError):
                getattr(process, name)
