"""Published ports of real containers: a small server inside, callers outside, and everything given back."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from engine.api import Engine
from engine.containers.states import State
from engine.errors import PortTaken
from engine.network import Published
from tests.engine.containers.test_faults import assert_nothing_runs, die_at
from tests.support.callers import SERVE, ask, is_free
from tests.support.hosts import program
from tests.support.ports import free_port

pytestmark = pytest.mark.root


def on_loopback(port, container_port=80):
    return Published(protocol="tcp", address="127.0.0.1", port=port, container_port=container_port)


@pytest.fixture
def serving(lab):
    """A container with a server that is published on a free port: (its id, the port)."""
    port = free_port()
    container_id = lab.create("/bin/sh", "-c", SERVE, hostname="quay")
    lab.engine.start(container_id, published=[on_loopback(port)])
    yield container_id, port
    lab.take_away(container_id)


def test_a_server_in_a_container_answers_on_the_hosts_port(lab, serving):
    container_id, port = serving
    assert ask(port) == "from-quay"
    assert lab.engine.published(container_id) == (on_loopback(port),)
    assert not is_free(port)
    assert not lab.engine.mend_network()


def test_after_the_end_the_port_is_free_and_at_the_next_start_it_may_be_another(lab, serving):
    container_id, port = serving
    lab.engine.stop(container_id, 0)
    lab.engine.release(container_id)
    assert is_free(port)
    assert lab.engine.published(container_id) == ()
    other = free_port()
    lab.engine.start(container_id, published=[on_loopback(other)])
    assert ask(other) == "from-quay"
    assert is_free(port)


@pytest.mark.threat("NET-08")
def test_a_port_of_the_hosts_keeps_the_container_from_starting_and_leaves_nothing(lab):
    container_id = lab.create("/bin/sleep", "60")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with pytest.raises(PortTaken, match="address already in use"):
            lab.engine.start(container_id, published=[on_loopback(server.getsockname()[1])])
    assert lab.engine.observe(container_id).state is State.CREATED
    assert_nothing_runs(lab, container_id)
    lab.engine.start(container_id)
    lab.take_away(container_id)


@pytest.mark.threat("NET-08")
def test_of_two_starts_at_once_one_gets_the_port(lab, monkeypatch):
    monkeypatch.setattr("engine.network.reservations.Reservations.take.__kwdefaults__", {"patience_s": 0.5})
    port, outcomes = free_port(), []
    rows = [lab.create("/bin/sleep", "60") for _ in range(2)]

    def start(container_id):
        try:
            lab.engine.start(container_id, published=[on_loopback(port)])
            outcomes.append("started")
        except PortTaken:
            outcomes.append("refused")

    threads = [threading.Thread(target=start, args=(row,)) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "started"]
    for row in rows:
        lab.take_away(row)
    assert is_free(port)


@pytest.mark.fault("F44")
def test_flushed_rules_are_back_and_the_server_answers_again(lab, serving):
    _, port = serving
    program("/proc/self/ns/net", "nft", "delete", "table", "inet", lab.config.table)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=2)
    assert lab.engine.mend_network()
    assert ask(port) == "from-quay"


@pytest.mark.fault("F13")
def test_a_new_worker_holds_the_port_of_a_container_that_runs(lab, serving):
    container_id, port = serving
    lab.engine._network._reservations.release(container_id)  # as when its process was killed
    assert is_free(port)
    again = Engine(lab.config)
    again.prepare()
    assert not is_free(port)
    assert again.published(container_id) == (on_loopback(port),)
    assert ask(port) == "from-quay"
    again._network._reservations.release(container_id)
    again.close()


@pytest.mark.fault("F13")
@pytest.mark.parametrize("step", ["spec", "create", "start"])
def test_a_worker_that_dies_in_a_start_leaves_no_port(lab, step):
    port = free_port()
    container_id = lab.create("/bin/sleep", "60")
    die_at(lab, container_id, step, ports=[port])
    engine = Engine(lab.config)
    engine.prepare()
    engine.sweep({container_id})
    assert engine.observe(container_id).state is State.CREATED
    assert is_free(port)
    assert engine.published(container_id) == ()
    assert str(port) not in program("/proc/self/ns/net", "nft", "list", "table", "inet", lab.config.table).stdout
    assert not engine.mend_network()
    engine.close()
    lab.take_away(container_id)


def test_a_server_calls_its_own_published_port(lab):
    port = free_port()
    everywhere = Published(protocol="tcp", address="0.0.0.0", port=port, container_port=80)
    gateway = lab.engine._network.gateway
    call = f"until nc -w 5 {gateway} {port} </dev/null | grep quay; do sleep 0.05; done"
    container_id = lab.create("/bin/sh", "-c", f"({SERVE}) & {call}; sleep 60", hostname="quay")
    lab.engine.start(container_id, published=[everywhere])
    lab.wait_for_output(container_id, "from-quay")
    lab.take_away(container_id)


def test_descriptors_do_not_pile_up(lab):
    port = free_port()
    container_id = lab.create("/bin/true")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        lab.engine.start(container_id, published=[on_loopback(port)])
        lab.wait_for(container_id, State.EXITED)
        lab.engine.release(container_id)
    assert len(os.listdir("/proc/self/fd")) <= before
    lab.take_away(container_id)
