"""One headless Chromium, and people who use Berth in it: they paste lines, type in terminals and look at what is there.

Everything that a page complains of (script errors, refused by the content security policy, missing files) is kept in
`Visitor.problems`; a test that looks at nothing else still looks at that.
"""

from __future__ import annotations

import base64
import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Playwright,
    Response,
    sync_playwright,
)

from tests.support.waiting import WAIT_S, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)
USER = "harbour"
PASSWORD = "a-quiet-place-to-moor"

_REPORT_VIOLATIONS = """
document.addEventListener('securitypolicyviolation', (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


class Chromium:
    """`with Chromium() as chromium: visitor = chromium.visitor(berth.url)`"""

    _playwright: Playwright
    _browser: Browser

    def __enter__(self) -> Self:
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(FLAGS))
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.close()
        self._playwright.stop()

    def visitor(self, url: str, *, width: int = 1280, height: int = 800, **how: Any) -> Visitor:
        """Somebody with cookies of their own. `how`: locale, color_scheme, has_touch, storage_state…"""
        context = self._browser.new_context(viewport={"width": width, "height": height}, **{"locale": "en-GB"} | how)
        context.set_default_timeout(WAIT_S * 1000)
        context.add_init_script(_REPORT_VIOLATIONS)
        return Visitor(url, context)


@dataclass
class Visitor:
    url: str
    context: BrowserContext
    problems: list[str] = field(default_factory=list)
    _allowed: list[str] = field(default_factory=list)
    page: Page = field(init=False)

    def __post_init__(self) -> None:
        self.page = self.new_page()

    def close(self) -> None:
        self.context.close()

    def new_page(self) -> Page:
        page = self.context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self._complain(f"script error: {error}"))
        page.on("response", self._answered)
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        is_slow = "GL Driver Message" in message.text or "task queue exceeded" in message.text  # a busy machine
        if message.type in {"error", "warning"} and not is_slow:
            self._complain(f"console {message.type}: {message.text} ({message.location.get('url', '')})")

    def _answered(self, response: Response) -> None:
        if response.status >= 500 or (response.status == 404 and "/static/" in response.url):
            self._complain(f"{response.status} {response.url}")

    def _complain(self, text: str) -> None:
        if not any(re.search(pattern, text) for pattern in self._allowed):
            self.problems.append(text)

    @contextlib.contextmanager
    def expecting(self, pattern: str) -> Iterator[None]:
        """Complaints of this kind are meant to come now."""
        self._allowed.append(pattern)
        try:
            yield
            self.page.wait_for_timeout(50)  # what was logged arrives
        finally:
            self._allowed.remove(pattern)

    # Pages

    def go(self, path: str) -> None:
        self.page.goto(path if path.startswith("http") else f"{self.url}{path}")

    def sign_in(self, user: str = USER, password: str = PASSWORD) -> None:
        self.go("/accounts/login/")
        self.page.get_by_label(re.compile("User name|사용자 이름")).fill(user)
        self.page.get_by_label(re.compile("^(Password|비밀번호)$")).fill(password)
        self.page.locator("form button[type=submit]").click()
        self.page.wait_for_url(f"{self.url}/")

    def become_administrator(self, setup_link: str) -> None:
        self.go(setup_link)
        self.page.get_by_label("User name").fill(USER)
        self.page.get_by_label("Password", exact=True).fill(PASSWORD)
        self.page.get_by_label("Password again").fill(PASSWORD)
        self.page.locator("form button[type=submit]").click()
        self.page.wait_for_url(f"{self.url}/")

    def visit(self, name: str) -> None:
        """An entry of the rail, by a click: only the main part changes."""
        self.page.locator(f".rail a[data-nav][href='/{name}/']").click()
        self.page.wait_for_url(re.compile(f"/{name}/$"))

    def reload(self) -> None:
        self.page.reload()  # an open terminal asks before the page goes; playwright says yes

    def main_text(self) -> str:
        return self.page.locator("#main").inner_text()

    def wait_for_main(self, pattern: str, timeout_s: float = WAIT_S) -> re.Match[str]:
        found: list[re.Match[str] | None] = [None]

        def look() -> bool:
            found[0] = re.search(pattern, self.main_text())
            return found[0] is not None

        try:
            until(pattern, look, timeout_s)
        except AssertionError:
            raise AssertionError(f"{pattern!r} is not on the page:\n{self.main_text()}") from None
        assert found[0] is not None
        return found[0]

    def confirm(self, words: str) -> None:
        """The question with these words: yes."""
        question = self.page.locator("dialog", has_text=words)
        question.wait_for()
        question.locator(".modal-action button").last.click()

    # The command bar

    def paste(self, line: str) -> Command:
        """A line, verbatim, into the bar, and Return. Does not wait."""
        bar = self.page.locator("#command-input")
        bar.click()
        self.page.keyboard.insert_text(line)
        bar.press("Enter")
        return Command(line, self.page.locator(".command-pane").last)

    def command(self, line: str, *, code: int | None = 0, timeout_s: float = 120) -> str:
        """Paste a line and wait until it has ended; what it printed."""
        return self.paste(line).finished(code, timeout_s=timeout_s)

    # Terminals

    def terminal(self, container: str = "") -> Terminal:
        """The one that is shown, or a container's own (its full id)."""
        return Terminal(self.page, container)


@dataclass
class Command:
    """A line that was given to the command bar, and what it prints. The next line takes its place once it has ended."""

    line: str
    pane: Locator

    @property
    def text(self) -> str:
        return self.pane.locator(".command-output").evaluate("(node) => node.textContent")

    def expect(self, words: str) -> None:
        until(lambda: f"{words!r} of {self.line}: {self.text}", lambda: words in self.text)

    def finished(self, code: int | None, *, timeout_s: float = 120) -> str:
        """All that it printed, when it has ended, with this exit code."""
        self.pane.and_(self.pane.page.locator("[data-code]")).wait_for(state="attached", timeout=timeout_s * 1000)
        got = int(self.pane.get_attribute("data-code") or -1)
        assert code is None or got == code, f"{self.line}: exit code {got}\n{self.text}"
        return self.text


@dataclass
class Terminal:
    page: Page
    container: str = ""

    @property
    def pane(self) -> Any:
        same = f":is([data-container='{self.container}'], [data-exec='{self.container}'])"
        mine = same if self.container else ":not([hidden])"
        return self.page.locator(f".terminal-pane{mine}").last

    @property
    def banner(self) -> Locator:
        return self.pane.locator(".terminal-banner")

    @property
    def state(self) -> str:
        return self.pane.get_attribute("data-state") or ""

    @property
    def text(self) -> str:
        """The screen and everything above it; wrapped lines are joined."""
        return self.page.evaluate("(id) => window.berth.terminalText(id || undefined)", self.container)

    @property
    def screen(self) -> list[str]:
        """The rows of the screen, without spaces at their ends."""
        return [line.rstrip() for line in self._screen()["lines"]]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        screen = self._screen()
        return screen["rows"], screen["columns"]

    def _screen(self) -> dict[str, Any]:
        return self.page.evaluate("(id) => window.berth.terminalScreen(id || undefined)", self.container)

    def wait_for_state(self, name: str, timeout_s: float = WAIT_S) -> Terminal:
        until(lambda: f"terminal {name}: {self.state}", lambda: self.state == name, timeout_s)
        if not self.container:
            self.container = self.pane.get_attribute("data-container") or self.pane.get_attribute("data-exec")
        return self

    def expect(self, pattern: str, timeout_s: float = WAIT_S) -> re.Match[str]:
        return until(
            lambda: f"{pattern!r}: the terminal ({self.state}) shows:\n{self.text}",
            lambda: re.search(pattern, self.text),
            timeout_s,
        )

    def focus(self) -> None:
        self.pane.locator(".xterm-helper-textarea").focus()

    def type(self, text: str) -> None:
        """By the keyboard, key by key."""
        self.focus()
        for part in re.split("(\n)", text):
            if part == "\n":
                self.page.keyboard.press("Enter")
            elif part:
                self.page.keyboard.type(part)

    def press(self, *keys: str) -> None:
        self.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def run(self, line: str, pattern: str, timeout_s: float = WAIT_S) -> re.Match[str]:
        """Type a line; wait for what it should show."""
        self.type(f"{line}\n")
        return self.expect(pattern, timeout_s)


def save(page: Page, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(path))


_COUNT = """
async ([png, colour]) => {
  const image = new Image();
  image.src = 'data:image/png;base64,' + png;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const brush = canvas.getContext('2d');
  brush.drawImage(image, 0, 0);
  const data = brush.getImageData(0, 0, image.width, image.height).data;
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (colour.every((value, part) => Math.abs(data[at + part] - value) <= 2)) count += 1;
  }
  return count;
}
"""


def count_pixels(page: Page, colour: tuple[int, int, int]) -> int:
    """How many pixels of what is on the screen have this colour."""
    return page.evaluate(_COUNT, [base64.b64encode(page.screenshot()).decode(), list(colour)])
