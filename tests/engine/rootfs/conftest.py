from __future__ import annotations

import pytest

from tests.support.engines import container_id, temporary_engine


@pytest.fixture
def config():
    with temporary_engine() as config:
        yield config


@pytest.fixture
def cid(config):
    config.container(container_id()).mkdir(mode=0o711)
    return container_id()
