"""What people type is never a lookup of the database: not a parameter of a page, not a filter of a command (WEB-04)."""

from __future__ import annotations

import re

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.urls import reverse

from tests.dashboard.commandline.conftest import Door
from tests.dashboard.matrix import IN, ROUTES
from tests.dashboard.pages.conftest import make_container, make_image
from tests.dashboard.people import make_member, make_team

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.threat("WEB-04")]
PAGES = [name for name, route in ROUTES.items() if route.methods.get("GET") == (IN, 200) and not route.args]
LOOKUPS = (
    *("password__startswith", "owner__password__startswith", "user__password__startswith"),
    *("requester__password__startswith", "person__password__startswith", "actor__password__startswith"),
    *("memberships__person__password__startswith", "team__memberships__person__password__startswith"),
    *("owner.password", "_connector", "_negated", "order_by", "ordering", "sort"),
)
RIGHT, WRONG = "argon2$", "zzzzzz$"  # as each password here begins, and as none does


@pytest.fixture
def somebody(client):
    team = make_team("class-1")
    person = make_member("haeun", "admin", team)
    person.set_password("a quiet harbour 7")
    person.save()
    assert person.password.startswith(RIGHT)
    make_container(make_image("ubuntu", "14.04", [10], seed="abcd"), "web", "running", owner=person, team=team)
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return person


def _body(client, url, said):
    """Without what differs each time, and without the words that were asked with."""
    text = client.get(url, said).content.decode()
    text = re.sub(r'((?:csrfmiddlewaretoken" value|content)="|nonce=")[A-Za-z0-9+/=_-]{20,64}"', r'\1"', text)
    return text.replace(RIGHT, WRONG)


@pytest.mark.parametrize("name", PAGES)
def test_no_parameter_of_a_page_asks_the_database_anything(name, client, somebody):
    url = reverse(name)
    right, wrong = (_body(client, url, dict.fromkeys(LOOKUPS, value)) for value in (RIGHT, WRONG))
    assert right == wrong
    for field in ("q", "state", "person", "role", "ask", "image", "part", "action", "outcome"):
        assert client.get(url, {field: f"{LOOKUPS[1]}={RIGHT}"}).status_code < 500, field


@pytest.mark.parametrize(
    "words", [("ps",), ("images",), ("volume", "ls"), ("network", "ls"), ("events", "--until", "1s")]
)
async def test_no_filter_of_a_command_asks_the_database_anything(words, somebody):
    door = await (await sync_to_async(Door)(await sync_to_async(User.objects.get)(pk=somebody.pk))).open()
    for lookup in LOOKUPS:
        assert await door.say(*words, "--filter", f"{lookup}={RIGHT}") != 0, lookup
        assert "invalid filter" in door.err.lower(), (lookup, door.err)
    await door.socket.disconnect()


def test_no_code_hands_what_was_typed_to_a_query():
    found = [
        f"{path.name}: {line.strip()}"
        for path in (settings.BASE_DIR / "dashboard").rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(
            r"\b(filter|exclude|get|order_by|values|annotate|extra|raw)\(\*{1,2}\s*(request|self\.request|params|said)",
            line,
        )
        or re.search(r"\.(extra|raw)\(", line)
    ]
    assert found == []
