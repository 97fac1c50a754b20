"""Access tokens: hashed, shown once, of limited life, never more than their owner has, gone at once (WEB-11)."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from dashboard.accounts import access
from dashboard.accounts.models import AccessToken
from dashboard.audit.models import Entry
from dashboard.core import gate
from dashboard.core.errors import DashboardError, NotFound
from dashboard.core.gate import Denied, Permission
from dashboard.core.secrets import hashed
from dashboard.teams import people, services
from dashboard.teams.models import Membership
from dashboard.teams.policy import rights_in
from tests.dashboard.commandline.conftest import Door
from tests.dashboard.people import make_member, make_team
from tests.dashboard.teams.conftest import BACKEND

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.threat("WEB-11")]


@pytest.fixture
def team():
    return make_team("class-1")


@pytest.fixture
def haeun(team):
    return make_member("haeun", "operator", team)


class TokenDoor(Door):
    """The door, come to with a secret from another machine."""

    def __init__(self, secret, address="203.0.113.7"):
        from dashboard.asgi import application

        self.socket = WebsocketCommunicator(
            application, "/ws/command", headers=[(b"authorization", f"Bearer {secret}".encode())]
        )
        self.socket.scope["client"] = [address, 4711]
        self.frames = []


async def come(secret, **how):
    return await TokenDoor(secret, **how).open()


def test_the_secret_is_kept_hashed_and_said_once(client, haeun):
    client.force_login(haeun, backend=BACKEND)
    answer = client.post(reverse("token-create"), {"name": "laptop", "days": "30", "rights": "run"})
    (secret,) = re.findall(r'id="new-token"[^>]*>(berth_[\w-]{43})<', answer.content.decode())
    made = AccessToken.objects.get()
    assert (made.sha256, made.start, made.name) == (hashed(secret), secret[:12], "laptop")
    assert "container.run" in made.rights
    assert "team.manage" not in made.rights
    assert secret not in client.get(reverse("preferences")).content.decode()
    assert all(secret not in f"{entry.target}{entry.parameters}" for entry in Entry.objects.all())


@pytest.mark.parametrize("bad", [{"name": ""}, {"name": "x" * 61}, {"days": "0"}, {"days": "367"}, {"days": "x"}])
def test_what_cannot_be_makes_none(client, haeun, bad):
    client.force_login(haeun, backend=BACKEND)
    assert (
        client.post(reverse("token-create"), {"name": "laptop", "days": "30", "rights": "all"} | bad).status_code == 400
    )
    assert not AccessToken.objects.exists()


async def test_with_it_the_command_line_comes_from_another_machine_as_its_owner(haeun):
    made, secret = await database_sync_to_async(access.make)(haeun, haeun, "laptop", days=1)
    door = await come(secret)
    assert await door.say("team", "ls") == 0
    assert "class-1" in door.out
    await door.socket.disconnect()
    await database_sync_to_async(made.refresh_from_db)()
    assert made.last_used_from == "203.0.113.7"
    assert made.last_used_at is not None


@pytest.mark.parametrize("how", ["revoked", "expired", "closed", "unknown", "the host's own"])
async def test_what_is_over_lets_nobody_in(haeun, how):
    made, secret = await database_sync_to_async(access.make)(haeun, haeun, "laptop", days=1)
    if how == "revoked":
        await database_sync_to_async(access.revoke)(haeun, made.pk)
    if how == "expired":
        past = timezone.now() - timedelta(seconds=1)
        await database_sync_to_async(AccessToken.objects.update)(expires_at=past)
    if how == "closed":
        await database_sync_to_async(User.objects.update)(is_active=False)
    if how == "unknown":
        secret = "berth_" + "x" * 43
    if how == "the host's own":  # for loopback only
        from dashboard.accounts.tokens import new_host_secret

        secret = await database_sync_to_async(new_host_secret)()
    door = await come(secret)
    while (frame := await door.hear())["t"] != "close":
        assert frame["t"] == "error"
    assert frame["code"] == 4401


async def test_a_revoked_token_s_connection_ends_at_once(haeun):
    made, secret = await database_sync_to_async(access.make)(haeun, haeun, "laptop", days=1)
    door = await come(secret)
    assert await door.say("version") == 0
    await database_sync_to_async(access.revoke)(haeun, made.pk)
    while (await door.hear(8))["t"] != "close":
        pass


async def test_it_is_taken_in_no_address(haeun):
    from dashboard.asgi import application

    _made, secret = await database_sync_to_async(access.make)(haeun, haeun, "laptop", days=1)
    socket = WebsocketCommunicator(application, f"/ws/command?token={secret}&access_token={secret}")
    connected, _code = await socket.connect(5)
    assert not connected


def narrowed(user, *rights):
    return gate.narrow(User.objects.get(pk=user.pk), frozenset(rights))


def test_a_right_needs_the_token_and_its_owner_both(team, haeun):
    assert gate.allows(narrowed(haeun, "container.view"), Permission.CONTAINER_VIEW, team)
    assert not gate.allows(narrowed(haeun, "container.view"), Permission.CONTAINER_RUN, team)
    assert not gate.allows(narrowed(haeun, "network.create"), Permission.NETWORK_CREATE, team)  # operators may not
    assert not gate.allows(narrowed(haeun), Permission.CONTAINER_VIEW, team)  # an empty list is nothing
    everything = gate.narrow(User.objects.get(pk=haeun.pk), None)
    assert gate.allows(everything, Permission.CONTAINER_RUN, team)
    Membership.objects.filter(person=haeun).update(builtin="viewer")
    assert not gate.allows(everything, Permission.CONTAINER_RUN, team)  # as it is when it is used


def test_who_came_by_a_token_gives_away_no_more_than_the_token_has(team):
    boss = make_member("boss", "admin", team)
    site = User.objects.create_superuser("site")
    other = User.objects.create_user("other")
    for person in (narrowed(boss, "team.manage", "team.view"), narrowed(site, "team.manage", "team.view")):
        assert rights_in(person, team.pk) <= {Permission.TEAM_MANAGE, Permission.TEAM_VIEW} | gate.DOOR_RIGHTS
        with pytest.raises(DashboardError, match="rights that you do not have"):
            services.set_role(person, team, other, "admin")
        with pytest.raises(Denied):
            services.create(person, "mine")


@pytest.mark.parametrize("rights", [None, frozenset({"own-account", "site.admin"})])
def test_a_stolen_token_makes_no_other_and_changes_no_account(rights):
    site = User.objects.create_superuser("site")
    made_before = User.objects.create_user("minsu")
    made, _secret = access.make(site, site, "laptop", days=1)
    thief = gate.narrow(User.objects.get(pk=site.pk), rights)
    for act in (
        lambda: access.make(thief, site, "mine", days=366),
        lambda: access.make(thief, User.objects.create_user("bot"), "mine", days=366),
        lambda: access.revoke(thief, made.pk),
        lambda: access.tokens_of(thief, site),
        lambda: people.new_password_secret(thief, made_before),
        lambda: services.create_person(thief, "accomplice"),
        lambda: services.set_active(thief, made_before, is_active=False),
    ):
        with pytest.raises(DashboardError) as caught:
            act()
        assert caught.value.status == 403
    assert AccessToken.objects.filter(revoked_at=None).count() == 1
    assert set(User.objects.filter(is_active=True).values_list("username", flat=True)) >= {"site", "minsu"}
    assert not User.objects.filter(username="accomplice").exists()


def test_somebody_elses_are_not_there(haeun, team):
    boss = make_member("boss", "admin", team)
    made, _secret = access.make(haeun, haeun, "laptop", days=1)
    with pytest.raises(NotFound):
        access.revoke(boss, made.pk)
    for act in (lambda: access.tokens_of(boss, haeun), lambda: access.make(boss, haeun, "x", days=1)):
        with pytest.raises(Denied):
            act()
    site = User.objects.create_superuser("site")
    bot = User.objects.create_user("ci-bot")  # a service account: nobody can sign in to it
    _made, secret = access.make(site, bot, "pipeline", days=90, rights=["image.pull"])
    assert secret.startswith("berth_")
    access.revoke(site, made.pk)
    access.revoke(site, made.pk)
    assert list(access.tokens_of(haeun, haeun)) == []


@pytest.mark.parametrize(
    "said", [{"rights": "everything", "days": "5"}, {"days": "5"}, {"rights": "run", "days": "5 or so"}]
)
def test_a_form_that_does_not_say_what_the_token_may_do_makes_none(client, haeun, said):
    client.force_login(haeun, backend=BACKEND)
    answer = client.post(reverse("token-create"), {"name": "laptop"} | said)
    assert (answer.status_code, AccessToken.objects.count()) == (400, 0)


async def test_the_commands(haeun):
    door = await (await database_sync_to_async(Door)(haeun)).open()
    assert await door.say("token", "create", "--days", "5", "--right", "image.view", "ci") == 0
    assert re.fullmatch(r"berth_[\w-]{43}\n", door.out)
    assert await door.say("token", "ls") == 0
    assert re.search(r"^\d+ +ci +berth_.{6}… +image.view +20\d\d-\d\d-\d\d +never$", door.out, re.M), door.out
    number = door.out.splitlines()[1].split()[0]
    assert await door.say("token", "rm", number) == 0
    assert await door.say("token", "create", "--right", "x", "ci") == 1
    assert "Not a right: x." in door.err
    await door.socket.disconnect()
