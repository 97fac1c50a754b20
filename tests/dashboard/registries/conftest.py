from __future__ import annotations

from tests.dashboard.catalog.fixtures import data, engine, queue, registry, user  # noqa: F401 - fixtures
