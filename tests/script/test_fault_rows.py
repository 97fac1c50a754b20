"""The table of docs/reliability.md: each fault has its row, and a test that carries its marker where the row says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = [f"F{number}" for number in (*range(13, 22), 34, *range(39, 48), *range(49, 57))]
LINE = re.compile(r"^\| (F\d\d) \|.*\| (.+) \|$", re.MULTILINE)
PLACES = dict(LINE.findall((ROOT / "docs" / "reliability.md").read_text()))


@pytest.mark.parametrize("row", ROWS)
def test_a_fault_is_injected_by_the_tests_that_the_table_names(row):
    named = re.findall(r"`(tests/\S+\.py)`", PLACES[row])
    assert named, row
    for path in named:
        marked = re.findall(r"mark\.fault\(([^)]*)\)", (ROOT / path).read_text())
        assert any(f'"{row}"' in words for words in marked), f"{path} has no test that is marked with {row}"
