from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.terminal.detach import HOLD_S, NEXT_KEY_S, DetachKeys, parse_keys
from tests.support.examples import examples

P, Q = b"\x10", b"\x11"


def test_ctrl_p_ctrl_q_detaches_and_neither_reaches_the_shell():
    keys = DetachKeys()
    assert keys.feed(P, 0.0) == (b"", False)
    assert keys.feed(Q, 0.2) == (b"", True)


def test_ctrl_p_alone_reaches_the_shell_after_400_ms():
    keys = DetachKeys()
    keys.feed(P, 1.0)
    assert keys.due_at == pytest.approx(1.0 + HOLD_S)
    assert keys.due(1.39) == b""
    assert keys.due(1.4) == P
    assert keys.due(1.5) == b""
    assert keys.due_at is None


def test_ctrl_q_as_the_very_next_key_still_detaches_within_3_s():
    keys = DetachKeys()
    keys.feed(P, 0.0)
    assert keys.due(0.5) == P
    assert keys.feed(Q, 2.9) == (b"", True)


def test_after_3_s_ctrl_q_is_only_a_key():
    keys = DetachKeys()
    keys.feed(P, 0.0)
    keys.due(0.5)
    assert keys.feed(Q, NEXT_KEY_S + 0.1) == (Q, False)


def test_another_key_in_between_ends_it():
    keys = DetachKeys()
    keys.feed(P, 0.0)
    assert keys.feed(b"a", 0.1) == (P + b"a", False)
    assert keys.feed(Q, 0.2) == (Q, False)


def test_ctrl_p_twice_sends_one_and_holds_one():
    keys = DetachKeys()
    keys.feed(P, 0.0)
    assert keys.feed(P, 0.1) == (P, False)
    assert keys.feed(Q, 0.2) == (b"", True)


def test_the_sequence_inside_one_message_detaches():
    assert DetachKeys().feed(b"ls\r" + P + Q + b"rest", 0.0) == (b"ls\r", True)


def test_keys_can_be_chosen_and_may_repeat():
    keys = DetachKeys("a,a,b")
    assert keys.feed(b"aaab", 0.0) == (b"a", True)
    assert parse_keys("ctrl-@,ctrl-[,ctrl-],DEL,x") == b"\x00\x1b\x1d\x7fx"
    assert parse_keys("") == P + Q
    for wrong in ("ctrl-1", "alt-x", "한", ",", "ctrl-p,", ",".join("a" * 17)):
        with pytest.raises(ValueError):
            parse_keys(wrong)


steps = st.lists(
    st.tuples(st.binary(min_size=1, max_size=5) | st.sampled_from([P, Q, P + Q, P + P]), st.sampled_from([0.01, 0.3, 0.5, 2.0, 4.0])),
    max_size=15,
)  # fmt: skip


@settings(max_examples=examples(150))
@given(steps, st.booleans())
def test_no_key_is_lost_doubled_or_held_for_long(typed, timer_works):
    keys, out, now, said, detached = DetachKeys(), b"", 0.0, b"", False
    for data, pause_s in typed:
        said += data
        sent, detached = keys.feed(data, now)
        out += sent
        if detached:
            break
        if timer_works and keys.due_at is not None and keys.due_at <= now + pause_s:
            out += keys.due(keys.due_at)
        now += pause_s
    if detached:
        assert P + Q in said
        assert said.startswith(out)
    else:
        assert out + keys.due(now + 10) == said
    if all(pause_s <= 2.0 for _, pause_s in typed):
        assert detached == (P + Q in said)


@given(st.binary(max_size=80))
def test_what_has_no_sequence_in_it_passes_whole(data):
    data = data.replace(P, b"")
    assert DetachKeys().feed(data, 0.0) == (data, False)
