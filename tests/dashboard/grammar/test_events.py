"""`events`: the lines that Docker prints."""

from __future__ import annotations

import json
from datetime import UTC, timedelta, timezone

import pytest

from dashboard.grammar import UsageError, parse, requests
from dashboard.grammar.events import EventLine, EventPrinter

EVENT = EventLine(
    time_ns=1_790_000_000_012_345_678, type="container", action="die", actor="ab" * 32,
    attributes={"name": "web", "exitCode": "3", "image": "ubuntu:14.04"},
)  # fmt: skip


def test_the_words_are_dockers():
    words = ["events", "--since", "1h", "--until", "2026-01-01", "-f", "type=image", "--filter", "event=pull"]
    filters = (("type", "image"), ("event", "pull"))
    assert parse(words) == requests.Events(since="1h", until="2026-01-01", filters=filters)


def test_a_line_has_its_attributes_sorted():
    said = f"container die {'ab' * 32} (exitCode=3, image=ubuntu:14.04, name=web)"
    assert EventPrinter("", UTC).line(EVENT) == f"2026-09-21T14:13:20.012345678Z {said}"
    seoul = timezone(timedelta(hours=9))
    assert EventPrinter("", seoul).line(EVENT) == f"2026-09-21T23:13:20.012345678+09:00 {said}"


def test_formats():
    shape = json.loads(EventPrinter("json", UTC).line(EVENT))
    assert (shape["status"], shape["id"], shape["from"]) == ("die", "ab" * 32, "ubuntu:14.04")
    assert shape["Actor"] == {"ID": "ab" * 32, "Attributes": EVENT.attributes}
    assert (shape["time"], shape["timeNano"]) == (1_790_000_000, EVENT.time_ns)
    text = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Status}} {{.Time}}"
    assert EventPrinter(text, UTC).line(EVENT) == "container die web die 1790000000"
    assert json.loads(EventPrinter("{{json .}}", UTC).line(EVENT)) == shape
    for wrong in ("{{.Type", "{{.Nothing}}"):
        with pytest.raises(UsageError):
            EventPrinter(wrong, UTC).line(EVENT)
