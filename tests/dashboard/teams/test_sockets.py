"""WebSockets and commands by role and team, and what a lost right does to what is open (WS-03, WS-04)."""

from __future__ import annotations

import json

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.test import Client

from dashboard.asgi import application
from dashboard.commandline.console import Console
from dashboard.commandline.execute import execute
from dashboard.containers.models import Container
from dashboard.core import events
from dashboard.core.consumers import GuardedConsumer
from dashboard.teams import services
from tests.dashboard.matrix import COMMANDS, HEX
from tests.dashboard.teams.conftest import BACKEND

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.threat("WS-03")]


def _headers(person) -> list[tuple[bytes, bytes]]:
    client = Client()
    client.force_login(person, backend=BACKEND)
    cookie = "; ".join(f"{key}={morsel.value}" for key, morsel in client.cookies.items())
    return [(b"origin", b"http://127.0.0.1:8000"), (b"cookie", cookie.encode())]


async def connect(person, address) -> WebsocketCommunicator:
    headers = await sync_to_async(_headers)(person)
    socket = WebsocketCommunicator(application, address, headers=headers)
    assert (await socket.connect(5))[0]
    return socket


async def ending(socket, timeout: float = 10) -> tuple[int, list[str]]:
    """Its close code, and what was said before."""
    said = []
    while True:
        frame = await socket.receive_output(timeout)
        if frame["type"] == "websocket.close":
            return frame["code"], said
        said.append(frame.get("text") or "")


async def test_a_stream_of_another_team_answers_as_one_that_is_not_there(teams):
    stranger = teams.stranger
    for kind, own in (("terminals", teams.ours.container.container_id), ("execs", teams.ours.exec.exec_id)):
        foreign = await ending(await connect(stranger, f"/ws/{kind}/{own}"))
        assert foreign == await ending(await connect(stranger, f"/ws/{kind}/{HEX}"))
        assert foreign[0] == 4404


async def test_events_of_another_team_are_not_told(teams):
    socket = await connect(teams.stranger, "/ws/live")
    own, foreign = teams.theirs.container.container_id, teams.ours.container.container_id
    wanted = ["containers", f"container.{foreign}", f"container.{own}", f"execs.{foreign}", f"job.{teams.ours.job.pk}"]
    await socket.send_to(text_data=json.dumps({"t": "subscribe", "topics": wanted}))
    assert json.loads(await socket.receive_from(5))["topics"] == [f"container.{own}", "containers"]
    publish = sync_to_async(events.publish)
    await publish("containers", {"t": "container", "team": teams.ours.team.pk, "id": foreign})
    await publish("containers", {"t": "container", "id": "of nobody"})
    await publish("containers", {"t": "container", "team": teams.theirs.team.pk, "id": own})
    assert json.loads(await socket.receive_from(5))["id"] == own
    await socket.disconnect()


@pytest.mark.threat("WS-04")
@pytest.mark.parametrize("lost", ["team", "role", "account", "moved", "signed out"])
async def test_what_is_lost_ends_an_open_socket_at_once(lost, teams, monkeypatch):
    """Pushed: the guard's own turn is far away here."""
    monkeypatch.setattr(GuardedConsumer, "recheck_s", 2.0 if lost in {"moved", "signed out"} else 600.0)
    person, team = teams.people["operator"], teams.ours.team
    socket = await connect(person, f"/ws/terminals/{teams.ours.container.container_id}?mode=logs")

    def lose() -> None:
        if lost == "team":
            services.dismiss(teams.people["admin"], team, person)
        elif lost == "role":
            services.save_role(teams.site, team, "little", ["container.view"])
            services.set_role(teams.site, team, person, "little")
        elif lost == "account":
            services.set_active(teams.site, person, is_active=False)
        elif lost == "moved":
            Container.objects.filter(pk=teams.ours.container.pk).update(team=teams.theirs.team, name="elsewhere")
        else:
            person.set_password("another one that is long")
            person.save()

    await sync_to_async(lose)()
    code, _said = await ending(socket)
    assert code == (4401 if lost in {"account", "signed out"} else 4404)


async def _run(person, words: list[str]) -> tuple[int, str]:
    heard: list[dict] = []

    async def keep(frame):
        heard.append(frame)

    async def nothing(topic):
        pass

    console = Console(send=keep, join=nothing, leave=nothing, user=person, kind="cli")
    code = await execute(console, words)
    return code, "".join(frame.get("text", "") for frame in heard)


NAMED = [words for _permission, words in COMMANDS.values() if {"calm_fulton", "brave_lovelace"} & set(words)]


@pytest.mark.parametrize("words", NAMED, ids=lambda words: " ".join(words[:2]))
async def test_a_command_finds_nothing_of_another_team(words, teams):
    """By name or by id: the same words and the same code as for what is not there."""

    def said(name: str) -> list[str]:
        return [
            name if word in {"calm_fulton", "brave_lovelace"} else "net" if "lagoon" in word else word for word in words
        ]

    foreign = teams.ours.container.container_id
    one, other = await _run(teams.stranger, said(foreign)), await _run(teams.stranger, said(HEX))
    assert one[0] == other[0] != 0
    assert one[1].replace(foreign, "") == other[1].replace(HEX, "")
    assert "No such" in one[1]


async def test_the_team_of_one_command(teams):
    assert (await _run(teams.site, ["--team", "ours", "ps", "--no-trunc", "-q"]))[1].split() == [
        teams.ours.container.container_id
    ]
    both = (await _run(teams.site, ["--team=all", "ps", "-q"]))[1].split()
    assert len(both) == 2
    for team in ("ours", "all", "nope"):
        code, text = await _run(teams.stranger, ["--team", team, "ps"])
        assert (code, text.strip()) == (1, f"Error: No such team: {team}")
    assert (await _run(teams.stranger, ["team", "ls", "-q"]))[1].split() == ["theirs"]


async def test_a_class_is_set_up_by_a_script_twice(teams):
    for _ in range(2):
        for line in (
            "team create class",
            "user create jiho mina",
            "team add --team class jiho mina",
            "team add --team class --role viewer mina",
        ):
            code, text = await _run(teams.site, line.split())
            assert code == 0, text
    _, text = await _run(teams.site, ["team", "members", "class"])
    assert [line.split()[:2] for line in text.splitlines()[1:]] == [["jiho", "operator"], ["mina", "viewer"]]
    code, text = await _run(teams.site, ["user", "reset", "jiho"])
    assert "/welcome/" in text
    link = text.split()[1].partition("8000")[2]
    client = Client()
    answer = await sync_to_async(client.post)(
        link, {"new_password1": "brown-fox-jumps-7", "new_password2": "brown-fox-jumps-7"}
    )
    assert answer.status_code == 302
    assert (await sync_to_async(client.get)(link)).status_code == 404
