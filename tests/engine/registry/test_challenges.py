from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.registry.challenges import Challenge, parse_challenges

HUB = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull"'


@pytest.mark.parametrize(
    ("headers", "challenges"),
    [
        ([], ()),
        ([""], ()),
        (["Basic"], (Challenge("basic"),)),
        (['Basic realm="a, b=c \\"d\\""'], (Challenge("basic", {"realm": 'a, b=c "d"'}),)),
        (["BEARER Realm=x , Scope = y"], (Challenge("bearer", {"realm": "x", "scope": "y"}),)),
        (['Negotiate, Basic realm="r"'], (Challenge("negotiate"), Challenge("basic", {"realm": "r"}))),
        (['Negotiate YWJj==, Basic realm="r"'], (Challenge("negotiate"), Challenge("basic", {"realm": "r"}))),
        (
            ['Basic realm="1", Bearer realm="2"'],
            (Challenge("basic", {"realm": "1"}), Challenge("bearer", {"realm": "2"})),
        ),
        (
            ['Basic realm="1"', 'Bearer realm="2"'],
            (Challenge("basic", {"realm": "1"}), Challenge("bearer", {"realm": "2"})),
        ),
        (['Bearer realm="1",realm="2"'], (Challenge("bearer", {"realm": "1"}),)),
        (['Bearer realm="open'], (Challenge("bearer"),)),
    ],
)
def test_headers_are_read_as_the_specification_says(headers, challenges):
    assert parse_challenges(headers) == challenges


def test_docker_hubs_challenge_is_read():
    (challenge,) = parse_challenges([HUB])
    assert challenge.parameters["realm"] == "https://auth.docker.io/token"
    assert challenge.parameters["scope"] == "repository:library/x:pull"


@given(st.lists(st.text(max_size=80) | st.text('Basic= ",\\realm', max_size=80), max_size=3))
def test_any_text_is_some_challenges_and_never_an_error(headers):
    for challenge in parse_challenges(headers):
        assert challenge.scheme == challenge.scheme.lower()


TOKEN = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@given(
    st.lists(
        st.tuples(TOKEN, st.dictionaries(TOKEN.map(str.lower), VALUE, min_size=1, max_size=3)), min_size=1, max_size=3
    )
)
def test_what_is_written_by_the_rules_is_read_back(challenges):
    def quoted(value):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    header = ", ".join(f"{scheme} " + ",".join(f"{k}={quoted(v)}" for k, v in p.items()) for scheme, p in challenges)
    assert parse_challenges([header]) == tuple(Challenge(scheme.lower(), p) for scheme, p in challenges)


def test_a_huge_header_takes_a_moment_only():
    parse_challenges(["Bearer " + 'a="' * 100_000, "," * 1_000_000, "x=" * 1_000_000])
