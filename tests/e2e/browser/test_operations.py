"""Pausing, renaming, limits, processes, changed files and figures, in a browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.browser import save
from tests.support.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
PICTURES = os.environ.get("BERTH_SCREENSHOTS", "")
SCRIPT = "echo 1 >/made; rm /etc/passwd; while :; do :; done"


def shoot(person, name: str) -> None:
    if PICTURES:
        save(person.page, Path(PICTURES) / f"{name}.png")


@pytest.fixture
def busy(berth, person):
    berth.run_checked("pull", "-q", "ubuntu:14.04")
    done = berth.run_checked("run", "-d", "--name", "busy", "-m", "64m", "ubuntu:14.04", "sh", "-c", SCRIPT)
    yield done.stdout.strip()
    person.go("/")  # a page of what is gone complains
    berth.run_checked("rm", "-f", done.stdout.strip())


def test_a_container_is_paused_renamed_and_limited_on_its_page(berth, person, busy):
    person.go(f"/containers/{busy}/")
    head = person.page.locator("#container-head")
    head.get_by_role("button", name="Pause").click()
    head.get_by_text("Paused").wait_for()
    assert head.get_by_role("button", name="Open shell").count() == 0
    shoot(person, "paused")
    head.get_by_role("button", name="Unpause").click()
    head.get_by_text("Running").wait_for()
    form = person.page.locator("form[action$='/rename/']")
    form.locator("input[name=name]").fill("calm-tern")
    form.get_by_role("button").click()
    head.get_by_text("calm-tern").wait_for()
    limits = person.page.locator("details:has(form[action$='/update/'])")
    limits.locator("summary").click()
    limits.locator("input[name=memory]").fill("96m")
    shoot(person, "limits")
    limits.get_by_role("button").click()
    person.page.locator("dd", has_text="96MiB").first.wait_for()
    assert "100663296" in berth.run_checked("inspect", busy).stdout
    limits.locator("summary").click()
    with person.expecting("400"):
        limits.locator("input[name=memory]").fill("1k")
        limits.get_by_role("button").click()
        person.page.get_by_text("Minimum memory limit allowed is 6MB").wait_for()


def test_what_others_do_to_a_container_comes_to_its_page(berth, person, busy):
    person.go(f"/containers/{busy}/")
    berth.run_checked("rename", "busy", "quiet-cod")
    name = person.page.locator("form[action$='/rename/'] input[name=name]")
    until(lambda: f"the new name: {name.input_value()}", lambda: name.input_value() == "quiet-cod")
    berth.run_checked("update", "--restart", "always", "quiet-cod")
    person.page.locator("dd", has_text="always").wait_for()
    berth.run_checked("stop", "-t", "0", "quiet-cod")
    person.page.locator("dt", has_text="Exited").wait_for()
    assert person.page.get_by_text("Takes now").count() == 0


def test_figures_come_by_themselves_in_the_list_and_on_the_page(person, busy):
    person.go("/containers/")
    row = person.page.locator(f"#taken-{busy[:12]}")
    until("a busy processor", lambda: float(row.inner_text().split("%")[0] or 0) > 10)
    shoot(person, "list")
    person.go(f"/containers/{busy}/")
    now = person.page.locator("#now")
    until("figures", lambda: "64MiB" in now.inner_text() and "received" in now.inner_text())
    before = now.inner_text()
    until("newer figures", lambda: now.inner_text() != before)
    shoot(person, "overview")


def test_processes_and_changed_files_have_tabs(person, busy):
    person.go(f"/containers/{busy}/")
    person.page.get_by_role("link", name="Processes").click()
    person.wait_for_main("PID is the number on the host")
    assert "while :; do :; done" in person.main_text()
    shoot(person, "processes")
    person.page.get_by_role("link", name="Changed files").click()
    person.wait_for_main("D /etc/passwd\nA /made")
    shoot(person, "changes")


def test_stats_are_redrawn_in_the_command_bar_until_stop(person, busy):
    running = person.paste("docker stats --format '{{.Name}} {{.CPUPerc}}'")
    running.expect("busy ")
    said = running.text
    until("another look", lambda: running.text != said)
    assert running.text.count("busy") == 1
    shoot(person, "stats")
    running.pane.get_by_role("button", name="Stop").click()
    running.finished(130)


@pytest.mark.skipif(not PICTURES, reason="only when BERTH_SCREENSHOTS names a folder")
def test_pictures_in_korean_dark_and_on_a_phone(berth, chromium, administrator, busy):
    state = administrator.context.storage_state()
    for name, how in {
        "ko": {"locale": "ko-KR"},
        "dark": {"color_scheme": "dark"},
        "phone": {"width": 390, "height": 844, "has_touch": True},
    }.items():
        visitor = chromium.visitor(berth.url, storage_state=state, **how)
        for tab in ("overview", "processes", "changes"):
            visitor.go(f"/containers/{busy}/?tab={tab}")
            visitor.page.wait_for_timeout(1500)
            shoot(visitor, f"{name}-{tab}")
        visitor.go("/containers/")
        visitor.page.wait_for_timeout(3500)
        shoot(visitor, f"{name}-list")
        visitor.close()
