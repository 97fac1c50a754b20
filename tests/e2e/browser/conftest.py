"""One registry, one whole Berth and one Chromium for all browser tests; one page whose complaints fail the test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.conftest import Berth
from tests.support.browser import Chromium, Visitor
from tests.support.debian import debian_tar
from tests.support.images import image, layer, push
from tests.support.registry import Registry
from tests.support.shell_image import PATH, push_shell_images

CREATED = (datetime.now(UTC) - timedelta(days=20)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="package")
def registry():
    with Registry() as running:
        push_shell_images(running.url)
        yield running


@pytest.fixture(scope="package")
def berth(registry):
    with Berth(mirrors={"docker.io": registry.url}) as server:
        yield server


@pytest.fixture(scope="package")
def chromium(berth):  # ends before the server: what cleans up after that one needs an event loop of its own
    with Chromium() as running:
        yield running


@pytest.fixture(scope="package")
def administrator(berth, chromium):
    """The first administrator, made by the one-time link; signed in."""
    visitor = chromium.visitor(berth.url, permissions=["clipboard-read", "clipboard-write"])
    visitor.become_administrator(berth.setup_link)
    yield visitor
    visitor.close()


@pytest.fixture(scope="package")
def debian_layer():
    return layer(debian_tar().read_bytes(), compression="zstd")


@pytest.fixture(scope="package")
def debian(registry, berth, debian_layer):
    """A real Debian, pulled."""
    push(
        registry.url,
        "library/debian:12",
        image([debian_layer], created=CREATED, Cmd=["bash"], Env=[PATH, "LANG=C.UTF-8"]),
    )
    berth.run_checked("pull", "-q", "debian:12")
    return "debian:12"


@pytest.fixture
def person(administrator: Visitor):
    """The administrator at the page they left; whatever a page complained of fails the test."""
    administrator.problems.clear()
    yield administrator
    assert not administrator.problems, administrator.problems
