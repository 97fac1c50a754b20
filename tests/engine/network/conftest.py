from __future__ import annotations

import pytest

from engine.network import Network
from tests.support.engines import temporary_engine
from tests.support.hosts import fake_host


@pytest.fixture
def config():
    with temporary_engine() as config:
        yield config


@pytest.fixture
def host(config):
    with fake_host(config.run) as host:
        yield host


@pytest.fixture
def network(config, host):
    """The network of an engine on a fake host."""
    network = Network(config)
    host.run(network.ensure)
    yield network
    host.run(network.remove)
