"""The table of promises names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text()


def test_each_promise_and_each_invariant_has_its_row():
    rows = re.findall(r"^\| (P\d+|I\d+) \|", TEXT, re.MULTILINE)
    assert rows == [*(f"P{number}" for number in range(1, 11)), *(f"I{number}" for number in range(1, 11))]


def test_the_tests_that_are_named_are_there():
    named = re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", TEXT)
    assert len(named) > 15
    assert [path for path, _ in named if not (ROOT / path).exists()] == []
    assert [name for path, name in named if name and not re.search(rf"\bdef {name}\(", (ROOT / path).read_text())] == []
