"""Files into a container and out of it, on its page."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from tests.support.browser import save

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
PICTURES = os.environ.get("BERTH_SCREENSHOTS", "")


def shoot(person, name: str) -> None:
    if PICTURES:
        save(person.page, Path(PICTURES) / f"{name}.png")


@pytest.fixture
def boat(berth, person):
    found = berth.run_checked("run", "-d", "--name", "boat", "ubuntu:14.04", "sleep", "600").stdout.strip()
    yield found
    person.go("/")  # its page would ask for what is gone
    berth.run_checked("rm", "-f", "boat")


def put(person, name: str, content: bytes, path: str) -> None:
    person.page.fill("#copy-to", path)
    person.page.set_input_files("#copy-file", {"name": name, "mimeType": "application/octet-stream", "buffer": content})


def test_a_file_goes_in_and_a_folder_comes_out(berth, person, boat):
    person.go(f"/containers/{boat}/?tab=files")
    person.wait_for_main("Into the container")
    put(person, "메모.txt", "적어 둔 것".encode(), "/tmp")
    person.wait_for_main("1 entry was put at /tmp.")
    shoot(person, "copy-put")
    assert berth.run_checked("exec", "boat", "cat", "/tmp/메모.txt").stdout == "적어 둔 것"
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        info = tarfile.TarInfo("deep/leaf")
        info.size, info.uid = 4, 33
        archive.addfile(info, io.BytesIO(b"leaf"))
    person.page.check("#copy-plain")
    put(person, "some.tgz", made.getvalue(), "/srv")
    person.wait_for_main("1 entry was put at /srv.")
    person.page.wait_for_selector("#copy [data-stage=put]")
    assert berth.run_checked("exec", "boat", "stat", "-c", "%u", "/srv/deep/leaf").stdout == "33\n"
    person.page.fill("#copy-from", "/srv")
    with person.page.expect_download() as begun:
        person.page.click("text=Download >> nth=-1")
    with tarfile.open(begun.value.path()) as archive:
        assert "srv/deep/leaf" in set(archive.getnames())
    assert begun.value.suggested_filename == "srv.tar"
    person.wait_for_main("The archive was sent.")


def test_what_cannot_be_is_said_on_the_page(berth, person, boat):
    person.go(f"/containers/{boat}/?tab=files")
    put(person, "x", b"x", "/no/such/place")
    person.wait_for_main("Could not find the file /no/such in the container")
    person.page.fill("#copy-from", "/nowhere")
    person.page.click("text=Download >> nth=-1")
    person.wait_for_main("Could not find the file /nowhere in the container")
    shoot(person, "copy-failed")
    person.page.set_viewport_size({"width": 390, "height": 800})
    shoot(person, "copy-phone")
    assert person.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    person.page.set_viewport_size({"width": 1280, "height": 800})
