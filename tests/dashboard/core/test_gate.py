from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpResponse
from django.test import RequestFactory

from dashboard.core import gate
from dashboard.core.gate import Denied, Permission, allows, require
from dashboard.core.middleware import GateAsked
from dashboard.teams.rights import PERSONAL


def person(**fields) -> User:
    return User(username="kim", **fields)


@pytest.mark.parametrize("permission", Permission)
def test_nobody_who_is_not_signed_in_may_do_anything(permission):
    assert not allows(None, permission)
    assert not allows(AnonymousUser(), permission)
    assert not allows(person(is_active=False, is_superuser=True), permission)


@pytest.mark.django_db
@pytest.mark.parametrize("permission", Permission)
def test_who_is_in_no_team_may_do_only_what_is_personal(permission):
    lonely = User.objects.create(username="kim")
    assert allows(lonely, permission) is (permission in PERSONAL)
    assert allows(person(is_superuser=True), permission)


def test_a_right_that_is_none_is_refused():
    with pytest.raises(ValueError):
        allows(person(is_superuser=True), "everything")  # type: ignore[arg-type]


def test_a_refusal_says_whether_signing_in_might_help():
    with pytest.raises(Denied) as nobody:
        require(AnonymousUser(), Permission.IMAGE_PULL)
    with pytest.raises(Denied) as somebody:
        require(person(), Permission.SITE_ADMIN)
    assert (nobody.value.status, somebody.value.status) == (401, 403)
    assert (nobody.value.is_anonymous, somebody.value.is_anonymous) == (True, False)


def test_another_policy_decides_until_it_is_taken_back():
    restore = gate.use_policy(lambda user, permission, obj: permission is Permission.IMAGE_VIEW)
    assert not allows(person(is_superuser=True), Permission.IMAGE_PULL)
    assert allows(person(), Permission.IMAGE_VIEW)
    restore()
    assert allows(person(is_superuser=True), Permission.IMAGE_PULL)


def _answered_by(view, **how) -> HttpResponse:
    request = RequestFactory().get("/", headers={"accept": "application/json"})
    request.user = person(is_superuser=True)
    middleware = GateAsked(lambda request: (middleware.process_view(request, view), view(request))[1])
    return middleware(request)


def test_an_answer_that_no_gate_was_asked_for_is_thrown_away():
    def careless(request):
        return HttpResponse("the secret")

    answer = _answered_by(careless)
    assert answer.status_code == 403
    assert b"secret" not in answer.content


def test_an_answer_after_asking_or_of_a_public_view_goes_out():
    def careful(request):
        require(request.user, Permission.IMAGE_VIEW)
        return HttpResponse("here")

    def public(request):
        return HttpResponse("here")

    public.login_required = False
    assert _answered_by(careful).content == b"here"
    assert _answered_by(public).content == b"here"
