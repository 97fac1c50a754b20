"""What the engine says is said in the reader's language."""

from __future__ import annotations

import ast
import re
import time
from functools import cache
from pathlib import Path

import pytest
from django.utils import translation

from dashboard.core.engine_words import ERRORS
from dashboard.core.errors import Conflict, DashboardError, NotFound
from dashboard.core.own_words import OWN, STREAMS, TYPED
from dashboard.core.sentences import REASONS, reason, translated
from engine.containers import hostcheck
from engine.errors import EngineError
from tests.support import spoken

KOREAN = re.compile("[\uac00-\ud7a3]")


def _families(top: type) -> list[type]:
    return [top, *(found for below in top.__subclasses__() for found in _families(below))]


def test_every_code_that_a_job_can_fail_with_has_a_reason():
    codes = {kind.code for kind in _families(EngineError) if kind.__module__.startswith("engine.")}
    codes |= {DashboardError.code, NotFound.code, Conflict.code}
    for module in ("runner.py", "reconcile.py", "services.py"):
        text = (Path(__file__).parents[3] / "dashboard" / "jobs" / module).read_text()
        codes |= set(re.findall(r'code="([a-z-]+)"', text))
    assert codes - set(REASONS) == set()
    with translation.override("ko"):
        assert [code for code in REASONS if not KOREAN.search(reason(code))] == []
    assert reason("no such code") == ""


def _text(node: ast.expr) -> str:
    """A sentence of the source with something in the place of what is computed; "" when it is no sentence."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(part.value if isinstance(part, ast.Constant) else "Xy 1" for part in parts)
    return ""


def _sentences() -> list[str]:
    """Everything with more than one word that the host's checks can say."""
    tree = ast.parse(Path(hostcheck.__file__).read_text())
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in {"meaning", "summary"}:
            choices = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
            texts += [_text(choice) for choice in choices]
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
            texts += [_text(word.value) for word in node.keywords if word.arg in {"meaning", "summary"}]
    return [text for text in texts if " " in text]


@pytest.mark.parametrize("sentence", _sentences())
def test_every_finding_is_said_in_korean(sentence):
    if sentence.startswith(("Linux ", "cgroups ")):
        return  # names and numbers only
    assert translated(sentence) == sentence
    with translation.override("ko"):
        assert KOREAN.search(translated(sentence)), sentence


# Texts of which nobody but a programmer hears.
INNER = (
    r"\bversion:? v?(\d+)\.(\d+)(?:\.(\d+))?(-rc)?",
    "There is no program to run.",
    "This process was started without a pipe to its standard input.",
    "This process was started without a pipe from its standard output.",
    "… by … is no size of a terminal.",
    "# No resolver of this host can be reached from a container; these are public ones.",
    "the registry refuses to resume",
    "Another engine worker runs on this data folder. There may be only one.",
)
TOLD = (
    *("engine", "dashboard/jobs", "dashboard/catalog", "dashboard/containers", "dashboard/networks"),
    "dashboard/volumes",
)


@cache
def _told() -> tuple[str, ...]:
    """All that engine and workers say of errors."""
    files = [path for folder in TOLD for path in sorted((spoken.ROOT / folder).rglob("*.py"))]
    found = {text for path in files if path != Path(hostcheck.__file__) for text in spoken.sentences(path)}
    engines = [path for path in files if path.is_relative_to(spoken.ROOT / "engine")]
    found |= {text for path in engines for text in spoken.error_texts(path)}
    return tuple(sorted(found))


def test_everything_that_the_engine_says_is_said_in_korean_unless_docker_says_it_too():
    ours = [text for text in _told() if not spoken.is_one_of(text, spoken.DOCKERS + INNER)]
    assert len(ours) > 200, "the walk through the source finds too little"
    assert [text for text in ours if translated(text) != text] == [], "English stays word for word"
    with translation.override("ko"):
        assert [text for text in ours if not KOREAN.search(translated(text))] == []


def test_dockers_lines_are_the_same_in_every_language():
    with translation.override("ko"):
        assert [text for text in _told() if spoken.is_one_of(text, spoken.DOCKERS) and translated(text) != text] == []


def test_no_sentence_is_kept_that_nobody_says():
    assert _unsaid((*ERRORS, *OWN), _told()) == []


def _unsaid(kept, said) -> list[str]:
    """Those that stand in no text of the source. What is computed there stands as `Xy 1`."""
    patterns = {text: re.sub(r"\\\{\w+\\\}", ".+?", re.escape(text)) for text in kept}
    return [text for text, it in patterns.items() if not any(re.fullmatch(it, one, re.DOTALL) for one in said)]


WHICHEVER_PORT = "invalid Xy 1: Xy 1"  # of the host or of the container, and both are there
STREAMING = tuple(
    f"dashboard/{name}.py"
    for name in ("core/consumers", "terminals/consumers", "terminals/sessions", "transfers/consumers")
)


def test_what_the_grammar_says_of_ports_and_volumes_is_said_in_korean_where_a_form_asks_for_them():
    grammar = spoken.ROOT / "dashboard" / "grammar"
    read = [text for name in ("ports.py", "mounts.py") for text in _messages(grammar / name)]
    read += _messages(spoken.ROOT / "dashboard" / "containers" / "creation.py")
    assert _unsaid(TYPED, read) == []
    ports = [text for text in _messages(grammar / "ports.py") if text != WHICHEVER_PORT]
    assert len(ports) >= 9
    with translation.override("ko"):
        assert [text for text in ports if not KOREAN.search(translated(text))] == []


def test_what_a_websocket_says_is_said_in_korean():
    said = [text for name in STREAMING for text in spoken.sentences(spoken.ROOT / name)]
    assert len(said) > 10
    with translation.override("ko"):
        assert [text for text in said if not KOREAN.search(translated(text))] == []
    assert _unsaid([text for text in STREAMS if " " in text], said) == []


def _messages(path: Path) -> list[str]:
    """What is put into a name and raised: these texts end without a full stop."""
    tree = ast.parse(path.read_text())
    values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Assign) and _is_message(node)]
    return [text for value in values for text in spoken.texts(value, {})]


def _is_message(node: ast.Assign) -> bool:
    return getattr(node.targets[0], "id", "") == "msg"


@pytest.mark.parametrize(
    ("sentence", "korean"),
    [
        (
            "The layer's archive is refused: a name contains '..' (at 'a/../b').",
            "계층의 아카이브를 거절했습니다: 이름에 '..'이 들어 있습니다 ('a/../b'에서).",
        ),
        (
            "The manifest of ubuntu:14.04 is not valid JSON: a key is given twice.",
            "ubuntu:14.04의 매니페스트이(가) 올바른 JSON이 아닙니다: 같은 키가 두 번 있습니다.",
        ),
        (
            "The root file system could not be mounted: {x}\nNo such device",
            "루트 파일 시스템을 마운트하지 못했습니다: {x}\nNo such device",
        ),
    ],
)
def test_parts_of_a_sentence_are_translated_too_and_foreign_text_is_kept(sentence, korean):
    with translation.override("ko"):
        assert translated(sentence) == korean


def test_a_long_text_of_somebody_else_is_not_searched():
    hostile = "x was announced as 'y' but sent as 'z" * 5000
    began = time.process_time()
    with translation.override("ko"):
        assert translated(hostile) == hostile
        assert translated(hostile[:2000]) == hostile[:2000]
    assert time.process_time() - began < 1


def test_what_nobody_translated_is_shown_as_it_came():
    with translation.override("ko"):
        assert translated("runc version 1.1.5") == "runc version 1.1.5"
        assert translated("runc was not found") == "runc이(가) 없습니다"
