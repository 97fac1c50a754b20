"""Korean is complete: no string without its translation, no text in a template that skips gettext."""

from __future__ import annotations

import html.parser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
CATALOG = ROOT / "dashboard" / "locale" / "ko" / "LC_MESSAGES" / "django.po"
TEMPLATES = sorted((ROOT / "dashboard" / "templates").rglob("*.html"))
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
# What needs no translation: the name, Docker's own lines (which stand in <code>), punctuation.
SAME_EVERYWHERE = {"Berth", "·", "–", "→", "/", ",", ":", "$", "·  · Berth", "<none>", "/data"}


def _entries(text: str) -> dict[tuple[str, str], list[str]]:
    """(context, msgid) → translations."""
    found = {}
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith("#")]
        fields: dict[str, str] = {}
        name = ""
        for line in lines:
            head = re.match(r"(msgctxt|msgid_plural|msgid|msgstr(?:\[\d\])?) ", line)
            name = head[1] if head else name
            fields[name] = fields.get(name, "") + "".join(QUOTED.findall(line))
        key = (fields.get("msgctxt", ""), fields.get("msgid", ""))
        found[key] = [value for part, value in fields.items() if part.startswith("msgstr")]
    return found


@pytest.fixture(scope="module")
def extracted(tmp_path_factory) -> dict[tuple[str, str], list[str]]:
    """The strings as they stand in the source now."""
    copy = tmp_path_factory.mktemp("strings") / "dashboard"
    ignored = shutil.ignore_patterns("__pycache__", "*.mo", "migrations")
    shutil.copytree(ROOT / "dashboard", copy, ignore=ignored)
    script = (
        "import os, django; django.setup(); os.chdir(os.environ['COPY']);"
        "from django.conf import settings; settings.LOCALE_PATHS = [os.environ['COPY'] + '/locale'];"
        "from django.core.management import call_command as call;"
        "call('makemessages', locale=['ko'], no_obsolete=True, add_location='never', no_wrap=True, verbosity=0)"
    )
    surroundings = {**os.environ, "COPY": str(copy), "DJANGO_SETTINGS_MODULE": "dashboard.settings"}
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=surroundings, check=True, timeout=100)
    return _entries((copy / "locale" / "ko" / "LC_MESSAGES" / "django.po").read_text())


@pytest.mark.slow
def test_every_string_of_the_source_is_translated(extracted):
    translated = _entries(CATALOG.read_text())
    missing = [key[1] for key in extracted if key[1] and not all(translated.get(key) or [""])]
    assert missing == []


@pytest.mark.slow
def test_the_catalog_has_nothing_fuzzy_obsolete_or_left_over(extracted):
    text = CATALOG.read_text()
    assert "fuzzy" not in text
    assert "\n#~" not in text
    assert set(_entries(text)) - set(extracted) == set()


def test_the_catalog_compiles_and_keeps_placeholders(tmp_path):
    program = shutil.which("msgfmt")
    if program is None:
        pytest.skip("needs gettext")
    subprocess.run([program, "--check-format", "-o", tmp_path / "out.mo", CATALOG], check=True, timeout=30)
    for (_context, said), translations in _entries(CATALOG.read_text()).items():
        wanted = set(re.findall(r"%\(\w+\)[sd]|\{\w+\}", said))
        for translation in translations if said else []:
            assert set(re.findall(r"%\(\w+\)[sd]|\{\w+\}", translation)) == wanted, said


def test_korean_has_no_exclamation_and_says_one_word_for_one_thing():
    text = "\n".join(t for key, found in _entries(CATALOG.read_text()).items() if key[1] for t in found)
    assert "!" not in text
    for wrong in ("도커 이미지", "레이어", "콘테이너", "쉘", "풀링", "어태치", "디태치"):
        assert wrong not in text


class _Texts(html.parser.HTMLParser):
    """Text and labels of a template that people read."""

    READ = ("title", "aria-label", "placeholder", "alt", "data-confirm", "data-confirm-body", "data-confirm-action")
    SKIPPED = ("code", "kbd", "style", "script")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag in self.SKIPPED:
            self._inside.append(tag)
        self.found += [value for name, value in attrs if name in self.READ and value]

    def handle_endtag(self, tag):
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data):
        if not self._inside:
            self.found.append(data)


def _bare(path: Path) -> list[str]:
    text = re.sub(r"\{% blocktrans.*?\{% endblocktrans %\}|\{#.*?#\}", " ", path.read_text(), flags=re.S)
    text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", " ", text, flags=re.S)
    reader = _Texts()
    reader.feed(text)
    words = {" ".join(piece.split()) for piece in reader.found}
    return sorted(word for word in words if re.search(r"[^\W\d_]{2}", word) and word not in SAME_EVERYWHERE)


# Docker's own lines and names as examples in empty fields; a made-up name that is typed as it is.
EXAMPLES = {
    "centos:7",
    "haeun minsu",
    "watcher",
    "postgres:16",
    "ubuntu:22.04",
    "docker run -i -t ubuntu:14.04",
    "NAME",
    "· Berth",
}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "dashboard" / "templates")))
def test_no_text_in_a_template_skips_gettext(path):
    assert [word for word in _bare(path) if word not in EXAMPLES] == []


SAID = re.compile(r"\{\{\s*((?:\w+\.)*(?:error|warning))\b([^}]*)\}\}")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "dashboard" / "templates")))
def test_what_the_engine_said_is_shown_in_the_readers_language(path):
    """Errors of forms come translated from Django; all others are kept in rows as the engine said them."""
    if path.parent.name in {"account", "accounts", "mfa"}:
        return
    assert [name for name, filters in SAID.findall(path.read_text()) if not filters.startswith("|translated")] == []


@pytest.mark.parametrize("other", ["세요", "암호", "제한을 바꾸", "제한 변경"])
def test_korean_has_one_word_and_one_ending_for_one_thing(other):
    """하십시오, 비밀번호, 한도."""
    said = (ROOT / "dashboard" / "locale" / "ko" / "LC_MESSAGES" / "django.po").read_text() + (
        ROOT / "README.ko.md"
    ).read_text()
    assert [line for line in said.splitlines() if other in line] == []
