"""Every flag that Docker 20.10 has for `run` and `create` is honoured or refused with a reason; and those that reach for the host."""

from __future__ import annotations

import re

import pytest

from dashboard.grammar import UsageError, parse, split_line, to_line
from dashboard.grammar.commands import COMMANDS
from dashboard.grammar.hostflags import processor_share, quota_of

# `docker run --help` of 20.10 with what it hides there (Windows, old names), without -d, --detach-keys, --sig-proxy, which are `run`'s.
DOCKER = [
    "add-host",
    "attach",
    "blkio-weight",
    "blkio-weight-device",
    "cap-add",
    "cap-drop",
    "cgroup-parent",
    "cgroupns",
    "cidfile",
    "cpu-count",
    "cpu-percent",
    "cpu-period",
    "cpu-quota",
    "cpu-rt-period",
    "cpu-rt-runtime",
    "cpu-shares",
    "cpus",
    "cpuset-cpus",
    "cpuset-mems",
    "device",
    "device-cgroup-rule",
    "device-read-bps",
    "device-read-iops",
    "device-write-bps",
    "device-write-iops",
    "disable-content-trust",
    "dns",
    "dns-opt",
    "dns-option",
    "dns-search",
    "domainname",
    "entrypoint",
    "env",
    "env-file",
    "expose",
    "gpus",
    "group-add",
    "health-cmd",
    "health-interval",
    "health-retries",
    "health-start-period",
    "health-timeout",
    "hostname",
    "init",
    "interactive",
    "io-maxbandwidth",
    "io-maxiops",
    "ip",
    "ip6",
    "ipc",
    "isolation",
    "kernel-memory",
    "label",
    "label-file",
    "link",
    "link-local-ip",
    "log-driver",
    "log-opt",
    "mac-address",
    "memory",
    "memory-reservation",
    "memory-swap",
    "memory-swappiness",
    "mount",
    "name",
    "net",
    "net-alias",
    "network",
    "network-alias",
    "no-healthcheck",
    "oom-kill-disable",
    "oom-score-adj",
    "pid",
    "pids-limit",
    "platform",
    "privileged",
    "publish",
    "publish-all",
    "pull",
    "read-only",
    "restart",
    "rm",
    "runtime",
    "security-opt",
    "shm-size",
    "stop-signal",
    "stop-timeout",
    "storage-opt",
    "sysctl",
    "tmpfs",
    "tty",
    "ulimit",
    "user",
    "userns",
    "uts",
    "volume",
    "volume-driver",
    "volumes-from",
    "workdir",
]
RUN_ONLY = ("detach", "detach-keys", "sig-proxy")


def flags_of(name):
    (command,) = (one for one in COMMANDS if one.name == name)
    return {flag.name: flag for flag in command.flags}


@pytest.mark.threat("RUN-07")
@pytest.mark.parametrize("command", ["run", "create"])
def test_every_flag_of_dockers_is_taken_or_refused_with_a_reason_of_its_own(command):
    known = flags_of(command)
    wanted = [*DOCKER, *(RUN_ONLY if command == "run" else ())]
    assert [name for name in wanted if name not in known] == []
    refused = {name: flag.refused for name, flag in known.items() if flag.refused}
    assert all(len(reason.split()) > 3 for reason in refused.values()), refused
    for name in refused:
        with pytest.raises(UsageError, match=re.escape(f"--{name}: {refused[name]}")):
            parse([command, f"--{name}", "1", "image"])


def options(*words):
    return parse(["create", *words, "ubuntu:14.04"]).options


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (("--device", "/dev/fuse"), "devices", ("/dev/fuse:/dev/fuse:rwm",)),
        (("--device", "/dev/fuse:r"), "devices", ("/dev/fuse:/dev/fuse:r",)),
        (("--device", "/dev/fuse:/dev/x"), "devices", ("/dev/fuse:/dev/x:rwm",)),
        (("--device", "/dev/fuse:/dev/x:rw"), "devices", ("/dev/fuse:/dev/x:rw",)),
        (("--sysctl", "net.core.somaxconn=9"), "sysctls", ("net.core.somaxconn=9",)),
        (("--pid", "host"), "pid", "host"),
        (("--ipc=private",), "ipc", ""),
        (("--uts", "host"), "uts", "host"),
        (("--privileged",), "privileged", True),
        (("--cpuset-mems", "0"), "cpuset_mems", "0"),
        (("--cgroupns", "private", "--runtime", "runc", "--isolation", "default"), "userns", ""),
        (("--memory-swappiness", "-1", "--oom-kill-disable=false", "--disable-content-trust"), "userns", ""),
    ],
)
def test_what_is_taken_says_the_same_again(words, field, value):
    found = options(*words)
    assert getattr(found, field) == value
    assert parse(split_line(to_line(found))).options == found
    assert type(found).from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--device", "/etc/passwd"), "is not a path below /dev"),
        (("--device", "/dev/../etc/passwd"), "is not a path below /dev"),
        (("--device", "/dev/a:/etc/b"), "is not a path below /dev"),
        (("--device", "/dev/a:/dev/b:x"), "invalid device mode: x"),
        (("--device", "a:b:c:d"), "invalid device specification"),
        (("--sysctl", "net.core.somaxconn"), "name=value"),
        (("--pid", "container:web"), "do not share a PID namespace"),
        (("--ipc", "shareable"), '"" and "host" are known'),
        (("--cgroupns", "host"), "a control group namespace|control group namespace"),
        (("--runtime", "kata"), "run by runc"),
        (("--oom-kill-disable",), "hold what it has"),
        (("--memory-swappiness", "60"), "the host's to say"),
        (("--cpu-period", "10"), "can not be less than 1ms"),
        (("--cpu-quota", "10"), "can not be less than 1ms"),
        (("--cpus", "1", "--cpu-quota", "5000"), "Nano CPUs and CPU Quota cannot both be set"),
        (("--cpus", "1", "--cpu-period", "5000"), "Nano CPUs and CPU Period cannot both be set"),
    ],
)
def test_what_is_not_says_why(words, sentence):
    with pytest.raises(UsageError, match=sentence):
        options(*words)


@pytest.mark.parametrize("period", [1000, 7777, 100_000, 1_000_000])
@pytest.mark.parametrize("quota", [1000, 3333, 20_000, 199_999])
def test_a_quota_is_a_number_of_processors_and_back(period, quota):
    found = processor_share({"cpu_period": period, "cpu_quota": quota})
    assert quota_of(found["nano_cpus"], found["cpu_period_us"]) == quota
    again = options("--cpu-period", str(period), "--cpu-quota", str(quota))
    assert parse(split_line(to_line(again))).options == again


def test_without_a_quota_the_period_stands_alone_and_no_limit_is_the_servers():
    assert processor_share({"cpu_period": 5000}) == {"nano_cpus": None, "cpu_period_us": 5000}
    assert processor_share({"cpu_quota": -1, "cpus": 5}) == {"nano_cpus": 5, "cpu_period_us": None}
    assert processor_share({"cpu_quota": 50_000}) == {"nano_cpus": 500_000_000, "cpu_period_us": 100_000}
