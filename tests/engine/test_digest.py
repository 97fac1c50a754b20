from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.digest import Digest
from engine.errors import ReferenceInvalid


def test_it_is_its_text_and_knows_its_parts():
    digest = Digest.of(b"hello")
    assert digest == "sha256:" + hashlib.sha256(b"hello").hexdigest()
    assert (digest.algorithm, digest.short) == ("sha256", digest.hex[:12])
    assert Digest("sha512:" + "0" * 128).hasher().name == "sha512"


@pytest.mark.threat("REG-01")
@pytest.mark.parametrize(
    "text",
    ["", "sha256:", "sha256:" + "a" * 63, "sha256:" + "A" * 64, "sha256:" + "a" * 64 + "\n", "sha512:" + "a" * 64,
     "sha1:" + "a" * 40, "../" + "a" * 61, "sha256:" + "a" * 61 + "/..", "sha256:../../../../etc/passwd" + "a" * 37],
)  # fmt: skip
def test_it_refuses_everything_but_the_two_registered_forms(text):
    with pytest.raises(ReferenceInvalid, match="is not a digest"):
        Digest(text)


@pytest.mark.threat("REG-01")
@given(st.text(max_size=90))
def test_no_other_text_becomes_a_digest(text):
    try:
        digest = Digest(text)
    except ReferenceInvalid:
        return
    assert digest.isascii()
    assert "/" not in digest
    assert "." not in digest
