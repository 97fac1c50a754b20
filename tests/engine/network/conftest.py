from __future__ import annotations

import itertools

import pytest

from engine.network import Network
from tests.support.engines import temporary_engine
from tests.support.hosts import fake_host, program
from tests.support.waiting import until


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


@pytest.fixture
def addresses(network):
    return list(itertools.islice(network.addresses(), 3))


@pytest.fixture
def publish(network, host, addresses):
    """Attach container number `n` with ports; returns its network namespace."""

    def attach(number, *ports):
        box = host.run(lambda: network.attach(f"{number}" * 64, addresses[number - 1], published=ports))
        _until_forwarding(host)
        return box

    return attach


def _until_forwarding(host):
    """The kernel tells the bridge of a new port's carrier a moment later; a first packet before that waits a second."""
    until("all ports forward", lambda: "state disabled" not in program(host.netns, "bridge", "link").stdout)
