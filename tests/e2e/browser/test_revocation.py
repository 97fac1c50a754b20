"""What somebody may no longer do ends in the browsers that they have open, within five seconds (WS-04)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from tests.support.browser import Terminal, Visitor, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.root,
    pytest.mark.services,
    pytest.mark.threat("WS-04"),
    pytest.mark.timeout(300),
]
PROMISE_S = 5.0
PASSWORD = "a quiet harbour 9"
FRESH = "a louder harbour 10"


@pytest.fixture(scope="module")
def crew(berth, administrator):
    """A team with a shell that everybody in it may type in."""
    berth.run_checked("pull", "-q", "ubuntu:14.04")
    for team in ("crew", "shore"):
        berth.run_checked("team", "create", team)
    said = berth.run_checked("--team", "crew", "run", "-dit", "--name", "deck", "ubuntu:14.04", "sh").stdout
    yield said.strip()
    berth.run_checked("--team", "shore", "rm", "-f", "--now", said.strip())


@pytest.fixture
def come(berth, chromium):
    """Somebody of the team, with their own browser."""
    visitors: list[Visitor] = []

    def browser(name: str) -> Visitor:
        visitor = chromium.visitor(berth.url)
        visitors.append(visitor)
        visitor.sign_in(name, PASSWORD)
        return visitor

    def comes(name: str) -> Visitor:
        berth.run_checked("user", "create", name)
        berth.run_checked("team", "add", "--team", "crew", "--role", "operator", name)
        link = berth.run_checked("user", "reset", name).stdout.split()[-1]
        first = chromium.visitor(berth.url)
        first.go(link)
        for field in first.page.locator("input[type=password]").all():
            field.fill(PASSWORD)
        first.page.locator("form button[type=submit]").click()
        first.page.wait_for_load_state()
        first.close()
        return browser(name)

    comes.again = browser
    yield comes
    for visitor in visitors:
        visitor.close()


def shell(visitor: Visitor, container: str) -> Terminal:
    visitor.go(f"/terminals/{container}/")
    terminal = visitor.terminal(container).wait_for_state("live")
    terminal.run("echo $((6 * 7))-here", "42-here")
    return terminal


def is_live(terminal: Terminal) -> bool:
    """Who is signed out is led to where one signs in."""
    return terminal.page.locator(".terminal-pane[data-state=live]").count() > 0


def closes(terminal: Terminal, lose: Callable[[], object], *, is_sign_out: bool = False) -> None:
    """Within the promise, counted from when it was said. `is_sign_out`: the page then leads to where one signs in by
    itself, and is let do so: another way that is taken at that moment is lost in the browser.
    """
    began = time.monotonic()
    lose()
    until("the terminal is closed, or its page is left", lambda: not is_live(terminal), PROMISE_S + 20)
    assert time.monotonic() - began < PROMISE_S + 2, "the command line's own time is not part of it"
    if is_sign_out:
        terminal.page.wait_for_url("**/accounts/login/**")


def test_taken_out_of_the_team_or_closed_account(berth, crew, come):
    leaver, closed = come("minsu"), come("jiho")
    watched, other = shell(leaver, crew), shell(closed, crew)
    closes(watched, lambda: berth.run_checked("--team", "crew", "team", "remove", "minsu"))
    assert is_live(other), "nobody else's"
    closes(other, lambda: berth.run_checked("user", "deactivate", "jiho"), is_sign_out=True)
    with closed.expecting("401|403"):
        closed.go("/containers/")
        assert "/accounts/login/" in closed.page.url


def test_a_role_that_may_only_watch_types_no_more(berth, crew, come):
    visitor = come("seoyeon")
    terminal = shell(visitor, crew)
    berth.run_checked("team", "add", "--team", "crew", "--role", "viewer", "seoyeon")
    until("the role has reached the page", lambda: _types_nothing(terminal), PROMISE_S)


def _types_nothing(terminal: Terminal) -> bool:
    word = f"w{time.monotonic_ns()}"
    terminal.type(f"echo {word}\n")
    terminal.page.wait_for_timeout(700)
    return word not in terminal.text


def test_signing_out_everywhere_else_and_a_new_password(crew, come):
    here = come("dohyun")
    there = come.again("dohyun")
    elsewhere = shell(there, crew)
    here.go("/me/")
    here.page.locator("form[action$='/me/sign-ins/end/'] button").click()
    closes(elsewhere, lambda: here.confirm("close at once"), is_sign_out=True)
    back = come.again("dohyun")
    second = shell(back, crew)

    def change() -> None:
        fields = here.page.locator("input[type=password]")
        for index, word in enumerate((PASSWORD, FRESH, FRESH)):
            fields.nth(index).fill(word)
        here.page.locator("main form button[type=submit], form button[type=submit]").last.click()

    here.go("/accounts/password/change/")
    closes(second, change, is_sign_out=True)


def test_a_sign_out_in_another_tab(crew, come):
    visitor = come("yuna")
    terminal = shell(visitor, crew)
    tab = visitor.new_page()
    tab.goto(f"{visitor.url}/accounts/logout/")
    closes(terminal, tab.locator("form[action*='logout'] button[type=submit]").last.click, is_sign_out=True)


def test_a_container_that_went_to_another_team(berth, crew, come):
    visitor = come("haneul")
    terminal = shell(visitor, crew)
    closes(terminal, lambda: berth.run_checked("--team", "crew", "team", "move", "--to", "shore", "deck"))
    visitor.go("/containers/")
    assert not re.search(r"\bdeck\b", visitor.main_text())
