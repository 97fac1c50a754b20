from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.terminals import protocol
from dashboard.terminals.protocol import FrameInvalid
from tests.support.examples import examples


@settings(max_examples=examples(100))
@given(st.sampled_from([1, 2]), st.integers(1, 2**32 - 1), st.integers(0, 2**64 - 1), st.binary(max_size=300))
def test_frames_come_back_as_they_went(stream, segment, offset, payload):
    frame = protocol.decode_output(protocol.encode_output(stream, segment, offset, payload))
    assert frame == protocol.Output(stream, segment, offset, payload)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_frame_or_refused(data):
    try:
        frame = protocol.decode_output(data)
    except FrameInvalid:
        return
    assert protocol.encode_output(frame.stream, frame.segment, frame.offset, frame.payload) == data


def test_a_frame_is_thirteen_bytes_and_its_payload():
    assert protocol.encode_output(1, 3, 4096, b"hi") == b"\x01\x00\x00\x00\x03" + (4096).to_bytes(8, "big") + b"hi"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["t", "bytes", "rows", "cols"]), inner),
    max_leaves=6,
)


@settings(max_examples=examples(150))
@given(json_values | st.text(max_size=40))
def test_any_text_is_a_message_or_refused(value):
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        message = protocol.decode_client(text)
    except FrameInvalid:
        return
    if isinstance(message, protocol.Resize):
        assert 1 <= message.rows <= 1000
        assert 1 <= message.columns <= 1000


def test_the_messages_of_a_client_are_read():
    assert protocol.decode_client('{"t":"ack","bytes":7}') == protocol.Ack(7)
    assert protocol.decode_client('{"t":"resize","rows":0,"cols":5000}') == protocol.Resize(1, 1000)
    assert protocol.decode_client('{"t":"eof"}') == protocol.Eof()
    assert protocol.decode_client('{"t":"detach","more":1}') == protocol.Detach()
    for text in ('{"t":"ack","bytes":true}', '{"t":"ack","bytes":1e3}', "[]", "1", "", '{"t":"x"}', " " * 5000):
        with pytest.raises(FrameInvalid):
            protocol.decode_client(text)


def test_a_deeply_nested_message_is_refused_and_not_followed():
    with pytest.raises(FrameInvalid):
        protocol.decode_client("[" * 4000)


def test_the_query_of_the_address_is_read():
    asked = protocol.parse_query({"kind": "cli", "stdin": "1", "rows": "24", "cols": "5000", "from": "3.99"})
    assert (asked.kind, asked.wants_input, asked.rows, asked.columns, asked.start) == ("cli", True, 24, 1000, "3.99")
    logs = protocol.parse_query({"mode": "logs", "tail": "all", "stdin": "1", "follow": "0"})
    assert (logs.start, logs.tail, logs.wants_input, logs.follow) == ("start", None, False, False)
    assert protocol.parse_query({}).start == "replay"
    between = protocol.parse_query({"mode": "logs", "since": "1790000000123456789", "until": "-5"})
    assert (between.since_ns, between.until_ns) == (1_790_000_000_123_456_789, -5)
    for name, value in (
        ("follow", "yes"),
        ("from", "3."),
        ("from", "1.2.3"),
        ("tail", "x"),
        ("cols", "１"),
        ("mode", ""),
    ):
        with pytest.raises(FrameInvalid):
            protocol.parse_query({name: value})
