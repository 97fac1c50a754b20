"""The frame: what every page has, and that htmx gets the main part only."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dashboard.accounts.models import Preferences
from dashboard.pages.words import WORDS

PAGES = ("/", "/catalog/", "/containers/", "/containers/run/", "/terminals/", "/activity/", "/system/", "/me/")
FRONTEND = Path(settings.BASE_DIR) / "frontend"
TEMPLATES = Path(settings.BASE_DIR) / "dashboard" / "templates"


@pytest.mark.parametrize("address", PAGES)
def test_a_page_opens_with_rail_command_bar_dock_and_version(page, world, address):
    body = page.get(address).content.decode()
    for part in ('class="rail"', 'id="command-input"', 'id="dock"', 'id="main"', "Berth version "):
        assert part in body


@pytest.mark.parametrize("address", PAGES)
def test_a_page_opens_in_korean(page, world, address):
    body = page.get(address, headers={"accept-language": "ko"}).content.decode()
    assert '<html lang="ko"' in body
    assert "컨테이너" in body
    assert "Berth version " in body


@pytest.mark.parametrize("address", PAGES)
def test_a_stranger_is_sent_to_sign_in(client, db, address):
    answer = client.get(address)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("address", PAGES[:-1])
def test_htmx_gets_only_the_main_part_so_that_the_dock_stays(page, world, address):
    answer = page.get(address, headers={"HX-Request": "true", "HX-Boosted": "true"})
    body = answer.content.decode()
    assert "<html" not in body
    assert 'id="dock"' not in body
    assert body.count('id="main"') == 1
    assert "<title>" in body
    assert "HX-Request" in answer["Vary"]
    assert answer["Cache-Control"] == "no-store"


def test_going_back_gets_the_whole_page(page, world):
    asked = {"HX-Request": "true", "HX-Boosted": "true", "HX-History-Restore-Request": "true"}
    assert 'id="dock"' in page.get("/catalog/", headers=asked).content.decode()


def test_the_empty_home_page_offers_the_primers_lines_to_run(page):
    body = page.get("/").content.decode()
    for line in ("docker -v", "docker run -i -t ubuntu:14.04", "docker pull centos:7", "docker images"):
        assert f'data-run="{line}"' in body


def test_a_chosen_theme_is_on_the_page_and_no_choice_follows_the_system(page, person):
    assert "data-theme" not in page.get("/catalog/").content.decode()
    Preferences.objects.create(user=person, theme="contrast")
    assert 'data-theme="contrast"' in page.get("/catalog/").content.decode()


def test_a_chosen_language_wins_over_the_browsers(page, person):
    Preferences.objects.create(user=person, language="ko")
    assert '<html lang="ko"' in page.get("/catalog/", headers={"accept-language": "en"}).content.decode()


def test_the_page_hands_the_words_over_as_data(page):
    body = page.get("/catalog/", headers={"accept-language": "ko"}).content.decode()
    found = re.search(r'<script id="words" type="application/json">(.*?)</script>', body, re.S)
    assert json.loads(found[1])["close"] == "닫기"


def _typescript() -> str:
    return "\n".join(path.read_text() for path in (FRONTEND / "src").rglob("*.ts"))


def test_every_sentence_that_the_modules_say_is_there_and_none_is_left_over():
    source = _typescript()
    said = set(re.findall(r'\bsay\(\s*"([a-z-]+)"', source))
    said |= {"closed-signed-out", "command-lost"}  # chosen by a condition
    families = set(re.findall(r"\bsay\(`([a-z]+-)\$\{", source))
    by_family = {key for key in WORDS if any(key.startswith(prefix) for prefix in families)}
    assert said - set(WORDS) == set()
    assert set(WORDS) - said - by_family == set()


def test_every_icon_that_is_used_is_in_the_sprite():
    listed = set((FRONTEND / "icons.txt").read_text().split())
    used = set(re.findall(r'\{% icon "([a-z0-9-]+)"', "\n".join(p.read_text() for p in TEMPLATES.rglob("*.html"))))
    used |= set(re.findall(r'\bicon(?:Button)?\("([a-z0-9-]+)"', _typescript()))
    assert used - listed == set()


def test_no_template_needs_a_looser_content_security_policy():
    for path in TEMPLATES.rglob("*.html"):
        text = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), path
        assert not re.search(r'\son[a-z]+="|hx-on|javascript:|https?://', text), path
        assert "|safe" not in text or path.name == "any_field.html", path


def test_the_policy_allows_no_inline_script(page):
    policy = page.get("/catalog/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "script-src" not in policy
    assert "unsafe-eval" not in policy


def test_pages_change_nothing_when_read(page, world):
    page.get(PAGES[0])  # where somebody is signed in is written down once a minute
    with CaptureQueriesContext(connection) as seen:
        for address in PAGES:
            page.get(address)
    assert not [q for q in seen.captured_queries if re.match(r"(INSERT|UPDATE|DELETE)", q["sql"])]


@pytest.mark.parametrize(
    ("host", "is_secure", "warns"),
    [
        ("127.0.0.1:8000", False, False),
        ("localhost", False, False),
        ("[::1]:8000", False, False),
        ("192.168.0.7:8000", False, True),
        ("berth.example", False, True),
        ("127.0.0.1.example", False, True),
        ("berth.example", True, False),
    ],
)
def test_an_address_that_can_be_read_on_the_way_is_said_to_be_one(db, settings, host, is_secure, warns):
    settings.ALLOWED_HOSTS = ["*"]
    page = Client().get(reverse("account_login"), headers={"host": host}, secure=is_secure).content.decode()
    assert ("This address is not encrypted." in page) is warns
