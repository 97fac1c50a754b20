"""Open shell: beside the container's own program, in the dock, over a reload, and to its end."""

from __future__ import annotations

import pytest

from tests.support.browser import Terminal, until

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]


def exec_of(page) -> str:
    """The id of the one shell that is open in the dock."""
    pane = page.locator(".terminal-pane[data-exec]")
    pane.wait_for()
    return pane.get_attribute("data-exec")


def test_a_shell_opens_survives_a_reload_and_is_ended(berth, debian, person):
    container = berth.run_checked("run", "-d", "--name", "keel", debian, "sleep", "1000").stdout.strip()
    page = person.page
    page.goto(f"{berth.url}/containers/{container}/")
    assert page.locator("#container-head", has_text="Attach").count() == 0  # its program has no terminal
    page.locator("#container-head a", has_text="Log").wait_for()
    page.locator("#container-head [data-open-shell]").click()
    shell = Terminal(page, exec_of(page)).wait_for_state("live")
    shell.expect(r"root@[0-9a-f]{12}:/# ?$")
    shell.run("X=kept; echo pid-$$", r"\npid-\d+")
    page.locator(".dock-tab", has_text="keel: /bin/bash").wait_for()
    row = page.locator(f"#exec-{shell.container[:12]}")
    row.wait_for()

    page.goto(f"{berth.url}/catalog/", wait_until="load")
    shell = Terminal(page, exec_of(page)).wait_for_state("live")
    shell.expect(r"\npid-\d+")  # the same log again
    shell.run("echo still-$X", r"\nstill-kept")

    page.goto(f"{berth.url}/containers/{container}/")
    Terminal(page, shell.container).wait_for_state("live")
    page.locator(f"#exec-{shell.container[:12]} button", has_text="End").click()
    page.locator("dialog[open] .btn", has_text="End").click()
    Terminal(page, shell.container).wait_for_state("exited")
    page.locator(".terminal-banner", has_text="The command has ended").wait_for()
    until("the list to be empty", lambda: row.count() == 0)
    assert berth.run_checked("exec", "keel", "true").returncode == 0  # the container goes on

    page.reload()
    page.locator("#container-head").wait_for()
    assert page.locator(".terminal-pane[data-exec]").count() == 0  # what has ended does not come back
    page.goto(f"{berth.url}/catalog/")
    berth.run_checked("rm", "-f", "keel")


def test_a_shell_as_another_user_from_the_command_bar_and_an_image_without_one(berth, debian, person):
    container = berth.run_checked("run", "-dit", "--name", "oar", debian).stdout.strip()
    page = person.page
    page.goto(f"{berth.url}/containers/{container}/")
    page.locator("#container-head a", has_text="Attach").wait_for()
    page.locator("#shell-user").fill("www-data")
    page.locator("#container-execs form .btn").click()
    shell = Terminal(page, exec_of(page)).wait_for_state("live")
    shell.run("id -un; exit", r"\nwww-data")
    shell.wait_for_state("exited")

    with person.expecting(r"status of 409|Status Error Code 409"):
        page.locator("#shell-user").fill("nobody-here")
        page.locator("#container-execs form .btn").click()
        page.locator(".toast-error", has_text="unable to find user nobody-here").wait_for()
        berth.run_checked("exec", "oar", "sh", "-c", "rm -f /bin/*sh /usr/bin/*sh")
        page.locator("#container-head [data-open-shell]").click()
        page.locator(".toast-error", has_text="This image has no shell").wait_for()
    page.goto(f"{berth.url}/catalog/")
    berth.run_checked("rm", "-f", "oar")
