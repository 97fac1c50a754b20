"""Values of flags about rights and shares: capabilities, limits of processes, rates of devices.

Source: Docker CLI reference, "docker run", docker/go-units and docker/cli opts (behaviour and error texts, not code).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.values import read_bool, read_int, read_size, write_size

ULIMITS = frozenset(
    {
        *("as", "core", "cpu", "data", "fsize", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss"),
        *("rtprio", "rttime", "sigpending", "stack"),
    }
)
UNLIMITED = -1
_CAPABILITY = re.compile(r"[A-Z][A-Z_]{1,40}\Z", re.ASCII)
_CPUS = re.compile(r"\d{1,4}(?:-\d{1,4})?(?:,\d{1,4}(?:-\d{1,4})?)*\Z", re.ASCII)
_OOM_LOWEST, _OOM_HIGHEST = -1000, 1000
_NO_PRIVILEGES = ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true")
_PRIVILEGES = ("no-new-privileges:false", "no-new-privileges=false")
_NOTHING_TO_DO = ("apparmor=unconfined", "label=disable", "seccomp=builtin")  # as containers are here anyway
_BACK = {"apparmor:": "apparmor=", "label:": "label=", "seccomp:": "seccomp="}


@dataclass(frozen=True, slots=True)
class Ulimit:
    """`-1` is no limit."""

    name: str
    soft: int
    hard: int

    def __str__(self) -> str:
        return f"{self.name}={self.soft}:{self.hard}"


@dataclass(frozen=True, slots=True)
class Rate:
    """Bytes or operations a second of one device."""

    path: str
    rate: int


def read_capability(text: str) -> str:
    """`net_raw`, `CAP_NET_RAW` → `CAP_NET_RAW`; `all` → `ALL`."""
    name = text.strip().upper()
    if not _CAPABILITY.match(name):
        msg = f'unknown capability: "{text}"'
        raise ValueRefused(msg)
    return name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}"


def read_security(text: str) -> str:
    """One of the few that containers can have here, in one spelling."""
    for old, new in _BACK.items():
        text = new + text.removeprefix(old) if text.startswith(old) else text
    if text in _NO_PRIVILEGES:
        return "no-new-privileges"
    if text in _PRIVILEGES or text in _NOTHING_TO_DO or text == "seccomp=unconfined":
        return text.replace(":", "=")
    if text.startswith("seccomp="):
        msg = "a list of system calls of one's own is not taken: it could be wider than the host's"
        raise ValueRefused(msg)
    if text.startswith(("apparmor=", "label=")):
        msg = f"containers have no {text.partition('=')[0]} profile or label here"
        raise ValueRefused(msg)
    msg = f'invalid --security-opt: "{text}"'
    raise ValueRefused(msg)


def parse_ulimit(text: str) -> Ulimit:
    """`nofile=1024`, `nofile=1024:2048`, `core=-1`."""
    name, equals, value = text.partition("=")
    if not equals or not value:
        msg = f"invalid ulimit argument: {text}"
        raise ValueRefused(msg)
    if name not in ULIMITS:
        msg = f"invalid ulimit type: {name}"
        raise ValueRefused(msg)
    parts = value.split(":")
    if len(parts) > 2:
        msg = f"too many limit value arguments - {value}, can only have up to two, `soft[:hard]`"
        raise ValueRefused(msg)
    soft, hard = (read_int(part) for part in (parts[0], parts[-1]))
    if min(soft, hard) < UNLIMITED:
        msg = f"invalid ulimit argument: {text}"
        raise ValueRefused(msg)
    if hard != UNLIMITED and not UNLIMITED < soft <= hard:
        msg = f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        raise ValueRefused(msg)
    return Ulimit(name, soft, hard)


def read_ulimit(text: str) -> str:
    return str(parse_ulimit(text))


def read_cpuset(text: str) -> str:
    if text and not _CPUS.match(text):
        msg = f"Invalid value {text} for cpuset cpus"
        raise ValueRefused(msg)
    return text


def read_swap(text: str) -> int:
    """A size, or `-1` for no limit."""
    return UNLIMITED if text == "-1" else read_size(text)


def write_swap(size_bytes: int) -> str:
    return "-1" if size_bytes == UNLIMITED else write_size(size_bytes)


def read_oom_score(text: str) -> int:
    score = read_int(text)
    if not _OOM_LOWEST <= score <= _OOM_HIGHEST:
        msg = f"Invalid value {score}, range for oom score adj is [-1000, 1000]"
        raise ValueRefused(msg)
    return score


def parse_rate(text: str, *, is_bytes: bool) -> Rate:
    """`/dev/sda:1mb` (bytes), `/dev/sda:1000` (operations)."""
    path, colon, rate = text.rpartition(":")
    if not colon or not path:
        msg = f"bad format: {text}"
        raise ValueRefused(msg)
    if not path.startswith("/dev/") or ".." in path.split("/"):
        msg = f"bad format for device path: {text}"
        raise ValueRefused(msg)
    try:
        found = read_size(rate) if is_bytes else read_int(rate)
    except ValueRefused:
        found = 0
    if found <= 0:
        shape = "<device-path>:<number>[<unit>]" if is_bytes else "<device-path>:<number>"
        unit = ". Unit is optional and can be kb, mb, or gb" if is_bytes else ""
        msg = f"invalid rate for device: {text}. The correct format is {shape}. Number must be a positive integer{unit}"
        raise ValueRefused(msg)
    return Rate(path, found)


def read_byte_rate(text: str) -> str:
    found = parse_rate(text, is_bytes=True)
    return f"{found.path}:{write_size(found.rate)}"


def read_operation_rate(text: str) -> str:
    found = parse_rate(text, is_bytes=False)
    return f"{found.path}:{found.rate}"


def read_switch(options: tuple[str, ...], name: str) -> bool:
    """Whether the last of the security options that speaks of `name` switches it on."""
    said = [option for option in options if option.partition("=")[0] == name]
    return bool(said) and (said[-1] == name or read_bool(said[-1].partition("=")[2]))
