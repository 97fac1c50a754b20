from __future__ import annotations

import asyncio
import json

import pytest_asyncio
from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.test import Client
from django.urls import path

from dashboard.commandline.consumers import CommandConsumer
from tests.dashboard.catalog.fixtures import data, engine, pulled, queue, registry, user
from tests.support.waiting import WAIT_S

APPLICATION = AuthMiddlewareStack(URLRouter([path("ws/command", CommandConsumer.as_asgi())]))
__all__ = ["data", "engine", "pulled", "queue", "registry", "user"]


class Door:
    """A client of the door. `say` runs a command to its exit and keeps what came."""

    def __init__(self, user):
        headers = []
        if user is not None:
            client = Client()
            client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
            cookie = "; ".join(f"{k}={m.value}" for k, m in client.cookies.items())
            headers = [(b"cookie", cookie.encode())]
        self.socket = WebsocketCommunicator(APPLICATION, "/ws/command", headers=headers)
        self.frames = []

    async def open(self):
        connected, _ = await self.socket.connect(WAIT_S)
        assert connected
        return self

    async def send(self, **frame):
        await self.socket.send_to(text_data=json.dumps(frame))

    async def hear(self, timeout=WAIT_S):
        message = await self.socket.receive_output(timeout)
        if message["type"] == "websocket.close":
            frame = {"t": "close", "code": message.get("code")}
        else:
            frame = json.loads(message["text"])
        self.frames.append(frame)
        return frame

    async def until(self, kind, timeout=WAIT_S):
        while (frame := await self.hear(timeout))["t"] != kind:
            assert frame["t"] not in {"exit", "close"}, self.frames
        return frame

    async def say(self, *words, **more):
        """The exit code of a command; `out`, `err` and `frames` have the rest."""
        self.frames = []
        await self.send(t="run", argv=list(words), **{"tty": True, **more})
        return (await self.until("exit"))["code"]

    def text(self, kind="out"):
        return "".join(f["text"] for f in self.frames if f["t"] == kind)

    @property
    def out(self):
        return self.text()

    @property
    def err(self):
        return self.text("err")


@pytest_asyncio.fixture
async def worker(queue, engine, registry):
    """Does jobs while a test waits for them."""

    async def work():
        while True:
            await database_sync_to_async(queue.run)()
            await asyncio.sleep(0.01)

    task = asyncio.create_task(work())
    yield
    task.cancel()


@pytest_asyncio.fixture
async def door(user, worker):
    opened = await (await database_sync_to_async(Door)(user)).open()
    yield opened
    await opened.socket.disconnect(timeout=WAIT_S)
