"""Every error becomes one sentence with the right status, in the form that was asked for; never a traceback."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.db import OperationalError
from django.http import Http404
from django.urls import path
from redis.exceptions import ConnectionError as RedisConnectionError

from dashboard import urls as real
from dashboard.core.errors import Conflict, DashboardError, NotFound
from dashboard.core.gate import Permission, require
from engine.errors import RegistryUnreachable, StoreFull

RAISED = {
    "dashboard": DashboardError("Say it otherwise."),
    "conflict": Conflict("The name is taken."),
    "missing": NotFound("No such image."),
    "registry": RegistryUnreachable("The registry 127.0.0.1:5000 does not answer."),
    "full": StoreFull("There is no room."),
    "redis": RedisConnectionError("inner words of redis"),
    "database": OperationalError("inner words: locked"),
    "404": Http404("inner words"),
    "bug": ZeroDivisionError("secret inner words"),
}


@login_not_required
def broken(request, kind):
    raise RAISED[kind]


def guarded(request):
    require(request.user, Permission.SITE_ADMIN)


urlpatterns = [*real.urlpatterns, path("broken/<str:kind>/", broken), path("guarded/", guarded)]
handler400, handler403, handler404, handler500 = real.handler400, real.handler403, real.handler404, real.handler500
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]
STATUS = {
    "dashboard": 400,
    "conflict": 409,
    "missing": 404,
    "registry": 502,
    "full": 507,
    "redis": 503,
    "database": 503,
    "404": 404,
    "bug": 500,
}


@pytest.fixture
def browser(client):
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize("kind", RAISED)
def test_a_page(browser, kind):
    answer = browser.get(f"/broken/{kind}/", headers={"accept": "text/html"})
    text = answer.content.decode()
    assert answer.status_code == STATUS[kind]
    assert "Traceback" not in text
    assert "inner words" not in text
    assert "<html" in text.lower() or "<main" in text.lower()
    if kind not in {"404", "bug", "redis", "database"}:
        assert str(RAISED[kind]).split(".")[0] in text


@pytest.mark.parametrize("kind", RAISED)
def test_json(browser, kind):
    answer = browser.get(f"/broken/{kind}/", headers={"accept": "application/json"})
    assert answer.status_code == STATUS[kind]
    assert set(answer.json()) == {"error"}
    assert "inner words" not in answer.content.decode()


@pytest.mark.parametrize("kind", RAISED)
def test_a_notice_for_htmx(browser, kind):
    answer = browser.get(f"/broken/{kind}/", headers={"accept": "text/html", "hx-request": "true"})
    toast = json.loads(answer["HX-Trigger"])["toast"]
    assert answer.status_code == STATUS[kind]
    assert toast["tone"] == "error"
    assert "inner words" not in toast["message"]
    assert answer.content == b""


@pytest.mark.parametrize(
    "headers", [{"accept": "text/html"}, {"accept": "application/json"}, {"accept": "text/html", "hx-request": "true"}]
)
def test_what_the_engine_says_is_said_in_the_readers_language(browser, monkeypatch, headers):
    error = RegistryUnreachable("The registry r.lan is in trouble: it answered 503 again and again (busy). Try later.")
    monkeypatch.setitem(RAISED, "registry", error)
    answer = browser.get("/broken/registry/", headers={**headers, "accept-language": "ko"})
    said = answer.headers.get("HX-Trigger") or json.dumps(answer.content.decode(), ensure_ascii=True)
    assert "again and again" not in said
    assert json.dumps("레지스트리 r.lan에 문제가 있습니다", ensure_ascii=True)[1:-1] in said.replace("\\\\", "\\")


def test_a_person_without_the_right_is_told_so_and_nobody_else_is_sent_to_sign_in(browser):
    assert browser.get("/guarded/").status_code == 302
    browser.force_login(User.objects.create(username="kim"), backend="django.contrib.auth.backends.ModelBackend")
    answer = browser.get("/guarded/", headers={"accept": "text/html"})
    assert answer.status_code == 403
    assert "may not do this" in answer.content.decode()
