"""The pump between a log and its reader, without either."""

from __future__ import annotations

import asyncio

import pytest

from dashboard.terminals.pump import Pump


class ClosedTail:
    """As its stream has left it; `at_end` so that the pump waits first."""

    at_end = True
    lost_segments = 0

    def read(self, *_: object, **__: object) -> list:
        return []

    def rescan(self) -> None:
        raise AssertionError("the log was looked at after the stream had ended")


@pytest.mark.parametrize("wait", ["_wait_for_change", "_wait_for_ack"])
@pytest.mark.parametrize("turns", range(4))
def test_one_that_is_cancelled_in_the_moment_it_wakes_ends(tmp_path, wait, turns):
    async def scene() -> bool:
        pump = Pump(tmp_path, ClosedTail(), object(), may_skip=False, waits_for_acks=True)
        task = asyncio.ensure_future(getattr(pump, wait)())
        for _ in range(3):
            await asyncio.sleep(0)
        pump.wake()
        pump.acked(0)
        for _ in range(turns):  # of the loop, in one of which it has woken and does not know that it is over
            await asyncio.sleep(0)
        if task.done():
            return True
        task.cancel()
        await asyncio.wait([task], timeout=5)
        return task.cancelled()

    assert asyncio.run(scene())
