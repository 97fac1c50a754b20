"""Second factors: asked for at sign-in, each code once, guessed at most a few times; required of a team (WEB-06, WEB-07)."""

from __future__ import annotations

import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from channels.db import database_sync_to_async
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from dashboard.accounts import access, factors
from dashboard.audit.models import Entry
from dashboard.core import gate
from dashboard.core.errors import DashboardError, Refused
from dashboard.core.gate import Denied, Permission
from dashboard.teams import explaining, services
from dashboard.teams.policy import rights_in
from tests.dashboard.commandline.conftest import Door
from tests.dashboard.people import make_member, make_team

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "a quiet harbour 7"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def code(secret=SECRET, *, later=0):
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + later))


@pytest.fixture
def team():
    return make_team("class-1")


@pytest.fixture
def haeun(team):
    person = make_member("haeun", "operator", team)
    person.set_password(PASSWORD)
    person.save()
    cache.clear()
    return person


def sign_in(client, password=PASSWORD):
    return client.post(reverse("account_login"), {"login": "haeun", "password": password})


def is_in(client):
    return client.get(reverse("preferences")).status_code == 200


def signed_in(person):
    client = Client()
    assert sign_in(client).status_code == 302
    return client


# Setting up


def test_an_app_is_set_up_with_the_password_and_a_right_code_and_shows_recovery_codes_once(haeun):
    client = signed_in(haeun)
    body = client.get(reverse("second-factor"), {"add": "app"}).content.decode()
    secret = re.search(r'id="factor-secret"[^>]*>([A-Z2-7 ]+)<', body)[1].replace(" ", "")
    assert "data:image/svg+xml" in body
    for wrong in ({"password": "guess", "code": code(secret)}, {"password": PASSWORD, "code": "000000"}):
        assert client.post(reverse("factor-app"), wrong).status_code == 422
        assert not factors.has_any(haeun)
    answer = client.post(reverse("factor-app"), {"password": PASSWORD, "code": code(secret)})
    shown = re.findall(r"<li>([0-9a-z-]+)</li>", answer.content.decode())
    assert len(shown) == 10
    assert shown[0] not in client.get(reverse("second-factor")).content.decode()
    assert Entry.objects.get(action="add-factor").parameters == {"kind": "app"}
    kept = " ".join(str(row.data) for row in Authenticator.objects.all())
    assert secret not in kept  # the database alone gives no codes
    assert shown[0] not in kept


def test_what_changes_a_factor_takes_the_password(haeun):
    factors.add_app(haeun, SECRET)
    client = Client()
    client.force_login(haeun, backend="django.contrib.auth.backends.ModelBackend")
    number = factors.of(haeun).app
    for url in (reverse("factor-codes"), reverse("factor-remove", args=[number])):
        assert client.post(url, {"password": "guess"}).status_code == 422
        assert client.post(url).status_code == 422
    assert factors.of(haeun).codes_left == 10
    assert client.post(reverse("factor-codes"), {"password": PASSWORD}).status_code == 200
    assert client.post(reverse("factor-remove", args=[number]), {"password": PASSWORD}).status_code == 302
    assert not Authenticator.objects.exists()  # nor recovery codes of nothing


def test_nobody_removes_anybody_elses(haeun):
    minsu = User.objects.create_user("minsu", password=PASSWORD)
    factors.add_app(minsu, SECRET)
    client = signed_in(haeun)
    answer = client.post(reverse("factor-remove", args=[factors.of(minsu).app]), {"password": PASSWORD})
    assert answer.status_code == 404
    assert factors.has_any(minsu)


# Signing in


def test_a_password_alone_lets_nobody_in_any_more(haeun):
    factors.add_app(haeun, SECRET)
    client = Client()
    answer = sign_in(client)
    assert answer["Location"] == reverse("mfa_authenticate")
    assert not is_in(client)
    assert "code" in client.get(reverse("mfa_authenticate")).content.decode()
    assert client.post(reverse("mfa_authenticate"), {"code": "000000"}).status_code == 200
    assert not is_in(client)
    assert client.post(reverse("mfa_authenticate"), {"code": code()}).status_code == 302
    assert is_in(client)
    assert [row.reason for row in Entry.objects.filter(action="sign-in").order_by("pk")] == [
        "The second factor was wrong.",
        "",
    ]


@pytest.mark.threat("WEB-06")
def test_a_code_works_once_and_is_guessed_a_few_times_only(haeun):
    codes = factors.add_app(haeun, SECRET)
    first, second = Client(), Client()
    used = code()
    sign_in(first)
    assert first.post(reverse("mfa_authenticate"), {"code": used}).status_code == 302
    sign_in(second)
    second.post(reverse("mfa_authenticate"), {"code": used})
    assert not is_in(second)
    for number in range(8):
        second.post(reverse("mfa_authenticate"), {"code": f"00000{number}"})
    second.post(reverse("mfa_authenticate"), {"code": code(later=1)})
    assert not is_in(second)  # a right one, after too many wrong ones
    cache.clear()
    third, fourth = Client(), Client()
    sign_in(third)
    assert third.post(reverse("mfa_authenticate"), {"code": codes[0]}).status_code == 302
    assert factors.of(haeun).codes_left == 9
    sign_in(fourth)
    fourth.post(reverse("mfa_authenticate"), {"code": codes[0]})
    assert not is_in(fourth)


def test_somebody_with_half_a_sign_in_reaches_nothing(haeun):
    factors.add_app(haeun, SECRET)
    client = Client()
    sign_in(client)
    for url in (reverse("home"), reverse("second-factor"), reverse("containers")):
        assert client.get(url)["Location"].startswith(reverse("account_login"))
    assert client.post(reverse("factor-codes"), {"password": PASSWORD}).status_code == 302
    assert factors.of(haeun).codes_left == 10


# Of a team


def test_who_has_none_may_do_nothing_in_a_team_that_asks_for_one(haeun, team):
    assert Permission.CONTAINER_RUN in rights_in(haeun, team.pk)
    services.require_factor(User.objects.create_superuser("site"), team, required=True)
    assert rights_in(haeun, team.pk) == frozenset()
    with pytest.raises(Denied, match="asks for a second factor of everybody") as caught:
        gate.require(haeun, Permission.CONTAINER_RUN)
    assert caught.value.needs_factor
    told = {right.permission: right for right in explaining.explain(haeun, team)}
    assert not told[Permission.CONTAINER_RUN].is_given
    assert "haeun has none" in told[Permission.CONTAINER_RUN].why
    for permission, right in told.items():
        assert right.is_given == gate.allows(haeun, permission, team), permission
    client = signed_in(haeun)
    assert client.get(reverse("containers"))["Location"] == reverse("second-factor")
    assert "asks for a second factor" in client.get(reverse("second-factor")).content.decode()
    made, _secret = access.make(haeun, haeun, "laptop", days=1)
    assert not gate.allows(gate.narrow(User.objects.get(pk=haeun.pk), None), Permission.CONTAINER_RUN, team), made
    factors.add_app(haeun, SECRET)
    assert Permission.CONTAINER_RUN in rights_in(haeun, team.pk)
    assert client.get(reverse("containers")).status_code == 200


def test_an_admin_asks_for_it_only_with_one_of_their_own(haeun, team):
    boss = make_member("boss", "admin", team)
    with pytest.raises(DashboardError, match="of your own first"):
        services.require_factor(boss, team, required=True)
    factors.add_app(boss, SECRET)
    services.require_factor(boss, team, required=True)
    services.require_factor(boss, team, required=True)
    assert Entry.objects.filter(action="require-factor").count() == 1
    assert services.without_factor(team) == {haeun.pk}
    with pytest.raises(Denied):
        services.require_factor(haeun, team, required=False)
    services.require_factor(boss, team, required=False)
    assert Permission.CONTAINER_RUN in rights_in(haeun, team.pk)


def test_a_site_administrator_takes_lost_ones_away_and_nobody_else(haeun, team):
    factors.add_app(haeun, SECRET)
    boss, site = make_member("boss", "admin", team), User.objects.create_superuser("site")
    for person in (boss, haeun):
        with pytest.raises(Denied):
            factors.remove_all(person, haeun)
    with pytest.raises(Refused):
        factors.remove_all(gate.narrow(User.objects.get(pk=site.pk), None), haeun)
    assert factors.has_any(haeun)
    factors.remove_all(site, haeun)
    factors.remove_all(site, haeun)
    assert not Authenticator.objects.exists()
    assert Entry.objects.get(action="remove-factors").target == "haeun"


async def test_the_commands(haeun, team):
    site = await database_sync_to_async(User.objects.create_superuser)("site")
    await database_sync_to_async(factors.add_app)(haeun, SECRET)
    door = await (await database_sync_to_async(Door)(site)).open()
    assert await door.say("team", "second-factor", "--team", "class-1", "required") == 0
    await database_sync_to_async(team.refresh_from_db)()
    assert team.requires_factor
    assert await door.say("team", "second-factor", "--team", "class-1", "perhaps") == 125
    assert await door.say("user", "remove-factors", "haeun") == 0
    assert not await database_sync_to_async(factors.has_any)(haeun)
    await door.socket.disconnect()


def test_the_page_of_the_team(client, haeun, team):
    boss = make_member("boss", "admin", team)
    factors.add_app(boss, SECRET)
    client.force_login(boss, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post(reverse("team-factor"), {"required": "1"}).status_code == 302
    body = client.get(reverse("team")).content.decode()
    assert "1 has none yet." in body
    assert "no second factor" in body
    client.force_login(haeun, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post(reverse("team-factor"), {"required": ""}).status_code == 403
    team.refresh_from_db()
    assert team.requires_factor


def test_no_passkey_is_offered_where_browsers_make_none(haeun, settings):
    client = signed_in(haeun)
    assert "only where Berth has a name" in client.get(reverse("second-factor"), {"add": "passkey"}).content.decode()
    assert client.post(reverse("factor-passkey"), {"password": PASSWORD, "credential": "{}"}).status_code == 409
    settings.PASSKEYS_POSSIBLE = True
    body = client.get(reverse("second-factor"), {"add": "passkey"}, headers={"host": "localhost"}).content.decode()
    assert '"userVerification": "required"' in body
    for nonsense in ("{}", "[]", "x", '{"id": 1}', '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {}}'):
        said = {"password": PASSWORD, "name": "x", "credential": nonsense}
        assert client.post(reverse("factor-passkey"), said, headers={"host": "localhost"}).status_code == 422, nonsense
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize(
    "nonsense", ["{}", "[]", "x", '{"id": 1}', '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {}}']
)
def test_what_no_browser_says_is_a_wrong_answer_of_whoever_signs_in(haeun, nonsense):
    factors.add_app(haeun, SECRET)
    client = Client()
    client.get(reverse("mfa_login_webauthn"), headers={"accept": "application/json", "host": "localhost"})
    answer = client.post(reverse("mfa_login_webauthn"), {"credential": nonsense}, headers={"host": "localhost"})
    assert answer["Location"] == reverse("account_login")
    sign_in(client)
    answer = client.post(reverse("mfa_authenticate"), {"credential": nonsense})
    assert answer.status_code == 200
    assert not is_in(client)
