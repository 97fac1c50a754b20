"""The pages of networks, a container's card of them and the run form's choice, in a browser."""

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


def fits(person) -> bool:
    return person.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_a_network_is_made_filled_and_removed_on_its_pages(berth, person):
    berth.run_checked("pull", "-q", "ubuntu:14.04")
    person.go("/networks/")
    person.wait_for_main("bridge")
    person.page.fill("input[name=name]", "harbour")
    person.page.fill("input[name=subnet]", "10.233.7.0/24")
    person.page.click("text=Create network")
    person.wait_for_main("10.233.7.0/24")
    shoot(person, "networks")
    berth.run_checked("run", "-d", "--name", "keeper", "ubuntu:14.04", "sleep", "1000")
    person.page.click("#network-rows a:has-text('harbour')")
    person.wait_for_main("No container is in this network")
    person.page.fill("input[name=aliases]", "store db")
    person.page.click("button:has-text('Connect')")
    person.wait_for_main("store, db")
    person.wait_for_main("cannot be removed while containers are in it: keeper")
    shoot(person, "network")
    person.page.click("a:has-text('keeper')")
    person.wait_for_main("10.233.7.2")
    person.page.locator("#container-networks").scroll_into_view_if_needed()
    shoot(person, "container-networks")
    person.page.click("#container-networks li:has-text('harbour') button")
    person.confirm("Its connections there break off")
    until("it is out", lambda: "10.233.7.2" not in person.main_text())
    person.page.click("#container-networks button:has-text('harbour')")
    person.wait_for_main("10.233.7.2")
    person.page.set_viewport_size({"width": 390, "height": 800})
    person.page.locator("#container-networks").scroll_into_view_if_needed()
    assert fits(person)
    shoot(person, "container-networks-phone")
    for name, path in (("networks", "/networks/"),):
        person.go(path)
        person.wait_for_main("keeper")
        shoot(person, f"{name}-phone")
        assert fits(person)
    person.page.click("#network-rows a:has-text('harbour')")
    person.wait_for_main("Gateway")
    shoot(person, "network-phone")
    assert fits(person)
    person.page.set_viewport_size({"width": 1280, "height": 800})
    berth.run_checked("rm", "-f", "keeper")
    person.wait_for_main("No container is in this network")
    person.page.click("button:has-text('Remove')")
    person.confirm("One of the same name can be made again")
    until("it is gone", lambda: "harbour" not in person.main_text() and "bridge" in person.main_text())


def test_the_run_form_says_its_network_in_the_line_below(berth, person):
    berth.run_checked("network", "create", "harbour")
    person.go("/containers/run/?image=ubuntu:14.04")
    person.page.select_option("#id_network", "harbour")
    until("the line", lambda: "--network harbour ubuntu:14.04" in person.page.inner_text("#same-as"))
    person.page.locator("#id_network").scroll_into_view_if_needed()
    shoot(person, "run-network")
    berth.run_checked("network", "rm", "harbour")
