"""Who may ask the name server of networks, how often, and whom it asks in turn."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from dataclasses import replace

import pytest

from engine.kernel import cgroups, namespaces
from engine.network import names
from tests.engine.network.test_networks import BACK, FRONT, ONE, TWO, UDP, ask, attach, find, finds, place
from tests.support.hosts import HOST_ADDRESS, LAN_ADDRESS, answers, ip, listening
from tests.support.waiting import until

__all__ = ["attach"]
pytestmark = pytest.mark.root


def flood(netns, server, count):
    """Questions for names elsewhere, as fast as one program can send them."""

    def call():
        with socket.socket(socket.AF_INET, UDP) as client:
            client.connect((server, 53))
            sent = 0
            for number in range(count):
                name = f"n{number}".encode()
                labels = bytes([len(name)]) + name + b"\7example\0"
                with contextlib.suppress(OSError):
                    sent += bool(
                        client.send(struct.pack("!6H", number & 0xFFFF, 0x100, 1, 0, 0, 0) + labels + b"\0\1\0\1")
                    )
            return sent

    return namespaces.in_netns(netns, call)


@pytest.mark.threat("NET-01")
def test_one_who_floods_the_name_server_takes_it_from_nobody(network, host, config, attach):
    front = attach(ONE, replace(place(FRONT, 2, "web"), servers=(LAN_ADDRESS,)))
    back = attach(TWO, place(BACK, 2, "db"))
    find(back, "10.81.2.254", "db", ["10.81.2.2"])
    (pid,) = cgroups.pids(names.cgroup_of(config))
    with listening(host.lan, port=5353, kind=UDP):
        assert flood(front, "10.81.1.1", 30_000) > 10_000
        assert len(os.listdir(f"/proc/{pid}/fd")) < 3000
        find(back, "10.81.2.254", "db", ["10.81.2.2"])
    assert host.run(network.is_intact)
    until("it may ask again", lambda: finds(front, "10.81.1.1", "web") == ["10.81.1.2"])


@pytest.mark.threat("NET-04")
def test_no_container_has_the_host_ask_where_it_cannot_ask_itself(network, host, attach):
    """The name server asks as the host, which reaches all networks, and the metadata address."""
    ip(host.lan, "addr add 169.254.169.254/32 dev lo")
    ip(host.netns, f"route add 169.254.169.254/32 via {LAN_ADDRESS}")
    back = attach(TWO, place(BACK, 2, "db"))
    wanted = ("10.81.2.2", "169.254.169.254")
    front = attach(ONE, replace(place(FRONT, 2, "web"), servers=wanted))
    in_back = replace(place(BACK, 3, "web"), servers=wanted)
    with (
        listening(back, port=53, kind=UDP) as callers,
        listening(host.lan, port=53, address="169.254.169.254", kind=UDP) as asked,
    ):
        ask(front, "10.81.1.1", "secret.example", within_s=1.0)
        assert callers == []
        host.run(lambda: network.connect(ONE, in_back))
        until("it is asked", lambda: ask(front, "10.81.1.1", "a.example", within_s=0.5) or callers)
        host.run(lambda: network.set_names(ONE, replace(in_back, names=("other",))))
        host.run(lambda: network.disconnect(ONE, BACK.number))
        callers.clear()
        ask(front, "10.81.1.1", "secret.example", within_s=1.0)
        host.run(lambda: network.set_names(ONE, replace(place(FRONT, 2, "third"), servers=wanted)))
        ask(front, "10.81.1.1", "secret.example", within_s=1.0)
        assert callers == asked == []


@pytest.mark.threat("NET-01")
def test_a_stranger_on_the_lan_does_not_reach_the_name_server(network, host, attach):
    """Not by a packet for the network's gateway, which the host has, whatever way it comes in."""
    front = attach(ONE, place(FRONT, 2, "web"))
    find(front, "10.81.1.1", "web", ["10.81.1.2"])
    ip(host.lan, f"route add 10.81.1.0/24 via {HOST_ADDRESS}")
    assert ask(host.lan, "10.81.1.1", "web", within_s=1.0) is None
    with listening(host.netns, port=7070, kind=UDP) as callers:
        assert not answers(host.lan, "10.81.1.1", 7070, kind=UDP)
        assert answers(host.lan, HOST_ADDRESS, 7070, kind=UDP)
        assert len(callers) == 1
    assert finds(front, "10.81.1.1", "web") == ["10.81.1.2"]
