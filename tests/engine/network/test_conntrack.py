"""Who sends UDP from one port all the time is led where a first packet would be led now."""

from __future__ import annotations

import socket

import pytest

from engine.kernel import namespaces
from engine.network import Published, links
from tests.support.hosts import HOST_ADDRESS, LAN_ADDRESS, SILENT_S, ip, listening, program
from tests.support.waiting import until

pytestmark = pytest.mark.root
ONE = "1" * 64
UDP = socket.SOCK_DGRAM
ANSWER_S = 20.0


def port(host_port: int) -> Published:
    return Published(protocol="udp", address="0.0.0.0", port=host_port, container_port=53)


@pytest.fixture
def sender(host):
    def opened():
        sock = socket.socket(socket.AF_INET, UDP)
        sock.bind((LAN_ADDRESS, 4000))
        return sock

    with namespaces.in_netns(host.lan, opened) as sock:
        yield sock


def is_answered(sender, within_s=ANSWER_S) -> bool:
    """Whether one packet is; nothing is sent twice, or a flow could have ended meanwhile."""
    sender.settimeout(within_s)
    sender.sendto(b"?", (HOST_ADDRESS, 5000))
    try:
        return bool(sender.recv(100))
    except TimeoutError:
        return False


@pytest.mark.parametrize("how_many", [1, 20])
def test_it_is_led_to_the_container_of_now(network, host, publish, sender, how_many):
    """Before anybody published it, to the first container, after a flush, and to the next container."""
    ports = [port(5000 + n) for n in range(how_many)]
    assert not is_answered(sender, SILENT_S)
    with listening(publish(1, *ports), port=53, kind=UDP):
        assert is_answered(sender)
        program(host.netns, "nft", "flush", "ruleset")
        assert not is_answered(sender, SILENT_S)
        host.run(network.ensure)
        assert is_answered(sender)
    host.run(lambda: network.detach(ONE))
    with listening(publish(2, *ports), port=53, kind=UDP):
        assert is_answered(sender)


@pytest.mark.parametrize(
    "end", ["detached", "attached again", "died between steps", "flushed and died", "no interface"]
)
def test_it_reaches_the_host_once_the_container_is_gone(network, host, config, publish, sender, end):
    """What the kernel decided about the flow would lead it to an address that is nobody's, or the next container's."""
    with listening(publish(1, port(5000)), port=53, kind=UDP):
        assert is_answered(sender)
    if end == "attached again":
        publish(1, port(5001))
    elif end == "detached":
        host.run(lambda: network.detach(ONE))
    else:
        interface = next(one.name for one in host.run(lambda: links.attached(config.tag)))
        if end == "flushed and died":
            program(host.netns, "nft", "flush", "ruleset")
        ip(host.netns, f"link del {interface}")
        if end == "no interface":
            host.run(lambda: network.detach(ONE))
        network._reservations.release(ONE)
        host.run(network.ensure)
    with listening(host.netns, port=5000, kind=UDP) as callers:
        sender.sendto(b"?", (HOST_ADDRESS, 5000))
        until("the host is called", lambda: callers == [LAN_ADDRESS], ANSWER_S)
