"""Everything that a check can find is said in the reader's language."""

from __future__ import annotations

import ast
import re

from django.utils import translation

from dashboard.core.check_words import INVARIANTS, KINDS, PROBLEMS
from dashboard.core.sentences import invariant, translated
from engine import violation
from tests.support import spoken

KOREAN = re.compile("[\uac00-\ud7a3]")
SOURCES = (
    *("engine/containers/audit.py", "engine/network/audit.py", "engine/store/audit.py"),
    "dashboard/checkup/compare.py",
)
# Where kind and problem stand among the arguments of the functions that make a finding.
MAKERS = {"_untrue": (0, 2), "_gone": (0, None), "_of_layer": (None, 2), "_of_blob": (None, 1), "_stuck": (0, None)}


def _found() -> tuple[set[str], set[str]]:
    kinds, problems = set(), {"belongs to no running container"}
    for source in SOURCES:
        for node, scope in spoken._scoped(ast.parse((spoken.ROOT / source).read_text())):
            if not isinstance(node, ast.Call):
                continue
            named = {word.arg: word.value for word in node.keywords}
            kind, problem = MAKERS.get(spoken._name(node.func), (None, None))
            for into, at, key in ((kinds, kind, "kind"), (problems, problem, "problem")):
                value = named.get(key) or (node.args[at] if at is not None and at < len(node.args) else None)
                into.update(spoken.texts(value, scope) if value is not None else ())
    return kinds - {""}, problems - {""}


def test_each_kind_and_each_problem_has_its_words():
    kinds, problems = _found()
    assert len(kinds) > 20
    assert len(problems) > 30
    with translation.override("ko"):
        assert [text for text in kinds | problems if not KOREAN.search(translated(text))] == []


def test_no_words_are_kept_that_nothing_says():
    kinds, problems = _found()
    assert set(KINDS) - kinds == set()
    patterns = {text: re.sub(r"\\\{\w+\\\}", ".+?", re.escape(text)) for text in PROBLEMS}
    assert [text for text, it in patterns.items() if not any(re.fullmatch(it, one) for one in problems)] == []


def test_each_invariant_is_explained():
    numbers = re.findall(r"\b(I\d+)\b", violation.__doc__)
    assert sorted(INVARIANTS) == sorted(numbers)
    with translation.override("ko"):
        assert [number for number in numbers if not KOREAN.search(invariant(number))] == []
    assert invariant("I99") == ""
