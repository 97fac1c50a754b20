"""Ports of IPv6 addresses of the host: passed on by a program, whatever addresses the container has (NET-02)."""

from __future__ import annotations

import os
import signal
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import HostUnfit, NetworkError, PortTaken
from engine.kernel import cgroups, namespaces
from engine.network import Network, Published, audit
from tests.support.hosts import HOST_ADDRESS6, LAN_ADDRESS6, answers, listening, reach
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.threat("NET-02")]
UDP = socket.SOCK_DGRAM
ONE = "1" * 64
LOOP = Published(protocol="tcp", address="::1", port=8080, container_port=80)


def pids(config):
    return cgroups.pids(f"{config.cgroup}/relays")


def call(netns, address, port, sent):
    """What comes back for these bytes, after the caller has said that it is done."""

    def speak():
        with socket.create_connection((address, port), timeout=20) as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b""))

    return namespaces.in_netns(netns, speak)


def test_the_hosts_loopback_leads_to_the_container_and_to_nobody_else(host, publish, network, addresses):
    box = publish(1, LOOP)
    with listening(box, port=80) as callers:
        assert reach(host.netns, "::1", 8080) == "answered"
        assert callers == [network.gateway]
        assert not answers(host.lan, HOST_ADDRESS6, 8080)
        assert not answers(host.netns, "127.0.0.1", 8080)
    assert network.published(ONE) == (LOOP,)
    assert host.run(network.is_intact)


def test_all_addresses_a_range_and_datagrams(host, publish):
    ports = [Published(protocol="tcp", address="::", port=9000 + n, container_port=80 + n) for n in range(3)]
    questions = Published(protocol="udp", address=HOST_ADDRESS6, port=5300, container_port=53)
    same_of_four = Published(protocol="tcp", address="0.0.0.0", port=9000, container_port=82)
    box = publish(1, *ports, questions, same_of_four)
    with listening(box, port=81) as callers, listening(box, port=53, kind=UDP) as asked, listening(box, port=82):
        assert reach(host.lan, HOST_ADDRESS6, 9001) == "answered"
        assert reach(host.netns, "::1", 9001) == "answered"
        assert reach(host.lan, HOST_ADDRESS6, 5300, kind=UDP) == "answered"
        assert len(callers) == 2
        assert len(asked) == 1
        assert reach(host.lan, "198.51.100.2", 9000) == "answered"  # the firewall's


def test_a_container_reaches_none_of_them_through_the_host(host, publish):
    box, other = publish(1, replace(LOOP, address="::")), publish(2)
    with listening(box, port=80) as callers:
        for address in ("::1", HOST_ADDRESS6):
            assert not answers(other, address, 8080)
        assert callers == []


def test_an_answer_may_come_long_after_the_question_has_ended(host, publish):
    """By itself the relay hangs up half a second after one side has."""
    box = publish(1, LOOP)

    def serve():
        import threading
        import time

        server = socket.create_server(("0.0.0.0", 80))

        def answer():
            connection, _caller = server.accept()
            with server, connection:
                said = b"".join(iter(lambda: connection.recv(65536), b""))
                time.sleep(1.5)
                connection.sendall(str(len(said)).encode())

        threading.Thread(target=answer).start()

    namespaces.in_netns(box, serve)
    assert call(host.netns, "::1", 8080, b"x" * 3_000_000) == b"3000000"


def test_a_port_of_a_program_is_refused_and_nothing_is_left(host, network, addresses, config):
    with listening(host.netns, port=8080, address="::1"), pytest.raises(PortTaken, match=r"\[::1\]:8080/tcp: address"):
        host.run(lambda: network.attach(ONE, addresses[0], published=[LOOP]))
    assert host.run(network.attached) == {}
    assert not pids(config)
    with pytest.raises(NetworkError, match="cannot assign"):
        host.run(lambda: network.attach(ONE, addresses[0], published=[replace(LOOP, address=LAN_ADDRESS6)]))
    assert host.run(network.attached) == {}


def test_a_host_without_the_program_is_told_what_to_install(host, config, addresses, tmp_path):
    other = Network(replace(config, socat=tmp_path / "nothing"))
    host.run(other.ensure)
    with pytest.raises(HostUnfit, match="apt-get install socat"):
        host.run(lambda: other.attach(ONE, addresses[0], published=[LOOP]))
    assert host.run(other.attached) == {}


def test_the_next_container_gets_the_port_as_soon_as_the_last_one_is_gone(host, publish, network, config):
    publish(1, LOOP)
    host.run(lambda: network.detach(ONE))
    assert not pids(config)
    assert reach(host.netns, "::1", 8080) == "refused"
    box = publish(2, LOOP)
    with listening(box, port=80):
        assert reach(host.netns, "::1", 8080) == "answered"


@pytest.mark.threat("F44")
def test_a_new_engine_takes_the_relays_over_and_mends_them(host, publish, network, config):
    box = publish(1, LOOP)
    before = pids(config)
    again = Network(config)
    host.run(again.ensure)
    assert pids(config) == before
    assert host.run(again.is_intact)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until("it has ended", lambda: not pids(config))
    assert not host.run(again.is_intact)
    assert [one.kind for one in host.run(lambda: list(audit.look(config, {ONE})))] == ["relay"]
    host.run(again.ensure)
    assert host.run(again.is_intact)
    assert host.run(lambda: list(audit.look(config, {ONE}))) == []
    with listening(box, port=80):
        assert reach(host.netns, "::1", 8080) == "answered"


def test_it_runs_as_nobody_with_one_right(host, publish, config):
    publish(1, replace(LOOP, port=80))
    (pid,) = pids(config)
    said = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    assert said["Uid"].split() == ["65534"] * 4
    assert int(said["CapBnd"], 16) == int(said["CapEff"], 16) == 1 << 10
    assert said["NoNewPrivs"] == "1"


def test_one_that_does_not_start_holds_nobody_up(host, config, addresses, tmp_path):
    """It is logged, and not tried again at each look."""
    program = tmp_path / "socat"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    tmp_path.chmod(0o755)
    other = Network(replace(config, socat=program))
    host.run(other.ensure)
    host.run(lambda: other.attach(ONE, addresses[0], published=[LOOP]))
    assert host.run(other.attached) == {ONE: addresses[0]}
    assert not host.run(other.is_intact)
    begun = time.monotonic()
    host.run(other.ensure)
    assert time.monotonic() - begun < 3
    host.run(lambda: other.detach(ONE))
    assert host.run(other.is_intact)
