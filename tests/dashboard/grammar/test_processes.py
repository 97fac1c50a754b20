"""`top`: ps's options and columns."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import pytest

from dashboard.grammar import UsageError, parse, requests
from dashboard.grammar.processes import FULL, USER_ORIENTED, Now, ProcessLine, read_ps, render_processes

NOW = Now(datetime(2026, 11, 26, 12, 0, tzinfo=UTC), 1 << 30)
LINE = ProcessLine(
    pid=4321, parent=4300, group=4321, session=4321, uid=0, user="root", name="sleep", command="sleep 1000", state="S",
    terminal="pts/0", is_foreground=True, nice=0, threads=1, started_at=NOW.moment.timestamp() - 7200, cpu_s=72.4,
    virtual_bytes=4_325_376, resident_bytes=10_737_418,
)  # fmt: skip


@pytest.mark.parametrize(
    ("words", "columns"),
    [
        ((), FULL),
        (("-ef",), FULL),
        (("aux",), USER_ORIENTED),
        (("-aux",), USER_ORIENTED),
        (("-eo", "pid,comm"), ("pid", "comm")),
        (("-o", "pid", "-o", "pcpu args"), ("pid", "%cpu", "command")),
        (("-ax", "o", "user"), ("user",)),
    ],
)
def test_options_of_ps_that_are_understood(words, columns):
    assert parse(["top", "web", *words]) == requests.Top(name="web", columns=columns)


@pytest.mark.parametrize(
    "words", [("-eo",), ("-o", "label"), ("-o", ","), ("e", "-E"), ("--forest",), ("-o", "uid_name"), ("1",)]
)
def test_others_are_refused_with_what_there_is(words):
    with pytest.raises(UsageError, match=r"top shows -ef, aux, or -o with columns of: %cpu, .+, vsz\.") as caught:
        read_ps(words)
    assert caught.value.exit_code == 1


def test_the_table_is_as_docker_aligns_it():
    head, line = render_processes([LINE], read_ps(()), NOW).splitlines()
    titles = ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME")
    assert head == "".join(title.ljust(20) for title in titles) + "CMD"
    shown = ("root", "4321", "4300", "1", "10:00", "pts/0", "00:01:12")
    assert line == "".join(cell.ljust(20) for cell in shown) + "sleep 1000"


def test_every_column_can_be_shown():
    said = render_processes([LINE], USER_ORIENTED, NOW).splitlines()[1].split()
    assert said == ["root", "4321", "1.0", "1.0", "4224", "10485", "pts/0", "Ss+", "10:00", "1:12", "sleep", "1000"]
    columns = read_ps(["-o", "pgid,sid,uid,ni,nlwp,s,etime,tt,start"])
    assert render_processes([LINE], columns, NOW).splitlines()[1].split() == [
        "4321", "4321", "0", "0", "1", "S", "02:00:00", "pts/0", "10:00",
    ]  # fmt: skip
    old = ProcessLine.from_json(asdict(LINE) | {"started_at": LINE.started_at - 3 * 86_400, "more": 1})
    assert render_processes([old], ("stime", "etime"), NOW).splitlines()[1].split() == ["Nov23", "3-02:00:00"]
