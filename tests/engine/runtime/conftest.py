from __future__ import annotations

import pytest

from tests.support.probe.lab import open_lab


@pytest.fixture(scope="module")
def lab():
    with open_lab() as opened:
        yield opened
