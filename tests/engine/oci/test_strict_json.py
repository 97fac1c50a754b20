from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DocumentInvalid
from engine.oci.strict_json import DEPTH_LIMIT, DOCUMENT_LIMIT_BYTES, Reader, load
from tests.support.examples import examples


@pytest.mark.threat("REG-08")
@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "not valid JSON"),
        (b"<html>log in</html>", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b'{"a": 1, "a": 2}', "given twice"),
        (b'{"a": {"b": 1, "b": 2}}', "given twice"),
        (b'{"a": NaN}', "not valid JSON"),
        (b'{"a": Infinity}', "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not valid JSON"),
        (b'{"a": ' + b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT + b"}", "nested deeper"),
        (b"[" * 200_000, "nested deeper"),
        (b'{"a": "' + b"x" * DOCUMENT_LIMIT_BYTES + b'"}', "larger than 4 MiB"),
        (b'{"a": "\\u0000"}', "text that is not valid"),
        (b'{"a": "\\ud800"}', "text that is not valid"),
        (b'{"\\uDfff": 1}', "text that is not valid"),
    ],
)
def test_it_refuses_with_a_sentence(data, sentence):
    with pytest.raises(DocumentInvalid, match=sentence):
        load(data, "it")


def test_brackets_in_texts_are_no_depth_and_surrogate_pairs_are_text():
    assert load(b'{"a": "' + b"[" * 100 + b'\\"{{", "b": "\\ud83d\\ude00"}', "it")["b"] == "\N{GRINNING FACE}"
    assert load(b'{"a": "\\\\u0000"}', "it") == {"a": "\\u0000"}


@pytest.mark.threat("REG-08")
@pytest.mark.parametrize(("first", "rest"), [(b"", b"{}"), (b"", b'"'), (b'"', b"\\"), (b'"', b'\\"'), (b"", b'{"')])
def test_the_largest_hostile_document_takes_a_moment_only(first, rest):
    document = first + rest * ((DOCUMENT_LIMIT_BYTES - 8) // len(rest))
    started = time.thread_time()
    with pytest.raises(DocumentInvalid):
        load(document, "it")
    assert time.thread_time() - started < 2


@settings(max_examples=examples(100))
@given(st.binary(max_size=60) | st.text('{}[]":,a1\\u0 ', max_size=60).map(str.encode))
def test_any_bytes_are_an_object_or_a_sentence(data):
    try:
        assert isinstance(load(data, "it"), dict)
    except DocumentInvalid as error:
        assert str(error).startswith("it ")  # noqa: PT017


def test_wrong_types_are_refused_and_missing_members_have_defaults():
    reader = Reader({"text": "x", "number": 3, "list": ["a"], "map": {"k": "v"}, "none": None}, "it")
    assert (reader.text("text"), reader.text("none"), reader.number("number")) == ("x", "", 3)
    assert (reader.texts("list"), reader.texts("none"), reader.text_map("map")) == (("a",), (), {"k": "v"})
    assert reader.keys("map") == ("k",)
    for call in (reader.text, reader.texts, reader.text_map, reader.keys, reader.child):
        with pytest.raises(DocumentInvalid, match="'number' is not"):
            call("number")
    with pytest.raises(DocumentInvalid):
        Reader({"n": True}, "it").number("n")
