"""What the run form can ask for beside the basics, and how a container's page shows restarts, labels and health."""

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


@pytest.fixture(autouse=True)
def ubuntu(berth, person):
    berth.run_checked("pull", "-q", "ubuntu:14.04")
    yield
    person.go("/")
    if ids := berth.run_checked("ps", "-aq").stdout.split():
        berth.run_checked("rm", "-f", *ids)


def test_the_form_asks_for_a_policy_labels_and_a_read_only_root(berth, person):
    person.go("/containers/run/?image=ubuntu:14.04")
    page = person.page
    page.fill("input[name=name]", "keeps")
    page.fill("input[name=command]", "sleep 1000")
    page.fill("input[name=labels]", "tier=web owner=haeun")
    page.select_option("select[name=restart]", "unless-stopped")
    page.check("input[name=read_only]")
    line = "docker run -i -t --read-only --name keeps -l tier=web -l owner=haeun --restart unless-stopped ubuntu:14.04"
    until("the line", lambda: line in page.inner_text("#same-as"))
    page.locator("select[name=restart]").scroll_into_view_if_needed()
    shoot(person, "wishes-form")
    page.set_viewport_size({"width": 390, "height": 800})
    page.locator("select[name=restart]").scroll_into_view_if_needed()
    shoot(person, "wishes-form-phone")
    right = "(node) => node.getBoundingClientRect().right <= document.documentElement.clientWidth"
    assert page.locator("select[name=restart]").evaluate(right)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.click(".form-actions button[type=submit]")
    person.wait_for_main("unless-stopped")
    person.wait_for_main("tier=web")
    person.wait_for_main("read only")
    shoot(person, "wishes-page")


def test_a_container_that_is_started_again_and_again_says_so_and_can_be_stopped(berth, person):
    berth.run_checked("run", "-d", "--name", "loops", "--restart", "always", "ubuntu:14.04", "sh", "-c", "exit 3")
    person.go("/containers/")
    person.wait_for_main(r"Restarting \(3\)")
    shoot(person, "restarting-list")
    person.page.click("a.name:has-text('loops')")
    person.wait_for_main(r"started again \d+ time")
    shoot(person, "restarting-page")
    person.page.locator("#container-head button[aria-label='Stop loops']").click()
    person.wait_for_main(r"Exited \(3\)")


def test_its_health_stands_beside_its_state_with_what_was_said(berth, person):
    script = "echo all is well; test ! -f /tmp/ill"
    flags = ("--health-cmd", script, "--health-interval", "1s", "--health-retries", "1")
    berth.run_checked("run", "-d", "--name", "asked", *flags, "ubuntu:14.04", "sleep", "1000")
    person.go("/containers/")
    person.wait_for_main("Healthy")
    shoot(person, "health-list")
    person.page.click("a.name:has-text('asked')")
    person.wait_for_main("all is well")
    shoot(person, "health-page")
    berth.run_checked("exec", "asked", "touch", "/tmp/ill")
    person.wait_for_main("Unhealthy")


def test_pictures_in_the_dark_and_in_korean(berth, chromium, administrator):
    if not PICTURES:
        pytest.skip("for looking at only")
    berth.run_checked("run", "-d", "--name", "loops", "--restart", "always", "-l", "tier=web", "ubuntu:14.04", "false")
    flags = ("--health-cmd", "echo well", "--health-interval", "1s")
    berth.run_checked("run", "-d", "--name", "asked", *flags, "ubuntu:14.04", "sleep", "1000")
    state = administrator.context.storage_state()
    look = {"color_scheme": "dark", "locale": "ko-KR", "storage_state": state}
    for width in (1280, 390):
        person = chromium.visitor(berth.url, width=width, **look)
        for name, path in (("list", "/containers/"), ("form", "/containers/run/?image=ubuntu:14.04")):
            person.go(path)
            shoot(person, f"ko-dark-{width}-{name}")
        person.go("/containers/")
        person.page.click("a.name:has-text('loops')")
        person.wait_for_main("다시 시작")
        shoot(person, f"ko-dark-{width}-page")
        person.close()
