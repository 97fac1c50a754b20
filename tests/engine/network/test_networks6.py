"""IPv6 in networks, seen from containers, from the host and from the LAN (NET-01, NET-03 to NET-06)."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import threading
from pathlib import Path

import pytest

from engine.errors import NetworkError
from engine.kernel import namespaces
from engine.network import Endpoint, Network, NetworkDefinition, Published
from engine.network.addresses import Subnet
from engine.network.addresses6 import Subnet6
from tests.engine.network.test_networks import ask
from tests.support.hosts import HOST_ADDRESS6, LAN_ADDRESS6, answers, ip, is_silent, listening, program, reach
from tests.support.waiting import until

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)
AAAA = 28
FRONT = NetworkDefinition(number=1, subnet=Subnet.parse("10.81.1.0/24"), subnet6=Subnet6.parse("fd12:3456:789a:1::/64"))
BACK = NetworkDefinition(
    number=2, subnet=Subnet.parse("10.81.2.0/24", "10.81.2.254"), subnet6=Subnet6.parse("fd12:3456:789a:2::/64")
)
HIDDEN = NetworkDefinition(
    number=3, subnet=Subnet.parse("10.81.3.0/24"), is_internal=True, subnet6=Subnet6.parse("fd12:3456:789a:3::/64")
)
OLD = NetworkDefinition(number=4, subnet=Subnet.parse("10.81.4.0/24"))
root = pytest.mark.root


def place(network, last, *called):
    return Endpoint(network=network, address=str(network.subnet.network[last]), names=called)


def six(network, last):
    return str(network.subnet6.network[last])


@pytest.fixture
def attach(network, host):
    def attach(container_id, *places, **how):
        return host.run(lambda: network.attach(container_id, places, **how))

    return attach


# Arithmetic


def test_addresses_follow_from_those_of_ipv4():
    assert place(FRONT, 7).address6 == "fd12:3456:789a:1::7"
    assert (FRONT.gateway6, BACK.gateway6) == ("fd12:3456:789a:1::1", "fd12:3456:789a:2::fe")
    assert (OLD.gateway6, place(OLD, 7).address6) == ("", "")
    wide = NetworkDefinition(number=1, subnet=Subnet.parse("10.0.0.0/8"), subnet6=FRONT.subnet6)
    assert wide.address6("10.1.0.2") == "fd12:3456:789a:1::1:2"


def test_each_network_of_each_engine_has_its_own():
    found = {str(Subnet6.of(tag, number)) for tag in ("a" * 8, "b" * 8) for number in (1, 2, 0xFFFF)}
    assert len(found) == 6
    assert all(ipaddress.IPv6Network(one).subnet_of(ipaddress.IPv6Network("fd00::/8")) for one in found)


@pytest.mark.parametrize(
    "text", ["", "x", "10.0.0.0/24", "fd12::/48", "fd12::1/64", "2001:db8::/64", "fe80::/64", "::/64", "fd00:ec2::/64"]
)
def test_other_networks_are_refused(text):
    with pytest.raises(NetworkError):
        Subnet6.parse(text)


# In the kernel


@root
def test_containers_of_one_network_find_and_reach_each_other(host, attach, network):
    front, other = attach(ONE, place(FRONT, 2, "web")), attach(TWO, place(FRONT, 3, "db"))
    assert f"{six(FRONT, 2)}/128" in ip(front, "-6 -br addr show dev eth0")
    assert "fe80" not in ip(front, "-6 -br addr show dev eth0")
    with listening(other, port=80, address="::") as callers:
        assert reach(front, six(FRONT, 3), 80) == "answered"
        assert callers == [six(FRONT, 2)]
        assert reach(host.netns, six(FRONT, 3), 80) == "answered"  # the host may, as by IPv4

    told = (0, ["0.0.0.3"])  # the last 32 bits of its address
    until("the name has an IPv6 address", lambda: ask(front, FRONT.subnet.gateway, "db", kind=AAAA) == told)
    assert host.run(network.is_intact)


@root
def test_the_way_out_is_the_hosts_address_and_nothing_comes_in_unasked(host, attach):
    front = attach(ONE, place(FRONT, 2))
    ip(host.lan, f"-6 route add {FRONT.subnet6} via {HOST_ADDRESS6}")
    with listening(host.lan, port=80, address="::") as callers:
        assert reach(front, LAN_ADDRESS6, 80) == "answered"
        assert callers == [HOST_ADDRESS6]
    with listening(front, port=80, address="::") as callers:
        assert is_silent(host.lan, six(FRONT, 2), 80)
        assert is_silent(host.lan, FRONT.gateway6, 80)
        assert callers == []


@root
@pytest.mark.threat("NET-01")
@pytest.mark.threat("NET-06")
def test_nothing_of_the_host_answers_a_container(host, attach):
    front = attach(ONE, place(FRONT, 2))
    with listening(host.netns, port=8000, address="::") as callers:
        for address in (FRONT.gateway6, HOST_ADDRESS6, "::1", "fd00:ec2::254"):
            assert not answers(front, address, 8000), address
        assert callers == []
    assert program(front, "busybox", "ping", "-6", "-c", "1", "-W", "2", FRONT.gateway6).returncode == 0


@root
@pytest.mark.threat("NET-04")
def test_other_networks_are_not_reached_whoever_has_ipv6(host, attach):
    front, back, old = attach(ONE, place(FRONT, 2)), attach(TWO, place(BACK, 2)), attach(THREE, place(OLD, 2))
    assert ip(old, "-6 -br addr show dev eth0").strip() == ""
    with listening(back, port=80, address="::") as callers, listening(front, port=80, address="::") as others:
        assert not answers(front, six(BACK, 2), 80)
        ip(old, f"-6 route add {FRONT.subnet6} dev lo")
        assert not answers(old, six(FRONT, 2), 80)
        assert callers == others == []


@root
@pytest.mark.threat("NET-05")
def test_an_internal_network_has_no_way_out(host, attach):
    hidden, other = attach(ONE, place(HIDDEN, 2)), attach(TWO, place(HIDDEN, 3))
    assert "default" not in ip(hidden, "-6 route")
    ip(hidden, f"-6 route add default via {HIDDEN.gateway6} dev eth0")
    with listening(host.lan, port=80, address="::") as callers, listening(other, port=80, address="::"):
        assert not answers(hidden, LAN_ADDRESS6, 80)
        assert callers == []
        assert reach(hidden, six(HIDDEN, 3), 80) == "answered"


def _heard(box, kinds):
    """A packet socket in a container that gathers kinds of ICMPv6 messages."""

    def open_socket():
        heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
        heard.settimeout(1.0)
        return heard

    heard = namespaces.in_netns(box, open_socket)
    found = []
    with heard:
        try:
            while True:
                packet = heard.recv(2000)
                if packet[20] == 58 and packet[54] in kinds:
                    found.append(packet[54])
        except TimeoutError:
            return found


def _say(box, source, kind, body):
    """One ICMPv6 message to all neighbours, written by hand as somebody with NET_RAW can."""

    def send():
        message = struct.pack("!BBH", kind, 0, 0) + body
        pseudo = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "ff02::1")
        total = pseudo + struct.pack("!II", len(message), 58) + message
        words = sum(struct.unpack(f"!{len(total) // 2}H", total))
        checksum = ~((words & 0xFFFF) + (words >> 16)) & 0xFFFF
        message = message[:2] + struct.pack("!H", checksum) + message[4:]
        header = struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + pseudo
        own = _mac_of(box)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind(("eth0", 0x86DD))
            raw.send(bytes.fromhex("333300000001") + own + b"\x86\xdd" + header + message)

    namespaces.in_netns(box, send)


def _mac_of(box):
    words = ip(box, "-br link show dev eth0").split()
    return bytes.fromhex(next(word for word in words if word.count(":") == 5).replace(":", ""))


@root
@pytest.mark.threat("NET-03")
def test_nobody_says_who_has_an_address_or_where_the_way_out_is(host, attach):
    """A container with NET_RAW: router advertisements, neighbour advertisements, other people's addresses."""
    victim, attacker = attach(ONE, place(FRONT, 2)), attach(TWO, place(FRONT, 3))
    target = socket.inet_pton(socket.AF_INET6, FRONT.gateway6)
    before = ip(victim, "-6 neigh") + ip(victim, "-6 route") + ip(host.netns, "-6 neigh show nud permanent")

    def speak():
        for source in (six(FRONT, 3), six(FRONT, 2), "fe80::1", "::"):
            _say(attacker, source, 134, bytes([64, 0]) + struct.pack("!HII", 1800, 0, 0))
            _say(attacker, source, 136, struct.pack("!I", 0x20000000) + target + b"\x02\x01" + _mac_of(attacker))
            _say(attacker, source, 135, bytes(4) + target + b"\x01\x01" + _mac_of(attacker))
            _say(attacker, source, 137, bytes(4) + target + target)

    speaking = threading.Timer(0.3, speak)
    speaking.start()
    assert _heard(victim, {134, 135, 136, 137}) == []
    speaking.join()
    assert ip(victim, "-6 neigh") + ip(victim, "-6 route") + ip(host.netns, "-6 neigh show nud permanent") == before
    # somebody else's address, and one that nobody has
    for stolen in (six(FRONT, 2), six(FRONT, 77)):
        ip(attacker, f"-6 addr add {stolen}/128 dev eth0 nodad")
        with listening(host.lan, port=80, address="::") as callers:
            ip(attacker, f"-6 route replace {LAN_ADDRESS6} via {FRONT.gateway6} dev eth0 src {stolen}")
            assert not answers(attacker, LAN_ADDRESS6, 80)
            assert callers == []
    program(host.netns, "nft", "flush", "ruleset")  # the ear does hear, and the rules are what kept it from hearing
    speaking = threading.Timer(0.3, speak)
    speaking.start()
    assert set(_heard(victim, {134, 135, 136, 137})) == {134, 135, 136, 137}
    speaking.join()
    assert ip(victim, "-6 route") in before


@root
@pytest.mark.threat("F44")
def test_without_rules_nothing_goes_anywhere_and_all_of_it_comes_back(host, attach, network):
    front, other = attach(ONE, place(FRONT, 2)), attach(TWO, place(FRONT, 3))
    with listening(host.lan, port=80, address="::") as callers, listening(other, port=80, address="::"):
        program(host.netns, "nft", "flush", "ruleset")
        assert not answers(front, LAN_ADDRESS6, 80)
        assert callers == []
        assert not host.run(network.is_intact)
        bridge = FRONT.bridge(network._config.tag)
        ip(host.netns, f"link set {bridge} down")  # which takes its addresses and neighbours, too
        host.run(network.ensure)
        assert host.run(network.is_intact)
        assert reach(front, LAN_ADDRESS6, 80) == "answered"
        assert reach(front, six(FRONT, 3), 80) == "answered"
        ip(host.netns, f"-6 rule del priority 100 iif {bridge}")
        assert not host.run(network.is_intact)
        host.run(network.ensure)
        assert host.run(network.is_intact)


@root
def test_nothing_is_left_of_a_container_and_a_new_engine_takes_over(host, attach, network, config):
    front, other = attach(ONE, place(FRONT, 2)), attach(TWO, place(FRONT, 3))
    again = Network(config)
    host.run(again.ensure)
    assert host.run(again.is_intact)
    with listening(other, port=80, address="::"):
        assert reach(front, six(FRONT, 3), 80) == "answered"
    host.run(lambda: again.detach(ONE))
    assert six(FRONT, 2) not in ip(host.netns, "-6 neigh show nud permanent")
    assert six(FRONT, 3) in ip(host.netns, "-6 neigh show nud permanent")
    assert six(FRONT, 2) not in program(host.netns, "nft", "list", "ruleset").stdout
    assert host.run(again.is_intact)
    host.run(lambda: again.detach(TWO))
    host.run(lambda: again.forget_network(FRONT.number))
    left = ip(host.netns, "-6 rule") + ip(host.netns, "-6 route") + program(host.netns, "nft", "list", "ruleset").stdout
    assert "fd12:3456:789a" not in left
    assert FRONT.bridge(config.tag) not in left


@root
def test_a_running_container_comes_into_one_and_leaves_it(host, attach, network):
    box, other = attach(ONE, place(OLD, 2)), attach(TWO, place(FRONT, 3))
    host.run(lambda: network.connect(ONE, place(FRONT, 2)))
    with listening(other, port=80, address="::"), listening(host.lan, port=80, address="::"):
        assert reach(box, six(FRONT, 3), 80) == "answered"
        assert reach(box, LAN_ADDRESS6, 80) == "answered"  # its only way out by IPv6
        host.run(lambda: network.disconnect(ONE, FRONT.number))
        assert not answers(box, six(FRONT, 3), 80)
    assert host.run(network.is_intact)


@root
def test_one_that_the_host_has_already_is_refused(host, attach):
    ip(host.netns, f"-6 route add {FRONT.subnet6} dev lo")
    with pytest.raises(NetworkError, match="overlaps a route of this host"):
        attach(ONE, place(FRONT, 2))


@root
def test_a_host_without_ipv6_is_told_so(host, attach):
    def switch_off():
        Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")

    host.run(switch_off)
    with pytest.raises(NetworkError, match="This host has no IPv6"):
        attach(ONE, place(FRONT, 2))
    attach(TWO, place(OLD, 2))


@root
def test_a_kernel_that_knows_no_ipv6_at_all_is_looked_at_as_any_other(host, attach, network, monkeypatch, tmp_path):
    """`ipv6.disable=1`: there is nothing of it below /proc/sys, and no socket of it."""
    monkeypatch.setattr("engine.network.ipv6.CONF", tmp_path)
    monkeypatch.setattr("engine.network.addresses6.CONF", tmp_path)
    attach(TWO, place(OLD, 2))
    assert host.run(network.is_intact)
    host.run(network.ensure)

    def no_such_family(*_words):
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    port = Published(protocol="tcp", address="::1", port=8080, container_port=80)
    with monkeypatch.context() as patched:
        patched.setattr("engine.network.relays.socket.socket", no_such_family)
        with pytest.raises(NetworkError, match="address family not supported"):
            network._relays.refuse_taken([port])
