"""Several rows at once: picked by mouse or by keys, asked about once, refusals told one by one."""

from __future__ import annotations

import pytest

from tests.support.browser import until

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]


@pytest.fixture
def fleet(berth, debian, person):
    """Containers are made by the test under these names; whatever is left of them goes."""
    yield debian
    person.go("/catalog/")
    left = berth.run_checked("ps", "-aq", "-f", "name=fleet-").stdout.split()
    if left:
        berth.run_checked("rm", "-f", *left)


def picked(page) -> int:
    return page.locator("[data-pick]:checked").count()


def test_containers_are_picked_by_keys_stopped_and_removed_together(berth, fleet, person):
    for name in ("fleet-barge", "fleet-raft", "fleet-skiff"):
        berth.run_checked("run", "-dit", "--name", name, fleet)
    berth.run_checked("create", "--name", "fleet-hulk", fleet)
    page = person.page
    person.go("/containers/?q=fleet-")
    bar = page.locator("#selected")
    head = page.locator("thead").bounding_box()
    page.locator("#pick-all").focus()
    page.keyboard.press("Space")
    bar.get_by_text("4 selected").wait_for()
    assert page.locator("thead").bounding_box() == head, "nothing moves when it appears"
    page.keyboard.press("Shift+Tab")  # back into the bar, which stands before the list
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.dataset.act") == "remove"
    page.keyboard.press("Enter")
    question = page.locator("dialog[open]")
    question.get_by_text("fleet-hulk", exact=False).first.wait_for()
    assert "Remove fleet-hulk?" in question.inner_text()
    assert "so they stay: fleet-skiff, fleet-raft, fleet-barge" in question.inner_text()
    page.keyboard.press("Escape")

    bar.locator("[data-act=stop]").click()
    person.confirm("Stop 3 containers?")
    page.locator(".toast-success", has_text="Stopped: fleet-skiff, fleet-raft, fleet-barge.").wait_for(timeout=60_000)
    until("nothing runs", lambda: page.locator(".state-running").count() == 0)
    page.locator("[data-pick=fleet-barge]").check()
    page.locator("[data-pick=fleet-hulk]").click(modifiers=["Shift"])
    assert picked(page) == 4
    berth.run_checked("start", "fleet-raft")  # a live update of the list
    page.locator("tr", has_text="fleet-raft").locator(".state-running").wait_for()
    assert picked(page) == 4, "what is picked stays picked"
    bar.locator("[data-act=remove]").click()
    person.confirm("fleet-barge")
    page.locator(".toast-success", has_text="Removed:").last.wait_for(timeout=60_000)
    until("one is left", lambda: page.locator("tbody tr").count() == 1)


def test_a_refused_image_says_why_and_stays_picked(berth, fleet, person):
    berth.run_checked("create", "--name", "fleet-hulk", fleet)
    berth.run_checked("pull", "-q", "centos:7")
    page = person.page
    person.go("/catalog/")
    for name in ("debian:12", "centos:7"):
        page.locator(f"[data-pick='{name}']").check()
    page.locator("#selected [data-act=remove]").click()
    person.confirm("Remove 2 names of images?")
    page.locator(".toast-success", has_text="Removed: centos:7.").wait_for()
    refusal = page.locator(".toast-error", has_text="debian:12: Nothing is removed. First remove the containers")
    refusal.wait_for()
    assert page.locator("[data-pick='debian:12']").is_checked()
    refusal.get_by_role("button").click()
    page.locator("[data-selected-clear]").click()
    assert page.locator("#selected").is_hidden()
