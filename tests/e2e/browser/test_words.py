"""The command bar where no terminal opens: input a line at a time, Stop, exit codes, history."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]


@pytest.fixture
def bar(person, berth):
    """A page with the bar; the image is here."""
    berth.run_checked("pull", "-q", "ubuntu:14.04")
    if person.page.url in {"about:blank", f"{berth.url}/"} or "/accounts/" in person.page.url:
        person.go("/activity/")
    return person


def test_a_program_without_a_terminal_is_fed_line_by_line(bar):
    command = bar.paste("$ docker run --rm -i ubuntu:14.04 cat")
    field = bar.page.locator(".command-stdin input")
    field.fill("한글 and more")
    field.press("Enter")
    command.expect("한글 and more\n")
    bar.page.locator(".command-stdin button").click()
    assert command.finished(0) == "한글 and more\n"


def test_stop_ends_the_following_of_a_log_and_not_the_container(bar, berth):
    container = berth.run_checked("run", "-d", "ubuntu:14.04", "sh", "-c", "while sleep 0.1; do echo tick; done")
    command = bar.paste(f"$ docker logs -f {container.stdout.strip()}")
    command.expect("tick\ntick\n")
    command.pane.get_by_role("button", name="Stop").click()
    command.finished(130)
    assert container.stdout[:12] in berth.run_checked("ps", "-q").stdout
    berth.run_checked("rm", "-f", container.stdout.strip())


def test_stop_interrupts_the_program_that_a_run_waits_for(bar):
    command = bar.paste(
        """$ docker run --rm ubuntu:14.04 sh -c 'trap "echo asked; exit 5" INT; echo ready; while :; do sleep 0.1; done'"""
    )
    command.expect("ready\n")
    command.pane.get_by_role("button", name="Stop").click()
    assert "ready\nasked\n" in command.finished(5)


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("$ docker run --rm ubuntu:14.04 nope", 127, "not found"),
        ("$ docker run --rm ubuntu:14.04 /etc", 126, "permission denied"),
        ("$ docker run -m 1m ubuntu:14.04", 125, "Minimum memory limit"),
        ("$ docker run ubuntu:no-such-tag", 125, "not found"),
        ("$ docker pull library/Ubuntu", 1, "must be lowercase"),
        ("$ docker frobnicate", 1, "is not a berth command"),
        ("rm -rf /", 125, "unknown shorthand flag"),
        ("$ docker run 'unclosed", 1, "no closing quotation"),
    ],
)
def test_what_cannot_be_done_is_said_as_docker_says_it(bar, line, code, words):
    assert words in bar.command(line, code=code)


def test_lines_typed_before_come_back(bar):
    bar.command("docker ps -a")
    bar.command("docker images")
    field = bar.page.locator("#command-input")
    field.press("ArrowUp")
    assert field.input_value() == "docker images"
    field.press("ArrowUp")
    assert field.input_value() == "docker ps -a"
    field.fill("")
    bar.page.locator("h1").click()
    bar.page.keyboard.press("Control+k")
    assert bar.page.evaluate("document.activeElement.id") == "command-input"
