"""Signing in by a provider in a browser: its policy lets the way there be taken, and groups give what they are said to."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.e2e.conftest import Berth
from tests.support.browser import until
from tests.support.oidc import know, running_provider

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.services, pytest.mark.timeout(200)]


def _settings(provider: str, secret_file: str) -> dict[str, str]:
    path = Path(secret_file)
    path.write_text("shh\n")
    path.chmod(0o644)  # for the user of Berth, who is nobody's group here
    name = "School account"
    return {"BERTH_OIDC_URL": provider, "BERTH_OIDC_NAME": name, "BERTH_OIDC_SECRET_FILE": secret_file}


def test_somebody_comes_by_their_schools_account(chromium):
    with (
        tempfile.NamedTemporaryFile("w", prefix="berth-oidc-") as secret,
        running_provider() as provider,
        Berth(settings=_settings(provider, secret.name)) as berth,
    ):
        know(provider, "u1", preferred_username="haeun", groups=["students"])
        berth.run_checked("team", "create", "class-1", "--name", "Python, Monday")
        berth.run_checked("team", "map-group", "--team", "class-1", "students", "operator")
        visitor = chromium.visitor(berth.url)
        page = visitor.page
        visitor.go("/containers/")
        page.get_by_role("button", name="School account").click()
        page.wait_for_url(f"{provider}/**")
        page.locator("input[name=sub]").fill("u1")
        page.locator("[type=submit]").first.click()
        page.wait_for_url(f"{berth.url}/containers/")
        until("the team", lambda: "Python, Monday" in page.locator("body").inner_text())
        assert "haeun" in page.locator("body").inner_text()
        assert not [one for one in visitor.problems if berth.url in one], visitor.problems
        visitor.close()
