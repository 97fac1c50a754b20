"""`exec` at the command door: frames, sentences and Docker's exit codes."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest
from channels.db import database_sync_to_async

from dashboard.containers.models import Exec
from engine.errors import CommandNotExecutable, CommandNotFound, RuntimeFailed, UserUnknown, WrongState
from tests.support.waiting import WAIT_S

pytestmark = pytest.mark.django_db(transaction=True)


async def rows():
    return await database_sync_to_async(lambda: list(Exec.objects.select_related("container")))()


async def running():
    """The one command, once it runs."""
    async with asyncio.timeout(WAIT_S):
        while (row := (await rows())[0]).state != "running":
            await asyncio.sleep(0.01)
    return row


async def box(door):
    assert await door.say("run", "-d", "--name", "box", "centos:7") == 0
    door.frames = []


async def stream_of(door, *words, **more):
    door.frames = []
    await door.send(t="run", argv=["exec", *words], **{"tty": True, **more})
    return await door.until("stream")


async def test_a_shell_opens_a_terminal_of_its_own(door, engine):
    await box(door)
    frame = await stream_of(door, "-it", "-e", "COLOUR", "box", "bash", rows=33, cols=99, environment={"COLOUR": "red"})
    row = await running()
    parts = urlsplit(frame["path"])
    assert parts.path == f"/ws/execs/{row.exec_id}"
    assert parse_qs(parts.query) == {"mode": ["attach"], "kind": ["cli"], "from": ["start"], "stdin": ["1"]}
    assert (frame["tty"], frame["interactive"], frame["sig_proxy"]) == (True, True, False)
    assert frame["container"] == row.container.container_id
    assert frame["title"] == "box: bash"
    request = engine.execs.requests[row.exec_id]
    assert (request.command, request.env, request.rows, request.columns) == (("bash",), ("COLOUR=red",), 33, 99)
    await database_sync_to_async(engine.execs.finish)(row.exec_id, 7)
    await door.send(t="stream-ended", how="exited", code=7)
    assert (await door.until("exit"))["code"] == 7


async def test_a_file_of_variables_is_asked_of_the_client(door, engine):
    await box(door)
    await door.send(t="run", argv=["exec", "-d", "--env-file", "f", "-e", "B=2", "box", "env"])
    assert (await door.until("read-file"))["path"] == "f"
    await door.send(t="file", text="A=1\n", environment={})
    await door.until("exit")
    assert engine.execs.requests[(await running()).exec_id].env == ("A=1", "B=2")


async def test_the_exit_code_is_waited_for(door, engine):
    await box(door)
    await stream_of(door, "box", "ls")
    row = await running()
    await door.send(t="stream-ended", how="exited", code=None)
    await asyncio.sleep(0.1)
    await database_sync_to_async(engine.execs.finish)(row.exec_id, 3)
    assert (await door.until("exit"))["code"] == 3


async def test_an_unknown_exit_code_says_why(door, engine):
    await box(door)
    await stream_of(door, "box", "ls")
    row = await running()
    await database_sync_to_async(engine.execs.finish)(row.exec_id, None, reason="The monitor was lost.")
    await door.send(t="stream-ended", how="exited", code=None)
    assert (await door.until("exit"))["code"] == 125
    assert door.err == "Error: The monitor was lost.\n"


@pytest.mark.parametrize(("how", "code"), [("detached", 1), ("lost", 125)])
async def test_ways_to_leave_it(door, how, code):
    await box(door)
    frame = await stream_of(door, "-it", "--detach-keys", "ctrl-x", "box", "sh")
    await running()
    assert parse_qs(urlsplit(frame["path"]).query)["detach_keys"] == ["ctrl-x"]
    await door.send(t="stream-ended", how=how, code=None)
    assert (await door.until("exit"))["code"] == code


async def test_a_pipe_has_input_only_when_asked_for(door):
    await box(door)
    frame = await stream_of(door, "box", "cat", tty=False)
    assert frame["interactive"] is False
    assert parse_qs(urlsplit(frame["path"]).query)["stdin"] == ["0"]
    await door.send(t="stream-ended", how="lost", code=None)
    await door.until("exit")
    frame = await stream_of(door, "-i", "box", "cat", tty=False)
    assert (frame["interactive"], frame["tty"]) == (True, False)


async def test_in_a_browser_the_terminal_opens_once_the_command_runs(door, engine):
    await box(door)
    engine.execs.fails = CommandNotFound("no")
    door.frames = []
    await door.send(t="run", line="docker exec -it box nope", tty=True)
    assert (await door.until("exit"))["code"] == 127
    assert [frame["t"] for frame in door.frames] == ["err", "exit"]
    await database_sync_to_async(Exec.objects.all().delete)()
    await door.send(t="run", line="docker exec -it box sh", tty=True)
    frame = await door.until("stream")
    (row,) = await rows()
    assert (row.state, parse_qs(urlsplit(frame["path"]).query)["kind"]) == ("running", ["browser"])


async def test_in_the_background_it_prints_nothing(door, engine):
    await box(door)
    assert await door.say("container", "exec", "-d", "-i", "-w", "/srv", "-u", "7:8", "box", "sleep", "-x") == 0
    assert [frame["t"] for frame in door.frames] == ["exit"]
    (row,) = await rows()
    request = engine.execs.requests[row.exec_id]
    assert (request.command, request.working_dir, request.user) == (("sleep", "-x"), "/srv", "7:8")
    assert request.open_stdin is False


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandNotFound('exec: "x": executable file not found in $PATH'), 127),
        (CommandNotExecutable('exec: "x": permission denied'), 126),
        (UserUnknown("unable to find user x: no matching entries in passwd file"), 126),
        (RuntimeFailed("The command could not be started: no"), 126),
        (WrongState("container box is not running"), 1),
    ],
)
async def test_what_could_not_be_started_has_dockers_code(door, engine, error, code):
    await box(door)
    engine.execs.fails = error
    assert await door.say("exec", "box", "x") == code
    assert door.err == f"Error: {error}\n"
    engine.execs.fails = error
    assert await door.say("exec", "-d", "box", "x") == 1


async def test_there_must_be_a_running_container_and_a_terminal(door):
    await box(door)
    assert await door.say("exec", "nope", "ls") == 1
    assert door.err == "Error: No such container: nope\n"
    assert await door.say("exec", "-it", "box", "sh", tty=False) == 1
    assert door.err == "the input device is not a TTY\n"
    await door.say("stop", "box")
    assert await door.say("exec", "box", "ls") == 1
    assert door.err.endswith(" is not running\n")
    assert await rows() == []


async def test_rights_are_not_widened(door):
    await box(door)
    assert await door.say("exec", "--privileged", "box", "sh") == 125
    assert "does not take --privileged: a command has the rights of its container" in door.err
    assert await rows() == []
