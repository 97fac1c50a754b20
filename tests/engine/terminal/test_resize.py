from __future__ import annotations

import os
import re
import time
from itertools import pairwise

import pytest

from engine.errors import WrongState
from engine.terminal import resize
from engine.terminal.input import InputAttach
from engine.terminal.resize import INTERVAL_S, Resized, Resizer, Size
from tests.engine.terminal.real_conmon import RealContainer
from tests.engine.terminal.test_input import Output
from tests.support.waiting import until


class Clock:
    """Goes on when a test says so; the file whose time says when the last line was written goes with it."""

    def __init__(self, io):
        self._path, self.now_s = io / resize.NAME, 1000.0

    def time_ns(self):
        return round(self.now_s * 1e9)

    def do(self, work, *args, **how):
        before = self._path.stat().st_mtime_ns
        result = work(*args, self.now_s, **how)
        if self._path.stat().st_mtime_ns != before:
            os.utime(self._path, ns=(self.time_ns(), self.time_ns()))
        return result


@pytest.fixture
def control(tmp_path):
    """A container's fifo with a reader that gives each line."""
    os.mkfifo(tmp_path / "ctl")
    resize.create(tmp_path, Size(24, 80), uid=os.getuid(), gid=os.getgid())
    os.utime(tmp_path / "resizes", (0, 0))
    fd = os.open(tmp_path / "ctl", os.O_RDWR | os.O_NONBLOCK)

    def lines():
        try:
            return os.read(fd, 65536).splitlines()
        except BlockingIOError:
            return []

    yield lines
    os.close(fd)


@pytest.fixture
def clock(tmp_path, control, monkeypatch):
    made = Clock(tmp_path)
    monkeypatch.setattr(resize, "time", made)
    return made


def drive(resizer, sizes, *, every):
    """Ask for one size after another, and let everything that is due happen; real time."""
    for size in sizes:
        resizer.ask(size, time.monotonic())
        time.sleep(every)
    until("the last size is written", lambda: resizer.step(time.monotonic()) is None, every_s=0.005)


def test_many_sizes_become_few_lines_and_the_last_one_comes_twice(tmp_path, control, clock):
    seen = []
    resizer = Resizer(tmp_path)
    for number in range(60):
        clock.do(resizer.ask, Size(10 + number, 80))
        seen += [(clock.now_s, line) for line in control()]
        clock.now_s += 0.005
    for _ in range(60):
        clock.do(resizer.step)
        seen += [(clock.now_s, line) for line in control()]
        clock.now_s += 0.005
    lines = [line for _, line in seen]
    assert lines[-2:] == [b"1 69 80", b"1 69 80"]
    assert len(lines) <= 6
    assert all(later - earlier > INTERVAL_S * 0.99 for (earlier, _), (later, _) in pairwise(seen))
    assert resize.history(tmp_path)[-1].size == Size(69, 80)
    assert resize.current(tmp_path) == Size(69, 80)


def test_two_processes_keep_the_distance_and_the_last_one_wins(tmp_path, control, clock):
    one, other = Resizer(tmp_path), Resizer(tmp_path)
    clock.do(one.ask, Size(1, 1))
    assert clock.do(other.ask, Size(2, 2)) > 0
    assert control() == [b"1 1 1"]
    for _ in range(60):
        clock.do(other.step)
        clock.do(one.step)
        clock.now_s += 0.01
    assert control() == [b"1 2 2", b"1 2 2"]


def test_a_nudge_is_two_sizes(tmp_path, control, clock):
    resizer = Resizer(tmp_path)
    clock.do(resizer.ask, Size(23, 80))
    clock.do(resizer.ask, Size(24, 80), keep_pending=True)
    for _ in range(50):
        clock.do(resizer.step)
        clock.now_s += 0.01
    assert control() == [b"1 23 80", b"1 24 80", b"1 24 80"]


def test_sizes_are_clamped():
    assert Size.clamped(0, -5) == Size(1, 1)
    assert Size.clamped(99999, 1001) == Size(1000, 1000)


def test_a_container_that_does_not_run_is_a_sentence(tmp_path):
    resize.create(tmp_path, Size(24, 80), uid=os.getuid(), gid=os.getgid())
    os.utime(tmp_path / "resizes", (0, 0))
    resizer = Resizer(tmp_path)
    with pytest.raises(WrongState):
        resizer.ask(Size(9, 9), 1.0)
    assert resizer.step(5.0) is None
    os.mkfifo(tmp_path / "ctl")
    with pytest.raises(WrongState):
        resizer.ask(Size(9, 9), 6.0)


def test_the_history_is_bounded_and_keeps_the_newest(tmp_path):
    resize.create(tmp_path, Size(24, 80), uid=os.getuid(), gid=os.getgid())
    with open(tmp_path / "resizes", "r+b") as file:
        for number in range(30_000):
            resize._append(file.fileno(), Resized(number + 1, Size(24, 80)))
    assert (tmp_path / "resizes").stat().st_size <= resize.LIMIT_BYTES + resize.RECORD_BYTES
    history = resize.history(tmp_path)
    assert history[-1].time_ns == 30_000
    assert all(later.time_ns - earlier.time_ns == 1 for earlier, later in pairwise(history))


def test_broken_records_are_left_out():
    good = resize.encode(Resized(5, Size(1, 2)))
    assert resize.decode(b"xx\n" + good + b"1 2\n") == [Resized(5, Size(1, 2))]
    assert len(good) == resize.RECORD_BYTES


def asked_size(attach, output):
    """What the shell says now; conmon hears of sizes by another way than of what is typed."""
    before = len(output.text)
    attach.send(b"stty size; echo end-$((40+2))\n")
    output.wait(b"\nend-42\r\n", since=before)
    return re.findall(rb"(\d+ \d+)\r\nend-42\r\n", output.text[before:])[-1]


@pytest.mark.root
@pytest.mark.threat("RUN-17")
def test_ten_thousand_resizes_end_in_the_right_size_each_time():
    """conmon 2.1.6 loses lines that are written together; 10,000 requests in 5 bursts, and every burst's last one holds."""
    with RealContainer(["bash"], tty=True) as container:
        output = Output(container.io)
        container.start()
        attach, resizer = InputAttach(container.io), Resizer(container.io)
        for burst in range(5):
            last = Size(20 + burst, 100 + burst)
            drive(resizer, [*(Size(5 + n % 50, 20 + n % 150) for n in range(1999)), last], every=0.0002)
            until(f"the shell's size is {last}", lambda last=last: asked_size(attach, output) == b"%d %d" % last)
        attach.close()
        fds = len(os.listdir(f"/proc/{container.conmon_pid}/fd"))
        assert fds < 40
