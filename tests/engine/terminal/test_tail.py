from __future__ import annotations

import os

import pytest

from engine.terminal.log import Position
from engine.terminal.tail import LogGone, LogTail
from tests.engine.terminal.logs import records

START = Position(1, 0)


def write(io, data, *, raw=False):
    with open(io / "ctr.log", "ab") as file:
        file.write(data if raw else records(data))


def turn(io):
    numbers = [int(p.name.rpartition(".")[2]) for p in io.glob("ctr.log.*")]
    (io / "ctr.log").rename(io / f"ctr.log.{max(numbers, default=0) + 1}")


def text(tail, limit=1 << 20):
    return b"".join(chunk.payload for chunk in tail.read(limit))


@pytest.fixture
def io(tmp_path):
    (tmp_path / "ctr.log").touch()
    return tmp_path


@pytest.fixture
def follow(io):
    tails = []

    def make(position=START, **options):
        tails.append(LogTail(io, position, **options))
        return tails[-1]

    yield make
    for tail in tails:
        tail.close()


def test_it_reads_what_is_there_and_what_comes(io, follow):
    tail = follow()
    assert (text(tail), tail.at_end) == (b"", True)
    write(io, b"one\n")
    assert (tail.at_end, text(tail), tail.at_end) == (False, b"one\n", True)


def test_half_a_line_waits_for_its_end(io, follow):
    tail, line = follow(), records(b"whole\n")
    write(io, line[:50], raw=True)
    assert text(tail) == b""
    write(io, line[50:], raw=True)
    assert text(tail) == b"whole\n"


def test_it_goes_on_from_any_position_it_gave(io, follow):
    write(io, b"a\nb\nc\n")
    first = follow()
    (chunk,) = first.read(60)
    assert text(follow(chunk.after)) == b"b\nc\n"


def test_it_reads_an_old_segment_to_its_end_before_the_next(io, follow):
    tail = follow()
    write(io, b"one\n")
    turn(io)
    tail.rescan()
    assert text(tail) == b"one\n"
    with open(io / "ctr.log.1", "ab") as file:  # conmon has not reopened yet
        file.write(records(b"two\n"))
    assert text(tail) == b"two\n"
    with open(io / "ctr.log.1", "ab") as file:
        file.write(records(b"three\n"))
    write(io, b"four\n")
    tail.rescan()
    assert text(tail) == b"three\nfour\n"
    assert tail.position.segment == 2


def test_a_new_segment_that_may_not_be_opened_is_waited_for(io, follow, monkeypatch):
    tail = follow()
    write(io, b"one\n")
    turn(io)
    write(io, b"two\n")
    real, closed = os.open, [True]

    def refuse(path, flags, *args, **options):
        if closed[0] and path == "ctr.log":
            raise PermissionError
        return real(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", refuse)
    tail.rescan()
    assert text(tail) == b"one\n"
    assert text(tail) == b""
    assert tail.position == Position(2, 0)
    closed[0] = False
    tail.rescan()
    assert text(tail) == b"two\n"


def test_a_pinned_tail_reads_segments_that_were_deleted(io, follow):
    tail, said = follow(pin=True), b""
    for number in range(1, 9):
        line = b"%d\n" % number
        said += line
        write(io, line)
        turn(io)
        write(io, b"")
        tail.rescan()
        if number > 2:
            (io / f"ctr.log.{number - 2}").unlink()
    tail.rescan()
    assert text(tail) == said
    assert tail.lag_bytes() == 0


def test_a_pinned_tail_says_so_when_its_place_is_gone(io, follow):
    for number in range(1, 5):
        write(io, b"%d\n" % number)
        turn(io)
    write(io, b"")
    (io / "ctr.log.1").unlink()
    tail = follow(Position(1, 0), pin=True)
    with pytest.raises(LogGone):
        tail.read(1 << 20)


def test_pins_are_bounded(io, follow):
    tail = follow(pin=True, pin_limit_bytes=3000)
    for _ in range(6):
        write(io, b"x" * 1000 + b"\n")
        turn(io)
        write(io, b"")
        tail.rescan()
    assert len(tail._open) <= 4
    with pytest.raises(LogGone):
        tail.read(1 << 20)


def test_a_viewer_jumps_to_what_is_left(io, follow):
    tail = follow()
    tail.close()
    for number in range(1, 5):
        write(io, b"%d\n" % number)
        turn(io)
    write(io, b"5\n")
    for number in (1, 2):
        (io / f"ctr.log.{number}").unlink()
    viewer = follow(Position(1, 0))
    assert text(viewer) == b"3\n4\n5\n"
    assert viewer.lost_segments == 2


def test_a_log_that_was_reopened_twice_is_read_from_its_second_file(io, follow):
    tail = follow()
    write(io, b"one\n")
    turn(io)
    write(io, b"")
    tail.rescan()
    assert text(tail) == b"one\n"
    (io / "new").touch()
    (io / "new").rename(io / "ctr.log")
    write(io, b"two\n")
    tail.rescan()
    assert text(tail) == b"two\n"


def test_a_log_that_conmon_replaced_itself_is_read_to_its_end_first(io, follow):
    tail = follow()
    write(io, b"one\n")
    assert text(tail) == b"one\n"
    write(io, b"two\n")
    (io / "new").write_bytes(records(b"three\n"))
    (io / "new").rename(io / "ctr.log")
    tail.rescan()
    assert not tail.at_end
    assert text(tail) == b"two\nthree\n"
    assert tail.position == Position(1, len(records(b"three\n")))


def test_a_position_beyond_a_replaced_log_starts_it_again(io, follow):
    write(io, b"one\n")
    tail = follow(Position(1, 5000))
    assert tail.was_reset
    assert text(tail) == b"one\n"


def test_a_line_cut_short_by_a_full_disk_is_left_behind(io, follow):
    tail = follow()
    write(io, b"one\n")
    write(io, records(b"lost\n")[:30], raw=True)
    turn(io)
    write(io, b"two\n")
    tail.rescan()
    assert text(tail) == b"one\ntwo\n"


def test_payloads_are_at_most_32_kib_and_reads_are_bounded(io, follow):
    for _ in range(400):
        write(io, b"y" * 8000 + b"\n")
    tail = follow()
    chunks = tail.read(256 * 1024)
    assert all(len(c.payload) <= 32 * 1024 for c in chunks)
    assert 200 * 1024 < sum(len(c.payload) for c in chunks) <= 256 * 1024


def test_a_very_long_line_still_comes_through(io, follow):
    write(io, b"z" * 100_000 + b"\n")
    assert text(follow()) == b"z" * 100_000 + b"\n"


def test_the_rest_of_a_killed_container_can_be_asked_for(io, follow):
    write(io, records(b"end")[:-1], raw=True)
    tail = follow()
    assert text(tail) == b""
    assert [c.payload for c in tail.read_rest()] == [b"end"]
    assert tail.read_rest() == []


def test_lag_counts_all_segments(io, follow):
    write(io, b"1\n")
    turn(io)
    write(io, b"2\n")
    tail = follow()
    assert tail.lag_bytes() == 2 * len(records(b"1\n"))
    text(tail)
    assert tail.lag_bytes() == 0


def test_closing_gives_all_descriptors_back(io, follow):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        tail = LogTail(io, Position(1, 0), pin=True)
        tail.rescan()
        tail.close()
    assert len(os.listdir("/proc/self/fd")) == before
