from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import pytest_asyncio
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client

from dashboard.asgi import application
from dashboard.catalog.models import Image
from dashboard.containers.models import Container
from dashboard.gateway.terminal import Size
from dashboard.terminals import protocol
from engine.terminal import resize
from tests.engine.terminal.logs import records
from tests.support.waiting import WAIT_S

CONTAINER_ID = "c0ffee" * 10 + "abcd"


class Viewer:
    """A client of the stream that acknowledges what it gets, unless told not to."""

    def __init__(self, client, container_id, query, *, acks=True, headers=()):
        cookie = "; ".join(f"{k}={m.value}" for k, m in client.cookies.items()) if client else ""
        all_headers = [*headers, *([(b"cookie", cookie.encode())] if cookie else [])]
        if not headers:
            all_headers.append((b"origin", settings.BERTH_ORIGINS[0].encode()))
        self.socket = WebsocketCommunicator(application, f"/ws/terminals/{container_id}?{query}", headers=all_headers)
        self.socket.scope["client"] = ["127.0.0.1", 1]
        self.acks, self.consumed, self.position = acks, 0, None
        self.streams = {1: b"", 2: b""}
        self.messages, self.close_code, self.everything = [], None, []

    @property
    def text(self):
        return self.streams[1]

    async def open(self):
        connected, _ = await self.socket.connect(WAIT_S)
        assert connected
        return self

    async def step(self, timeout_s=WAIT_S):
        """One message: a frame's payload, a JSON message, or an int for the close."""
        got = await self.socket.receive_output(timeout_s)
        if got["type"] == "websocket.close":
            self.close_code = got.get("code")
            return self.close_code
        if got.get("text"):
            message = json.loads(got["text"])
            self.messages.append(message)
            self.everything.append(message)
            return message
        frame = protocol.decode_output(got["bytes"])
        self.streams[frame.stream] += frame.payload
        self.consumed += len(frame.payload)
        self.position = f"{frame.segment}.{frame.offset}"
        self.everything.append(frame.payload)
        if self.acks:
            await self.ack()
        return frame.payload

    async def ack(self):
        await self.say(t="ack", bytes=self.consumed)

    async def say(self, **message):
        await self.socket.send_to(text_data=json.dumps(message))

    async def type(self, data):
        await self.socket.send_to(bytes_data=data)

    async def until(self, condition, timeout_s=WAIT_S):
        """Read on until `condition(self)`."""
        async with asyncio.timeout(timeout_s):
            while not condition(self):
                if self.close_code is not None:
                    raise AssertionError(f"closed with {self.close_code}: {self.messages[-3:]}")
                await self.step(timeout_s)
        return self

    async def until_text(self, words, timeout_s=WAIT_S):
        return await self.until(lambda v: words in v.streams[1], timeout_s)

    async def until_message(self, kind, timeout_s=WAIT_S):
        await self.until(lambda v: any(m["t"] == kind for m in v.messages), timeout_s)
        return [m for m in self.messages if m["t"] == kind][-1]

    async def until_closed(self, timeout_s=WAIT_S):
        await self.until(lambda v: v.close_code is not None, timeout_s)
        return self.close_code

    async def quiet(self, seconds=0.2):
        """Whether nothing comes."""
        return await self.socket.receive_nothing(seconds, 0.01)

    async def until_stuck(self, *, at_least):
        """Read on until so many bytes have come and then nothing more does."""
        await self.until(lambda v: v.consumed >= at_least)
        while not await self.quiet(0.3):
            await self.step()
        return self

    async def leave(self):
        await self.socket.disconnect(timeout=WAIT_S)


@pytest.fixture
def data(tmp_path, settings):
    settings.BERTH_DATA = tmp_path
    return tmp_path


@pytest.fixture
def admin(transactional_db):
    return get_user_model().objects.create_superuser("admin", password="a-long-password-1")


@pytest.fixture
def client_of(transactional_db):
    def sign_in(user):
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return sign_in


@pytest.fixture
def image(transactional_db):
    return Image.objects.create(
        image_id="sha256:" + "1" * 64, config={}, architecture="amd64", os="linux", size_bytes=1, is_public=True
    )


@pytest.fixture
def container(image, admin, data):
    return Container.objects.create(
        container_id=CONTAINER_ID,
        name="calm_harbour",
        image=image,
        image_reference="ubuntu:14.04",
        owner=admin,
        state="running",
        tty=True,
        open_stdin=True,
    )


@pytest.fixture
def io(container, data):
    folder = data / "containers" / container.container_id / "io"
    folder.mkdir(parents=True)
    (folder / "ctr.log").touch()
    resize.create(folder, Size(24, 80), uid=-1, gid=-1)
    return folder


@pytest_asyncio.fixture
async def view(client_of, admin, container):
    viewers = []

    async def connect(query="", *, user=None, acks=True, container_id=container.container_id, headers=()):
        signed_in = await asyncio.to_thread(client_of, user or admin)
        viewer = Viewer(signed_in, container_id, query, acks=acks, headers=headers)
        viewers.append(viewer)
        return await viewer.open()

    yield connect
    for viewer in viewers:
        await viewer.leave()


def say(io: Path, data: bytes, *, stream=b"stdout", **options):
    with open(io / "ctr.log", "ab") as file:
        file.write(records(data, stream=stream, **options))


def change(container, **fields):
    """As the engine worker does it: in another process, and without telling anybody."""
    Container.objects.filter(pk=container.pk).update(**fields)
