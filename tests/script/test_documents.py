"""The documents list what there is, and each decision has a number of its own."""

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


def test_each_decision_has_a_number_of_its_own_and_a_link_that_leads_to_it():
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = {int(path.name[:4]) for path in decisions}
    assert len(numbers) == len(decisions)
    assert [path.name for path in decisions if not path.read_text().startswith(f"# {int(path.name[:4])}. ")] == []
    named = {int(number) for number in re.findall(r"ADR (\d+)", (ROOT / "ARCHITECTURE.md").read_text())}
    assert named <= numbers


@pytest.mark.parametrize("path", [*PAGES, "ARCHITECTURE.md", *map(str, sorted((ROOT / "docs").glob("*.md")))])
def test_links_lead_somewhere(path):
    page = ROOT / path
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
