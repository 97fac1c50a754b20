"""Every door has a row in the matrix, and answers as the row says (WS-02, WEB-01)."""

from __future__ import annotations

import typing

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.urls import get_resolver, reverse
from django.urls.resolvers import URLPattern, URLResolver

from dashboard import routing
from dashboard.commandline.console import Console
from dashboard.commandline.execute import RUNNERS, execute
from dashboard.core import gate
from dashboard.core.consumers import GuardedConsumer
from dashboard.core.gate import Permission
from dashboard.grammar import requests
from dashboard.networks.models import Network
from dashboard.volumes.models import Volume
from tests.dashboard.matrix import COMMANDS, IN, ROUTES, WEBSOCKETS
from tests.dashboard.pages.conftest import make_container, make_image
from tests.dashboard.people import make_member, make_team

pytestmark = pytest.mark.threat("WEB-01")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ORIGIN = (b"origin", b"http://127.0.0.1:8000")


def _patterns(resolver) -> list[URLPattern]:
    found = []
    for entry in resolver.url_patterns:
        found += _patterns(entry) if isinstance(entry, URLResolver) else [entry]
    return found


def test_every_route_has_a_row_and_every_row_a_route():
    names = [pattern.name for pattern in _patterns(get_resolver())]
    assert None not in names
    assert sorted(names) == sorted(ROUTES)


@pytest.mark.threat("WS-02")
def test_every_websocket_is_guarded_and_has_a_row():
    consumers = [pattern.callback.consumer_class for pattern in routing.websocket_urlpatterns]
    assert all(issubclass(consumer, GuardedConsumer) for consumer in consumers)
    assert all(isinstance(consumer.permission, Permission) for consumer in consumers)
    assert sorted(consumer.__name__ for consumer in consumers) == sorted(WEBSOCKETS)


def test_every_command_has_a_row():
    assert set(COMMANDS) == set(RUNNERS) == set(typing.get_args(requests.Request))


@pytest.fixture
def admin(db):
    return User.objects.create_superuser("admin", password=None)


@pytest.mark.parametrize("name", ROUTES)
def test_a_route_answers_nobody_as_its_row_says(name, client, db):
    row = ROUTES[name]
    for method, (status, _) in row.methods.items():
        answer = client.generic(method, reverse(name, args=row.args))
        assert answer.status_code == status, (method, answer.status_code)
        if status == IN and not row.is_public:
            assert answer["Location"].startswith("/accounts/login/?next=")


@pytest.mark.parametrize("name", ROUTES)
def test_a_route_answers_an_administrator_as_its_row_says(name, client, admin):
    row = ROUTES[name]
    client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
    url = reverse(name, args=row.args)
    for method, (_, status) in row.methods.items():
        answer = client.get(url) if method == "GET" else client.post(url, row.data)
        assert answer.status_code == status, (method, answer.status_code, answer.content[:500])
    client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
    for method in set(METHODS) - set(row.methods):
        if not name.startswith("account_"):  # allauth answers PUT as POST
            assert client.generic(method, url).status_code == 405, method


@pytest.mark.parametrize("name", [name for name, row in ROUTES.items() if not row.is_public])
def test_a_route_refuses_a_person_without_any_right(name, client, admin):
    """One who is signed in, under a policy that grants nothing: nothing is done, nothing is shown."""
    row = ROUTES[name]
    client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
    restore = gate.use_policy(lambda user, permission, obj: False)
    try:
        for method in row.methods:
            answer = (
                client.get(reverse(name, args=row.args))
                if method == "GET"
                else client.post(reverse(name, args=row.args), row.data)
            )
            assert answer.status_code in {403, 404}, (method, answer.status_code)
    finally:
        restore()


@pytest.mark.threat("WEB-03")
def test_a_write_without_a_csrf_token_is_refused(admin):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
    for name, row in ROUTES.items():
        if "POST" in row.methods:
            wanted = 302 if name == "account_login" else 403  # who is signed in is led home, and nothing is done
            assert client.post(reverse(name, args=row.args), row.data).status_code == wanted, name


async def _connect(address, headers=()):
    from dashboard.asgi import application

    socket = WebsocketCommunicator(application, address, headers=[ORIGIN, *headers])
    connected, code = await socket.connect(5)
    return socket, connected, code


async def _closing_code(socket) -> int | None:
    """The code that it closes with, soon; None when it stays open."""
    while not await socket.receive_nothing(0.6):
        said = await socket.receive_output()
        if said["type"] == "websocket.close":
            return said["code"]
    return None


@pytest.mark.threat("WS-02")
@pytest.mark.parametrize("name", WEBSOCKETS)
@pytest.mark.django_db(transaction=True)
async def test_a_websocket_answers_as_its_row_says(name, client):
    address, for_nobody, for_admin = WEBSOCKETS[name]
    socket, _, _ = await _connect(address)
    assert await _closing_code(socket) == for_nobody
    admin = await sync_to_async(User.objects.create_superuser)("admin", password=None)
    await sync_to_async(client.force_login)(admin, backend="django.contrib.auth.backends.ModelBackend")
    cookie = "; ".join(f"{key}={morsel.value}" for key, morsel in client.cookies.items())
    socket, connected, _ = await _connect(address, [(b"cookie", cookie.encode())])
    assert connected
    assert await _closing_code(socket) == for_admin
    if for_admin is None:
        await socket.disconnect()


@pytest.mark.parametrize(
    "kind", [kind for kind, (permission, _) in COMMANDS.items() if permission], ids=lambda kind: kind.__name__
)
@pytest.mark.django_db(transaction=True)
async def test_a_command_is_refused_to_who_may_only_use_the_door(kind, monkeypatch):
    monkeypatch.setattr("dashboard.jobs.services.enqueue", lambda job: True)
    person = await sync_to_async(_world)()
    heard: list[dict] = []

    async def keep(frame):
        heard.append(frame)

    async def nothing(topic):
        pass

    console = Console(
        send=keep,
        join=nothing,
        leave=nothing,
        user=person,
        kind="cli",
        tty=False,
        rows=24,
        columns=80,
        environment={},
        client="test",
    )
    restore = gate.use_policy(lambda user, permission, obj: permission is Permission.COMMAND)
    try:
        code = await execute(console, COMMANDS[kind][1])
    finally:
        restore()
    said = "".join(frame.get("text", "") for frame in heard)
    assert code != 0, said
    assert "may not" in said or "No such" in said, said
    assert not any(frame["t"] == "stream" for frame in heard)


def _world() -> User:
    person = User.objects.create_superuser("haeun", password=None)
    make_member("minsu")
    make_team("spare")
    ubuntu = make_image("ubuntu", "14.04", [1000], seed="13b6")
    make_image("centos", "7", [1000], seed="eeb6")
    make_container(ubuntu, "calm_fulton", "running", tty=True, open_stdin=True)
    make_container(ubuntu, "brave_lovelace", "exited", exit_code=0)
    Volume.objects.create(name="quiet_harbour")
    Network.objects.create(name="quiet_lagoon", network_id="5" * 64, number=5, subnet="10.77.5.0/24")
    return person
