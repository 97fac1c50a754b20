"""`top`: what of ps's options is understood, and the table that is printed.

Docker runs the host's ps with whatever it is given, as root. Here the columns are computed, and what can be asked for is
`-ef` (as without options), `aux`, and `-o` with names of columns.
Source: ps(1) of procps, "STANDARD FORMAT SPECIFIERS".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self

from dashboard.grammar.errors import EXIT_ARGUMENTS, UsageError
from dashboard.grammar.tables import align

_DAY_S = 86_400
_KIB = 1024
_WIDTH = 20  # as Docker's `top` aligns
FULL = ("uid_name", "pid", "ppid", "c", "stime", "tty", "time", "cmd_f")
USER_ORIENTED = ("user", "pid", "%cpu", "%mem", "vsz", "rss", "tty_u", "stat", "start", "bsdtime", "command")
_ALL = ("-e", "-A", "-a", "-x", "-ax", "ax", "a", "x", "e")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLine:
    """One process. Times in seconds, `started_at` since 1970; `uid` and `user` as the container has them."""

    pid: int
    parent: int
    group: int
    session: int
    uid: int
    user: str
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

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Unknown keys are dropped, so that a newer engine worker may say more."""
        return cls(**{field.name: data[field.name] for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class Now:
    """What shares are shares of."""

    moment: datetime
    memory_bytes: int


def _elapsed_s(line: ProcessLine, now: Now) -> float:
    return max(1.0, now.moment.timestamp() - line.started_at)


def _share(line: ProcessLine, now: Now) -> float:
    return 100 * line.cpu_s / _elapsed_s(line, now)


def _clock(seconds: float) -> str:
    days, rest = divmod(int(seconds), _DAY_S)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{text}" if days else text


def _elapsed(line: ProcessLine, now: Now) -> str:
    text = _clock(now.moment.timestamp() - line.started_at)
    return text.removeprefix("00:")


def _start(line: ProcessLine, now: Now) -> str:
    began = datetime.fromtimestamp(line.started_at, now.moment.tzinfo)
    if now.moment.timestamp() - line.started_at < _DAY_S:
        return began.strftime("%H:%M")
    return began.strftime("%b%d")


def _stat(line: ProcessLine, _now: Now) -> str:
    marks = (
        (line.nice < 0, "<"),
        (line.nice > 0, "N"),
        (line.session == line.pid, "s"),
        (line.threads > 1, "l"),
        (line.is_foreground, "+"),
    )
    return line.state + "".join(mark for is_so, mark in marks if is_so)


def _minutes(line: ProcessLine, _now: Now) -> str:
    return f"{int(line.cpu_s) // 60}:{int(line.cpu_s) % 60:02}"


Shown = Callable[[ProcessLine, Now], object]
_COLUMNS: dict[str, tuple[str, Shown]] = {
    "pid": ("PID", lambda line, _now: line.pid),
    "ppid": ("PPID", lambda line, _now: line.parent),
    "pgid": ("PGID", lambda line, _now: line.group),
    "sid": ("SID", lambda line, _now: line.session),
    "uid": ("UID", lambda line, _now: line.uid),
    "uid_name": ("UID", lambda line, _now: line.user),
    "user": ("USER", lambda line, _now: line.user),
    "comm": ("COMMAND", lambda line, _now: line.name),
    "command": ("COMMAND", lambda line, _now: line.command),
    "cmd": ("CMD", lambda line, _now: line.command),
    "cmd_f": ("CMD", lambda line, _now: line.command),
    "c": ("C", lambda line, now: int(_share(line, now))),
    "%cpu": ("%CPU", lambda line, now: f"{_share(line, now):.1f}"),
    "%mem": ("%MEM", lambda line, now: f"{100 * line.resident_bytes / now.memory_bytes:.1f}"),
    "vsz": ("VSZ", lambda line, _now: line.virtual_bytes // _KIB),
    "rss": ("RSS", lambda line, _now: line.resident_bytes // _KIB),
    "tty": ("TTY", lambda line, _now: line.terminal),
    "tty_u": ("TTY", lambda line, _now: line.terminal),
    "tt": ("TT", lambda line, _now: line.terminal),
    "stat": ("STAT", _stat),
    "s": ("S", lambda line, _now: line.state),
    "ni": ("NI", lambda line, _now: line.nice),
    "nlwp": ("NLWP", lambda line, _now: line.threads),
    "stime": ("STIME", _start),
    "start": ("START", _start),
    "etime": ("ELAPSED", _elapsed),
    "time": ("TIME", lambda line, _now: _clock(line.cpu_s)),
    "bsdtime": ("TIME", _minutes),
}
_ALIASES = {
    "args": "command",
    "pcpu": "%cpu",
    "pmem": "%mem",
    "vsize": "vsz",
    "rssize": "rss",
    "tname": "tty",
    "nice": "ni",
    "state": "s",
    "ucmd": "comm",
    "ucomm": "comm",
    "euser": "user",
    "euid": "uid",
    "pgrp": "pgid",
    "sess": "sid",
    "start_time": "stime",
    "cputime": "time",
    "thcount": "nlwp",
}
NAMES = tuple(sorted(name for name in _COLUMNS if "_" not in name))


def _refused(said: str) -> UsageError:
    msg = f"top shows -ef, aux, or -o with columns of: {', '.join(NAMES)}. It cannot show '{said}'."
    return UsageError(f"Error: {msg}", exit_code=EXIT_ARGUMENTS)


def read_ps(words: Sequence[str]) -> tuple[str, ...]:
    """Names of columns from ps's options.

    Raises:
        UsageError: an option or a column that is not understood.
    """
    columns: tuple[str, ...] = ()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        letters = word.removeprefix("-")
        if word in _ALL:
            continue
        if word in {"-ef", "-f", "-eaf", "-Af"}:
            columns = columns or FULL
        elif letters in {"aux", "axu", "ux", "u", "au"}:
            columns = columns or USER_ORIENTED
        elif letters in {"o", "eo", "axo", "Ao", "xo", "ao"} and rest:
            columns = (*(columns if columns not in {FULL, USER_ORIENTED} else ()), *_named(rest.pop(0)))
        else:
            raise _refused(word)
    return columns or FULL


def _named(text: str) -> list[str]:
    found = []
    for part in filter(None, text.replace(",", " ").split()):
        name = _ALIASES.get(part, part)
        if name not in NAMES:
            raise _refused(part)
        found.append(name)
    if not found:
        raise _refused(text)
    return found


def titles(columns: Sequence[str]) -> list[str]:
    return [_COLUMNS[name][0] for name in columns]


def cells(line: ProcessLine, columns: Sequence[str], now: Now) -> list[str]:
    return [str(_COLUMNS[name][1](line, now)) for name in columns]


def render_processes(lines: Sequence[ProcessLine], columns: Sequence[str], now: Now) -> str:
    """The text of `top`, without a last newline."""
    return align([titles(columns), *(cells(line, columns, now) for line in lines)], min_width=_WIDTH)
