from __future__ import annotations

import pytest

from tests.client.server import running


@pytest.fixture
def berth(tmp_path):
    with running(tmp_path) as server:
        yield server
