"""`volume backup` and `volume restore` through the door: what it asks of the client, and what it says when it cannot."""

from __future__ import annotations

import asyncio

import pytest
from channels.db import database_sync_to_async

from dashboard.jobs.models import LIVE_STATES, Job
from dashboard.transfers import services as transfers
from dashboard.transfers.models import Transfer
from dashboard.volumes import services as volumes
from dashboard.volumes.models import Volume
from engine.errors import ArchiveRejected, StoreFull
from tests.support.waiting import WAIT_S

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def volume(user, data):
    return await database_sync_to_async(volumes.create)(user, "data")


@database_sync_to_async
def arrived(frame, content: bytes, folder) -> None:
    key = frame["path"].rpartition("/")[2]
    (folder / "transfers" / key).write_bytes(content)
    assert transfers.arrived(Transfer.objects.get(key=key), len(content))


@database_sync_to_async
def state() -> str:
    return Volume.objects.get().state


async def begin(door, *words, **more):
    """The frame that asks the client to move the archive."""
    door.frames = []
    await door.send(t="run", argv=list(words), **{"tty": False, "tty_out": False, **more})
    return await door.until("transfer")


async def code_after(door, how="exited"):
    await door.send(t="stream-ended", how=how, code=0 if how == "exited" else 1)
    return (await door.until("exit"))["code"]


async def nothing_left(data):
    async with asyncio.timeout(WAIT_S):
        while list((data / "transfers").iterdir()):
            await asyncio.sleep(0.01)


async def test_a_backup_is_written_fetched_and_forgotten(door, volume, data):
    frame = await begin(door, "volume", "backup", "-o", "x.tar", "data")
    assert (frame["direction"], frame["file"]) == ("out", "x.tar")
    (file,) = (data / "transfers").iterdir()
    assert frame["path"] == f"/ws/transfers/{file.name}"
    assert file.read_bytes() == b"tar of data"
    assert await code_after(door) == 0
    assert (door.out, door.err) == ("", "")
    await nothing_left(data)


async def test_what_the_client_could_not_take_is_a_failure(door, volume, data):
    await begin(door, "volume", "backup", "data")
    assert await code_after(door, "lost") == 1
    await nothing_left(data)


async def test_what_was_left_out_is_said_beside_it(door, volume, engine):
    plain = engine.backup_volume

    def with_sockets(*words, **more):
        packed = plain(*words, **more)
        packed.left_out, packed.changed = 2, 1
        return packed

    engine.backup_volume = with_sockets
    await begin(door, "volume", "backup", "data")
    assert await code_after(door) == 0
    assert door.err.splitlines() == [
        "WARNING: 2 devices or sockets were left out.",
        "WARNING: 1 files became shorter while they were read, and were filled up with zeros.",
    ]


async def test_a_restore_waits_for_the_archive_and_for_the_engine(door, volume, data, engine):
    frame = await begin(door, "volume", "restore", "data")
    assert (frame["direction"], frame["file"]) == ("in", "")
    await arrived(frame, b"new", data)
    assert await code_after(door) == 0
    assert door.out == "data\n"
    assert engine.archives == {"data": b"new"}
    await nothing_left(data)


@pytest.mark.parametrize("how", ["lost", "exited"])
async def test_an_archive_that_did_not_arrive_changes_nothing(door, volume, data, engine, how):
    await begin(door, "volume", "restore", "-i", "x.tar", "data")
    assert await code_after(door, how) == 1
    assert engine.archives == {}
    assert await state() == "ready"
    await nothing_left(data)


@pytest.mark.parametrize("error", [ArchiveRejected("The archive is refused: it is empty."), StoreFull("disk full.")])
async def test_the_engines_reason_is_said(door, volume, data, engine, error):
    engine.archive_fails = error
    frame = await begin(door, "volume", "restore", "data")
    await arrived(frame, b"new", data)
    assert await code_after(door) == 1
    assert door.err == f"Error: {error}\n"
    assert await state() == "ready"
    assert await door.say("volume", "backup", "data", tty=False) == 1
    assert door.err == f"Error: {error}\n"
    await nothing_left(data)


async def test_interrupted_it_leaves_nothing(door, volume, data, engine, queue, monkeypatch):
    monkeypatch.setattr(queue, "run", lambda: None)  # the engine has other things to do
    await door.send(t="run", argv=["volume", "backup", "data"], tty=False)
    await jobs_wait(1)
    await door.send(t="interrupt")
    assert (await door.until("exit"))["code"] == 130
    frame = await begin(door, "volume", "restore", "data")
    await arrived(frame, b"new", data)
    await door.send(t="stream-ended", how="exited", code=0)
    await jobs_wait(1)
    assert await state() == "restoring"
    await door.send(t="interrupt")
    assert (await door.until("exit"))["code"] == 130
    assert await state() == "ready"
    await jobs_wait(0)
    await nothing_left(data)


async def jobs_wait(count):
    live = Job.objects.filter(state__in=LIVE_STATES)
    async with asyncio.timeout(WAIT_S):
        while await database_sync_to_async(live.count)() != count:
            await asyncio.sleep(0.01)


async def test_a_client_that_goes_away_leaves_nothing(door, volume, data):
    await begin(door, "volume", "backup", "data")
    await door.socket.disconnect(timeout=WAIT_S)
    await nothing_left(data)


@pytest.mark.parametrize(
    ("words", "more", "said"),
    [
        (("backup", "nope"), {}, "Error: get nope: no such volume\n"),
        (("restore", "nope"), {}, "Error: get nope: no such volume\n"),
        (("backup", "data"), {"tty_out": True}, "refusing to write an archive to a terminal: name a file (-o FILE)"),
        (("restore", "data"), {"tty": True}, "the standard input is a terminal: name a file (-i FILE)"),
        (("backup",), {}, '"berth volume backup" requires exactly 1 argument.'),
        (("restore", "a", "b"), {}, '"berth volume restore" requires exactly 1 argument.'),
        (("backup", "--gzip", "data"), {}, "unknown flag: --gzip"),
    ],
)
async def test_what_cannot_be_is_said(door, volume, data, words, more, said):
    assert await door.say("volume", *words, **{"tty": False, **more}) != 0
    assert said in door.err
    assert await database_sync_to_async(Transfer.objects.count)() == 0


async def test_a_page_is_led_to_the_volumes_page(door, volume):
    await door.send(t="run", line="docker volume backup data")
    assert (await door.until("exit"))["code"] == 1
    assert "Download backup and Restore from a file at /volumes/data/" in door.err


async def test_help_says_that_these_are_ours(door):
    assert await door.say("volume", "backup", "--help") == 0
    assert "Docker has no such command" in door.out
