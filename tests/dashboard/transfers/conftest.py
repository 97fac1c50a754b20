from __future__ import annotations

import json

import pytest
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client

from dashboard.asgi import application
from dashboard.core.gate import Permission
from dashboard.jobs.models import Job, JobState
from dashboard.transfers import services
from dashboard.transfers.models import Direction
from tests.dashboard.catalog.fixtures import data, engine, queue, user
from tests.support.waiting import WAIT_S

__all__ = ["data", "engine", "queue", "user"]


class End:
    """One end of a transfer: a client on the WebSocket."""

    def __init__(self, person, key):
        client = Client()
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        cookie = "; ".join(f"{k}={m.value}" for k, m in client.cookies.items())
        headers = [(b"cookie", cookie.encode()), (b"origin", settings.BERTH_ORIGINS[0].encode())]
        self.socket = WebsocketCommunicator(application, f"/ws/transfers/{key}", headers=headers)

    async def open(self):
        connected, _ = await self.socket.connect(WAIT_S)
        assert connected
        return self

    async def hear(self, timeout_s=WAIT_S):
        """Bytes, a frame, or {"t": "close"}."""
        got = await self.socket.receive_output(timeout_s)
        if got["type"] == "websocket.close":
            return {"t": "close", "code": got.get("code")}
        return got["bytes"] if got.get("bytes") is not None else json.loads(got["text"])

    async def until(self, kind):
        while (frame := await self.hear()) and not (isinstance(frame, dict) and frame["t"] == kind):
            assert not isinstance(frame, dict) or frame["t"] not in {"close", "error"}, frame
        return frame

    async def say(self, kind, count):
        await self.socket.send_to(text_data=json.dumps({"t": kind, "bytes": count}))

    async def send(self, content):
        await self.socket.send_to(bytes_data=content)


@pytest.fixture
def stranger(transactional_db):
    return get_user_model().objects.create(username="dohyun", is_superuser=True)


@pytest.fixture
def outgoing(data, user):
    """A whole archive that waits to be sent, with this content."""

    def make(content=b"tar", owner=user):
        made = services.begin(
            owner, Direction.OUT, permission=Permission.VOLUME_BACKUP, team_id=1, subject="data", filename="data.tar"
        )
        services.attach(made, Job.objects.create(kind="backup_volume", state=JobState.SUCCEEDED, queue="engine"))
        (data / "transfers" / made.key).write_bytes(content)
        return made

    return make


@pytest.fixture
def incoming(data, user):
    def make(owner=user):
        return services.begin(owner, Direction.IN, permission=Permission.VOLUME_RESTORE, team_id=1, subject="data")

    return make


@pytest.fixture
def end_of(user):
    async def open_end(transfer, person=user):
        return await (await database_sync_to_async(End)(person, transfer.key)).open()

    return open_end
