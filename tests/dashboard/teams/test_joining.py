"""Coming into a team: by a link, by a pasted list. A link gives what its giver can give, as often as it says (WEB-02, WEB-09)."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from dashboard.accounts.models import Token
from dashboard.audit.models import Entry
from dashboard.core.errors import DashboardError, NotFound
from dashboard.core.gate import Denied
from dashboard.core.secrets import hashed
from dashboard.teams import joining, people, scope, services
from dashboard.teams.models import Invitation, Membership, Team
from tests.dashboard.people import make_member, make_team
from tests.dashboard.teams.conftest import BACKEND
from tests.support.crowd import at_once

GOOD = {"username": "jiho", "password1": "a quiet harbour 7", "password2": "a quiet harbour 7"}


@pytest.fixture
def team(db):
    cache.clear()
    return make_team("class-1")


@pytest.fixture
def teacher(team):
    return make_member("teacher", "admin", team)


def link(teacher, team, role="operator", **how) -> str:
    _made, secret = joining.invite(teacher, team, role, **how)
    return secret


def role_in(team, name: str) -> str | None:
    found = Membership.objects.filter(team=team, person__username=name).first()
    return None if found is None else found.role


def test_the_secret_is_kept_hashed_and_said_once(client, team, teacher):
    client.force_login(teacher, backend=BACKEND)
    answer = client.post(reverse("team-invitations"), {"role": "operator", "uses": "30", "days": "7", "note": "Monday"})
    (secret,) = re.findall(r"/join/([\w-]{43})/</code>", answer.content.decode())
    made = Invitation.objects.get()
    assert made.sha256 == hashed(secret)
    assert (made.role, made.most_uses, made.giver) == ("operator", 30, teacher)
    again = client.get(reverse("team-invitations")).content.decode()
    assert secret not in again
    assert "Monday" in again
    for entry in Entry.objects.all():
        assert secret not in f"{entry.target} {entry.parameters}"
    assert "no-store" in answer["Cache-Control"]


def test_somebody_new_makes_an_account_and_is_signed_in_and_in_the_team(client, team, teacher):
    url = reverse("join", args=[link(teacher, team)])
    page = client.get(url).content.decode()
    assert "Class-1" in page
    assert "teacher" in page
    answer = client.post(url, GOOD)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert role_in(team, "jiho") == "operator"
    assert client.get(reverse("team")).status_code == 200
    assert scope.current(User.objects.get(username="jiho")) == team
    assert Invitation.objects.get().uses == 1
    assert client.get(url).status_code == 404  # one use


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"username": "TEACHER"}, "taken"),
        ({"password2": "x"}, "differ"),
        ({"password1": "1", "password2": "1"}, "short"),
    ],
)
def test_a_bad_form_makes_nobody_and_keeps_the_use(client, team, teacher, change, field):
    answer = client.post(reverse("join", args=[link(teacher, team)]), GOOD | change)
    assert answer.status_code == 422
    assert field in answer.content.decode()
    assert Invitation.objects.get().uses == 0
    assert set(User.objects.exclude(username="host-root").values_list("username", flat=True)) == {"teacher"}


def test_who_has_an_account_joins_with_it_and_who_is_in_keeps_role_and_use(client, team, teacher):
    person, secret = User.objects.create_user("haeun"), link(teacher, team, uses=2)
    client.force_login(person, backend=BACKEND)
    url = reverse("join", args=[secret])
    assert "Join as haeun" in client.get(url).content.decode()
    assert client.post(url).status_code == 302
    assert client.post(url).status_code == 302
    assert (role_in(team, "haeun"), Invitation.objects.get().uses) == ("operator", 1)
    client.force_login(teacher, backend=BACKEND)
    assert client.post(url).status_code == 302
    assert (role_in(team, "teacher"), Invitation.objects.get().uses) == ("admin", 1)


@pytest.mark.parametrize("how", ["revoked", "expired", "closed", "demoted", "role gone", "unknown"])
def test_a_link_that_is_over_lets_nobody_in(client, team, teacher, how):
    services.save_role(teacher, team, "watcher", ["image.view"])
    make_member("second", "admin", team)
    secret = link(teacher, team, "watcher", uses=5)
    if how == "revoked":
        joining.revoke(teacher, team, Invitation.objects.get().pk)
    if how == "expired":
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    if how == "closed":
        User.objects.filter(pk=teacher.pk).update(is_active=False)
    if how == "demoted":
        Membership.objects.filter(person=teacher).update(builtin="maintainer")
    if how == "role gone":
        services.remove_role(User.objects.create_superuser("site"), team, "watcher")
    if how == "unknown":
        secret = "x" * 43
    url = reverse("join", args=[secret])
    assert client.get(url).status_code == client.post(url, GOOD).status_code == 404
    assert not User.objects.filter(username="jiho").exists()
    with pytest.raises(NotFound):
        joining.join(secret, User.objects.create_user("haeun"))
    assert role_in(team, "haeun") is None


def test_a_link_gives_no_more_than_its_giver_has_now(team, teacher):
    services.save_role(teacher, team, "steward", ["team.manage", "team.view", "image.view"])
    services.save_role(teacher, team, "small", ["image.view"])
    steward = make_member("steward", "viewer", team)
    services.set_role(teacher, team, steward, "steward")
    with pytest.raises(DashboardError, match="rights that you do not have"):
        joining.invite(steward, team, "operator")
    secret = link(steward, team, "small", uses=5)
    services.save_role(teacher, team, "small", ["image.view", "container.run"])  # more than the steward has
    with pytest.raises(NotFound):
        joining.join(secret, User.objects.create_user("haeun"))


def test_only_who_manages_the_team_invites_lists_and_revokes(team, teacher):
    student, secret = make_member("student", "maintainer", team), link(teacher, team)
    for act in (
        lambda: joining.invite(student, team, "viewer"),
        lambda: joining.invitations(student, team),
        lambda: joining.revoke(student, team, 1),
        lambda: joining.take_in(student, team, ["x"], "viewer"),
    ):
        with pytest.raises(Denied):
            act()
    assert joining.invitation_of(secret).is_open
    stranger = make_member("stranger", "admin", make_team("other"))
    with pytest.raises(NotFound):
        joining.revoke(stranger, make_team("other"), Invitation.objects.get().pk)


@pytest.mark.parametrize("asked", [{"uses": 0}, {"uses": 1001}, {"days": 0}, {"days": 367}])
def test_numbers_that_cannot_be_are_refused(team, teacher, asked):
    with pytest.raises(DashboardError, match="link can"):
        joining.invite(teacher, team, "viewer", **asked)
    assert not Invitation.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.threat("WEB-13")
def test_fifty_at_once_for_thirty_places(transactional_db):
    team = make_team("class-1")
    teacher = make_member("teacher", "admin", team)
    secret = link(teacher, team, uses=30)
    students = [User.objects.create_user(f"s{number}") for number in range(50)]
    outcomes = Counter(type(one) for one in at_once([partial(joining.join, secret, one) for one in students]))
    assert outcomes == {Team: 30, NotFound: 20}
    assert Invitation.objects.get().uses == 30
    assert team.memberships.count() == 31


# A pasted list


def test_a_list_makes_accounts_adds_people_and_may_be_pasted_again(team, teacher):
    User.objects.create_user("haeun")
    make_member("minsu", "viewer", team)
    names = joining.split_names("haeun\nminsu, newcomer;\t 김하늘\r\nnewcomer\n\n")
    assert names == ["haeun", "minsu", "newcomer", "김하늘"]
    done = joining.take_in(teacher, team, names, "operator")
    assert [(one.name, one.state, one.role) for one in done] == [
        ("haeun", "added", "operator"),
        ("minsu", "member", "viewer"),
        ("newcomer", "new", "operator"),
        ("김하늘", "new", "operator"),
    ]
    assert [bool(one.secret) for one in done] == [False, False, True, True]
    assert people.person_of(done[2].secret).username == "newcomer"
    people.set_password(done[2].secret, "a quiet harbour 7")
    assert User.objects.get(username="newcomer").check_password("a quiet harbour 7")
    assert {one.state for one in joining.take_in(teacher, team, names, "admin")} == {"member"}
    assert role_in(team, "haeun") == "operator"


@pytest.mark.parametrize("names", [[], ["ok", "not a name"], ["x" * 151], [f"n{number}" for number in range(501)]])
def test_a_bad_list_adds_nobody(team, teacher, names):
    with pytest.raises(DashboardError):
        joining.take_in(teacher, team, names, "operator")
    assert team.memberships.count() == 1
    assert not Token.objects.filter(purpose="password").exists()


def test_the_link_of_a_new_account_dies_when_the_account_can_more_than_who_made_it(team, teacher):
    """Or a team's admin could keep the link, wait until somebody else gives the account more, and use it."""
    other = make_team("other")
    boss = make_member("boss", "admin", other)
    (one,) = joining.take_in(teacher, team, ["newcomer"], "operator")
    assert people.person_of(one.secret).username == "newcomer"
    services.set_role(boss, other, User.objects.get(username="newcomer"), "viewer")
    with pytest.raises(NotFound):
        people.set_password(one.secret, "a quiet harbour 7")
    services.dismiss(boss, other, User.objects.get(username="newcomer"))
    assert people.person_of(one.secret)
    User.objects.filter(username="newcomer").update(is_superuser=True)
    with pytest.raises(NotFound):
        people.person_of(one.secret)


def test_the_pages_of_a_list_say_who_is_new(client, team, teacher):
    client.force_login(teacher, backend=BACKEND)
    make_member("minsu", "viewer", team)
    body = client.post(reverse("team-take-in"), {"names": "minsu\nnewcomer", "role": "operator"}).content.decode()
    assert len(re.findall(r"/welcome/[\w-]{43}/</code>", body)) == 1
    assert "was in the team already" in body
    refused = client.post(
        reverse("team-take-in"), {"names": "a b", "role": "operator"}, headers={"Accept": "application/json"}
    )
    assert refused.status_code == 400
    assert "Nobody was added" in refused.json()["error"]
