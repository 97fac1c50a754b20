from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.terminal import log
from engine.terminal.log import Position
from tests.engine.terminal.logs import START_NS, records
from tests.support.examples import examples

writes = st.lists(st.tuples(st.sampled_from([b"stdout", b"stderr"]), st.binary(min_size=1, max_size=60)), max_size=12)


@settings(max_examples=examples(150))
@given(writes)
def test_the_streams_come_out_exactly_as_they_went_in(written):
    raw = b"".join(records(data, stream=stream) for stream, data in written)
    chunks = log.parse(raw, segment=3, offset=100)
    for number, name in ((1, b"stdout"), (2, b"stderr")):
        said = b"".join(data for stream, data in written if stream == name)
        assert b"".join(c.payload for c in chunks if c.stream == number) == said
    if chunks:
        assert chunks[-1].after == Position(3, 100 + len(raw))


@settings(max_examples=examples(100))
@given(writes)
def test_every_position_is_a_place_to_go_on_from(written):
    raw = b"".join(records(data, stream=stream) for stream, data in written)
    chunks = log.parse(raw, segment=1, offset=0)
    for at, chunk in enumerate(chunks):
        rest = log.parse(raw[chunk.after.offset :], segment=1, offset=chunk.after.offset)
        assert [(c.stream, c.payload, c.after) for c in rest] == [
            (c.stream, c.payload, c.after) for c in chunks[at + 1 :]
        ]


@given(st.binary(max_size=400))
def test_it_survives_any_bytes(junk):
    raw = junk.replace(b"\n\n", b"\n") + b"\n"
    chunks = log.parse(raw, segment=1, offset=0)
    assert all(c.after.offset <= len(raw) for c in chunks)
    log.TimesInFront()(raw, segment=1, offset=0)
    log.cut_before(raw, START_NS)


def test_carriage_returns_and_invalid_utf8_are_kept():
    said = b"a\r\n\xff\xfe\x00\x1b[31mred\rno newline"
    assert b"".join(c.payload for c in log.parse(records(said), segment=1, offset=0)) == said


def test_a_broken_line_is_left_out_and_still_counted():
    good, broken = records(b"one\n"), b"2026-11-23T20:39:59.2562\n"
    chunks = log.parse(good + broken + good, segment=1, offset=0)
    assert b"".join(c.payload for c in chunks) == b"one\none\n"
    assert chunks[-1].after.offset == len(good) * 2 + len(broken)


def test_times_are_read_to_the_nanosecond_in_any_zone():
    assert log.time_ns(records(b"x")) == START_NS
    assert log.time_ns(b"2026-11-23T20:39:59.256269028+09:00 stdout F x") == 1795433999256269028
    assert log.time_ns(b"garbage") == 0


def test_times_can_stand_in_front_of_each_line_once():
    shown = log.TimesInFront()
    raw = records(b"a\nb") + records(b"c", stream=b"stderr") + records(b"bb\nd\n", time_ns=START_NS + 1)
    chunks = shown(raw, segment=1, offset=0)
    first, second = b"2026-09-21T14:13:20.123456789Z ", b"2026-09-21T14:13:20.123456790Z "
    out = b"".join(c.payload for c in chunks if c.stream == 1)
    assert out == first + b"a\n" + first + b"bbb\n" + second + b"d\n"
    assert b"".join(c.payload for c in chunks if c.stream == 2) == first + b"c"
    assert chunks[-1].after == Position(1, len(raw))


def test_it_cuts_before_a_time():
    early, late = records(b"a\nb\n"), records(b"c\n", time_ns=START_NS + 5)
    assert log.cut_before(early + late, START_NS + 5) == len(early)
    assert log.cut_before(early + late, START_NS + 6) == len(early + late)
    assert log.cut_before(early + late, START_NS) == 0


def test_positions_compare_and_are_written_and_read():
    assert Position.parse("3.4096") == Position(3, 4096)
    assert str(Position(3, 4096)) == "3.4096"
    assert Position(3, 0) > Position(2, 999)
    for text in ("", "3", "0.1", "3.-1", "3.1.1", "３.1", "3. 1", "3.01"):
        with pytest.raises(ValueError):
            Position.parse(text)


def test_the_last_line_of_a_killed_container_is_salvaged():
    raw = records(b"half")[:-1]
    (chunk,) = log.salvage(raw, segment=1, offset=7)
    assert (chunk.payload, chunk.after.offset) == (b"half", 7 + len(raw))
    assert log.salvage(b"2026-11", segment=1, offset=0) == []


def test_it_parses_a_hundred_megabytes_a_second():
    """Typical lines of 70 bytes; a quarter of the target is asked here, because the machine is shared."""
    raw = records(b"x" * 69 + b"\n") * 280
    started, total = time.process_time(), 0
    while total < 40_000_000:
        total += sum(len(c.payload) for c in log.parse(raw, segment=1, offset=0))
    speed = total / (time.process_time() - started) / 1e6
    assert speed > 50, f"{speed:.0f} MB/s"
