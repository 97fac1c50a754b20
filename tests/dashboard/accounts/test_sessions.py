"""Sign-ins and one-time links that were made while the host's clock was wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from dashboard.accounts import tokens
from dashboard.core.errors import NotFound

pytestmark = [pytest.mark.django_db, pytest.mark.fault("F42")]
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def at(monkeypatch):
    def set_clock(moment: datetime) -> None:
        monkeypatch.setattr(timezone, "now", lambda: moment)

    set_clock(NOW)
    return set_clock


@pytest.fixture
def signed_in(client):
    client.force_login(User.objects.create_superuser("haeun", password=None))
    return client


def is_in(client) -> bool:
    return client.get("/").status_code == 200


def test_a_session_lives_as_long_as_it_is_to(at, signed_in):
    at(NOW + timedelta(days=13))
    assert is_in(signed_in)
    at(NOW + timedelta(days=15))
    assert not is_in(signed_in)


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=365 * 74)])
def test_a_session_that_was_made_while_the_clock_was_ahead_does_not_live_on(at, client, ahead):
    at(NOW + ahead)
    client.force_login(User.objects.create_superuser("haeun", password=None))
    assert is_in(client)
    at(NOW)
    assert not is_in(client)


def test_a_clock_that_goes_back_a_little_signs_nobody_out(at, signed_in):
    at(NOW - timedelta(seconds=30))
    assert is_in(signed_in)


async def test_the_same_holds_where_it_is_read_without_a_thread(at, signed_in):
    at(NOW - timedelta(hours=1))
    from dashboard.accounts.sessions import SessionStore

    assert await SessionStore(signed_in.session.session_key).aget("_auth_user_id") is None


def test_a_one_time_link_that_was_made_while_the_clock_was_ahead_is_worth_nothing(at):
    at(NOW + timedelta(days=1000))
    secret = tokens.new_setup_secret()
    tokens.check_setup(secret)
    at(NOW)
    with pytest.raises(NotFound):
        tokens.check_setup(secret)
