"""The terminal page and the dock, on a real Debian: what people do in shells, and what happens to connections."""

from __future__ import annotations

import contextlib
import hashlib
import re

import pyte
import pytest

from tests.support.browser import Terminal, count_pixels
from tests.support.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
PROMPT = r"root@[0-9a-f]{12}:/# ?$"


@pytest.fixture(scope="module")
def shell(berth, debian, administrator):
    """A Debian's shell that stays for all tests here, on a page of its own: (terminal, container's full id)."""
    container = berth.run_checked("run", "-dit", "--name", "debian", debian).stdout.strip()
    page = administrator.new_page()
    page.goto(f"{berth.url}/terminals/{container}/")
    terminal = Terminal(page, container).wait_for_state("live")
    terminal.expect(PROMPT)
    yield terminal
    page.close()


@pytest.fixture
def terminal(shell, person):
    """The shell with an empty screen and an empty line."""
    shell.wait_for_state("live")
    shell.page.set_viewport_size({"width": 1000, "height": 600})
    shell.press("Control+c")
    until(
        lambda: f"the shell answers; the terminal ({shell.state}) shows:\n{shell.text[-2000:]}", lambda: answers(shell)
    )
    shell.type("clear\n")
    until("an empty screen", lambda: re.fullmatch(r"root@[0-9a-f]{12}:/# ?", "".join(shell.screen)))
    return shell


def answers(shell: Terminal) -> bool:
    """The shell may throw away what is typed right after a Ctrl-C: then it is asked again."""
    shell.type("echo rea\\dy\n")
    with contextlib.suppress(AssertionError):
        return bool(shell.expect(r"(?m)^ready$", 3))
    return False


def started(berth, *words: str) -> str:
    return berth.run_checked("run", "-d", *words).stdout.strip()


def open_terminal(person, berth, container: str) -> Terminal:
    page = person.new_page()
    page.goto(f"{berth.url}/terminals/{container}/")
    return Terminal(page, container)


class Emulator(pyte.Screen):
    """pyte takes a question about keyboard modes (`CSI ? 4 m`) for colours."""

    def select_graphic_rendition(self, *codes: int, private: bool = False) -> None:
        if not private:
            super().select_graphic_rendition(*codes)


def screen_by_pyte(berth, terminal: Terminal) -> list[str]:
    """What a terminal emulator makes of everything that the container has ever printed."""
    rows, columns = terminal.size
    screen = Emulator(columns, rows)
    pyte.ByteStream(screen).feed(berth.run_checked("logs", terminal.container, text=False).stdout)
    return [line.rstrip() for line in screen.display]


def assert_counts_on(text: str, last: int, *, at_least: int) -> None:
    """Every line `n<number>` that is there comes once, in order, up to the last one."""
    numbers = [int(found) for found in re.findall(r"^n(\d{6})$", text, re.M)]
    assert numbers == list(range(last - len(numbers) + 1, last + 1))
    assert len(numbers) >= at_least


def test_apt_and_job_control_work(terminal):
    terminal.run("apt-get --version | head -1", r"\napt 2\.\d")
    terminal.run("(echo run''ning; exec sleep 300)", r"\nrunning$")  # until it runs, Ctrl-Z is the shell's
    terminal.press("Control+z")
    terminal.expect(r"\[1\]\+ +Stopped +.*sleep 300")
    terminal.run("bg; jobs", r"\[1\]\+ +Running +.*sleep 300 ?\) &")
    terminal.run("kill %1; wait; echo done-$?", r"\ndone-")
    assert "no job control" not in terminal.text


def assert_the_shell_knows_its_size(terminal: Terminal) -> None:
    def agree() -> bool:
        terminal.type("clear; stty size\n")
        said = terminal.expect(r"(\d+) (\d+)\nroot@")
        return (int(said[1]), int(said[2])) == terminal.size

    until("the terminal's size in the shell", agree)


def test_stty_size_follows_the_window(terminal):
    for width, height in ((1240, 700), (700, 420), (1000, 600)):
        before = terminal.size
        terminal.page.set_viewport_size({"width": width, "height": height})
        until("another size", lambda before=before: terminal.size != before)
        assert_the_shell_knows_its_size(terminal)


def test_keys_that_browsers_and_pages_use_reach_the_shell(terminal):
    terminal.run("echo first-line", r"\nfirst-line")
    terminal.press("Control+r")
    terminal.expect(r"\(reverse-i-search\)")
    terminal.press("Control+c")
    terminal.expect(PROMPT)  # the shell may throw away what is typed right after a Ctrl-C
    terminal.press("Control+p")
    terminal.expect(r"# echo first-line$")  # Ctrl-P is held for a moment: Ctrl-Q could follow
    terminal.press("Control+a", "Control+k")
    terminal.expect(PROMPT)
    terminal.press("Control+l")
    until("a cleared screen", lambda: "first-line" not in "".join(terminal.screen))
    terminal.press("Control+Alt+Home")
    assert terminal.page.evaluate("document.activeElement.closest('.xterm') === null")


def test_korean_is_typed_and_fills_two_cells(terminal):
    terminal.focus()
    devtools = terminal.page.context.new_cdp_session(terminal.page)

    def compose(method: str, **words: object) -> None:
        """One key of an input method. Between a person's keys the page's event loop turns; xterm.js counts on it."""
        devtools.send(method, words)
        terminal.page.evaluate("() => new Promise((done) => setTimeout(done, 20))")

    terminal.page.keyboard.type("printf %s ")
    for syllable, steps in (("한", "ㅎ하한"), ("글", "ㄱ그글")):
        for step in steps:
            compose("Input.imeSetComposition", text=step, selectionStart=1, selectionEnd=1)
        compose("Input.insertText", text=syllable)
    terminal.page.keyboard.type(" | wc -m")
    terminal.press("Enter")
    terminal.expect(r"# printf %s 한글 \| wc -m\n2\n")
    # The cursor's column after two wide characters, as xterm.js itself answers it to the program
    terminal.type("""printf '한글'; IFS=';' read -sdR -p $'\\e[6n' row column; printf '\\ncolumn %s\\n' $column\n""")
    terminal.expect(r"\ncolumn 5\n")


def test_a_paste_of_many_lines_arrives_whole(terminal, berth):
    text = "".join(f"line {number} 한글 of a long paste\n" for number in range(6000))
    terminal.run("stty -echo; echo rea''dy; cat > /tmp/pasted; stty echo; md5sum < /tmp/pasted", r"\nready")
    terminal.page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
    terminal.press("Control+Shift+v")
    pasted = berth.data / "containers" / terminal.container / "rootfs/merged/tmp/pasted"
    until(lambda: f"all of it: {pasted.stat().st_size} bytes", lambda: pasted.stat().st_size >= len(text.encode()))
    terminal.press("Control+d")
    terminal.expect(hashlib.md5(text.encode()).hexdigest())


def test_true_colour_is_shown(terminal):
    terminal.run(r"printf '\e[48;2;12;200;99m%40s\e[0m\n' ''", r"\n +\n")
    until("the colour", lambda: count_pixels(terminal.page, (12, 200, 99)) > 1000)


def test_a_reload_with_vi_open_ends_in_the_screen_that_an_emulator_computes(terminal, berth):
    terminal.run("seq -f 'line %g of the file, 한글' 300 > /tmp/file; clear", PROMPT)
    terminal.page.set_viewport_size({"width": 820, "height": 480})  # what came before was wider
    terminal.type("vi -u NONE -c 'set nocompatible ruler' /tmp/file\n")
    until("vi", lambda: any("line 3 of" in line for line in terminal.screen))
    terminal.type("100Gonew words\nand more")
    terminal.press("Escape")
    until("the ruler", lambda: re.search(r"^ +102,8", terminal.screen[-1]))
    before = terminal.screen
    terminal.page.reload()
    terminal.wait_for_state("live")
    until(lambda: f"the same screen: {terminal.screen}", lambda: terminal.screen == before)
    until(
        lambda: f"the emulator's: {screen_by_pyte(berth, terminal)}",
        lambda: terminal.screen == screen_by_pyte(berth, terminal),
    )
    assert terminal.screen == before
    terminal.type(":q!\n")
    until("the shell's screen", lambda: terminal.screen[0].startswith("root@") or terminal.text.rstrip().endswith("#"))


def test_a_reload_during_fast_output_loses_and_doubles_nothing(terminal):
    terminal.type("for i in $(seq 0 99); do seq -f n%06g $((i*100+1)) $((i*100+100)); sleep 0.02; done\n")
    for _ in range(3):
        terminal.expect(r"\nn\d{6}\n")
        terminal.page.wait_for_timeout(300)  # some more of it
        terminal.page.reload()
        terminal.wait_for_state("live")
    terminal.expect(r"\nn010000\nroot@")
    assert_counts_on(terminal.text, 10_000, at_least=5000)


def test_the_web_process_dies_and_the_terminal_comes_back_by_itself(terminal, berth, person):
    with person.expecting(r"WebSocket connection|ERR_CONNECTION|502|503"):
        terminal.type("for i in $(seq 0 99); do seq -f n%06g $((i*100+1)) $((i*100+100)); sleep 0.08; done\n")
        terminal.expect(r"\nn001000\n")
        berth.kill_program("web")
        terminal.wait_for_state("reconnecting")
        terminal.banner.locator("button").wait_for()
        terminal.wait_for_state("live", 90)
        terminal.expect(r"\nn010000\nroot@")
        assert_counts_on(terminal.text, 10_000, at_least=9900)
        terminal.run("echo back-again", r"\nback-again\n")
        berth.wait_healthy()


def test_a_replay_types_nothing_into_the_shell(person, berth, debian):
    asks = r"printf '\e[c\e[>c\e[5n\e[6n\e]11;?\a\eP$q\"p\e\\\e[18t ready\n'; stty -echo -icanon; exec cat -v"
    container = started(berth, "-it", debian, "sh", "-c", asks)
    until("the queries in the log", lambda: "ready" in berth.run_checked("logs", container).stdout)
    terminal = open_terminal(person, berth, container).wait_for_state("live")
    for word in ("one", "two"):
        terminal.type(f"{word}\n")
        terminal.expect(word)
        terminal.page.reload()
        terminal.wait_for_state("live")
        terminal.expect(word)
    assert [line for line in terminal.text.splitlines() if line.strip() and "ready" not in line] == ["one", "two"]
    terminal.page.close()
    berth.run_checked("rm", "-f", container)


def test_an_exit_shows_its_code_and_start_brings_a_new_shell(person, berth, debian):
    container = started(berth, "-it", debian)
    terminal = open_terminal(person, berth, container).wait_for_state("live")
    terminal.expect(PROMPT)
    terminal.type("echo old-life; exit 3\n")
    terminal.wait_for_state("exited")
    banner = terminal.banner
    assert "code 3" in banner.inner_text()
    banner.get_by_role("button", name="Start").click()
    terminal.wait_for_state("live")
    assert not banner.is_visible()
    terminal.run("echo new-life", r"old-life\n[\s\S]*\nnew-life\n")
    # Somebody else stops it and starts it: the page follows
    berth.run_checked("stop", "-t", "1", container)
    terminal.wait_for_state("exited")
    berth.run_checked("start", container)
    terminal.wait_for_state("live")
    terminal.run("echo third-life", r"\nthird-life\n")
    terminal.page.close()
    berth.run_checked("rm", "-f", container)


def _is_whole(terminal: Terminal) -> bool:
    """The last row of the screen is not cut."""
    screen, host = (terminal.pane.locator(name).bounding_box() for name in (".xterm-screen", ".terminal-screen"))
    return (
        screen["y"] + screen["height"] <= host["y"] + host["height"]
        and screen["x"] + screen["width"] <= host["x"] + host["width"]
    )


def test_search_goes_up_from_the_newest_line_as_it_is_typed(terminal):
    terminal.run("seq -f 'row %g' 300", r"\nrow 300\n")
    terminal.pane.get_by_role("button", name="Search").click()
    field, found = terminal.pane.locator(".terminal-search input"), terminal.pane.locator(".terminal-found")
    field.press_sequentially("row 15")
    until("the newest match", lambda: found.inner_text() == "11 of 11")  # row 15 and row 150 to 159
    field.press("Enter")
    until("an older one", lambda: found.inner_text() == "10 of 11")
    field.press("Shift+Enter")
    until("a newer one", lambda: found.inner_text() == "11 of 11")
    field.press_sequentially("x")
    until("nothing", lambda: found.inner_text() == "No match")
    assert field.get_attribute("aria-invalid") == "true"
    for height in range(600, 620, 4):
        terminal.page.set_viewport_size({"width": 1000 + height % 9, "height": height})
        terminal.page.wait_for_timeout(250)
        assert _is_whole(terminal), height
    field.press("Escape")
    assert not field.is_visible()
    terminal.run("echo after-search", r"\nafter-search\n")


def test_the_detach_button_leaves_the_shell_running(terminal, berth):
    terminal.run("life=kept", PROMPT)
    terminal.pane.get_by_role("button", name="Detach").click()
    terminal.wait_for_state("detached")
    assert terminal.container[:12] in berth.run_checked("ps", "-q").stdout
    terminal.banner.locator("button").click()
    terminal.wait_for_state("live")
    terminal.run("echo life-$life", r"\nlife-kept\n")


def test_the_log_page_follows_live(person, berth, debian):
    container = started(
        berth, debian, "sh", "-c", "i=0; while sleep 0.1; do i=$((i+1)); echo tick $i; echo tock $i >&2; done"
    )
    person.go(f"/containers/{container}/?tab=logs")
    log = person.terminal(container)
    log.expect(r"tick 3\n")
    seen = int(log.expect(r"tick (\d+)\s+tock \d+\s*$")[1])
    log.expect(rf"tick {seen + 10}\n")
    assert (
        log.pane.locator("textarea").get_attribute("readonly") is not None
        or not log.pane.get_by_role("button", name="Detach").count()
    )
    person.visit("containers")
    berth.run_checked("rm", "-f", container)


def test_the_dock_stays_while_pages_change_and_after_a_reload(person, berth, debian):
    container = started(berth, "-it", debian)
    person.go("/terminals/")
    person.page.locator(f"#terminal-{container[:12]} [data-open-terminal]").first.click()
    terminal = person.terminal(container).wait_for_state("live")
    terminal.run("here=still", PROMPT)
    for place in ("catalog", "containers", "activity", "system"):
        person.visit(place)
        assert terminal.state == "live"
    terminal.run("echo $here-there", r"\nstill-there\n")
    rows = terminal.size[0]
    grip = person.page.locator(".dock-grip")
    grip.focus()
    for _ in range(4):
        person.page.keyboard.press("ArrowUp")
    until("a higher terminal", lambda: terminal.size[0] > rows)
    assert_the_shell_knows_its_size(terminal)
    terminal.press("Control+Alt+Home")
    assert person.page.evaluate("document.activeElement.id") == "command-input"
    person.page.keyboard.press("Escape")
    person.reload()
    terminal.wait_for_state("live")
    terminal.run("echo $here-again", r"\nstill-again\n")
    person.page.locator(".dock-tab[data-active]").get_by_role("button", name="Close").click()
    person.confirm("keep running")
    terminal.pane.wait_for(state="detached")
    berth.run_checked("rm", "-f", container)
    person.wait_for_main(r"\S")


def test_a_container_that_goes_while_watched_says_so(person, berth, debian):
    container = started(berth, "-it", debian)
    terminal = open_terminal(person, berth, container).wait_for_state("live")
    berth.run_checked("rm", "-f", container)
    until("the end", lambda: terminal.state in {"exited", "closed"})
    terminal.banner.wait_for()
    terminal.page.close()


def test_an_address_in_a_terminal_opens_only_after_a_yes(terminal):
    terminal.run("echo; echo http://127.0.0.1:9/somewhere", r"\nhttp://127")
    screen = terminal.pane.locator(".xterm-screen")
    box = screen.bounding_box()
    rows, columns = terminal.size
    row = next(index for index, line in enumerate(terminal.screen) if line.startswith("http://"))
    place = {"x": 5.5 * box["width"] / columns, "y": (row + 0.5) * box["height"] / rows}
    hand = terminal.pane.locator(".xterm-cursor-pointer")

    def is_a_link() -> bool:
        screen.hover(position={"x": place["x"], "y": place["y"] + box["height"] / rows})
        screen.hover(position=place)
        terminal.page.wait_for_timeout(100)
        return hand.count() > 0

    until("a link under the pointer", is_a_link)
    screen.click(position=place)
    dialog = terminal.page.locator("dialog", has_text="http://127.0.0.1:9/somewhere")
    dialog.locator(".modal-action button").first.click()
    assert len(terminal.page.context.pages) == 2


def test_closing_the_tab_is_asked_about_while_a_shell_is_open(person, berth, shell):
    terminal = open_terminal(person, berth, shell.container).wait_for_state("live")
    terminal.run("echo a-second-viewer", r"\na-second-viewer\n")
    shell.expect(r"\na-second-viewer\n")  # both see the same screen
    asked = []
    terminal.page.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    terminal.page.close(run_before_unload=True)
    until("the question", lambda: terminal.page.wait_for_timeout(50) or asked)
    assert asked == ["beforeunload"]
    terminal.run("echo still-here", r"\nstill-here\n")
    terminal.page.close()


def test_more_output_than_can_be_shown_ends_with_its_end(terminal):
    terminal.type("seq 1 1200000; echo the-$((1+1))nd-end\n")
    terminal.expect(r"\nthe-2nd-end\nroot@", 120)
    assert re.search(r"1199999\n1200000\nthe-2nd-end\n", terminal.text)
    terminal.run("echo still-typing", r"\nstill-typing\n")
