"""README.md and its Korean twin: they list what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dashboard.grammar import parse

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "README.ko.md"]


def told(page: str) -> set[str]:
    """Words in code spans."""
    return set(re.findall(r"`([^`\n]+)`", (ROOT / page).read_text()))


@pytest.mark.parametrize("page", PAGES)
def test_each_command_of_the_help_is_listed(page):
    listed = set(re.findall(r"^  ([a-z]+)  ", parse(["--help"]).text, re.MULTILINE))
    assert len(listed) > 30
    assert listed - told(page) == set()


def test_both_languages_show_the_same_pictures_and_settings():
    first, second = ((ROOT / page).read_text() for page in PAGES)
    for pattern in (r"docs/images/[a-z-]+\.png", r"`BERTH_[A-Z_]+`|`[A-Z]+_URL`"):
        assert set(re.findall(pattern, first)) == set(re.findall(pattern, second))
    assert all((ROOT / name).is_file() for name in re.findall(r"docs/images/[a-z-]+\.png", first))
