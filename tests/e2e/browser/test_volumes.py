"""The page of volumes and the run form's rows, in a browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.browser import save, until

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
PICTURES = os.environ.get("BERTH_SCREENSHOTS", "")


def shoot(person, name: str) -> None:
    if PICTURES:
        save(person.page, Path(PICTURES) / f"{name}.png")


def test_a_volume_is_made_used_and_removed_on_its_page(berth, person):
    berth.run_checked("pull", "-q", "ubuntu:14.04")
    person.go("/volumes/")
    person.wait_for_main("No volumes yet")
    person.page.fill("input[name=name]", "harbour")
    person.page.click("text=Create volume")
    person.wait_for_main("harbour")
    berth.run_checked("run", "--name", "keeper", "-v", "harbour:/data", "ubuntu:14.04", "dd", "if=/dev/urandom",
                      "of=/data/x", "bs=1M", "count=2")  # fmt: skip
    person.wait_for_main("keeper")
    assert person.page.locator("tr:has-text('harbour') [data-confirm]").count() == 0
    until("the size", lambda: (person.go("/volumes/"), "2.1MB" in person.main_text())[1])
    shoot(person, "volumes")
    berth.run_checked("rm", "keeper")
    person.wait_for_main("Nobody")
    person.page.click("tr:has-text('harbour') [data-confirm]")
    person.confirm("2.1MB of files in it go for good")
    person.wait_for_main("No volumes yet")


def test_the_form_says_its_volumes_in_the_line_below(berth, person):
    berth.run_checked("volume", "create", "harbour")
    person.go("/containers/run/?image=ubuntu:14.04")
    person.page.click("[data-add-row=volume-rows]")
    row = person.page.locator("#volume-rows [data-row]").last
    row.locator("input").nth(0).fill("harbour")
    row.locator("input").nth(1).fill("/data")
    row.locator("select").select_option("ro")
    person.page.fill("input[name=storage]", "64m")
    until(
        "the line",
        lambda: "--storage-opt size=64m -v harbour:/data:ro ubuntu:14.04" in person.page.inner_text("#same-as"),
    )
    row.scroll_into_view_if_needed()
    shoot(person, "run-form")
    person.page.set_viewport_size({"width": 390, "height": 800})
    row.scroll_into_view_if_needed()
    shoot(person, "run-form-phone")
    assert row.evaluate("(node) => node.getBoundingClientRect().right <= document.documentElement.clientWidth")
    person.go("/volumes/")
    person.wait_for_main("harbour")
    shoot(person, "volumes-phone")
    person.page.set_viewport_size({"width": 1280, "height": 800})
    berth.run_checked("volume", "rm", "harbour")
