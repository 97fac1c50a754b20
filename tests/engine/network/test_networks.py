"""Networks of people's own, seen from containers, from the host and from the LAN."""

from __future__ import annotations

import os
import random
import signal
import socket
import struct
from dataclasses import replace

import pytest

from engine.errors import HostUnfit, NetworkError, RequestRefused, WrongState
from engine.kernel import cgroups, namespaces
from engine.network import Endpoint, Network, NetworkDefinition, Published, names
from engine.network.addresses import Subnet
from engine.network.resolvers import resolv_conf
from tests.support.engines import temporary_engine
from tests.support.hosts import HOST_ADDRESS, LAN_ADDRESS, answers, ip, is_silent, listening, program, reach
from tests.support.waiting import until

pytestmark = pytest.mark.root
ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)
FRONT = NetworkDefinition(number=1, subnet=Subnet.parse("10.81.1.0/24"))
BACK = NetworkDefinition(number=0xFFFF, subnet=Subnet.parse("10.81.2.0/24", "10.81.2.254"))
HIDDEN = NetworkDefinition(number=3, subnet=Subnet.parse("10.81.3.0/24"), is_internal=True)
UDP = socket.SOCK_DGRAM
NOT_THERE = 3


def place(network, last, *called):
    return Endpoint(network=network, address=str(network.subnet.network[last]), names=called)


def ask(netns, server, name, *, within_s=3.0, kind=1):
    """(code, addresses) of what the name server says; asked again as a resolver does."""

    def call():
        labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
        number = random.randrange(1 << 16)
        question = struct.pack("!6H", number, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)
        with socket.socket(socket.AF_INET, UDP) as client:
            client.settimeout(0.5)
            client.connect((server, 53))
            for _ in range(int(within_s / 0.5)):
                try:
                    client.send(question)
                    answer = client.recv(1500)
                except TimeoutError:
                    continue
                except OSError:  # refused by the firewall
                    return None
                count = struct.unpack_from("!H", answer, 6)[0]
                found = [socket.inet_ntoa(answer[-4:])] if count == 1 else []
                return answer[3] & 15, found
        return None

    return namespaces.in_netns(netns, call)


def finds(netns, server, name):
    found = ask(netns, server, name)
    return found[1] if found else None


def find(netns, server, name, addresses):
    """The name server reads its files anew a moment after it was told to."""
    until(lambda: f"{name} is {addresses}: {ask(netns, server, name)}", lambda: finds(netns, server, name) == addresses)


@pytest.fixture
def attach(network, host):
    def attach(container_id, *places, **how):
        return host.run(lambda: network.attach(container_id, places, **how))

    return attach


def test_a_network_begins_with_its_first_container_and_ends_when_told(network, host, config, attach):
    bridge = FRONT.bridge(config.tag)
    assert len(BACK.bridge(config.tag)) == 15
    assert bridge not in ip(host.netns, "-br link")
    box = attach(ONE, place(FRONT, 2, "web"))
    assert "10.81.1.1/24" in ip(host.netns, f"-br addr show dev {bridge}")
    assert "10.81.1.2/24" in ip(box, "-br addr show dev eth0")
    assert "default via 10.81.1.1" in ip(box, "route")
    assert host.run(network.is_intact)
    with pytest.raises(WrongState, match="in use by containers: 111111111111"):
        host.run(lambda: network.forget_network(FRONT.number))
    for _ in range(2):
        host.run(lambda: network.detach(ONE))
        host.run(lambda: network.forget_network(FRONT.number))
    assert bridge not in ip(host.netns, "-br link") + ip(host.netns, "rule")
    assert "10.81.1" not in program(host.netns, "nft", "list", "ruleset").stdout
    assert not (config.run / "names" / "1").exists()
    assert cgroups.pids(names.cgroup_of(config)) == set()
    assert host.run(network.is_intact)


@pytest.mark.threat("NET-04")
def test_networks_do_not_reach_each_other_by_any_way(network, host, attach):
    """By address, by the other's gateway, by a published port of the host, by name."""
    everywhere = Published(protocol="tcp", address="0.0.0.0", port=8080, container_port=80)
    front = attach(ONE, place(FRONT, 2, "web"))
    back = attach(TWO, place(BACK, 2, "db"), published=[everywhere])
    plain = host.run(lambda: network.attach(THREE, next(network.addresses())))
    with listening(back, port=80) as callers, listening(back, port=80, kind=UDP):
        assert reach(host.lan, HOST_ADDRESS, 8080) == "answered"
        callers.clear()
        for stranger in (front, plain):
            assert reach(stranger, "10.81.2.2", 80) == "refused"
            assert not answers(stranger, "10.81.2.2", 80, kind=UDP)
            assert not answers(stranger, HOST_ADDRESS, 8080)
            for gateway in ("10.81.2.254", "10.81.1.1", network.gateway):
                assert not answers(stranger, gateway, 8080)
            assert reach(stranger, "10.81.2.254", 53) == "refused"
        assert callers == []
    assert ask(front, FRONT.subnet.gateway, "db") == (NOT_THERE, [])
    assert ask(front, BACK.subnet.gateway, "db", within_s=0.5) is None


@pytest.mark.threat("NET-04")
def test_a_port_of_ones_own_network_is_reached_through_the_host(host, attach):
    everywhere = Published(protocol="tcp", address="0.0.0.0", port=8080, container_port=80)
    box = attach(ONE, place(FRONT, 2), published=[everywhere])
    neighbour = attach(TWO, place(FRONT, 3))
    with listening(box, port=80):
        assert reach(box, HOST_ADDRESS, 8080) == reach(neighbour, HOST_ADDRESS, 8080) == "answered"
        assert reach(host.netns, "127.0.0.1", 8080) == "answered"


@pytest.mark.threat("NET-05")
def test_an_internal_network_has_no_way_out_or_in(network, host, attach):
    everywhere = Published(protocol="tcp", address="0.0.0.0", port=8080, container_port=80)
    box = attach(ONE, place(HIDDEN, 2, "db"), published=[everywhere])
    other = attach(TWO, place(HIDDEN, 3, "app"))
    assert "default" not in ip(box, "route")
    ip(box, "route add default via 10.81.3.1")  # as a hostile one would
    with (
        listening(host.lan, port=80) as callers,
        listening(host.lan, port=53, kind=UDP) as asked,
        listening(box, port=80),
    ):
        assert reach(box, LAN_ADDRESS, 80) == "refused"
        assert not answers(box, LAN_ADDRESS, 53, kind=UDP)
        assert reach(other, "10.81.3.2", 80) == "answered"
        assert not answers(host.lan, HOST_ADDRESS, 8080)
        find(other, "10.81.3.1", "db", ["10.81.3.2"])
        assert callers == asked == []


@pytest.mark.threat("NET-05")
def test_other_names_are_passed_on_but_not_for_who_is_in_internal_networks_only(host, attach, tmp_path, monkeypatch):
    """The name server reads the host's resolv.conf: here one of its own, by a mount that ends with the program."""
    own = tmp_path / "resolv.conf"
    own.write_text("nameserver 127.0.0.1\n")
    tmp_path.chmod(0o755)
    plain = names.as_nobody
    monkeypatch.setattr(names, "as_nobody", lambda *argv: (*_with_resolv_conf(own), *plain(*argv)))
    with listening(host.netns, port=53, kind=UDP, address="127.0.0.1") as asked:
        front, hidden = attach(ONE, place(FRONT, 2, "web")), attach(TWO, place(HIDDEN, 2, "db"))
        ask(hidden, HIDDEN.subnet.gateway, "secret.example.com", within_s=1)
        assert asked == []
        ask(front, FRONT.subnet.gateway, "example.com", within_s=1)
        assert asked != []


@pytest.mark.threat("NET-01")
def test_a_container_has_its_own_servers_asked_but_none_of_the_host(network, host, attach):
    with (
        listening(host.lan, port=53, kind=UDP) as asked,
        listening(host.netns, port=53, kind=UDP, address="127.0.0.1") as looped,
        listening(host.netns, port=53, kind=UDP, address=HOST_ADDRESS) as hosts,
    ):
        own = replace(place(FRONT, 2, "web"), servers=("127.0.0.1", HOST_ADDRESS, LAN_ADDRESS))
        box = attach(ONE, own)
        find(box, "10.81.1.1", "web", ["10.81.1.2"])
        ask(box, "10.81.1.1", "example.com", within_s=1)
        assert (set(asked), looped, hosts) == ({HOST_ADDRESS}, [], [])
        host.run(lambda: network.connect(ONE, place(HIDDEN, 2)))
        host.run(lambda: network.disconnect(ONE, FRONT.number))
        find(box, "10.81.3.1", "nobody", [])
        asked.clear()
        ask(box, "10.81.3.1", "example.com", within_s=1)
        assert asked == looped == hosts == []
    assert (
        resolv_conf([own], servers=("9.9.9.9",), search=("a.b",), options=("ndots:5",))
        == "nameserver 10.81.1.1\noptions ndots:5\nsearch a.b\n"
    )


def _with_resolv_conf(path):
    command = f'mount --bind {path} /etc/resolv.conf && exec "$@"'
    return ("/usr/bin/unshare", "-m", "--propagation", "private", "/bin/sh", "-c", command, "sh")


@pytest.mark.threat("NET-01")
def test_only_the_question_for_a_name_reaches_the_host(host, attach):
    box = attach(ONE, place(FRONT, 2, "web"))
    for port in (22, 53, 6379, 8000):
        with listening(host.netns, port=port) as callers:
            for target in ("10.81.1.1", HOST_ADDRESS, "127.0.0.1"):
                assert reach(box, target, port) == "refused"
            assert callers == []
    with listening(host.netns, port=5353, kind=UDP) as callers:
        assert not answers(box, "10.81.1.1", 5353, kind=UDP)
        assert callers == []


@pytest.mark.threat("NET-03")
def test_a_container_speaks_only_as_itself_in_each_of_its_networks(host, attach):
    box = attach(ONE, place(FRONT, 2), place(BACK, 2))
    other = attach(TWO, place(BACK, 3))
    with listening(other, port=80) as callers:
        assert reach(box, "10.81.2.3", 80) == "answered"
        assert callers == ["10.81.2.2"]
        callers.clear()
        ip(box, "addr add 10.81.2.9/24 dev eth1")
        ip(box, "route add 10.81.2.3/32 dev eth1 src 10.81.2.9")
        assert not answers(box, "10.81.2.3", 80)
        ip(box, "route del 10.81.2.3/32")
        ip(box, "route add 10.81.2.3/32 dev eth1 src 10.81.1.2")  # its own, of another network
        assert not answers(box, "10.81.2.3", 80)
        assert callers == []


@pytest.mark.threat("NET-06")
def test_the_metadata_address_is_out_of_reach_from_every_network(host, attach):
    ip(host.lan, "addr add 169.254.169.254/32 dev lo")
    ip(host.netns, f"route add 169.254.169.254/32 via {LAN_ADDRESS}")
    box = attach(ONE, place(FRONT, 2))
    with listening(host.lan, port=80) as callers:
        assert reach(box, "169.254.169.254", 80) == "refused"
        assert callers == []


@pytest.mark.threat("NET-02")
def test_the_lan_reaches_no_network_by_routing_to_it(host, attach):
    box = attach(ONE, place(FRONT, 2))
    ip(host.lan, f"route add 10.81.1.0/24 via {HOST_ADDRESS}")
    with listening(box, port=80) as callers, listening(host.lan, port=80):
        assert is_silent(host.lan, "10.81.1.2", 80)
        assert callers == []
        assert reach(box, LAN_ADDRESS, 80) == "answered"


def test_names_are_answered_inside_their_network_by_all_that_one_is_in(host, attach):
    box = attach(ONE, place(FRONT, 2, "web", "www", "1" * 12))
    both = attach(TWO, place(FRONT, 3, "proxy"), place(BACK, 2, "proxy"))
    db = attach(THREE, place(BACK, 3, "db"))
    for name in ("web", "www", "1" * 12, "WEB"):
        find(both, "10.81.1.1", name, ["10.81.1.2"])
    find(both, "10.81.1.1", "db", ["10.81.2.3"])
    find(db, "10.81.2.254", "proxy", ["10.81.2.2"])
    find(box, "10.81.1.1", "proxy", ["10.81.1.3"])
    find(box, "10.81.1.1", "db", [])
    assert ask(box, "10.81.1.1", "proxy", kind=28) == (0, [])


def test_a_running_container_comes_and_goes_in_networks(network, host, attach):
    box = attach(ONE, place(FRONT, 2, "web"))
    db = attach(TWO, place(BACK, 3, "db"))
    for _ in range(2):
        host.run(lambda: network.connect(ONE, place(BACK, 2, "web")))
    assert host.run(lambda: network.networks_of(ONE)) == {1: "10.81.1.2", 0xFFFF: "10.81.2.2"}
    assert "10.81.2.2/24" in ip(box, "-br addr show dev eth1")
    with listening(db, port=80):
        assert reach(box, "10.81.2.3", 80) == "answered"
    find(box, "10.81.1.1", "db", ["10.81.2.3"])
    find(db, "10.81.2.254", "web", ["10.81.2.2"])
    assert host.run(network.is_intact)
    for _ in range(2):
        host.run(lambda: network.disconnect(ONE, FRONT.number))
    assert "eth0" not in ip(box, "-br link")
    assert "default via 10.81.2.254" in ip(box, "route")
    assert host.run(network.is_intact)
    with listening(host.lan, port=80):
        assert reach(box, LAN_ADDRESS, 80) == "answered"
    host.run(lambda: network.connect(ONE, place(FRONT, 4)))
    assert "10.81.1.4/24" in ip(box, "-br addr show dev eth2")


def test_published_ports_go_to_the_first_network_and_then_to_the_next(network, host, config, attach):
    port = Published(protocol="tcp", address="127.0.0.1", port=8080, container_port=80)
    box = attach(ONE, place(FRONT, 2), place(BACK, 2), published=[port])
    with listening(box, port=80, address="10.81.1.2"):
        assert reach(host.netns, "127.0.0.1", 8080) == "answered"
    assert host.run(network.is_intact)
    host.run(lambda: network.disconnect(ONE, FRONT.number))
    assert host.run(network.is_intact)
    with listening(box, port=80, address="10.81.2.2"):
        assert reach(host.netns, "127.0.0.1", 8080) == "answered"
    host.run(lambda: network.disconnect(ONE, BACK.number))
    assert host.run(network.is_intact)
    assert reach(host.netns, "127.0.0.1", 8080) == "refused"
    assert network.published(ONE) == ()
    host.run(lambda: network.connect(ONE, place(BACK, 5), published=[port]))
    with listening(box, port=80):
        assert reach(host.netns, "127.0.0.1", 8080) == "answered"
    assert host.run(network.is_intact)


def test_a_container_without_a_network_has_its_loopback_only(network, host, attach):
    box = attach(ONE)
    assert ip(box, "-br link").split()[:2] == ["lo", "UNKNOWN"]
    assert len(ip(box, "-br link").splitlines()) == 1
    with listening(box, port=80, address="127.0.0.1"):
        assert reach(box, "127.0.0.1", 80) == "answered"
    assert reach(box, HOST_ADDRESS, 80) == "unreachable"
    assert network.namespaces() == {ONE[:12]}
    assert host.run(network.is_intact)


@pytest.mark.fault("F44")
@pytest.mark.parametrize(
    "damage",
    [
        "ip link del {bridge}",
        "ip link set {bridge} down",
        "ip rule del iif {bridge}",
        "nft flush ruleset",
        "nft flush set inet {table} homes",
        "nft delete element inet {table} internal {{ {hidden} }}",
        "nft add element inet {table} same {{ {bridge} . {hidden} }}",
    ],
)
def test_damage_to_a_network_is_noticed_and_repaired(network, host, config, attach, damage):
    box, hidden = attach(ONE, place(FRONT, 2, "web")), attach(TWO, place(HIDDEN, 2))
    bridge = FRONT.bridge(config.tag)
    words = damage.format(bridge=bridge, table=config.table, hidden=HIDDEN.bridge(config.tag)).split()
    assert program(host.netns, *words).returncode == 0
    assert not host.run(network.is_intact)
    host.run(network.ensure)
    assert host.run(network.is_intact)
    with listening(host.lan, port=80):
        assert reach(box, LAN_ADDRESS, 80) == "answered"
        assert not answers(hidden, LAN_ADDRESS, 80)
    find(box, "10.81.1.1", "web", ["10.81.1.2"])


@pytest.mark.fault("F44")
@pytest.mark.threat("NET-02")
def test_without_rules_nothing_passes_between_networks(network, host, attach):
    front, back = attach(ONE, place(FRONT, 2)), attach(TWO, place(BACK, 2))
    program(host.netns, "nft", "flush", "ruleset")
    with listening(back, port=80) as callers, listening(host.lan, port=80):
        assert not answers(front, "10.81.2.2", 80)
        assert not answers(front, LAN_ADDRESS, 80)
        assert callers == []


def test_the_name_server_is_nobody_and_comes_back_when_it_dies(network, host, config, attach):
    box = attach(ONE, place(FRONT, 2, "web"))
    (pid,) = cgroups.pids(names.cgroup_of(config))
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    assert status["Uid"].split() == ["65534"] * 4
    assert (status["CapEff"], status["CapBnd"], status["NoNewPrivs"]) == (f"{1 << 10:016x}", f"{1 << 10:016x}", "1")
    os.kill(pid, signal.SIGKILL)
    until("it ended", lambda: pid not in cgroups.pids(names.cgroup_of(config)))
    assert not host.run(network.is_intact)
    host.run(network.ensure)
    assert host.run(network.is_intact)
    find(box, "10.81.1.1", "web", ["10.81.1.2"])


def test_another_process_takes_the_name_server_over(network, host, config, attach):
    box = attach(ONE, place(FRONT, 2, "web"))
    before = cgroups.pids(names.cgroup_of(config))
    again = Network(config)
    host.run(again.ensure)
    assert host.run(again.is_intact)
    host.run(lambda: again.attach(TWO, [place(FRONT, 3, "db")]))
    find(box, "10.81.1.1", "db", ["10.81.1.3"])
    assert cgroups.pids(names.cgroup_of(config)) == before


def test_names_can_change_and_end_with_their_container(network, host, attach):
    box = attach(ONE, place(FRONT, 2, "web"))
    attach(TWO, place(FRONT, 3, "db"))
    assert host.run(lambda: network.set_names(TWO, place(FRONT, 3, "postgres")))
    assert not host.run(lambda: network.set_names(TWO, place(FRONT, 3, "postgres")))
    find(box, "10.81.1.1", "postgres", ["10.81.1.3"])
    find(box, "10.81.1.1", "db", [])
    host.run(lambda: network.detach(TWO))
    find(box, "10.81.1.1", "postgres", [])


def test_what_a_dead_worker_left_has_no_name(network, host, config, attach):
    box = attach(ONE, place(FRONT, 2, "web"))
    attach(TWO, place(FRONT, 3, "db"))
    (link,) = [line.split("@")[0] for line in ip(host.netns, "-br link").splitlines() if "v" + config.tag in line][1:]
    ip(host.netns, f"link del {link}")
    host.run(network.ensure)
    gone = "db" if "web" in (config.run / "names" / "1").read_text() else "web"
    assert gone not in (config.run / "names" / "1").read_text()
    assert box.exists()


@pytest.mark.parametrize("number", [1, 2])
def test_a_network_in_the_way_of_another_is_refused_and_nothing_is_left(network, host, config, attach, number):
    attach(ONE, place(FRONT, 2))
    ip(host.netns, f"route add 10.82.0.0/16 via {LAN_ADDRESS}")
    subnet = {1: "10.81.1.128/25", 2: "10.82.5.0/24"}[number]
    wanted = NetworkDefinition(number=7, subnet=Subnet.parse(subnet))
    before = ip(host.netns, "-br link")
    with pytest.raises(
        NetworkError, match=r"overlaps (another network \(10.81.1.0/24\)|a route of this host \(eth0\))"
    ):
        attach(TWO, place(wanted, 5))
    assert ip(host.netns, "-br link") == before
    assert network.namespaces() == {ONE[:12]}
    assert host.run(network.is_intact)


@pytest.mark.parametrize("subnet", ["8.8.8.0/24", "169.254.169.0/24", "127.5.0.0/16", "224.1.0.0/24", "0.0.0.0/8"])
def test_addresses_of_others_that_the_host_calls_are_no_networks(network, host, config, attach, subnet):
    wanted = NetworkDefinition(number=7, subnet=Subnet.parse(subnet))
    before = ip(host.netns, "-br link")
    with pytest.raises(NetworkError, match="not private ones"):
        attach(ONE, place(wanted, 5))
    assert ip(host.netns, "-br link") == before


@pytest.mark.fault("F25")
def test_a_number_that_means_another_network_by_now_is_taken_over_only_when_nobody_is_there(network, host, attach):
    """The database is an older one: its networks are not those that have bridges."""
    attach(ONE, place(FRONT, 2))
    today = NetworkDefinition(number=FRONT.number, subnet=Subnet.parse("10.81.9.0/24"))
    with pytest.raises(NetworkError, match=r"overlaps another network \(10.81.1.0/24\)"):
        attach(TWO, place(today, 2))
    assert host.run(network.is_intact)
    host.run(lambda: network.detach(ONE))
    attach(TWO, place(today, 2))
    assert host.run(network.is_intact)
    assert "10.81.1" not in ip(host.netns, "-br addr") + program(host.netns, "nft", "list", "ruleset").stdout


def test_a_host_without_a_name_server_is_told_which(host):
    with temporary_engine(aardvark=host.netns.parent / "nowhere", subnet="10.99.0.0/20") as config:
        network = Network(config)
        host.run(network.ensure)
        try:
            with pytest.raises(HostUnfit, match="apt-get install aardvark-dns"):
                host.run(lambda: network.attach(ONE, [place(FRONT, 2)]))
            assert host.run(network.is_intact)
            host.run(lambda: network.attach(ONE, next(network.addresses())))
        finally:
            host.run(network.remove)


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a\nb", "-a", "a" * 129, "é"])
def test_a_name_that_would_break_the_file_is_refused(name):
    with pytest.raises(RequestRefused):
        place(FRONT, 2, name)


def test_resolv_conf_names_the_name_server_that_knows_most(monkeypatch):
    assert resolv_conf([place(HIDDEN, 2)]).splitlines() == ["nameserver 10.81.3.1", "options timeout:1 attempts:2"]
    both = resolv_conf([place(HIDDEN, 2), place(BACK, 2)])
    assert both.startswith("nameserver 10.81.2.254\n")
    default = NetworkDefinition(number=0, subnet=Subnet.parse("10.99.0.0/20"))
    assert resolv_conf([place(default, 2)]) == resolv_conf() == resolv_conf([])
