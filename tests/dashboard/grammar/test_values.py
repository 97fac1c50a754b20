"""Sizes, times, signals, names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.units import ago, binary_size, human_duration, human_size, rfc3339
from dashboard.grammar.values import is_container_name, is_hostname, read_size, read_tail, signal_number, write_size


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (187_900_000, "188MB"), (1_090_000_000, "1.09GB"), (999_600, "1MB")],
)
def test_sizes_have_three_digits_and_base_1000(size_bytes, text):
    assert human_size(size_bytes) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0B"),
        (1000, "1000B"),
        (512 << 20, "512MiB"),
        (3 << 29, "1.5GiB"),
        (25_275_834_368, "23.54GiB"),
        (1 << 70, "1024EiB"),
    ],
)
def test_memory_has_four_digits_and_base_1024(size_bytes, text):
    assert binary_size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (61, "About a minute"),
        (179, "2 minutes"),
        (3600, "About an hour"),
        (5 * 3600, "5 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (21 * 86400, "3 weeks"),
        (100 * 86400, "3 months"),
        (12 * 365 * 86400, "12 years"),
    ],
)
def test_durations_are_dockers_words(seconds, text):
    assert human_duration(timedelta(seconds=seconds)) == text


def test_times_print_as_inspect_prints_them():
    moment = datetime(2014, 4, 16, 22, 30, 17, 120000, tzinfo=UTC)
    assert rfc3339(moment) == "2014-04-16T22:30:17.12Z"
    assert rfc3339(None) == "0001-01-01T00:00:00Z"
    assert ago(None, moment) == "N/A"
    assert ago(moment, moment + timedelta(days=21)) == "3 weeks ago"


@pytest.mark.parametrize(
    ("text", "size"), [("512m", 512 << 20), ("1g", 1 << 30), ("6MB", 6 << 20), ("100", 100), ("1.5k", 1536)]
)
def test_sizes_of_flags_have_base_1024(text, size):
    assert read_size(text) == size
    assert read_size(write_size(size)) == size


@pytest.mark.parametrize("text", ["", "m", "-1", "1x", "1 2", "٣m", "9" * 40])
def test_bad_sizes_are_refused(text):
    with pytest.raises(ValueRefused):
        read_size(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("KILL", 9),
        ("SIGTERM", 15),
        ("sigint", 2),
        ("9", 9),
        ("RTMIN+3", 37),
        ("0", None),
        ("65", None),
        ("NOPE", None),
        ("_DFL", None),
    ],
)
def test_signals_by_name_and_number(text, number):
    assert signal_number(text) == number


def test_tail_reads_all_and_numbers():
    assert read_tail("all") is None
    assert read_tail("-1") is None
    assert read_tail("0") == 0


def test_names_follow_dockers_rule():
    assert is_container_name("web_1.a-b")
    assert not any(is_container_name(name) for name in ("", "a", "-ab", "a b", "a/b", "x" * 200, "ab\n"))
    assert is_hostname("box-1.example")
    assert not any(is_hostname(name) for name in ("", "-a", "a_b", "x" * 65, "a\n"))
