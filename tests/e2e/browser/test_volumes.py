"""The page of volumes and the run form's rows, in a browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.browser import save, until
from tests.support.trees import tree

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


def test_a_backup_is_downloaded_and_restored_on_the_volumes_page(berth, person, tmp_path):
    berth.run_checked("run", "--rm", "-v", "cargo:/data", "ubuntu:14.04", "sh", "-c",
                      "echo kept > /data/note; dd if=/dev/urandom of=/data/noise bs=1M count=30; chown 33:33 /data/note")  # fmt: skip
    data = berth.data / "volumes" / "cargo" / "_data"
    before = tree(data)
    person.go("/volumes/")
    person.page.click("text=cargo")
    person.wait_for_main("No container has this volume")
    shoot(person, "volume")
    with person.page.expect_download() as downloading:
        person.page.click("text=Download backup")
    file = tmp_path / downloading.value.suggested_filename
    downloading.value.save_as(file)
    assert file.name == "cargo.tar"
    person.wait_for_main("Nothing of it is kept here")
    shoot(person, "volume-backup")
    (data / "note").write_text("changed\n")
    (data / "noise").unlink()
    person.page.set_input_files("#volume-file", file)
    person.confirm("Everything in it is replaced by what cargo.tar (31.")
    person.wait_for_main("Restored: 3 entries.")
    shoot(person, "volume-restored")
    assert tree(data) == before
    until("nothing is left over", lambda: os.listdir(berth.data / "transfers") == [])


def test_what_is_no_archive_is_refused_on_the_page(berth, person, tmp_path):
    data = berth.data / "volumes" / "cargo" / "_data"
    before = tree(data)
    broken = tmp_path / "letter.tar"
    broken.write_bytes(b"Dear harbour master,\n" * 100_000)
    person.go("/volumes/cargo/")
    person.page.set_input_files("#volume-file", broken)
    person.confirm("letter.tar")
    person.wait_for_main("Nothing was restored: the volume is as it was.")
    person.wait_for_main("this is not a tar archive")
    assert tree(data) == before
    person.page.set_viewport_size({"width": 390, "height": 800})
    shoot(person, "volume-refused-phone")
    person.page.set_viewport_size({"width": 1280, "height": 800})
    berth.run_checked("create", "--name", "crew", "-v", "cargo:/data", "ubuntu:14.04")
    person.wait_for_main("crew")
    assert person.page.locator("[data-choose-file]").count() == 0
    shoot(person, "volume-used")
    berth.run_checked("rm", "crew")
    berth.run_checked("volume", "rm", "cargo")


def test_who_leaves_the_page_breaks_the_upload_off(berth, person, tmp_path):
    berth.run_checked("volume", "create", "slow")
    person.go("/volumes/slow/")
    large = tmp_path / "large.tar"
    with large.open("wb") as file:
        file.truncate(2 << 30)
    person.page.set_input_files("#volume-file", large)
    person.confirm("large.tar")
    until("it arrives", lambda: os.listdir(berth.data / "transfers"))
    person.go("/containers/")
    until("what arrived is gone", lambda: os.listdir(berth.data / "transfers") == [])
    berth.run_checked("volume", "rm", "slow")
