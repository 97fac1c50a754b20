"""Every row of a table in docs/security.md is named by a test's mark that really is there, and no row is forgotten."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = {"RUN": 20, "CPY": 6, "NET": 8}  # a family more is an entry more here and rows in the page
ROWS = [f"{family}-{number:02}" for family, last in FAMILIES.items() for number in range(1, last + 1)]


def _marked() -> dict[str, set[str]]:
    """Paths of the test files, by the id of the row that a mark in them names."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        for marks in re.findall(r"mark\.threat\(([^)]*)\)", text):
            for row in re.findall(r"[A-Z]+-\d+", marks):
                found.setdefault(row, set()).add(str(path.relative_to(ROOT / "tests")))
    return found


MARKED = _marked()
LISTED = dict(
    re.findall(r"^\| ([A-Z]+-\d+) \| [^|]* \| ([^|]*) \|$", (ROOT / "docs/security.md").read_text(), re.MULTILINE)
)


@pytest.mark.parametrize("row", ROWS)
def test_each_row_is_named_by_a_test(row):
    assert MARKED.get(row), f"no test is marked threat({row!r})"


@pytest.mark.parametrize("row", ROWS)
def test_the_page_names_tests_that_have_the_mark(row):
    named = set(re.findall(r"`([^`]+)`", LISTED.get(row, "")))
    assert named, f"docs/security.md says nothing of {row}"
    assert named <= MARKED[row], f"without the mark: {sorted(named - MARKED[row])}"
