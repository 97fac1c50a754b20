"""Flags of `run` and `create` that reach for the host, and those of Docker's that Berth does not take, each with its reason.

Source: Docker CLI reference 20.10, "docker run" (names, values and error texts, not code).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence

from dashboard.grammar.errors import UsageError, ValueRefused
from dashboard.grammar.flags import Flag, Values, switch
from dashboard.grammar.limitvalues import read_cpuset
from dashboard.grammar.values import read_bool, read_int

HOST = "host"
_MODE = re.compile(r"(?!.*(.).*\1)[rwm]{1,3}\Z")
_PERIOD_US = 100_000
_NANO = 1_000_000_000


def read_device(text: str) -> str:
    """`/dev/a`, `/dev/a:rw`, `/dev/a:/dev/b`, `/dev/a:/dev/b:r` → `/dev/a:/dev/b:r`, with all three."""
    parts = text.split(":")
    path = parts[0]
    if len(parts) > 3 or not path:
        msg = f"invalid device specification: {text}"
        raise ValueRefused(msg)
    last = parts[-1] if len(parts) == 3 or (len(parts) == 2 and _MODE.match(parts[1])) else "rwm"
    place = parts[1] if len(parts) == 3 or (len(parts) == 2 and not _MODE.match(parts[1])) else path
    if not _MODE.match(last):
        msg = f"invalid device mode: {last}"
        raise ValueRefused(msg)
    for one in (path, place or path):
        if not one.startswith("/dev/") or posixpath.normpath(one) != one:
            msg = f"{one} is not a path below /dev"
            raise ValueRefused(msg)
    return f"{path}:{place or path}:{last}"


def read_sysctl(text: str) -> str:
    name, equals, _value = text.partition("=")
    if not equals or not name:
        msg = f"sysctl '{text}' is not allowed: name=value is needed"
        raise ValueRefused(msg)
    return text


def _of_the_host(what: str, none: str) -> Callable[[str], str]:
    """A reader of `""` or `host`; `none` is what containers have anyway, in Docker's word for it."""

    def read(text: str) -> str:
        if text in {"", none}:
            return ""
        if text == HOST:
            return HOST
        if text.startswith("container:"):
            msg = f"containers of Berth do not share a {what} namespace"
            raise ValueRefused(msg)
        msg = f'"" and "host" are known, not "{text}"'
        raise ValueRefused(msg)

    return read


def _only(accepted: Sequence[str], reason: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in accepted:
            raise ValueRefused(reason)
        return ""

    return read


def _only_switch(accepted: bool, reason: str) -> Callable[[str], object]:
    def read(text: str) -> bool:
        if read_bool(text) is not accepted:
            raise ValueRefused(reason)
        return accepted

    return read


def read_period(text: str) -> int:
    period = read_int(text)
    if period and not 1000 <= period <= 1_000_000:
        msg = "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        raise ValueRefused(msg)
    return period


def read_quota(text: str) -> int:
    quota = read_int(text)
    if 0 < quota < 1000:
        msg = "CPU cfs quota can not be less than 1ms (i.e. 1000)"
        raise ValueRefused(msg)
    return quota


def processor_share(values: Values) -> Values:
    """`--cpu-period` and `--cpu-quota` as a number of processors, and the period that the kernel is to count in.

    Raises:
        UsageError: with `--cpus`, which says the same.
    """
    period, quota = values.get("cpu_period") or 0, max(values.get("cpu_quota") or 0, 0)
    if values.get("cpus") and (period or quota):
        other = "Period" if period else "Quota"
        msg = f"Conflicting options: Nano CPUs and CPU {other} cannot both be set."
        raise UsageError(msg)
    if not quota:
        return {"nano_cpus": values.get("cpus"), "cpu_period_us": period or None}
    period = period or _PERIOD_US
    return {"nano_cpus": -(-quota * _NANO // period), "cpu_period_us": period}


def quota_of(nano_cpus: int, period_us: int) -> int:
    """Microseconds of each period; the inverse of `processor_share`."""
    return nano_cpus * period_us // _NANO


ACCESS_FLAGS = (
    Flag(
        name="cgroupns",
        read=_only(("", "private"), "each container has its own control group namespace"),
        is_hidden=True,
    ),
    Flag(name="cpu-period", read=read_period, kind="int", help="Limit CPU CFS (Completely Fair Scheduler) period"),
    Flag(name="cpu-quota", read=read_quota, kind="int", help="Limit CPU CFS (Completely Fair Scheduler) quota"),
    Flag(name="cpuset-mems", read=read_cpuset, help="MEMs in which to allow execution (0-3, 0,1)"),
    Flag(
        name="device",
        read=read_device,
        kind="list",
        repeats=True,
        help="Add a host device to the container, where the host's policy allows it",
    ),
    Flag(name="ipc", read=_of_the_host("IPC", "private"), help='IPC mode to use ("host", where the policy allows it)'),
    Flag(name="pid", read=_of_the_host("PID", ""), help='PID namespace to use ("host", where the policy allows it)'),
    switch("privileged", text="Give extended privileges to this container, where the host's policy allows it"),
    Flag(name="sysctl", read=read_sysctl, kind="map", repeats=True, help="Sysctl options of its own network and IPC"),
    Flag(name="uts", read=_of_the_host("UTS", ""), help='UTS namespace to use ("host", where the policy allows it)'),
    # Docker's words for what is so here anyway.
    Flag(
        name="disable-content-trust",
        read=_only_switch(accepted=True, reason="images have digests here, and no signatures are looked for"),
        is_switch=True,
        is_hidden=True,
    ),
    Flag(name="isolation", read=_only(("", "default"), "there is one kind of isolation on Linux"), is_hidden=True),
    Flag(
        name="memory-swappiness",
        read=_only(
            ("-1",), "how eagerly a container swaps is the host's to say; it swaps at all with --memory-swap only"
        ),
        is_hidden=True,
    ),
    Flag(
        name="oom-kill-disable",
        read=_only_switch(accepted=False, reason="a container without memory would hang and hold what it has"),
        is_switch=True,
        is_hidden=True,
    ),
    Flag(
        name="runtime",
        read=_only(("", "runc"), "containers are run by runc; which one, BERTH_RUNC says"),
        is_hidden=True,
    ),
    Flag(name="volume-driver", read=_only(("", "local"), "volumes are folders of this host"), is_hidden=True),
)

_NO_LOG = "each container's log is kept and rotated by Berth; read it with `logs`"
_WINDOWS = "it is for containers on Windows"
_REALTIME = "real-time processor time could starve the host"
REFUSED_VALUES = {
    "annotation": "what a container carries along is its labels (--label)",
    "blkio-weight": "this kernel's schedulers share devices evenly; limit the rate of one (--device-read-bps …)",
    "blkio-weight-device": "this kernel's schedulers share devices evenly; limit the rate of one (--device-read-bps …)",
    "cgroup-parent": "each container has a control group of Berth's own, where its limits hold",
    "cpu-count": _WINDOWS,
    "cpu-percent": _WINDOWS,
    "cpu-rt-period": _REALTIME,
    "cpu-rt-runtime": _REALTIME,
    "device-cgroup-rule": "a rule without its device says nothing that people could check; name the device (--device)",
    "gpus": "name the devices (--device), which the host's administrator must have allowed",
    "health-start-interval": "a health check has one interval (--health-interval)",
    "io-maxbandwidth": _WINDOWS,
    "io-maxiops": _WINDOWS,
    "ip6": "a container's IPv6 address follows from its IPv4 address (--ip)",
    "kernel-memory": "the kernel has no limit of its own for it any more; it counts as memory (-m)",
    "link": "put both containers into a network of your own, where they find each other by name",
    "link-local-ip": "containers have the addresses of their networks only",
    "log-driver": _NO_LOG,
    "log-opt": _NO_LOG,
    "mac-address": "a container's hardware address follows from its IP address, so that none can take another's",
    "volumes-from": "name the volumes themselves (-v)",
}
REFUSED_FLAGS = (
    *(Flag(name=name, read=str, refused=reason) for name, reason in REFUSED_VALUES.items()),
    Flag(name="attach", short="a", read=str, refused="a container is attached as a whole; -i, -t and -d say how"),
)
