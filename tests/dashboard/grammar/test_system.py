from __future__ import annotations

import json

import pytest

from dashboard.grammar import UsageError, parse, requests
from dashboard.grammar.system import check_line, render_check

MOUNT = {
    "invariant": "I3",
    "kind": "mount",
    "name": "/data/containers/ab/rootfs/merged",
    "problem": "belongs to no running container",
    "container_id": "ab" * 32,
    "is_orphan": False,
}
VOLUME = MOUNT | {"invariant": "I4", "kind": "volume", "name": "old", "problem": "has no row", "is_orphan": True}


def rendered(findings, *, format_text="", repaired=(), count=None):
    return render_check(
        requests.SystemCheck(format=format_text),
        findings,
        repaired=repaired,
        count=len(findings) if count is None else count,
        figures={"threads": 4},
    )


def test_the_flags_become_the_request():
    assert parse(["system", "check"]) == requests.SystemCheck()
    asked = parse(["system", "check", "--repair", "--deep", "--format", "json"])
    assert asked == requests.SystemCheck(repair=True, deep=True, format="json")


def test_dockers_own_commands_of_the_group_are_there():
    assert parse(["system", "info"]) == parse(["info"])
    assert parse(["system", "events", "--since", "1h"]) == parse(["events", "--since", "1h"])
    assert "Manage Berth" in parse(["system"]).text


@pytest.mark.parametrize("words", [["system", "check", "all"], ["system", "repair"], ["system", "check", "--fast"]])
def test_anything_else_is_refused(words):
    with pytest.raises(UsageError):
        parse(words)


def test_each_finding_is_a_line_and_a_summary_follows():
    assert check_line(MOUNT) == "I3 mount /data/containers/ab/rootfs/merged belongs to no running container"
    assert rendered([MOUNT, VOLUME]).splitlines() == [check_line(MOUNT), check_line(VOLUME), "2 findings."]
    assert rendered([MOUNT]).endswith("\n1 finding.")
    assert rendered([]) == "Everything is as it must be."


def test_what_was_repaired_is_told():
    assert rendered([VOLUME], repaired=[MOUNT]).splitlines() == [
        f"{check_line(MOUNT)} (repaired)",
        check_line(VOLUME),
        "1 finding, 1 repaired.",
    ]


def test_findings_beyond_those_that_are_kept_are_counted():
    assert rendered([MOUNT], count=1200).splitlines()[1:] == ["… and 1199 more", "1200 findings."]


def test_json_is_one_document():
    document = json.loads(rendered([MOUNT], format_text="json", repaired=[VOLUME]))
    assert document == {"count": 1, "findings": [MOUNT], "repaired": [VOLUME], "figures": {"threads": 4}}


def test_a_template_has_dockers_way():
    assert rendered([MOUNT, VOLUME], format_text="{{.Invariant}} {{.Orphan}}") == "I3 false\nI4 true"
    with pytest.raises(UsageError):
        rendered([MOUNT], format_text="{{.Colour}}")
