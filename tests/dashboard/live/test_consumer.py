"""Events reach those who asked for them and may know."""

from __future__ import annotations

import json

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import Client

from dashboard.asgi import application
from dashboard.core import consumers, events, gate
from dashboard.core.gate import Permission
from dashboard.jobs.models import Job, JobState
from dashboard.teams.models import main_team_id
from tests.dashboard.people import make_member

pytestmark = pytest.mark.django_db(transaction=True)
BACKEND = "django.contrib.auth.backends.ModelBackend"


def _signed_in(name: str = "haeun") -> list[tuple[bytes, bytes]]:
    person = make_member(name)
    client = Client()
    client.force_login(person, backend=BACKEND)
    cookie = "; ".join(f"{key}={morsel.value}" for key, morsel in client.cookies.items())
    return [(b"origin", b"http://127.0.0.1:8000"), (b"cookie", cookie.encode())]


async def open_live(headers=None) -> WebsocketCommunicator:
    headers = headers or await sync_to_async(_signed_in)()
    socket = WebsocketCommunicator(application, "/ws/live", headers=headers)
    assert (await socket.connect(5))[0]
    return socket


async def subscribe(socket, *topics) -> list[str]:
    await socket.send_to(text_data=json.dumps({"t": "subscribe", "topics": list(topics)}))
    return (await hear(socket))["topics"]


async def hear(socket) -> dict:
    return json.loads(await socket.receive_from(5))


async def test_an_event_reaches_who_asked_for_its_topic_and_nobody_else():
    headers = await sync_to_async(_signed_in)()
    one, two = await open_live(headers), await open_live(headers)
    assert await subscribe(one, "containers", "images") == ["containers", "images"]
    assert await subscribe(two, "jobs") == ["jobs"]
    await sync_to_async(events.publish)("images", {"t": "images", "image": "abc"})
    assert await hear(one) == {"t": "event", "topic": "images", "image": "abc"}
    assert await two.receive_nothing(0.2)
    for socket in (one, two):
        await socket.disconnect()


async def test_joining_a_job_says_first_how_far_it_is():
    job = await sync_to_async(Job.objects.create)(
        kind="pull_image",
        state=JobState.RUNNING,
        progress={"phase": "layers"},
        team_id=await sync_to_async(main_team_id)(),
    )
    socket = await open_live()
    await subscribe(socket, f"job.{job.pk}")
    said = await hear(socket)
    assert (said["t"], said["topic"], said["progress"]) == ("event", f"job.{job.pk}", {"phase": "layers"})
    await socket.disconnect()


async def test_unknown_topics_and_nonsense_are_left_out():
    await sync_to_async(User.objects.create_superuser)("haeun", password=None)
    socket = await open_live()
    own = "execs." + "a" * 64
    assert await subscribe(socket, "streams", "execs", "volumes", own) == ["execs", own, "streams", "volumes"]
    assert await subscribe(socket, "containers", "job.x", "job.-1", "secrets", "container.zz", "job.1.2", 7) == [
        "containers"
    ]
    for nonsense in ("x", "[]", '{"t":"subscribe"}', json.dumps({"t": "subscribe", "topics": ["jobs"] * 500})):
        await socket.send_to(text_data=nonsense)
        assert (await hear(socket))["t"] == "error"
    await socket.disconnect()


async def test_a_new_subscription_takes_the_place_of_the_last():
    socket = await open_live()
    await subscribe(socket, "containers")
    await subscribe(socket, "jobs")
    await sync_to_async(events.publish)("containers", {"t": "containers"})
    assert await socket.receive_nothing(0.2)
    await socket.disconnect()


@pytest.mark.threat("WS-03")
async def test_topics_that_one_may_not_know_of_are_as_unknown_ones():
    socket = await open_live()
    allowed = {Permission.LIVE, Permission.IMAGE_VIEW}
    restore = gate.use_policy(lambda user, permission, obj: permission in allowed)
    try:
        assert await subscribe(socket, "containers", "images", "job.1") == ["images"]
    finally:
        restore()
    await socket.disconnect()


@pytest.mark.threat("WS-09")
async def test_one_person_cannot_take_every_connection_and_another_still_gets_in(monkeypatch):
    monkeypatch.setattr(consumers, "MOST_OF_PERSON", 2)
    headers = await sync_to_async(_signed_in)()
    open_ones = [await open_live(headers), await open_live(headers)]
    refused = await open_live(headers)
    assert "Too many connections" in (await hear(refused))["message"]
    assert (await refused.receive_output(5))["code"] == 4429
    another = WebsocketCommunicator(application, "/ws/command", headers=headers)
    await another.connect(5)
    assert "Too many connections" in (await hear(another))["message"]
    others = await open_live(await sync_to_async(_signed_in)("minsu"))
    assert await subscribe(others, "jobs") == ["jobs"]
    await open_ones.pop().disconnect()
    again = await open_live(headers)
    assert await subscribe(again, "jobs") == ["jobs"]
    for socket in (again, others, *open_ones):
        await socket.disconnect()
    assert not consumers._open_of


@pytest.mark.threat("WS-09")
async def test_a_process_takes_only_so_many_connections(monkeypatch):
    monkeypatch.setattr(consumers, "MOST_OF_PROCESS", 1)
    first = await open_live()
    second = await open_live(await sync_to_async(_signed_in)("minsu"))
    assert "Too many connections" in (await hear(second))["message"]
    await first.disconnect()
