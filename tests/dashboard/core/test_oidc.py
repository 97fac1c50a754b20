"""The setting of a provider: nothing without an address, no password in the clear, a plain sentence for what cannot be."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from dashboard.core.oidc import provider


def test_without_an_address_there_is_none():
    assert provider({}, "", "x") == {}


def test_the_secret_comes_from_a_file(tmp_path):
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    found = provider({"BERTH_OIDC_SECRET_FILE": str(file)}, "https://sso.example/realm", "School")["openid_connect"]
    assert found["OAUTH_PKCE_ENABLED"] is True
    (app,) = found["APPS"]
    assert (app["client_id"], app["secret"], app["name"]) == ("berth", "s3cret", "School")
    assert app["settings"] == {"server_url": "https://sso.example/realm"}


@pytest.mark.parametrize("url", ["http://sso.example", "sso.example", "ftp://127.0.0.1", "https://"])
def test_an_address_in_the_clear_is_refused(url):
    with pytest.raises(ImproperlyConfigured, match="must begin with https"):
        provider({}, url, "x")


def test_this_machine_itself_may_be_spoken_to_plainly():
    assert provider({}, "http://127.0.0.1:9000", "x")


def test_a_file_that_cannot_be_read_is_named():
    with pytest.raises(ImproperlyConfigured, match="cannot be read: No such file"):
        provider({"BERTH_OIDC_SECRET_FILE": "/no/such/file"}, "https://sso.example", "x")
