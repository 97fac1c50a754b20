"""Small things that a person sees at once: what is cut, what does not line up, what does not come by itself."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import BERTH
from tests.support.browser import Terminal, until
from tests.support.terminal import Person

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
LONG = "while sleep 1; do : /usr/share/lighthouse/a-path-without-a-space-" + "x" * 300 + "; done"
IS_INSIDE = "(node) => { const box = node.getBoundingClientRect(), out = node.closest('section, .modal-box').getBoundingClientRect(); return box.width > 0 && box.right <= out.right && node.scrollWidth <= node.clientWidth + 1; }"
# How far the middles of an icon and of the first line beside it are apart, in pixels.
ASKEW = """(nodes) => nodes.map((node) => {
  const icon = node.querySelector('.icon').getBoundingClientRect();
  const words = document.createRange();
  words.selectNodeContents(node);
  const line = [...words.getClientRects()].at(-1);
  return Math.abs((icon.top + icon.bottom) - (line.top + line.bottom)) / 2;
})"""


@pytest.fixture
def keel(berth, debian, person):
    yield berth.run_checked("run", "-dit", "--name", "keel", debian).stdout.strip()
    person.page.set_viewport_size({"width": 1280, "height": 800})
    person.go("/catalog/")
    berth.run_checked("rm", "-f", "keel")


def test_a_long_command_leaves_its_buttons_in_sight_and_its_question_whole(berth, person, keel):
    berth.run_checked("exec", "-d", "-t", "keel", "sh", "-c", LONG)
    page = person.page
    person.go(f"/containers/{keel}/")
    row = page.locator("#container-execs li")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        for button in row.locator("a, button").all():
            assert button.evaluate(IS_INSIDE), f"{width}: {button.inner_text()}"
    row.get_by_role("button").click()
    for part in page.locator("dialog :is(h2, p)").all():
        assert part.evaluate(IS_INSIDE)
    page.keyboard.press("Escape")


def test_the_list_of_terminals_hears_of_commands_and_says_them_on_a_phone_too(berth, person, keel):
    page = person.page
    page.set_viewport_size({"width": 390, "height": 800})
    person.go("/terminals/")
    person.wait_for_main("keel")
    berth.run_checked("exec", "-d", "-t", "keel", "sleep", "98765")
    person.wait_for_main("sleep 98765")
    page.get_by_role("link", name="keel").nth(1).evaluate("(link) => location.assign(link.href)")
    page.locator(".terminal-own-page > header", has_text="sleep 98765").wait_for()
    assert page.locator(".terminal-own-page > header .muted").is_visible()
    page.locator(".terminal-pane[data-state=live]").wait_for()


def test_what_a_command_printed_is_drawn_letter_by_letter(person, berth):
    person.go("/")
    person.command("docker ps")
    ligatures = "(node) => getComputedStyle(node).fontVariantLigatures"
    for part in (".command-output", ".command-line", ".dock-tab-label", "#command-input"):
        assert person.page.locator(part).last.evaluate(ligatures) == "none", part


def test_icons_stand_beside_their_words(person, berth):
    person.go("/system/")
    person.page.locator(".state .icon").first.wait_for()
    askew = person.page.locator(".state").evaluate_all(ASKEW)
    assert askew
    assert max(askew) < 2, askew


def test_the_name_of_a_new_volume_goes_from_the_field_once_it_is_made(berth, person):
    page = person.page
    person.go("/volumes/")
    page.fill("input[name=name]", "harbour-with-" + "a-long-name-" * 9)
    page.click("text=Create volume")
    person.wait_for_main("harbour-with-")
    until("an empty field", lambda: page.locator("input[name=name]").input_value() == "")
    page.locator("#volume-query").press_sequentially("harbour")
    page.wait_for_url("**/volumes/?q=harbour")
    page.get_by_role("button", name="Remove", exact=False).first.click()
    for part in page.locator("dialog :is(h2, p)").all():
        assert part.evaluate(IS_INSIDE)
    person.confirm("Remove the volume harbour-with-")
    person.wait_for_main("No volume")


def test_a_tab_says_who_else_watches_for_as_long_as_they_do(berth, person, keel):
    page = person.page
    person.go(f"/containers/{keel}/")
    page.locator("#container-head [data-open-terminal]").click()
    Terminal(page, keel).wait_for_state("live")
    tab = page.locator(".dock-tab[data-active]")
    watchers = tab.locator(".dock-tab-watchers")
    assert not watchers.is_visible()
    person.visit("terminals")
    page.get_by_role("cell", name="harbour", exact=True).wait_for()
    with Person([str(BERTH), "attach", "keel"], berth.environment) as other:
        watchers.wait_for()
        person.wait_for_main("harbour, host-root")
        assert watchers.get_attribute("title") == "Watching: harbour, host-root"
        other.type("\x10\x11")
        other.exit_code()
    watchers.wait_for(state="hidden")
    tab.get_by_role("button", name="Close").click()
    person.confirm("Close this terminal?")
    page.locator(f".terminal-pane[data-container='{keel}']").wait_for(state="detached")


def test_long_names_leave_the_lists_as_wide_as_the_page(berth, debian, person):
    name = "a-ferry-with-a-name-" * 6
    berth.run_checked("create", "--name", name, debian)
    person.page.set_viewport_size({"width": 1440, "height": 900})
    over = "(list) => list.scrollWidth - list.clientWidth"
    for place in ("containers", "activity", "catalog"):
        person.go(f"/{place}/")
        assert person.page.locator(".rows-wrap").evaluate(over) <= 1, place
    person.go("/catalog/")
    person.page.set_viewport_size({"width": 1280, "height": 800})
    berth.run_checked("rm", name)


def test_what_can_be_done_stays_in_sight_where_a_list_is_too_wide(berth, debian, person):
    ports = ("-p", "80", "-p", "81/udp")
    berth.run_checked("run", "-d", "--name", "wide-ferry", *ports, debian, "sh", "-c", "sleep 100; sleep 100")
    person.page.set_viewport_size({"width": 1000, "height": 800})
    person.go("/containers/")
    around = person.page.locator(".rows-wrap").bounding_box()
    button = person.page.get_by_role("button", name="Stop wide-ferry").bounding_box()
    assert around is not None
    assert button is not None
    assert button["x"] + button["width"] <= around["x"] + around["width"]
    person.page.set_viewport_size({"width": 1280, "height": 800})
    berth.run_checked("rm", "-f", "wide-ferry")


def test_a_phone_names_no_figures_of_a_container_that_takes_nothing(berth, debian, person):
    berth.run_checked("create", "--name", "drydock", debian)
    person.page.set_viewport_size({"width": 390, "height": 844})
    person.go("/containers/?q=drydock")
    person.page.locator("tbody tr").wait_for()
    assert person.page.locator("td:has(.taken)").is_hidden()
    person.go("/catalog/")
    person.page.set_viewport_size({"width": 1280, "height": 800})
    berth.run_checked("rm", "drydock")
