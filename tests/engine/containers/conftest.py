from __future__ import annotations

import pytest

from tests.engine.containers.box import running
from tests.support.probe.lab import open_lab


@pytest.fixture(scope="module")
def lab():
    with open_lab() as opened:
        yield opened


@pytest.fixture(scope="module")
def box(lab):
    with running(lab) as made:
        yield made
