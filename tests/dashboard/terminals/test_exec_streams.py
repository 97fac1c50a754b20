"""`/ws/execs/<exec id>`: a viewer of a further command, beside those of its container."""

from __future__ import annotations

import asyncio

import pytest
from channels.testing import WebsocketCommunicator

from dashboard.asgi import application
from dashboard.containers.models import Exec
from dashboard.core import gate
from dashboard.core.gate import Permission
from dashboard.gateway.terminal import Size
from dashboard.terminals import sessions
from dashboard.terminals.models import StreamSession
from engine.terminal import resize
from tests.dashboard.terminals.conftest import Viewer, say

EXEC_ID = "e0ec" * 16


@pytest.fixture
def shell(container, admin):
    return Exec.objects.create(
        exec_id=EXEC_ID,
        container=container,
        requester=admin,
        state="running",
        tty=True,
        open_stdin=True,
        command_shown="/bin/bash",
    )


@pytest.fixture
def exec_io(shell, data):
    folder = data / "containers" / shell.container.container_id / "execs" / EXEC_ID / "io"
    folder.mkdir(parents=True)
    (folder / "ctr.log").touch()
    resize.create(folder, Size(24, 80), uid=-1, gid=-1)
    return folder


@pytest.fixture
def watch(client_of, admin, exec_io):
    async def connect(query="", *, exec_id=EXEC_ID):
        viewer = Viewer(await asyncio.to_thread(client_of, admin), exec_id, query)
        headers = viewer.socket.scope["headers"]
        viewer.socket = WebsocketCommunicator(application, f"/ws/execs/{exec_id}?{query}", headers=headers)
        viewer.socket.scope["client"] = ["127.0.0.1", 1]
        return await viewer.open()

    return connect


async def to_thread(function, *args, **kwargs):
    return await asyncio.to_thread(function, *args, **kwargs)


async def test_it_shows_the_log_of_the_command_and_not_of_the_container(watch, io, exec_io):
    say(io, b"of the container\n")
    say(exec_io, b"of the shell\r\n")
    viewer = await watch("mode=attach")
    await viewer.until_message("live")
    assert viewer.text == b"of the shell\r\n"
    hello = viewer.messages[0]
    assert (hello["exec"], hello["title"], hello["name"]) == (EXEC_ID, "/bin/bash", "calm_harbour")
    await viewer.leave()


async def test_it_ends_with_its_own_code(watch, shell, exec_io):
    viewer = await watch("mode=attach")
    await viewer.until_message("live")
    say(exec_io, b"bye\r\n")
    await to_thread(Exec.objects.filter(pk=shell.pk).update, state="exited", exit_code=7)
    assert (await viewer.until_message("exit"))["code"] == 7
    assert viewer.text == b"bye\r\n"
    assert await viewer.until_closed() == 4000


async def test_a_viewer_who_comes_back_goes_on_where_the_log_was_left(watch, exec_io):
    say(exec_io, b"first\r\n")
    viewer = await watch("mode=attach")
    await viewer.until_text(b"first")
    await viewer.leave()
    say(exec_io, b"second\r\n")
    again = await watch(f"mode=attach&from={viewer.position}")
    await again.until_text(b"second")
    assert again.text == b"second\r\n"
    await again.leave()


async def test_a_container_that_is_removed_ends_it(watch, shell, exec_io):
    viewer = await watch("mode=attach")
    await viewer.until_message("live")
    await to_thread(shell.container.delete)
    said = await viewer.until_message("exit")
    assert (said["code"], said["reason"]) == (137, "The container was removed.")


async def test_one_that_is_not_there_is_unknown(watch):
    viewer = await watch(exec_id="0" * 64)
    assert await viewer.until_closed() == 4404


@pytest.mark.threat("WS-03", "WS-04")
async def test_rights_are_those_on_the_container(watch, shell, exec_io):
    asked = []

    def policy(user, permission, obj):
        asked.append((permission, obj))
        return permission is Permission.TERMINAL_OPEN

    restore = gate.use_policy(policy)
    try:
        viewer = await watch("mode=attach&stdin=1")
        await viewer.until_message("live")
        assert viewer.messages[0]["write"] is False
        await viewer.leave()
        assert (Permission.TERMINAL_OPEN, shell.container) in asked
        assert (Permission.TERMINAL_TYPE, shell.container) in asked
        gate.use_policy(lambda user, permission, obj: False)
        denied = await watch("mode=attach")
        assert await denied.until_closed() == 4404
    finally:
        restore()


async def test_its_stream_is_not_the_containers(watch, view, shell, exec_io, io):
    viewer = await watch("mode=attach&kind=cli")
    await viewer.until_message("live")
    own = await view("mode=attach&kind=cli")
    await own.until_message("live")
    assert await to_thread(lambda: set(StreamSession.objects.values_list("exec__exec_id", flat=True))) == {
        None,
        EXEC_ID,
    }
    wanted = await to_thread(sessions.wanted_segments)
    assert set(wanted) == {("container", shell.container.pk), ("exec", shell.pk)}
    await viewer.leave()
    await own.leave()
