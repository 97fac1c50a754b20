"""The commands of the group `system`, and what `system check` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.grammar import requests
from dashboard.grammar.commands import FORMAT, Command
from dashboard.grammar.flags import switch
from dashboard.grammar.operations import BY_NAME
from dashboard.grammar.tables import Row, render_table

# A finding as the engine says it: JSON with these fields and others.
Found = Mapping[str, Any]
HEADERS = {
    "Invariant": "INVARIANT",
    "Kind": "KIND",
    "Name": "NAME",
    "Problem": "PROBLEM",
    "Container": "CONTAINER ID",
    "Orphan": "ORPHAN",
}


def check_line(finding: Found) -> str:
    """`I3 mount /data/containers/… belongs to no running container`."""
    return " ".join(str(finding.get(key, "")) for key in ("invariant", "kind", "name", "problem"))


def _row(finding: Found) -> Row:
    return {
        "Invariant": finding.get("invariant", ""),
        "Kind": finding.get("kind", ""),
        "Name": finding.get("name", ""),
        "Problem": finding.get("problem", ""),
        "Container": finding.get("container_id", ""),
        "Orphan": "true" if finding.get("is_orphan") else "false",
    }


def _summary(count: int, repaired: int) -> str:
    mended = f", {repaired} repaired" if repaired else ""
    if not count:
        return f"Everything is as it must be{mended}."
    return f"{count} {'finding' if count == 1 else 'findings'}{mended}."


def render_check(
    request: requests.SystemCheck,
    findings: Sequence[Found],
    *,
    repaired: Sequence[Found],
    count: int,
    figures: Mapping[str, int],
) -> str:
    """The text of `system check`, without a last newline: a line each, then a summary; or one JSON document.

    `count`: of all findings, should `findings` not have all of them.

    Raises:
        UsageError: the template cannot be read.
    """
    if request.format.strip() == "json":
        document = {"count": count, "findings": list(findings), "repaired": list(repaired), "figures": dict(figures)}
        return json.dumps(document, indent=4, ensure_ascii=False)
    if request.format:
        return render_table(
            [_row(one) for one in findings], headers=HEADERS, columns=list(HEADERS), format_text=request.format
        )
    lines = [f"{check_line(one)} (repaired)" for one in repaired] + [check_line(one) for one in findings]
    more = [f"… and {count - len(findings)} more"] if count > len(findings) else []
    return "\n".join([*lines, *more, _summary(count, len(repaired))])


CHECK = Command(
    name="check",
    usage="[OPTIONS]",
    about="Check that everything is as it must be (Berth's own: Docker has no such command)",
    build=lambda v, _w: requests.SystemCheck(
        repair=v.get("repair", False), deep=v.get("deep", False), format=v.get("format", "")
    ),
    flags=(
        switch("deep", text="Read and hash every layer and document of the store, too"),
        FORMAT,
        switch("repair", text="Mend what can be mended without anybody's loss, and check again"),
    ),
    most=0,
)
BY_VERB = {"check": CHECK, "events": BY_NAME["events"], "info": BY_NAME["info"]}
