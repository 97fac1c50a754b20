"""The primer begins with an empty Berth, so it has one of its own, whatever other tests ran before on this worker."""

from __future__ import annotations

from tests.e2e.browser.conftest import administrator, berth, chromium, person, registry

__all__ = ["administrator", "berth", "chromium", "person", "registry"]
