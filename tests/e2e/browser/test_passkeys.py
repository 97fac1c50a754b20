"""Passkeys in a real browser with a virtual authenticator, at an address by name: made, then enough to sign in (ADR 26)."""

from __future__ import annotations

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

from tests.support.browser import PASSWORD, USER
from tests.support.ports import free_port
from tests.support.server import BerthServer

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
}


@pytest.fixture(scope="module")
def named():
    """Browsers make no passkeys for an IP address."""
    port = free_port()
    url = f"http://localhost:{port}"
    with BerthServer(port=port, settings={"BERTH_PUBLIC_URL": url}) as berth:
        yield berth, url


def _sign_out(page, url):
    page.goto(f"{url}/accounts/logout/")
    page.locator("form button[type=submit]").first.click()
    page.wait_for_url("**/accounts/login/**")


def _sign_in(page, url):
    page.goto(f"{url}/accounts/login/")
    page.fill("#id_login", USER)
    page.fill("#id_password", PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


@pytest.mark.threat("WEB-07")
def test_a_passkey_and_an_app_are_set_up_and_sign_in(chromium, named):
    berth, url = named
    visitor = chromium.visitor(url)
    visitor.become_administrator(berth.setup_link)
    page = visitor.page
    cdp = visitor.context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")
    cdp.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})

    visitor.go("/me/second-factor/?add=passkey")
    page.fill("#passkey-name", "my laptop")
    page.fill("#password-passkey", PASSWORD)
    page.get_by_role("button", name="Make a passkey").click()
    page.locator("#recovery-codes li").first.wait_for()
    codes = page.locator("#recovery-codes li").all_inner_texts()
    assert len(codes) == 10
    assert page.get_by_text("my laptop").is_visible()

    visitor.go("/me/second-factor/?add=app")
    secret = page.locator("#factor-secret").inner_text().replace(" ", "")
    now = page.evaluate("Math.floor(Date.now() / 1000)")
    page.fill("#factor-code", format_hotp_value(hotp_value(secret, now // 30)))
    page.fill("#password-app", PASSWORD)
    page.get_by_role("button", name="Set up", exact=True).click()
    page.get_by_text("Remove the app").first.wait_for()

    _sign_out(page, url)
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(f"{url}/")
    assert page.locator(".top").is_visible()

    _sign_out(page, url)
    _sign_in(page, url)
    page.wait_for_url("**/accounts/second-factor/")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(f"{url}/")

    _sign_out(page, url)
    _sign_in(page, url)
    page.wait_for_url("**/accounts/second-factor/")
    page.fill("#id_code", codes[0])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{url}/")
    assert not visitor.problems
    visitor.close()
