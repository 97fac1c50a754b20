"""Every page, in both languages, both themes, wide and on a phone: nothing sticks out, nothing is left in English.

With `BERTH_SCREENSHOTS=docs/images` the README's pictures are written there:

    BERTH_SCREENSHOTS=docs/images script/test tests/e2e/browser/test_views.py
"""

from __future__ import annotations

import contextlib
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.browser import Terminal
from tests.support.images import Entry, image, layer, push
from tests.support.ports import free_port
from tests.support.shell_image import PATH, push_shell_images
from tests.support.spoken import without_dockers
from tests.support.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
PICTURES = os.environ.get("BERTH_SCREENSHOTS", "")
picture = pytest.mark.skipif(not PICTURES, reason="only when BERTH_SCREENSHOTS names a folder")

STICKS_OUT = """() => {
  const width = document.documentElement.clientWidth;
  const scrolls = '.xterm, .rows-wrap, .rights-wrap, .rail, .tabs-line, .code-block, .dock-tabs, .command-output, .skip, .offscreen';
  const out = [...document.querySelectorAll('body *')].filter((node) => {
    const box = node.getBoundingClientRect();
    return box.width > 0 && box.right > width + 1 && node.closest(scrolls) === null;
  }).map((node) => `${node.tagName}.${node.getAttribute('class')}`);
  const main = document.getElementById('main');
  if (main && main.scrollWidth > main.clientWidth + 1) out.push(`main ${main.scrollWidth}`);
  for (const list of document.querySelectorAll('.rows-wrap')) {
    if (list.scrollWidth > list.clientWidth + 1) out.push(`a list ${list.scrollWidth} in ${list.clientWidth}`);
  }
  return out.slice(0, 8);
}"""

# What stands as code, comes from outside or is a name stays as it is.
WORDS = """() => {
  const kept = 'code, pre, kbd, script, template, .mono, .xterm, .command-pane, .frame-footer, [data-status]';
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.parentElement.closest(kept) === null && node.data.trim() !== '') found.push(node.data.trim());
  }
  for (const node of document.querySelectorAll('[title], [aria-label], [placeholder], [data-confirm]')) {
    if (node.closest('code, .mono, .layer-stack-line, .xterm') !== null) continue;
    for (const name of ['title', 'aria-label', 'placeholder', 'data-confirm', 'data-confirm-body']) {
      if (node.getAttribute(name)) found.push(node.getAttribute(name));
    }
  }
  return found;
}"""
# Words too weak to read: WCAG 2.2, 1.4.3 (AA). Colours are painted, so that every way to write one is understood.
PALE = """() => {
  const brush = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const paint = (colours) => {
    brush.clearRect(0, 0, 1, 1);
    for (const colour of colours) { brush.fillStyle = colour; brush.fillRect(0, 0, 1, 1); }
    return [...brush.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const light = (parts) => parts
    .map((part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (node) => node === null ? ['white'] : [...behind(node.parentElement), getComputedStyle(node).backgroundColor];
  const pale = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (walker.currentNode.data.trim() === '' || node.closest('.xterm, .offscreen, .skip, script, template, :disabled')) continue;
    if (!node.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const style = getComputedStyle(node);
    const pixels = parseFloat(style.fontSize);
    const isLarge = pixels >= 24 || (pixels >= 18.66 && style.fontWeight >= 700);
    const ground = behind(node);
    const [low, high] = [light(paint(ground)), light(paint([...ground, style.color]))].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < (isLarge ? 3 : 4.5)) pale.add(`${ratio.toFixed(2)} ${walker.currentNode.data.trim().slice(0, 40)}`);
  }
  return [...pale];
}"""
ENGLISH = re.compile(r"\b(?!docker )[A-Za-z]{2,}(?: [a-z]{2,}){2,}\b")


def _is_english(text: str) -> bool:
    return ENGLISH.search(without_dockers(text)) is not None


def _parts(count: int, name: str) -> list[Entry]:
    size = 1 << 20 if PICTURES else 1 << 12
    return [Entry(f"usr/share/{name}/part{number:03}", data=os.urandom(size)) for number in range(count)]


def _ago(**how: int) -> str:
    return (datetime.now(UTC) - timedelta(**how)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def ids(berth, registry, debian, debian_layer, administrator) -> dict[str, str]:
    """A Berth in use: images of several layers, containers in every state; container names to ids."""
    sizes = {
        "nginx:1.27": ((41, 2, 1), ["sh", "-c", LOG_LINES], {"weeks": 3}),
        "postgres:16": ((18, 64, 3), ["sleep", "inf"], {"weeks": 1}),
        "python:3.12": ((150, 110, 60, 25, 2), ["bash"], {"days": 6}),
    }
    for name, (layers, command, age) in sizes.items():
        upper = [layer(_parts(count, f"{name.split(':')[0]}-{count}")) for count in layers]
        push(
            registry.url, f"library/{name}", image([debian_layer, *upper], created=_ago(**age), Cmd=command, Env=[PATH])
        )
    push_shell_images(registry.url)
    person = administrator
    person.go("/")
    for line in ("pull nginx:1.27", "pull postgres:16", "pull ubuntu:14.04", "pull centos:7"):
        person.command(f"docker {line}")
    found = {}
    port = 8080 if PICTURES else free_port()
    for name, words in {
        "web": f"-d -it -m 512m --cpus 1.5 -e TIDE=high -p {port}:80 -v web-data:/var/lib/harbour nginx:1.27",
        "tide-db": "-d -it -m 1g postgres:16",
        "pilot": "-d -it -w /root debian:12",
        "lighthouse": "-d -it ubuntu:14.04",
        "night-watch": "-d centos:7 sh -c 'exit 3'",
    }.items():
        found[name] = person.command(f"docker run --name {name} {words}").strip()
    found["ferry"] = person.command("docker create --name ferry ubuntu:14.04").strip()
    person.page.locator(".dock-tab").get_by_role("button", name="Close").last.click()
    yield found
    berth.run_checked("rm", "-f", *found.values())
    berth.run_checked("volume", "rm", "web-data")


LOG_LINES = 'i=0; while sleep 1; do i=$((i+1)); echo "10.88.0.1 GET /harbour/$i 200 $((i * 137 % 4096))"; done'


@pytest.fixture(scope="module")
def addresses(ids, administrator) -> dict[str, str]:
    page = administrator.page
    administrator.go("/")
    administrator.command("docker pull nowhere:9", code=1)
    page.locator(".dock-tab").get_by_role("button", name="Close").last.click()
    links = "nodes => Object.fromEntries(nodes.map((a) => [a.closest('tr').innerText, a.getAttribute('href')]))"
    administrator.go("/catalog/")
    images = page.eval_on_selector_all("tr a.name", links)
    administrator.go("/activity/")
    jobs = page.eval_on_selector_all("tr a.name", links)
    web = f"/containers/{ids['web']}/"
    administrator.command("docker volume create --label tier=db cargo")
    administrator.command("berth policy allow nginx postgres:16")
    administrator.command("berth team role watcher --allow image.view")
    administrator.command("berth quota set --team main --memory 8g --containers 40")
    administrator.command("berth team add harbour --role admin")
    page.locator(".dock-tab").get_by_role("button", name="Close").last.click()
    return {
        "home": "/", "catalog": "/catalog/", "image": next(to for text, to in images.items() if "nginx" in text),
        "containers": "/containers/", "running": "/containers/?state=running", "nothing-found": "/containers/?q=xyz",
        "trash": "/containers/trash/", "run": "/containers/run/?image=nginx:1.27", "container": web, "logs": f"{web}?tab=logs",
        "processes": f"{web}?tab=processes", "changes": f"{web}?tab=changes", "inspect": f"{web}?tab=inspect", "exited": f"/containers/{ids['night-watch']}/", "terminals": "/terminals/", "volumes": "/volumes/", "volume": "/volumes/cargo/", "networks": "/networks/",
        "terminal": f"/terminals/{ids['pilot']}/", "activity": "/activity/",
        "pull": next(to for text, to in jobs.items() if "postgres:16" in text),
        "failed": next(to for text, to in jobs.items() if "nowhere" in text), "system": "/system/", "site": "/system/site/",
        "team": "/team/", "invitations": "/team/invitations/", "roles": "/team/roles/", "team-images": "/team/images/", "registries": "/team/registries/", "policy": "/team/policy/",
        "quotas": "/team/quotas/?person=", "life": "/team/life/", "audit": "/audit/", "why": "/team/people/harbour/",
        "preferences": "/me/", "second-factor": "/me/second-factor/?add=app", "password": "/accounts/password/change/", "missing": "/nothing/",
    }  # fmt: skip


@pytest.fixture
def signed_in(chromium, berth, administrator):
    """Visitors with the administrator's session, of any size, language and theme."""
    visitors = []

    def make(**how):
        visitors.append(chromium.visitor(berth.url, storage_state=administrator.context.storage_state(), **how))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.close()


# Pictures: first, before anything has failed here


def _save(page, name: str) -> None:
    folder = Path(PICTURES)
    folder.mkdir(parents=True, exist_ok=True)
    page.mouse.move(640, 8)
    page.wait_for_timeout(400)
    page.screenshot(path=str(folder / f"{name}.png"))


@picture
def test_pictures_of_the_lists(signed_in, ids):
    visitor = signed_in()
    visitor.go("/catalog/")
    _save(visitor.page, "catalog")
    dark = signed_in(color_scheme="dark", height=640)
    dark.go("/containers/")
    _save(dark.page, "containers-dark")
    phone = signed_in(locale="ko-KR", width=390, height=844, device_scale_factor=2)
    phone.go("/containers/")
    _save(phone.page, "phone-ko")


@picture
def test_picture_of_a_container(signed_in, berth, ids):
    berth.run_checked(
        "exec", "-d", "-t", "web", "sh", "-c", "while sleep 60; do date >> /var/lib/harbour/tide.log; done"
    )
    visitor = signed_in(height=860)
    visitor.go(f"/containers/{ids['web']}/")
    visitor.page.locator("#container-execs li").wait_for()
    _save(visitor.page, "container")


@picture
def test_picture_of_a_selection(signed_in, ids):
    visitor = signed_in(height=640)
    visitor.go("/containers/")
    for name in ("web", "tide-db", "night-watch"):
        visitor.page.locator(f"[data-pick={name}]").check()
    _save(visitor.page, "selection")


@picture
def test_picture_of_a_terminal(signed_in, ids):
    visitor = signed_in()
    visitor.go("/containers/")
    visitor.page.locator(f"#container-{ids['pilot'][:12]} [data-open-terminal]").click()
    terminal: Terminal = visitor.terminal(ids["pilot"]).wait_for_state("live")
    terminal.run("clear; head -4 /etc/os-release", r"VERSION_ID")
    terminal.run(
        "ls --color /; printf '\\e[38;2;94;200;192m~~~ 항구에 닿은 컨테이너 ~~~\\e[0m %s\\n' $(hostname)", r"~ \w{12}\n"
    )
    visitor.page.locator(".toast-note").first.wait_for(state="detached")
    _save(visitor.page, "terminal")


@picture
def test_picture_of_a_pull(signed_in, berth, ids):
    visitor = signed_in()
    visitor.go("/catalog/")
    visitor.page.locator("#pull-reference").fill("python:3.12")
    visitor.page.keyboard.press("Enter")
    visitor.page.locator("h1").click()
    fills = "nodes => nodes.map((node) => parseFloat(node.style.getPropertyValue('--fill')) || 0)"
    rows = visitor.page.locator(".pull-row")
    until("a pull half way", lambda: sum(25 < fill < 97 for fill in rows.evaluate_all(fills)) >= 2)
    folder = Path(PICTURES)
    folder.mkdir(parents=True, exist_ok=True)
    visitor.page.screenshot(path=str(folder / "pull.png"))
    until(
        "the pull's end",
        lambda: "python:3.12" in berth.run_checked("images", "--format", "{{.Repository}}:{{.Tag}}").stdout,
        90,
    )


# Every page


def sticks_out(page) -> list[str]:
    """What still sticks out when fonts are there and layouts done: a page that is being drawn has another look each time."""
    with contextlib.suppress(AssertionError):
        until("everything fits", lambda: not page.evaluate(STICKS_OUT), within_s=3)
    return page.evaluate(STICKS_OUT)


@pytest.mark.parametrize(
    ("locale", "scheme", "width"),
    [("en-GB", "light", 1280), ("ko-KR", "dark", 1280), ("ko-KR", "light", 390), ("en-GB", "dark", 390)],
)
def test_every_page_fits_and_speaks_one_language(signed_in, addresses, locale, scheme, width):
    visitor = signed_in(locale=locale, color_scheme=scheme, width=width, height=844 if width < 500 else 800)
    faults = []
    with visitor.expecting(r"status of 404.*/nothing/"):
        for name, address in addresses.items():
            visitor.go(address)
            if name in {"terminal", "logs"}:
                visitor.page.locator(".terminal-pane[data-state=live]").wait_for()
            faults += [f"{name}: {fault}" for fault in sticks_out(visitor.page)]
            faults += [f"{name}: too pale: {fault}" for fault in visitor.page.evaluate(PALE)]
            if locale == "ko-KR":
                faults += [f"{name}: {text}" for text in visitor.page.evaluate(WORDS) if _is_english(text)]
            assert visitor.page.evaluate("document.documentElement.lang") == locale[:2]
    assert not faults
    assert not visitor.problems


FULL = """() => {
  for (const taken of document.querySelectorAll('.rows .taken')) {
    taken.textContent = '';
    for (const words of ['800.0 %', '1023.9 MiB']) taken.append(Object.assign(document.createElement('span'), { textContent: words }));
  }
  for (const time of document.querySelectorAll('.rows time')) time.textContent = 'About an hour ago';
}"""


@pytest.mark.parametrize("width", [1600, 1440, 1280, 1024, 800])
def test_a_busy_list_of_containers_fits_whatever_its_figures(signed_in, ids, width):
    visitor = signed_in(width=width)
    visitor.go("/containers/")
    visitor.page.evaluate(FULL)
    assert sticks_out(visitor.page) == []


def test_a_phone_has_the_bar_a_terminal_and_the_menu(signed_in, ids):
    visitor = signed_in(locale="ko-KR", width=390, height=844, is_mobile=True, has_touch=True)
    visitor.go("/containers/")
    visitor.page.locator(f"#container-{ids['pilot'][:12]} [data-open-terminal]").tap()
    terminal = visitor.terminal(ids["pilot"]).wait_for_state("live")
    terminal.run("echo $((20+22))", r"\n42\n")
    assert sticks_out(visitor.page) == []
    visitor.command("docker images")
    assert sticks_out(visitor.page) == []
    visitor.page.locator("summary.top-button").last.tap()
    assert visitor.page.locator(".menu-panel").last.bounding_box()["x"] >= 0
    assert not visitor.problems


def test_signed_out_pages_fit_in_korean(chromium, berth):
    visitor = chromium.visitor(berth.url, locale="ko-KR", width=390, height=844)
    visitor.go("/")
    assert visitor.page.locator(".brand").is_visible()
    assert sticks_out(visitor.page) == []
    assert visitor.page.evaluate(PALE) == []
    assert not [text for text in visitor.page.evaluate(WORDS) if _is_english(text)]
    visitor.page.get_by_label("사용자 이름").fill("nobody")
    visitor.page.get_by_label("비밀번호", exact=True).fill("not the password")
    visitor.page.locator("form button[type=submit]").click()
    visitor.page.locator("[role=alert]").wait_for()
    assert not ENGLISH.search(visitor.page.locator("[role=alert]").inner_text())
    assert not visitor.problems
    visitor.close()


def test_the_bar_stays_where_it_is_when_the_count_comes(signed_in):
    for width in (1280, 390):
        visitor = signed_in(width=width)
        visitor.go("/activity/")
        bar = visitor.page.locator(".command-bar")
        before = bar.bounding_box()
        visitor.page.locator(".top .count").evaluate("(count) => count.removeAttribute('data-none')")
        assert bar.bounding_box() == before


# The first line of each cell's words: its top
TOPS = """() => [...document.querySelectorAll('tbody tr:first-child td[data-label]')].filter(
  (cell) => cell.textContent.trim() !== '' && cell.checkVisibility(),
).map((cell) => {
  const words = document.createRange();
  words.selectNodeContents(cell.querySelector('.state') ?? cell);
  return [...words.getClientRects()].at(-1).top; // after the icon
})"""


def test_the_cells_of_a_row_stand_on_one_line(person, ids):
    person.go("/containers/")
    tops = person.page.evaluate(TOPS)
    assert max(tops) - min(tops) < 0.5, tops


def test_a_filter_is_the_address_and_survives_a_reload(person, ids):
    page = person.page
    for place, field, words in (("containers", "#container-query", "tide"), ("catalog", "#image-query", "postgres")):
        person.go(f"/{place}/")
        page.locator(field).press_sequentially(words)
        page.wait_for_url(f"**/{place}/?q={words}")
        until("one row", lambda: page.locator("tbody tr").count() == 1)
        assert page.locator(field).evaluate("(field) => field === document.activeElement")
        page.reload()
        assert page.locator(field).input_value() == words
        assert page.locator("tbody tr").count() == 1
        page.locator(field).fill("")
        page.wait_for_url(f"**/{place}/")
    person.go("/containers/")
    page.locator("#container-query").press_sequentially("ferry")
    page.wait_for_url("**/containers/?q=ferry")
    page.locator("#state-chips a[href*='state=running']").click()
    page.wait_for_url("**/containers/?state=running&q=ferry")
    person.wait_for_main("No container matches")
    page.go_back()
    until("what was typed", lambda: page.locator("#container-query").input_value() == "ferry")


def test_the_run_form_says_what_is_wrong_while_it_is_filled_and_after(person, ids, berth):
    page = person.page
    person.go("/containers/run/?image=ubuntu:14.04")
    run = page.locator("#run-form button[type=submit]")
    assert run.bounding_box()["y"] + run.bounding_box()["height"] <= 800
    page.locator("#id_memory").press_sequentially("much")
    page.locator("#id_memory-error .errorlist").wait_for()
    assert page.locator("#id_memory").get_attribute("aria-invalid") == "true"
    page.locator("#id_memory").fill("64m")
    page.locator("#id_memory-error .errorlist").wait_for(state="detached")
    assert page.locator("#id_memory").get_attribute("aria-invalid") is None
    page.locator("#id_name").fill("-x")
    with person.expecting(r"status of 4\d\d|Status Error Code 4\d\d"):
        run.click()
        person.wait_for_main("the first a letter or digit")
        page.locator("#id_name").fill("no-such-command")
        page.locator("#id_command").fill("nope")
        run.click()
        person.wait_for_main("The container no-such-command was created and stays")
    assert page.locator(".errorlist").count() == 0
    page.locator(".notice-error a").click()
    person.wait_for_main(r"no-such-command \w{12}")
    person.go("/containers/")  # a page of what goes would ask for it in vain
    berth.run_checked("rm", "no-such-command")


def test_a_bad_name_is_answered_on_the_page_with_a_sentence(person, ids):
    person.go("/catalog/")
    with person.expecting(r"status of 4\d\d|Status Error Code 4\d\d"):
        person.page.locator("#pull-reference").fill("library/Ubuntu")
        person.page.keyboard.press("Enter")
        person.page.locator(".toast-error", has_text="must be lowercase").get_by_role("button").click()
