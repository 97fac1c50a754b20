"""Moments as Docker reads them."""

from __future__ import annotations

import time

import pytest

from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.times import read_moment

NOW = 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1136073600", 1_136_073_600_000_000_000),
        ("1136073600.000000001", 1_136_073_600_000_000_001),
        ("1136073600.5", 1_136_073_600_500_000_000),
        ("0", 0),
        ("10m", NOW - 600_000_000_000),
        ("1h30m", NOW - 5_400_000_000_000),
        ("1.5h", NOW - 5_400_000_000_000),
        ("-10s", NOW + 10_000_000_000),
        ("300ms", NOW - 300_000_000),
        ("7us", NOW - 7000),
        ("2006-01-02T15:04:05Z", 1_136_214_245_000_000_000),
        ("2006-01-02T15:04:05.123456789Z", 1_136_214_245_123_456_789),
        ("2006-01-02T16:04:05+01:00", 1_136_214_245_000_000_000),
        ("2006-01-02T08:04:05-07:00", 1_136_214_245_000_000_000),
        ("2006-01-02T15:04Z", 1_136_214_240_000_000_000),
        ("2006-01-02T15Z", 1_136_214_000_000_000_000),
        ("2006-01-02Z", 1_136_160_000_000_000_000),
    ],
)
def test_a_moment_is_read_to_the_nanosecond(text, moment):
    assert read_moment(text, now_ns=NOW) == moment


@pytest.mark.parametrize("text", ["2006-01-02", "2006-01-02T15:04:05", "2006-01-02T15:04:05.25"])
def test_without_a_zone_it_is_the_servers_own(text, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    try:
        there = read_moment(text, now_ns=NOW)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert there == read_moment(f"{text}+09:00", now_ns=NOW)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "10x", "2006-13-02", "2006-01-02T25:00", "2006-01-02T15:04:05+25:00", "-5", "1h 30m", "٣m"],
)
def test_what_is_none_is_refused(text):
    with pytest.raises(ValueRefused, match="failed to parse value as time or duration"):
        read_moment(text, now_ns=NOW)
