from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from engine.errors import HostUnfit, NetworkError
from engine.kernel import namespaces
from engine.network import Network, Published
from tests.support.engines import temporary_engine
from tests.support.hosts import HOST_ADDRESS, LAN_ADDRESS, SILENT_S, answers, ip, is_silent, listening, program, reach

pytestmark = pytest.mark.root
ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)


@pytest.fixture
def one(network, host, addresses):
    return host.run(lambda: network.attach(ONE, addresses[0]))


@pytest.fixture
def two(network, host, addresses):
    return host.run(lambda: network.attach(TWO, addresses[1]))


def ping(netns, address):
    """An ICMP echo by an unprivileged socket, as `ping` without NET_RAW does; True when it was answered."""

    def body():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as sock:
            sock.settimeout(20)
            sock.connect((address, 0))
            try:
                sock.send(struct.pack("!BBHHH", 8, 0, 0, 0, 1))
                return sock.recv(100)[0] == 0
            except OSError:
                return False

    return namespaces.in_netns(netns, body)


def test_a_container_has_its_address_its_way_out_and_nothing_else(network, one, addresses):
    shown = ip(one, "-br addr")
    assert sorted(line.split()[0].split("@")[0] for line in shown.splitlines()) == ["eth0", "lo"]
    assert f"{addresses[0]}/20" in shown
    assert "fe80" not in shown
    assert f"default via {network.gateway}" in ip(one, "route")
    assert "02:42:" in ip(one, "link show eth0")


def test_it_reaches_the_lan_behind_the_hosts_address_and_gets_answers(host, one):
    with listening(host.lan, port=80) as callers:
        assert reach(one, LAN_ADDRESS, 80) == "answered"
        assert callers == [HOST_ADDRESS]
    with listening(host.lan, port=53, kind=socket.SOCK_DGRAM):
        assert reach(one, LAN_ADDRESS, 53, kind=socket.SOCK_DGRAM) == "answered"


@pytest.mark.parametrize("strictness", ["1", "2"])
def test_it_gets_answers_on_a_host_that_checks_return_paths(host, one, strictness):
    """As systemd and most distributions set it; no container had a way out there."""
    program(host.netns, "sysctl", "-w", f"net.ipv4.conf.eth0.rp_filter={strictness}")
    with listening(host.lan, port=80):
        assert reach(one, LAN_ADDRESS, 80) == "answered"


def test_containers_of_the_default_bridge_reach_each_other(one, two, addresses):
    with listening(two, port=80) as callers:
        assert reach(one, addresses[1], 80) == "answered"
        assert callers == [addresses[0]]


def test_the_host_reaches_a_container(host, one, addresses):
    with listening(one, port=80):
        assert reach(host.netns, addresses[0], 80) == "answered"


def test_ping_works_without_rights(network, one):
    groups = namespaces.in_netns(one, lambda: Path("/proc/sys/net/ipv4/ping_group_range").read_text().split())
    assert groups == ["0", "2147483647"]
    assert ping(one, network.gateway)
    assert ping(one, LAN_ADDRESS)


@pytest.mark.threat("NET-01")
def test_no_service_of_the_host_answers_a_container(network, host, one):
    for address in ("0.0.0.0", "::"):
        for port in (22, 53, 6379, 8000):
            with listening(host.netns, port=port, address=address):
                for target in (network.gateway, HOST_ADDRESS):
                    assert reach(one, target, port) == "refused"
                assert reach(one, "127.0.0.1", port) == "refused"  # its own loopback
                assert reach(one, "::1", port) in {"refused", "unreachable"}
    with listening(host.netns, port=53, kind=socket.SOCK_DGRAM) as callers:
        answer = reach(one, network.gateway, 53, kind=socket.SOCK_DGRAM, timeout_s=SILENT_S)
        assert answer in {"unreachable", "silent"}
        assert callers == []


@pytest.mark.threat("NET-01")
def test_the_hosts_loopback_cannot_be_routed_to(network, host, one):
    with listening(host.netns, port=8000, address="127.0.0.1") as callers:
        ip(one, f"route add 127.0.0.2/32 via {network.gateway}")
        namespaces.in_netns(one, lambda: Path("/proc/sys/net/ipv4/conf/eth0/route_localnet").write_text("1"))
        ip(one, "addr del 127.0.0.1/8 dev lo")
        ip(one, f"route add 127.0.0.1/32 via {network.gateway}")
        assert not answers(one, "127.0.0.1", 8000)
        assert callers == []


@pytest.mark.threat("NET-01")
def test_there_is_no_ipv6_towards_the_host(network, host, config, one):
    assert "inet6" not in ip(host.netns, f"addr show dev {config.bridge}")
    namespaces.in_netns(one, lambda: Path("/proc/sys/net/ipv6/conf/eth0/disable_ipv6").write_text("0"))
    ip(one, "addr add fd12::2/64 dev eth0 nodad")
    ip(host.netns, "addr add fd12::1/64 dev eth0 nodad")
    with listening(host.netns, port=8000, address="::") as callers:
        assert not answers(one, "fd12::1", 8000)
        assert callers == []


@pytest.mark.threat("NET-02")
def test_the_lan_reaches_no_container_by_routing_to_it(network, host, one, addresses):
    ip(host.lan, f"route add {network.subnet} via {HOST_ADDRESS}")
    with listening(one, port=80) as callers:
        assert is_silent(host.lan, addresses[0], 80)
        assert callers == []


@pytest.mark.threat("NET-02")
def test_the_lan_cannot_pretend_to_be_a_container(network, host, one, addresses):
    ip(host.lan, f"addr add {addresses[2]}/32 dev lo")
    ip(host.lan, f"route add {network.subnet} via {HOST_ADDRESS} src {addresses[2]}")
    with listening(one, port=80, kind=socket.SOCK_DGRAM) as callers:
        assert is_silent(host.lan, addresses[0], 80, kind=socket.SOCK_DGRAM)
        assert callers == []


@pytest.mark.threat("NET-06")
def test_the_metadata_address_is_out_of_reach(host, one):
    ip(host.lan, "addr add 169.254.169.254/32 dev lo")
    ip(host.netns, f"route add 169.254.169.254/32 via {LAN_ADDRESS}")
    with listening(host.lan, port=80) as callers:
        assert reach(host.netns, "169.254.169.254", 80) == "answered"
        callers.clear()
        assert reach(one, "169.254.169.254", 80) == "refused"
        assert callers == []


@pytest.mark.threat("NET-03")
def test_a_container_speaks_only_as_itself(network, host, one, two, addresses):
    ip(one, f"addr add {addresses[2]}/20 dev eth0")
    with listening(two, port=80) as callers, listening(host.lan, port=80) as lan_callers:
        ip(one, f"route add {addresses[1]}/32 dev eth0 src {addresses[2]}")
        assert not answers(one, addresses[1], 80)
        ip(one, f"route add {LAN_ADDRESS}/32 via {network.gateway} dev eth0 src {addresses[2]}")
        assert not answers(one, LAN_ADDRESS, 80)
        assert callers == lan_callers == []
    ip(one, f"route del {addresses[1]}/32")
    ip(one, f"addr del {addresses[2]}/20 dev eth0")
    ip(one, "link set eth0 address 02:42:0a:00:00:99")
    with listening(two, port=80):
        assert not answers(one, addresses[1], 80)


@pytest.mark.threat("NET-03")
def test_a_false_answer_for_another_address_reaches_nobody(host, one, two, network, addresses):
    """ARP: container two says that the gateway is at its own hardware address."""

    def lie():
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind(("eth0", 0x0806))
            mac = raw.getsockname()[4]
            gateway, victim = socket.inet_aton(network.gateway), socket.inet_aton(addresses[0])
            body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + mac + gateway + b"\xff" * 6 + victim
            for _ in range(5):
                raw.send(b"\xff" * 6 + mac + b"\x08\x06" + body)

    assert ping(one, network.gateway)
    before = ip(one, f"neigh show {network.gateway}").split()
    namespaces.in_netns(two, lie)
    time.sleep(0.1)
    assert ip(one, f"neigh show {network.gateway}").split()[:5] == before[:5]


@pytest.mark.fault("F44")
def test_flushed_rules_stop_all_forwarding_and_are_restored(network, host, one, addresses):
    assert host.run(network.is_intact)
    program(host.netns, "nft", "flush", "ruleset")
    assert not host.run(network.is_intact)
    ip(host.lan, f"route add {network.subnet} via {HOST_ADDRESS}")
    with listening(host.lan, port=80) as callers, listening(one, port=80):
        assert not answers(one, LAN_ADDRESS, 80)
        assert not answers(host.lan, addresses[0], 80)
        assert callers == []
        host.run(network.ensure)
        assert host.run(network.is_intact)
        assert reach(one, LAN_ADDRESS, 80) == "answered"


@pytest.mark.fault("F44")
@pytest.mark.parametrize(
    "damage",
    [
        "ip link del {bridge}",
        "ip link set {bridge} down",
        "ip addr flush dev {bridge}",
        "sysctl -qw net.ipv4.ip_forward=0",
        "sysctl -qw net.ipv4.conf.{bridge}.route_localnet=1",
        "sysctl -qw net.ipv4.conf.all.src_valid_mark=0",
        "ip rule del pref 100",
        "nft flush chain inet {table} input",
        "nft flush set bridge {table} ports",
        "nft delete table bridge {table}",
        "ip link add {bridge}0999 type bridge",
        "ip link add v{tag}abc type veth peer name strange",
    ],
)
def test_damage_is_noticed_and_repaired_under_running_containers(network, host, config, one, addresses, damage):
    command = damage.format(bridge=config.bridge, table=config.table, tag=config.tag)
    assert program(host.netns, *command.split()).returncode == 0
    assert not host.run(network.is_intact)
    host.run(network.ensure)
    assert host.run(network.is_intact)
    with listening(host.lan, port=80):
        assert reach(one, LAN_ADDRESS, 80) == "answered"
    with listening(host.netns, port=8000):
        assert reach(one, network.gateway, 8000) == "refused"


def test_a_new_engine_process_takes_over_what_is_attached(network, host, config, one, addresses):
    again = Network(config)
    host.run(again.ensure)
    assert host.run(again.is_intact)
    assert host.run(again.attached) == {ONE: addresses[0]}
    with listening(host.lan, port=80):
        assert reach(one, LAN_ADDRESS, 80) == "answered"


def test_detaching_leaves_nothing_and_can_be_repeated(network, host, config, one, two):
    for _ in range(2):
        host.run(lambda: network.detach(ONE))
    assert not one.exists()
    assert list(host.run(network.attached)) == [TWO]
    assert network.namespaces() == {TWO[:12]}
    assert ONE not in program(host.netns, "nft", "list", "ruleset").stdout
    assert host.run(network.is_intact)
    assert ip(host.netns, "-br link").count(f"v{config.tag}") == 1


def test_an_address_goes_to_the_next_container_and_works_at_once(network, host, one, two, addresses):
    with listening(host.lan, port=80):
        for _ in range(3):
            host.run(lambda: network.detach(ONE))
            netns = host.run(lambda: network.attach(ONE, addresses[0]))
            assert reach(netns, LAN_ADDRESS, 80) == "answered"
            with listening(netns, port=80):
                assert reach(two, addresses[0], 80) == "answered"


def test_attaching_again_replaces_and_another_ones_address_is_refused(network, host, one, addresses):
    assert host.run(lambda: network.attach(ONE, addresses[2])) == one
    assert host.run(network.attached) == {ONE: addresses[2]}
    with pytest.raises(NetworkError, match="in use"):
        host.run(lambda: network.attach(TWO, addresses[2]))
    with pytest.raises(NetworkError, match="cannot be a container's"):
        host.run(lambda: network.attach(TWO, network.gateway))
    assert host.run(network.attached) == {ONE: addresses[2]}
    assert network.namespaces() == {ONE[:12]}


@pytest.mark.fault("F44")
def test_without_its_bridge_a_container_gets_a_sentence_and_nothing_stays(network, host, config, addresses):
    ip(host.netns, f"link del {config.bridge}")
    with pytest.raises(NetworkError, match=f"could not be set up \\(connect\\): there is no interface {config.bridge}"):
        host.run(lambda: network.attach(ONE, addresses[0]))
    assert network.namespaces() == set()
    assert host.run(network.attached) == {}
    host.run(network.ensure)
    host.run(lambda: network.attach(ONE, addresses[0]))


def unfit(*_args, **_options):
    raise HostUnfit("The library libnftables is not installed on this host.")


@pytest.mark.fault("F45")
@pytest.mark.parametrize("mistake", [unfit, lambda _script: 1 / 0])
def test_whatever_stops_an_attachment_nothing_of_it_stays(network, host, config, addresses, monkeypatch, mistake):
    published = [Published(protocol="tcp", address="0.0.0.0", port=8080, container_port=80)]
    with monkeypatch.context() as patch:
        patch.setattr("engine.network.firewall.load", mistake)
        with pytest.raises((HostUnfit, ZeroDivisionError)):
            host.run(lambda: network.attach(ONE, addresses[0], published=published))
    assert network.namespaces() == set()
    assert host.run(network.attached) == {}
    assert network.published(ONE) == ()
    assert not network._reservations.is_holding(ONE)
    host.run(network.ensure)
    host.run(lambda: network.attach(ONE, addresses[0], published=published))


@pytest.mark.fault("F45")
@pytest.mark.parametrize("broken", ["firewall.load", "links.disconnect", "links.attached", "links.route_loopback"])
def test_detaching_goes_on_past_what_fails(network, host, config, addresses, monkeypatch, broken):
    published = [Published(protocol="tcp", address="0.0.0.0", port=8080, container_port=80)]
    host.run(lambda: network.attach(ONE, addresses[0], published=published))
    with monkeypatch.context() as patch, contextlib.suppress(HostUnfit):
        patch.setattr(f"engine.network.{broken}", unfit)
        host.run(lambda: network.detach(ONE))
    assert network.namespaces() == set()
    assert network.published(ONE) == ()
    assert not network._reservations.is_holding(ONE)
    host.run(lambda: network.detach(ONE))
    host.run(network.ensure)
    assert host.run(network.attached) == {}
    assert "8080" not in program(host.netns, "nft", "list", "ruleset").stdout


def test_many_containers_are_attached_at_once(network, host):
    found = list(enumerate(itertools.islice(network.addresses(), 12)))
    errors = []

    def attach(number, address):
        try:
            host.run(lambda: network.attach(f"{number:x}" * 64, address))
        except NetworkError as error:
            errors.append(error)

    threads = [threading.Thread(target=attach, args=pair) for pair in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(host.run(network.attached)) == 12
    assert host.run(network.is_intact)


def test_two_engines_live_side_by_side(network, host, one, addresses):
    with temporary_engine(subnet="10.99.0.0/20") as other_config:
        other = Network(other_config)
        assert other.subnet != network.subnet
        host.run(other.ensure)
        try:
            address = next(other.addresses())
            theirs = host.run(lambda: other.attach(ONE, address))
            assert host.run(network.is_intact)
            assert host.run(other.is_intact)
            with listening(host.lan, port=80):
                assert reach(theirs, LAN_ADDRESS, 80) == reach(one, LAN_ADDRESS, 80) == "answered"
            with listening(one, port=80) as callers:
                assert not answers(theirs, addresses[0], 80)
                assert callers == []
        finally:
            host.run(other.remove)
        assert host.run(network.is_intact)
        assert host.run(network.attached) == {ONE: addresses[0]}


@pytest.mark.parametrize("docker", [True, False])
def test_it_works_beside_a_firewall_that_drops_forwarding(network, host, config, one, docker):
    program(host.netns, "iptables", "-P", "FORWARD", "DROP")
    if docker:
        program(host.netns, "iptables", "-N", "DOCKER-USER")
        program(host.netns, "iptables", "-A", "DOCKER-USER", "-j", "RETURN")
        program(host.netns, "iptables", "-I", "FORWARD", "-j", "DOCKER-USER")
    with listening(host.lan, port=80):
        assert is_silent(one, LAN_ADDRESS, 80)
        assert not host.run(network.is_intact)
        for _ in range(2):
            host.run(network.ensure)
        assert host.run(network.is_intact)
        assert reach(one, LAN_ADDRESS, 80) == "answered"
    rules = program(host.netns, "iptables", "-S").stdout
    assert rules.count(config.bridge) == 2
    assert ("-A DOCKER-USER -i" in rules) == docker
    ip(host.lan, f"route add {network.subnet} via {HOST_ADDRESS}")
    with listening(one, port=80):
        assert is_silent(host.lan, next(network.addresses()), 80)
    host.run(network.remove)
    assert config.bridge not in program(host.netns, "iptables", "-S").stdout


def test_a_host_without_such_a_firewall_gets_no_iptables_rules(network, host, config):
    assert config.bridge not in program(host.netns, "iptables", "-S").stdout


def test_overlapping_routes_are_named(network, host):
    assert host.run(network.collisions) == []
    ip(host.netns, f"route add {network.subnet.rpartition('/')[0]}/24 via {LAN_ADDRESS}")
    assert [interface for _, interface in host.run(network.collisions)] == ["eth0"]


def test_removing_leaves_nothing_of_it(network, host, config, one):
    for _ in range(2):
        host.run(network.remove)
    assert config.tag not in ip(host.netns, "link")
    assert config.table not in program(host.netns, "nft", "list", "ruleset").stdout
    assert config.bridge not in ip(host.netns, "rule")
    assert network.namespaces() == set()
