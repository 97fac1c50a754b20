"""The primer, line by line, in a browser: every `$` line pasted as printed, and every list told the truth about."""

from __future__ import annotations

import re

import pytest

from tests.support.browser import Terminal

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
PROMPT = r"root@([0-9a-f]{12}):/# ?$"
HEX12 = r"[0-9a-f]{12}"

WATCH_BARS = """
window.seen = {};
new MutationObserver(() => {
  for (const row of document.querySelectorAll('.command-progress')) {
    const id = row.querySelector('code').textContent;
    (window.seen[id] ??= []).push([row.querySelector('.step').textContent, row.querySelector('progress').value]);
  }
}).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
"""


def wait_for_running_row(person, short_id: str) -> None:
    """The list says it too; by itself, should the news come after the page."""
    person.visit("containers")
    person.page.locator(f"#container-{short_id}", has_text="Running").wait_for()


def pull_run_and_look(person, berth) -> tuple[Terminal, str]:
    """Steps 1 to 3: the terminal and the short id of the container that it is in."""
    page = person.page

    # 1. An empty Berth: the primer's lines stand there as buttons.
    buttons = [" ".join(text.split()) for text in page.locator("#main [data-run]").all_inner_texts()]
    assert buttons == ["$ docker -v", "$ docker run -i -t ubuntu:14.04", "$ docker pull centos:7", "$ docker images"]
    version = person.command("$ docker -v").strip()
    assert re.fullmatch(r"Berth version \d+\.\d+\.\d+, build [0-9a-f]{7}", version)
    assert page.locator(".frame-footer").inner_text().strip() == version
    assert berth.run_checked("-v").stdout.strip() == version

    # 2. Run an image that is not here: it is pulled, a bar a layer, and the shell opens.
    page.evaluate(WATCH_BARS)
    command = person.paste("$ sudo docker run -i -t ubuntu:14.04")
    terminal = person.terminal().wait_for_state("live", 60)
    name = terminal.expect(PROMPT)[1]
    assert terminal.container.startswith(name)
    printed = command.text
    assert printed.startswith("Unable to find image 'ubuntu:14.04' locally\n14.04: Pulling from library/ubuntu\n")
    assert len(re.findall(rf"{HEX12}: Pull complete", printed)) == 2
    assert re.search(r"Digest: sha256:[0-9a-f]{64}\nStatus: Downloaded newer image for ubuntu:14.04\n", printed)
    bars = page.evaluate("window.seen")
    assert len(bars) == 2
    assert all(steps[-1] == ["Pull complete", 100] and len({tuple(s) for s in steps}) > 1 for steps in bars.values())

    # 3. The image's own tree, and nothing of the host.
    terminal.run("ls", r"bin +.*etc.*usr.*var")
    terminal.run("id -un; hostname; ls /sys/class/net | tr '\\n' ,", rf"root\n{name}\neth0,lo,")
    terminal.run("echo only-here > /mark; cat /mark", r"\nonly-here\n")
    wait_for_running_row(person, name)
    assert re.search(rf"{name} +ubuntu:14.04 .* Up ", person.command("$ docker ps"))

    return terminal, name


def leave_both_ways(person, terminal: Terminal, name: str) -> tuple[Terminal, str]:
    """Steps 4 and 5: the second container's terminal, attached again, and its short id."""
    page = person.page

    # 4. `exit` stops it.
    first = person.terminal(terminal.container)
    page.locator(".dock-tab", has_text=name).locator("[role=tab]").click()
    first.type("exit\n")
    first.wait_for_state("exited")
    assert "exited with code 0" in first.banner.inner_text()
    person.wait_for_main(r"Exited \(0\)")
    assert name not in person.command("$ docker ps")
    assert re.search(rf"{name} .* Exited \(0\) ", person.command("$ docker ps -a"))

    # 5. Run again; Ctrl-P Ctrl-Q leaves it running; the page attaches to the same shell with its screen.
    person.paste("$ docker run -i -t ubuntu:14.04")
    page.locator(f".terminal-pane[data-state=live]:not([data-container='{first.container}'])").wait_for()
    second = person.terminal().wait_for_state("live")
    other = second.expect(PROMPT)[1]
    assert other != name
    second.run("marker=kept; ls /mark || echo no-such-file-here", r"\nno-such-file-here\n" + PROMPT)
    before = second.text
    second.press("Control+p", "Control+q")
    second.wait_for_state("detached")
    wait_for_running_row(person, other)
    page.locator(f"#container-{other} [data-open-terminal]").click()
    second.wait_for_state("live")
    assert second.text == before
    second.run("echo still-$marker", r"\nstill-kept\n")

    return second, other


def pull_and_list(person) -> None:
    """Step 6: the second image, and the list of both."""
    pulled = person.command("$ docker pull centos:7")
    assert pulled.startswith("7: Pulling from library/centos\n")
    assert pulled.endswith("docker.io/library/centos:7\n")
    assert "Status: Image is up to date for centos:7\n" in person.command("$ docker pull centos:7")
    listed = person.command("$ docker images")
    assert listed.splitlines()[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert re.search(rf"^centos +7 +{HEX12} +.* [\d.]+[kMG]?B$", listed, re.M)
    assert re.search(rf"^ubuntu +14.04 +{HEX12} +.* [\d.]+[kMG]?B$", listed, re.M)
    person.visit("catalog")
    person.wait_for_main(r"centos\s+7[\s\S]*ubuntu\s+14\.04[\s\S]*2 containers")


def remove_and_end(person, second: Terminal, name: str, other: str) -> None:
    """Steps 7 and 8: what goes, and what stays."""
    page = person.page

    # 7. Removing one container leaves the other, and the images, as they are.
    digests = person.command("$ docker images --digests --no-trunc")
    person.visit("containers")
    page.locator(f"#container-{name} [hx-post$='/remove/']").click()
    person.confirm("no undo")
    page.locator(f"#container-{name}").wait_for(state="detached")
    wait_for_running_row(person, other)
    assert name not in person.command("$ docker ps -a")
    assert person.command("$ docker images --digests --no-trunc") == digests
    page.locator(".dock-tab", has_text=other).locator("[role=tab]").click()
    second.run("echo alive-$marker", r"\nalive-kept\n" + PROMPT)  # before it, Ctrl-D is another thing

    # 8. Ctrl-D at an empty line ends the shell too, and signing out closes what is open.
    second.press("Control+d")
    second.wait_for_state("exited")
    person.command(f"$ docker rm {other}")
    person.wait_for_main(r"No containers yet")


def test_the_primer_from_the_setup_link_to_signing_out(person, berth):
    terminal, name = pull_run_and_look(person, berth)
    second, other = leave_both_ways(person, terminal, name)
    pull_and_list(person)
    remove_and_end(person, second, name, other)


def test_signing_out_ends_the_session_everywhere(chromium, berth, administrator):
    visitor = chromium.visitor(berth.url)
    visitor.sign_in()
    visitor.page.locator("summary.top-button").last.click()
    visitor.page.get_by_role("button", name="Sign out").click()
    visitor.page.wait_for_url(re.compile("/accounts/login/"))
    visitor.go("/containers/")
    assert "/accounts/login/" in visitor.page.url
    assert not visitor.problems
    visitor.close()
