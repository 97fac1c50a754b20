"""script/bootstrap: what it says it needs."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_package_stands_in_the_lists_once():
    text = (ROOT / "script" / "bootstrap").read_text()
    names = [name for words in re.findall(r"\bneeded\+?=\(([^)]*)\)", text) for name in words.split()]
    assert len(names) > 20
    assert sorted(names) == sorted(set(names))
