from __future__ import annotations

import pytest
from channels.testing import WebsocketCommunicator

from dashboard.core.origins import ExactOrigins, is_admitted

OURS = ("http://127.0.0.1:8000", "https://berth.example.org")
BEARER = (b"authorization", b"Bearer abc")

pytestmark = pytest.mark.threat("WS-01")


def origin(text: str) -> tuple[bytes, bytes]:
    return (b"origin", text.encode())


@pytest.mark.parametrize("text", OURS)
def test_exactly_our_origins_are_admitted(text):
    assert is_admitted([origin(text)], OURS)
    assert is_admitted([(b"Origin", text.encode())], OURS)


@pytest.mark.parametrize(
    "text",
    [
        "null", "", "http://127.0.0.1", "http://127.0.0.1:8001", "https://127.0.0.1:8000", "http://127.0.0.1:8000/", "http://127.0.0.1:8000.",
        "http://localhost:8000", "http://evil.127.0.0.1:8000", "http://127.0.0.1:8000@evil.org", "http://BERTH.example.org",
        "https://berth.example.org:443", "https://sub.berth.example.org", "https://berth.example.org.", "https://berth.example.org.evil.org",
        "ws://127.0.0.1:8000", " http://127.0.0.1:8000", "http://127.0.0.1:8000 http://evil.org", "file://",
    ],
)  # fmt: skip
def test_every_other_origin_is_refused_even_with_a_secret(text):
    assert not is_admitted([origin(text)], OURS)
    assert not is_admitted([origin(text), BEARER], OURS)


def test_two_origins_are_refused():
    assert not is_admitted([origin(OURS[0]), origin(OURS[0])], OURS)
    assert not is_admitted([origin(OURS[0]), origin("http://evil.org")], OURS)


def test_no_origin_is_admitted_with_one_bearer_secret_only():
    assert is_admitted([BEARER], OURS)
    assert not is_admitted([], OURS)
    assert not is_admitted([(b"authorization", b"Basic abc")], OURS)
    assert not is_admitted([(b"cookie", b"session=1")], OURS)
    assert not is_admitted([BEARER, BEARER], OURS)


async def test_a_refused_connection_reaches_no_consumer():
    reached = []

    async def consumer(scope, receive, send):
        reached.append(scope)

    socket = WebsocketCommunicator(ExactOrigins(consumer, OURS), "/ws/live", headers=[origin("http://evil.org")])
    connected, code = await socket.connect()
    assert (connected, code, reached) == (False, 4403, [])


async def test_the_whole_application_refuses_a_foreign_origin_and_an_unknown_address():
    from dashboard.asgi import application

    for address, headers in (("/ws/live", [origin("http://127.0.0.1:8001")]), ("/ws/nothing", [origin(OURS[0])])):
        connected, _ = await WebsocketCommunicator(application, address, headers=headers).connect()
        assert not connected
