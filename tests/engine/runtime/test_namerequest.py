from __future__ import annotations

import dataclasses

import pytest

from engine.errors import RequestRefused
from engine.runtime.namerequest import NameRequest

FULL = NameRequest(
    hosts=(("db", "10.0.0.1"), ("gate", "host-gateway"), ("six", "::1")),
    servers=("9.9.9.9",),
    search=("a.example",),
    options=("ndots:2",),
    domain="quay",
)


def test_it_reads_back_what_was_stored():
    assert NameRequest.of(dataclasses.asdict(FULL)) == FULL
    assert NameRequest.of(dataclasses.asdict(NameRequest())) == NameRequest()


@pytest.mark.threat("RUN-15")
@pytest.mark.parametrize(
    "fields",
    [
        {"hosts": (("a b", "10.0.0.1"),)},
        {"hosts": (("a\nb", "10.0.0.1"),)},
        {"hosts": (("a", "10.0.0.1\n9.9.9.9 bank"),)},
        {"hosts": (("a", "not an address"),)},
        {"servers": ("9.9.9.9 x",)},
        {"servers": ("gateway",)},
        {"search": ("a b",)},
        {"search": ("a\nnameserver 6.6.6.6",)},
        {"options": ("ndots:1\n",)},
        {"domain": "a\nb"},
        {"domain": "d" * 65},
        {"servers": ("9.9.9.9",) * 257},
    ],
)
def test_nothing_is_taken_that_could_add_a_line(fields):
    with pytest.raises(RequestRefused):
        NameRequest(**fields)
