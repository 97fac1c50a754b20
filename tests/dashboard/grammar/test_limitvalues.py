"""Spellings of capabilities, limits of processes, security options and rates."""

from __future__ import annotations

import pytest

from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.limitvalues import (
    parse_rate,
    read_byte_rate,
    read_capability,
    read_cpuset,
    read_operation_rate,
    read_security,
    read_swap,
    read_switch,
    read_ulimit,
)


def test_capabilities_have_one_spelling():
    assert {read_capability(text) for text in ("net_raw", "NET_RAW", "cap_net_raw", "CAP_NET_RAW")} == {"CAP_NET_RAW"}
    assert read_capability("all") == "ALL"
    for text in ("", "1", "net raw", "net-raw"):
        with pytest.raises(ValueRefused, match="unknown capability"):
            read_capability(text)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("nofile=5", "nofile=5:5"),
        ("nofile=5:6", "nofile=5:6"),
        ("core=-1", "core=-1:-1"),
        ("core=0:-1", "core=0:-1"),
    ],
)
def test_limits_of_processes(text, read):
    assert read_ulimit(text) == read
    assert read_ulimit(read) == read


@pytest.mark.parametrize("text", ["nofile", "nofile=", "=5", "files=5", "nofile=6:5", "nofile=-1:5", "nofile=1:2:3",
                                  "nofile=x", "nofile=-2"])  # fmt: skip
def test_bad_limits_are_refused(text):
    with pytest.raises(ValueRefused):
        read_ulimit(text)


def test_security_options_have_one_spelling_and_the_last_counts():
    spelled = ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true")
    assert {read_security(text) for text in spelled} == {"no-new-privileges"}
    assert read_security("seccomp:unconfined") == "seccomp=unconfined"
    assert read_switch(("no-new-privileges", "no-new-privileges=false"), "no-new-privileges") is False
    assert read_switch(("no-new-privileges=false", "no-new-privileges"), "no-new-privileges") is True
    assert read_switch((), "no-new-privileges") is False
    for text in ("seccomp=/my.json", "apparmor=mine", "label=user:x", "nothing", "no-new-privileges:maybe"):
        with pytest.raises(ValueRefused):
            read_security(text)


def test_rates_of_devices():
    assert read_byte_rate("/dev/sda:1mb") == "/dev/sda:1m"
    assert read_operation_rate("/dev/mapper/a:b:7") == "/dev/mapper/a:b:7"
    assert parse_rate("/dev/mapper/a:b:7", is_bytes=False).path == "/dev/mapper/a:b"
    for text in ("/dev/sda", "/dev/sda:", "/dev/sda:0", "/dev/sda:x", "sda:1", "/dev/../etc/x:1", "/etc/x:1"):
        with pytest.raises(ValueRefused):
            read_byte_rate(text)
    with pytest.raises(ValueRefused):
        read_operation_rate("/dev/sda:1mb")


def test_lists_of_processors_and_swap():
    assert read_cpuset("0-2,5") == "0-2,5"
    for text in ("a", "0-", "-1", "0,,1", "0-1-2"):
        with pytest.raises(ValueRefused):
            read_cpuset(text)
    assert (read_swap("-1"), read_swap("1g")) == (-1, 1 << 30)
