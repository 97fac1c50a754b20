"""What the kernel tells of a process. Source: proc_pid_stat(5), proc_pid_status(5), proc_pid_cmdline(5)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_COMMAND_LIMIT_BYTES = 4096
_PTS_MAJORS = range(136, 144)
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """`uid` is the host's. Times in seconds, `started_at` since 1970. `command` as it was started, or [name]."""

    pid: int
    parent: int
    group: int
    session: int
    uid: int
    name: str
    command: str
    state: str
    terminal: str
    is_foreground: bool
    nice: int
    threads: int
    started_at: float
    cpu_s: float
    virtual_bytes: int
    resident_bytes: int


@cache
def _ticks() -> int:
    return os.sysconf("SC_CLK_TCK")


def _booted_at() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def printable(text: bytes) -> str:
    """Whoever chose it: no control characters, no broken text."""
    return "".join(c if c.isprintable() else "?" for c in text.decode("utf-8", "replace"))


def process_facts(pid: int) -> ProcessFacts | None:
    """None when there is no such process any more."""
    folder = _PROC / str(pid)
    try:
        stat = (folder / "stat").read_bytes()
        status = (folder / "status").read_bytes()
        with open(folder / "cmdline", "rb") as file:
            words = file.read(_COMMAND_LIMIT_BYTES)
    except OSError:
        return None
    return parse_facts(pid, stat, status, words, booted_at=_booted_at())


def parse_facts(pid: int, stat: bytes, status: bytes, words: bytes, *, booted_at: float) -> ProcessFacts:
    """The text of the three files; pure. A process names itself, so the name ends at the last parenthesis."""
    name, _, rest = stat.partition(b"(")[2].rpartition(b")")
    fields = rest.split()
    uid = next((int(line.split()[1]) for line in status.splitlines() if line.startswith(b"Uid:")), 0)
    group, session = int(fields[2]), int(fields[3])
    shown = printable(words.rstrip(b"\0").replace(b"\0", b" "))
    return ProcessFacts(
        pid=pid,
        parent=int(fields[1]),
        group=group,
        session=session,
        uid=uid,
        name=printable(name),
        command=shown or f"[{printable(name)}]",
        state=fields[0].decode("ascii", "replace"),
        terminal=_terminal(int(fields[4])),
        is_foreground=int(fields[5]) == group,
        nice=int(fields[16]),
        threads=int(fields[17]),
        started_at=booted_at + int(fields[19]) / _ticks(),
        cpu_s=(int(fields[11]) + int(fields[12])) / _ticks(),
        virtual_bytes=int(fields[20]),
        resident_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
    )


def _terminal(number: int) -> str:
    """`pts/0`; "?" for none, or one that no container has."""
    major, minor = os.major(number), os.minor(number)
    return f"pts/{(major - _PTS_MAJORS.start) * 256 + minor}" if major in _PTS_MAJORS else "?"
