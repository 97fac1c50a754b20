"""Logs between two moments, as `logs --since --until` asks for them."""

from __future__ import annotations

import re
import time

import pytest

from tests.dashboard.terminals.conftest import say

pytestmark = pytest.mark.django_db(transaction=True)
SECOND_NS = 1_000_000_000


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("since={2}", [2, 3, 4, 5]),
        ("until={2}", [0, 1, 2]),
        ("since={2}&until={4}", [2, 3, 4]),
        ("since={3}&tail=5", [3, 4, 5]),
        ("since={1}&tail=2", [4, 5]),
        ("until={4}&tail=3", [3, 4]),
        ("since={5.5}", []),
        ("until={-1}", []),
        ("until={2}&follow=1", [0, 1, 2]),
        ("until={9}&follow=1", [0, 1, 2, 3, 4, 5]),
    ],
)
async def test_logs_between_two_moments(view, io, query, numbers):
    start = time.time_ns() - 3600 * SECOND_NS
    for number in range(6):
        say(io, b"%d\n" % number, time_ns=start + number * SECOND_NS)
        if number == 2:
            (io / "ctr.log").rename(io / "ctr.log.1")
    words = re.sub(r"\{([^}]+)\}", lambda found: str(start + int(float(found[1]) * SECOND_NS)), query)
    viewer = await view(f"mode=logs&kind=cli&{words}" + ("" if "follow" in query else "&follow=0"))
    await viewer.until_closed()
    assert viewer.text == b"".join(b"%d\n" % number for number in numbers)


async def test_logs_that_follow_end_at_a_moment_to_come(view, io):
    say(io, b"early\n", time_ns=time.time_ns())
    viewer = await view(f"mode=logs&kind=cli&follow=1&until={time.time_ns() + SECOND_NS}")
    await viewer.until_text(b"early\n")
    say(io, b"late\n", time_ns=time.time_ns() + 2 * SECOND_NS)
    await viewer.until_closed()
    assert viewer.text == b"early\n"


async def test_logs_that_follow_wait_for_a_moment_to_come(view, io):
    since = time.time_ns() + SECOND_NS
    say(io, b"early\n", time_ns=time.time_ns())
    viewer = await view(f"mode=logs&kind=cli&follow=1&since={since}")
    say(io, b"late\n", time_ns=since)
    await viewer.until_text(b"late\n")
