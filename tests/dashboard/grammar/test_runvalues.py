"""Spellings of flags that only `run` and `create` have, and files of variables."""

from __future__ import annotations

import pytest

from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.runvalues import file_entries, read_host, read_label_text, read_resolver_option, read_search


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("db:10.0.0.1", "db:10.0.0.1"),
        ("db=10.0.0.1", "db:10.0.0.1"),
        ("six:fd00::1", "six:fd00::1"),
        ("six=[fd00::1]", "six:fd00::1"),
        ("a.b-c:host-gateway", "a.b-c:host-gateway"),
    ],
)
def test_hosts(text, read):
    assert read_host(text) == read


@pytest.mark.threat("RUN-15")
@pytest.mark.parametrize("text", ["", "db", ":10.0.0.1", "a b:10.0.0.1", "a\nb:10.0.0.1", "db:10.0.0.1\n1.2.3.4 x"])
def test_what_could_add_a_line_is_no_host(text):
    with pytest.raises(ValueRefused):
        read_host(text)


@pytest.mark.parametrize("text", ["a b", "a\nnameserver 1.2.3.4", "", "-" * 300])
def test_what_could_add_a_line_is_no_domain_and_no_option(text):
    for read in (read_search, read_resolver_option):
        with pytest.raises(ValueRefused):
            read(text)


def test_a_label_without_a_value_has_an_empty_one():
    assert read_label_text("a") == read_label_text("a=") == "a="
    assert read_label_text("a=b=c") == "a=b=c"


def test_files_are_read_line_by_line_with_comments_left_out():
    text = "\ufeff# one\r\n\n  A=1 # kept\n\tB\nC=\n"
    assert list(file_entries(text, "f")) == [("A", "1 # kept"), ("B", None), ("C", "")]


@pytest.mark.parametrize("text", ["=x", "a b=c", "a\tb"])
def test_bad_lines_are_refused(text):
    with pytest.raises(ValueRefused, match=r"invalid env file \(f\)"):
        list(file_entries(text, "f"))
