"""`cp`: which of its two words is the container's."""

from __future__ import annotations

import pytest

from dashboard.grammar import UsageError, parse, requests

IN, OUT = requests.CopyIn, requests.CopyOut


@pytest.mark.parametrize(
    ("words", "kind", "fields"),
    [
        ("cp notes c:/tmp", IN, ("c", "/tmp", "notes")),
        ("cp ./a:b c:/tmp", IN, ("c", "/tmp", "./a:b")),
        ("cp /a:b c:d", IN, ("c", "d", "/a:b")),
        ("cp - c:/", IN, ("c", "/", "-")),
        ("container cp c:/etc/hosts .", OUT, ("c", "/etc/hosts", ".")),
        ("cp c:/a:b -", OUT, ("c", "/a:b", "-")),
        ("cp c:rel ../x:y", OUT, ("c", "rel", "../x:y")),
    ],
)
def test_a_word_with_a_colon_is_the_containers_unless_it_begins_as_a_path(words, kind, fields):
    found = parse(words.split())
    assert type(found) is kind
    assert (found.name, found.path, found.local) == fields


def test_flags():
    assert parse(["cp", "-aLq", "c:/x", "y"]) == OUT(
        name="c", path="/x", local="y", archive=True, follow=True, quiet=True
    )
    assert parse(["cp", "--follow-link", "x", "c:/y"]) == IN(name="c", path="/y", local="x", follow=True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("cp a:/x b:/y", "copying between containers is not supported"),
        ("cp x y", "must specify at least one container source"),
        ("cp a: y", "a path is missing"),
        ("cp a:/x", "requires exactly 2 arguments"),
    ],
)
def test_what_cannot_be(words, sentence):
    with pytest.raises(UsageError, match=sentence):
        parse(words.split())
