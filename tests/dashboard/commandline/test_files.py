"""Files of the client: asked of it, frame by frame."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.django_db(transaction=True)


async def test_files_are_asked_of_the_client_and_come_before_the_flags(door, engine):
    await door.send(t="run", argv=["create", "--env-file", "f", "-e", "A=2", "--label-file", "l", "--cidfile", "c",
                                   "ubuntu:14.04"])  # fmt: skip
    assert (await door.until("read-file"))["path"] == "f"
    await door.send(t="file", text="A=1\nB\nC\n", environment={"B": "outside"})
    assert (await door.until("read-file"))["path"] == "l"
    await door.send(t="file", text="tier=web\n", environment={})
    assert (await door.until("reserve-file"))["path"] == "c"
    await door.send(t="file")
    written = (await door.until("write-file"))["text"]
    assert (await door.until("exit"))["code"] == 0
    await door.say("inspect", written)
    config = json.loads(door.out)[0]["Config"]
    assert config["Env"][-3:] == ["A=1", "B=outside", "A=2"]
    assert config["Labels"]["tier"] == "web"


async def test_a_file_that_the_client_cannot_read_makes_nothing(door):
    await door.send(t="run", argv=["run", "--env-file", "f", "ubuntu:14.04"])
    await door.until("read-file")
    await door.send(t="file", error="open f: no such file or directory")
    assert (await door.until("exit"))["code"] == 125
    assert "open f: no such file or directory" in door.err
    await door.say("ps", "-aq")
    assert door.out == ""


async def test_a_page_has_no_files(door):
    await door.send(t="run", line="docker run --env-file f ubuntu:14.04")
    assert (await door.until("exit"))["code"] == 125
    assert "where the command line runs" in door.err
