"""Removing with an undo, the trash, and a life span's warning in page and terminal, in a browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.browser import save, until

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
PICTURES = os.environ.get("BERTH_SCREENSHOTS", "")
IMAGE = "ubuntu:14.04"


def shoot(visitor, name: str) -> None:
    if PICTURES:
        save(visitor.page, Path(PICTURES) / f"{name}.png")


@pytest.fixture
def keeping(berth):
    berth.run_checked("pull", "-q", IMAGE)
    berth.run_checked("life", "set", "--trash", "24h")
    yield berth
    berth.run_checked("life", "set", "--trash", "0", "--expire", "never", "--idle-stop", "never")
    berth.run_checked("trash", "empty", "--force")


def test_a_removal_is_taken_back_by_its_notice_and_on_the_page(keeping, person):
    keeping.run_checked("run", "--name", "keel", IMAGE, "sh", "-c", "echo deep > /note")
    person.go("/containers/")
    row = person.page.locator("tr:has-text('keel')")
    row.locator("button[hx-post$='/remove/']").click()
    person.confirm("can be brought back for 1 day")
    person.page.locator("[data-undo]").wait_for()
    shoot(person, "undo")
    until("it is gone", lambda: row.count() == 0)
    person.page.locator("[data-undo]").click()
    row.wait_for()
    row.locator("button[hx-post$='/remove/']").click()
    person.confirm("brought back")
    until("it is gone again", lambda: row.count() == 0)
    person.go("/containers/trash/")
    person.wait_for_main("keel")
    shoot(person, "trash")
    person.page.locator("button[hx-post$='/restore/']").click()
    person.wait_for_main("The trash is empty.")
    keeping.run_checked("rm", "--now", "keel")


def test_a_warning_stands_on_the_page_and_above_the_terminal_and_extend_ends_it(keeping, person):
    keeping.run_checked("life", "set", "--warn", "15m", "--extension", "1h", "--extensions", "3")
    made = keeping.run_checked("run", "-d", "-i", "-t", "--name", "ebb", "--expire", "40s", IMAGE, "sh")
    container_id = (made.stdout if hasattr(made, "stdout") else made).strip()
    person.go(f"/containers/{container_id}/")
    person.page.locator("[data-open-terminal]").first.click()
    terminal = person.terminal(container_id).wait_for_state("live")
    line = person.page.locator(".terminal-life")
    line.wait_for(timeout=60_000)
    assert "is stopped in" in line.inner_text()
    person.wait_for_main("The life span of ebb ends")
    shoot(person, "warned")
    terminal.run("echo $((20+22))", r"\n42\n")
    line.get_by_role("button").click()
    line.wait_for(state="hidden")
    until("calm", lambda: "The life span of ebb ends" not in person.main_text())
    terminal.run("echo $((30+22))", r"\n52\n")
    keeping.run_checked("rm", "-f", "--now", "ebb")
