from __future__ import annotations

import random

import pyte
import pytest

from engine.terminal import boundary, resize
from engine.terminal.log import Position
from engine.terminal.modes import TerminalModes
from engine.terminal.replay import Replay
from engine.terminal.resize import Resized, Size
from engine.terminal.tail import LogTail
from tests.engine.terminal.logs import START_NS, records

COLUMNS, ROWS = 60, 16


class Emulator(pyte.Screen):
    """pyte knows no alternate screen; programs that leave one need it."""

    ALTERNATE = 1049 << 5

    def __init__(self):
        super().__init__(COLUMNS, ROWS)
        self.kept = None

    def set_mode(self, *modes, **options):
        if options.get("private") and 1049 in modes and self.kept is None:
            self.kept = (self.buffer.copy(), self.cursor.x, self.cursor.y)
            self.erase_in_display(2)
        super().set_mode(*modes, **options)

    def reset_mode(self, *modes, **options):
        if options.get("private") and 1049 in modes and self.kept is not None:
            self.erase_in_display(2)
            self.buffer.update(self.kept[0])
            self.cursor.x, self.cursor.y = self.kept[1:]
            self.kept = None
        super().reset_mode(*modes, **options)


def screen(data: bytes):
    emulator = Emulator()
    stream = pyte.ByteStream(emulator)
    stream.feed(data)
    cells = [
        [
            (c.data, c.fg, c.bg, c.bold, c.reverse)
            for c in (emulator.buffer[y][x] for x in range(COLUMNS))
        ]
        for y in range(ROWS)
    ]  # fmt: skip
    return cells, (emulator.cursor.x, emulator.cursor.y, emulator.cursor.hidden)


def write(io, data, *, name="ctr.log", cuts=None):
    """As conmon would log it: in reads of random sizes."""
    chance = random.Random(len(data))
    raw, at = [], 0
    while at < len(data):
        size = chance.randrange(1, 400) if cuts is None else cuts
        raw.append(records(data[at : at + size]))
        at += size
    (io / name).write_bytes(b"".join(raw))


def replay_start(io, **limits) -> boundary.Boundary:
    with boundary.Snapshot(io) as now:
        return boundary.replay_start(now, **limits)


def tail_lines(io, count) -> Position:
    with boundary.Snapshot(io) as now:
        return boundary.tail_lines(now, count)


def replayed(io, **limits) -> bytes:
    start = replay_start(io, **limits)
    tail = LogTail(io, start.position)
    data = start.preamble + b"".join(c.payload for c in tail.read(1 << 28))
    tail.close()
    return data


def shell(chance) -> bytes:
    lines = []
    for _ in range(chance.randrange(20, 200)):
        colour = chance.choice([b"", b"\x1b[31m", b"\x1b[1;44m", b"\x1b[38;5;99m"])
        lines.append(
            colour + bytes(chance.choices(b"abcdef ", k=chance.randrange(50))) + chance.choice([b"\x1b[0m", b"\x1b[m"])
        )
    return b"\x1b[?2004h# run\r\n\x1b[?2004l" + b"\r\n".join(lines) + b"\r\n"


def editor(chance, *, stays) -> bytes:
    """Draws a frame once, then changes single cells: a replay that begins later has no frame."""
    out = [b"\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J"]
    out += [b"\x1b[%d;1H\x1b[7m|frame %d|\x1b[0m" % (row, row) for row in range(1, ROWS)]
    for _ in range(chance.randrange(100, 900)):
        out.append(b"\x1b[%d;%dHx" % (chance.randrange(1, ROWS), chance.randrange(20, COLUMNS)))
    if not stays:
        out.append(b"\x1b[?25h\x1b[?1049l")
    return b"".join(out)


@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 24))])
def test_the_screen_from_the_boundary_is_the_screen_from_the_whole_log(tmp_path, seed):
    chance = random.Random(seed)
    parts = []
    for _ in range(chance.randrange(3, 10)):
        parts += [shell(chance), shell(chance), editor(chance, stays=False)]
    parts += [shell(chance), editor(chance, stays=True) if seed % 2 else b"\x1b[33m# typ"]
    data = b"".join(parts)
    write(tmp_path, data)
    mine = replayed(tmp_path, replay_bytes=12_000, extend_bytes=200_000)
    assert len(mine) < len(data)
    assert screen(mine) == screen(data)


def test_a_short_log_is_replayed_whole(tmp_path):
    write(tmp_path, b"hello\r\n")
    assert replay_start(tmp_path) == boundary.Boundary(Position(1, 0))


def test_a_program_that_took_the_screen_long_ago_is_entered_by_the_preamble(tmp_path):
    write(tmp_path, editor(random.Random(1), stays=True) * 1 + b"\x1b[2;2Hy" * 30_000)
    start = replay_start(tmp_path, replay_bytes=10_000, extend_bytes=10_000)
    assert b"\x1b[?1049h" in start.preamble
    assert b"\x1b[?25l" in start.preamble
    assert not start.is_whole


def test_the_boundary_may_lie_in_an_older_segment(tmp_path):
    write(tmp_path, b"old line\r\n" * 500, name="ctr.log.4")
    write(tmp_path, b"new line\r\n" * 20)
    start = replay_start(tmp_path, replay_bytes=5_000)
    assert start.position.segment == 4
    with boundary.Snapshot(tmp_path) as now:
        assert now.start == Position(4, 0)
    assert boundary.log_end(tmp_path).segment == 5


@pytest.mark.parametrize("count", [0, 1, 2, 19, 20, 21, 300, 519, 520, 999])
def test_the_last_lines_are_counted_across_segments(tmp_path, count):
    said = [b"line %d" % n for n in range(520)]
    (tmp_path / "ctr.log.1").write_bytes(records(b"\n".join(said[:500]) + b"\n"))
    (tmp_path / "ctr.log").write_bytes(records(b"\n".join(said[500:]) + b"\n"))
    tail = LogTail(tmp_path, tail_lines(tmp_path, count))
    got = b"".join(c.payload for c in tail.read(1 << 20)).splitlines()
    tail.close()
    assert got == said[len(said) - min(count, len(said)) :]


def test_a_prompt_without_a_newline_is_the_last_line(tmp_path):
    (tmp_path / "ctr.log").write_bytes(records(b"one\ntwo\n") + records(b"# ") + records(b"typed"))
    for count, expected in ((1, b"# typed"), (2, b"two\n# typed")):
        tail = LogTail(tmp_path, tail_lines(tmp_path, count))
        assert b"".join(c.payload for c in tail.read(1 << 20)) == expected
        tail.close()


def test_modes_survive_being_cut_anywhere():
    data = b"a\x1b[?1049h\x1b[1;31mx\x1b[?25l\x1b[5;20r\x1b(0\x1b[4 q\x1b[?2004h\x1b[0;7m\x1b[?25h\x1b="
    for size in range(1, 9):
        modes = TerminalModes()
        for at in range(0, len(data), size):
            modes.feed(data[at : at + size])
        assert modes.is_alternate
        again = TerminalModes()
        again.feed(modes.preamble())
        assert again.preamble() == modes.preamble()
        assert b"\x1b[?25h" in modes.preamble()
    modes.feed(b"\x1bc")
    assert modes.preamble() == b""


def test_output_is_shown_at_the_widths_it_was_written_at(tmp_path):
    (tmp_path / "ctr.log").write_bytes(
        records(b"wide\n", time_ns=START_NS)
        + records(b"narrow\n", time_ns=START_NS + 20)
        + records(b"narrow too\n", time_ns=START_NS + 21)
    )
    sizes = [
        Resized(START_NS - 5, Size(24, 80)),
        Resized(START_NS + 10, Size(24, 40)),
        Resized(START_NS + 99, Size(9, 9)),
    ]
    (tmp_path / "resizes").write_bytes(b"".join(map(resize.encode, sizes)))
    tail = LogTail(tmp_path, Position(1, 0))
    replay, said = Replay(tmp_path, tail, boundary.log_end(tmp_path)), []
    while (step := replay.read(65536)) is not None:
        if step.size:
            said.append(step.size)
        said += [c.payload for c in step.chunks]
    tail.close()
    assert said == [Size(24, 80), b"wide\n", Size(24, 40), b"narrow\nnarrow too\n", Size(9, 9)]


def test_sizes_from_before_the_position_become_one(tmp_path):
    (tmp_path / "ctr.log").write_bytes(records(b"first\n") + records(b"second\n", time_ns=START_NS + 9000))
    sizes = [Resized(START_NS + n, Size(24, 20 + n % 99)) for n in range(1, 8001)]
    (tmp_path / "resizes").write_bytes(b"".join(map(resize.encode, sizes)))
    tail = LogTail(tmp_path, Position(1, len(records(b"first\n"))))
    replay = Replay(tmp_path, tail, boundary.log_end(tmp_path))
    step = replay.read(65536)
    assert (step.size, [c.payload for c in step.chunks]) == (sizes[-1].size, [b"second\n"])
    assert replay.read(65536) is None
    tail.close()


def test_a_line_that_is_appended_after_the_look_changes_neither_start_nor_end(tmp_path):
    (tmp_path / "ctr.log.1").write_bytes(records(b"one\n"))
    (tmp_path / "ctr.log").write_bytes(records(b"two\n"))
    with boundary.Snapshot(tmp_path) as now:
        with (tmp_path / "ctr.log").open("ab") as log:
            log.write(records(b"three\n"))
        start, end = boundary.tail_lines(now, 1), now.end()
    assert end == Position(2, len(records(b"two\n")))
    for first, expected in ((start, b"two\n"), (now.start, b"one\ntwo\n")):
        tail = LogTail(tmp_path, first)
        assert b"".join(c.payload for c in tail.read(1 << 20, until=end)) == expected
        assert tail.read(1 << 20, until=end) == []
        assert tail.position == end
        tail.close()


def _numbered(first: int, last: int) -> bytes:
    """A line a second, of many lengths."""
    second = 1_000_000_000
    return b"".join(
        records(b"x" * (number * 7919 % 200) + b" %d\n" % number, time_ns=START_NS + number * second)
        for number in range(first, last)
    )


@pytest.mark.parametrize("wanted", [-5, 0, 1, 57, 99, 100, 101, 199, 200, 201, 299])
def test_since_finds_the_first_line_of_a_time_across_segments(tmp_path, wanted):
    (tmp_path / "ctr.log.3").write_bytes(_numbered(0, 100))
    (tmp_path / "ctr.log.4").write_bytes(_numbered(100, 200))
    (tmp_path / "ctr.log").write_bytes(_numbered(200, 300) + b"cut")
    with boundary.Snapshot(tmp_path) as now:
        found = boundary.since(now, START_NS + wanted * 1_000_000_000)
        ((_, rest), *_) = now.slices(found, now.end())
    assert rest.split(b"\n")[0].endswith(b" %d" % max(0, wanted))


def test_since_a_time_without_lines_is_the_end(tmp_path):
    (tmp_path / "ctr.log.1").write_bytes(_numbered(0, 10))
    (tmp_path / "ctr.log").write_bytes(b"")
    with boundary.Snapshot(tmp_path) as now:
        assert boundary.since(now, START_NS + 10_000_000_000) == now.end()
        assert boundary.since(now, START_NS + 9_000_000_001) == now.end()


@pytest.mark.parametrize("damaged", [b"\n", b"2026-11-2\n", b"x" * 50 + b"\n"])
def test_lines_that_a_full_disk_cut_short_lead_nobody_astray(tmp_path, damaged):
    (tmp_path / "ctr.log").write_bytes(_numbered(0, 40) + damaged * 3 + _numbered(40, 80) + damaged * 2)
    with boundary.Snapshot(tmp_path) as now:
        for wanted in range(80):
            found = boundary.since(now, START_NS + wanted * 1_000_000_000)
            rest = b"".join(raw for _, raw in now.slices(found, now.end()))
            lines = [line for line in rest.split(b"\n") if b" stdout F " in line]
            assert lines[0].endswith(b" %d" % wanted)
