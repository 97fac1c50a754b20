"""Markers decide what runs: `root`, `services` and `browser` tests skip loudly where they cannot; `long` only on request."""

from __future__ import annotations

import gc
import os
import shutil

import hypothesis
import pytest

from tests.support.examples import examples

os.environ.setdefault("BERTH_TESTING", "unit")
os.environ.setdefault("BERTH_POLICY", "/nonexistent/engine.toml")  # not this host's
os.environ.setdefault("DATABASE_URL", "sqlite:////tmp/berth-unit-tests.sqlite3")

# An example's 200 ms are no claim of ours, and a busy machine takes longer for any; a claim about time says its own.
hypothesis.settings.register_profile("berth", deadline=None, max_examples=examples(100))
hypothesis.settings.load_profile("berth")

NEEDS = {
    "services": ("redis-server", "docker-registry"),
    "browser": ("chromium",),
    "root": ("runc", "conmon", "tar2sqfs", "nft"),
}


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the long tests too")


def _reason(item) -> str | None:
    marks = {mark.name for mark in item.iter_markers()}
    if "long" in marks and not item.config.getoption("--long"):
        return "long: run with --long"
    if "root" in marks and os.geteuid() != 0:
        return "needs root"
    for mark in marks & set(NEEDS):
        if missing := [program for program in NEEDS[mark] if shutil.which(program) is None]:
            return f"needs {', '.join(missing)}"
    return None


def pytest_collection_modifyitems(config, items):
    for item in items:
        if reason := _reason(item):
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish(session):
    """What is loaded now stays: the collector need not look through it again at each of its rounds."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup):
    """Emptying the tables after a test makes no rows for Django's own permissions and content types: nothing uses them."""
    from django.contrib.contenttypes.management import create_contenttypes
    from django.db.models.signals import post_migrate

    post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")
    post_migrate.disconnect(create_contenttypes)
