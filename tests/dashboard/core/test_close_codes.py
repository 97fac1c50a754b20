"""Every code with which a consumer closes is one that Daphne (autobahn) really sends: a plain int, 1000 or 3000 to 4999."""

from __future__ import annotations

import asyncio

import pytest

from dashboard.core import consumers
from dashboard.core.consumers import GuardedConsumer
from dashboard.terminals.protocol import Close

CODES = [*Close, consumers.UNAUTHENTICATED, consumers.DENIED, consumers.UNKNOWN, consumers.TOO_BIG, consumers.BROKEN]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("way", ["refuse", "finish"])
def test_a_close_code_is_one_that_daphne_sends(code, way):
    sent = []

    async def collect(message):
        sent.append(message)

    consumer = GuardedConsumer()
    consumer.base_send = collect
    asyncio.run(getattr(consumer, way)(code, "A sentence."))
    close = sent[-1]
    assert close["type"] == "websocket.close"
    assert type(close["code"]) is int
    assert close["code"] == 1000 or 3000 <= close["code"] <= 4999
