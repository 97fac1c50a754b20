"""Archives over the WebSocket: every byte, in order, within a window, for their owner only."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace

import pytest
from channels.db import database_sync_to_async

from dashboard import gateway
from dashboard.core import gate
from dashboard.core.gate import Permission
from dashboard.jobs.models import JobState
from dashboard.transfers.consumers import CONFLICT, FULL, PIECE_BYTES, WINDOW_BYTES
from tests.support.waiting import WAIT_S

pytestmark = pytest.mark.django_db(transaction=True)


async def gone(data, transfer):
    async with asyncio.timeout(WAIT_S):
        while (data / "transfers" / transfer.key).exists():
            await asyncio.sleep(0.01)


async def refusal(end):
    """The sentence and the code with which it is refused."""
    said = await end.hear()
    while said["t"] in {"ready", "taken"}:
        said = await end.hear()
    closed = await end.hear()
    assert (said["t"], closed["t"]) == ("error", "close"), (said, closed)
    return said["message"], closed["code"]


async def test_an_archive_is_sent_whole_within_the_window(outgoing, end_of):
    content = os.urandom(3 * WINDOW_BYTES + 17)
    end = await end_of(await database_sync_to_async(outgoing)(content))
    got = b""
    while len(got) < WINDOW_BYTES:
        piece = await end.hear()
        assert len(piece) <= PIECE_BYTES
        got += piece
    assert await end.socket.receive_nothing(0.3)  # it waits for us
    while True:
        await end.say("ack", len(got))
        message = await end.hear()
        if isinstance(message, dict):
            break
        got += message
    assert message == {"t": "end", "bytes": len(content)}
    assert got == content
    await end.socket.disconnect()


async def test_a_flood_of_acknowledgements_opens_no_wider_window(outgoing, end_of):
    end = await end_of(await database_sync_to_async(outgoing)(bytes(4 * WINDOW_BYTES)))
    await end.say("ack", 1 << 60)
    got = 0
    while not await end.socket.receive_nothing(0.3):
        got += len(await end.hear())
    assert got <= 2 * WINDOW_BYTES
    await end.socket.disconnect()


async def test_an_archive_arrives_whole_and_what_is_on_the_disk_is_told(incoming, end_of, data):
    transfer = await database_sync_to_async(incoming)()
    end = await end_of(transfer)
    await end.until("ready")
    content = os.urandom(2 * WINDOW_BYTES + 5)
    sent = taken = 0
    while sent < len(content):
        piece = content[sent : sent + PIECE_BYTES]
        while sent + len(piece) - taken > WINDOW_BYTES:
            taken = (await end.until("taken"))["bytes"]
        await end.send(piece)
        sent += len(piece)
    await end.say("eof", sent)
    assert (await end.until("end"))["bytes"] == len(content)
    assert (data / "transfers" / transfer.key).read_bytes() == content
    assert os.stat(data / "transfers" / transfer.key).st_mode & 0o777 == 0o600
    await database_sync_to_async(transfer.refresh_from_db)()
    assert transfer.is_ready
    await end.socket.disconnect()
    assert (data / "transfers" / transfer.key).exists()


async def test_an_empty_archive_arrives_too(incoming, end_of):
    end = await end_of(await database_sync_to_async(incoming)())
    await end.until("ready")
    await end.say("eof", 0)
    assert (await end.until("end"))["bytes"] == 0
    await end.socket.disconnect()


async def test_what_breaks_off_leaves_nothing_behind(incoming, end_of, data):
    transfer = await database_sync_to_async(incoming)()
    end = await end_of(transfer)
    await end.until("ready")
    await end.send(b"half")
    await end.until("taken")
    await end.socket.disconnect()
    await gone(data, transfer)
    await database_sync_to_async(transfer.refresh_from_db)()
    assert (transfer.is_ready, transfer.ended_at is None) == (False, False)


async def test_a_byte_that_is_missing_is_noticed(incoming, end_of, data):
    transfer = await database_sync_to_async(incoming)()
    end = await end_of(transfer)
    await end.until("ready")
    await end.send(b"12345")
    await end.say("eof", 6)
    assert (await refusal(end))[0] == "Only 5 of 6 bytes have arrived. Try again."
    await gone(data, transfer)


@pytest.mark.threat("WS-06")
async def test_who_does_not_wait_is_cut_off(incoming, end_of, monkeypatch):
    may_write = threading.Event()
    monkeypatch.setattr("dashboard.transfers.consumers._write", lambda _fd, _pieces: may_write.wait(WAIT_S))
    end = await end_of(await database_sync_to_async(incoming)())
    await end.until("ready")
    for _ in range(2 * WINDOW_BYTES // PIECE_BYTES + 50):
        await end.send(bytes(PIECE_BYTES))
    assert (await refusal(end))[0] == "Too much was sent at once."
    may_write.set()


async def test_the_size_of_what_arrives_is_limited(incoming, end_of, monkeypatch, data):
    config = gateway.engine_config()
    small = replace(config, limits=replace(config.limits, archive_bytes=10))
    monkeypatch.setattr(gateway, "engine_config", lambda: small)
    transfer = await database_sync_to_async(incoming)()
    end = await end_of(transfer)
    await end.until("ready")
    await end.send(b"x" * 11)
    assert (await refusal(end))[0] == "The archive is larger than 10 bytes, the most that is taken."
    await gone(data, transfer)


@pytest.mark.fault("F33")
async def test_the_reserve_of_the_disk_is_not_touched(incoming, end_of, settings, data):
    settings.BERTH_LIMITS = settings.BERTH_LIMITS | {"reserve_bytes": 1 << 60}
    transfer = await database_sync_to_async(incoming)()
    end = await end_of(transfer)
    await end.until("ready")
    await end.send(b"x")
    sentence, code = await refusal(end)
    assert "kept in reserve" in sentence
    assert code == FULL
    await gone(data, transfer)


@pytest.mark.threat("WS-03")
async def test_nobody_sees_anothers_archive(outgoing, end_of, stranger):
    end = await end_of(await database_sync_to_async(outgoing)(), stranger)
    assert await refusal(end) == ("There is nothing at this address.", 4404)


@pytest.mark.threat("WS-04")
async def test_who_loses_the_right_loses_the_archive(outgoing, end_of):
    transfer = await database_sync_to_async(outgoing)()
    restore = gate.use_policy(lambda user, permission, obj: permission is not Permission.VOLUME_BACKUP)
    try:
        assert (await refusal(await end_of(transfer)))[1] == 4404
    finally:
        restore()


async def test_what_is_not_ready_or_gone_is_said(outgoing, end_of, data):
    early = await database_sync_to_async(outgoing)()
    early.job.state = JobState.RUNNING
    await database_sync_to_async(early.job.save)()
    assert await refusal(await end_of(early)) == ("The archive is not ready yet.", CONFLICT)
    lost = await database_sync_to_async(outgoing)()
    (data / "transfers" / lost.key).unlink()
    assert "The archive is gone" in (await refusal(await end_of(lost)))[0]


async def test_what_is_no_frame_is_refused(outgoing, incoming, end_of):
    end = await end_of(await database_sync_to_async(incoming)())
    await end.until("ready")
    await end.socket.send_to(text_data="[]")
    assert (await refusal(end))[0] == "That was no frame of a transfer."
    end = await end_of(await database_sync_to_async(outgoing)(bytes(2 * WINDOW_BYTES)))
    await end.send(b"bytes the wrong way")
    while isinstance(message := await end.hear(), bytes):
        pass
    assert message == {"t": "error", "message": "Too much was sent at once."}


async def test_one_archive_arrives_over_one_connection(incoming, end_of):
    transfer = await database_sync_to_async(incoming)()
    first, second = await end_of(transfer), await end_of(transfer)
    heard = [await first.hear(), await second.hear()]
    assert sorted(frame["t"] for frame in heard) == ["error", "ready"]
    for end in (first, second):
        await end.socket.disconnect()
