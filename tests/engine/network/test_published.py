"""Published ports, called from the LAN, from the host and from containers."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from engine.errors import NetworkError, PortTaken, RequestRefused
from engine.kernel import namespaces
from engine.network import Network, Published, reservations
from engine.network.published import PublishedFiles
from tests.support.engines import temporary_engine
from tests.support.hosts import HOST_ADDRESS, LAN_ADDRESS, answers, ip, is_silent, listening, program, reach

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)
UDP = socket.SOCK_DGRAM


def port(host_port, container_port=80, address="0.0.0.0", protocol="tcp"):
    return Published(protocol=protocol, address=address, port=host_port, container_port=container_port)


def localnet(host, config):
    path = Path(f"/proc/sys/net/ipv4/conf/{config.bridge}/route_localnet")
    return host.run(lambda: path.read_text().strip())


@pytest.mark.root
def test_the_lan_reaches_a_published_port_and_keeps_its_own_address(host, publish):
    with listening(publish(1, port(8080)), port=80) as callers:
        assert reach(host.lan, HOST_ADDRESS, 8080) == "answered"
        assert callers == [LAN_ADDRESS]
        assert reach(host.lan, HOST_ADDRESS, 8081) == "refused"


@pytest.mark.root
@pytest.mark.parametrize("strictness", ["1", "2"])
def test_it_is_reached_on_a_host_that_checks_return_paths(host, publish, strictness):
    program(host.netns, "sysctl", "-w", f"net.ipv4.conf.all.rp_filter={strictness}")
    program(host.netns, "sysctl", "-w", f"net.ipv4.conf.eth0.rp_filter={strictness}")
    box = publish(1, port(8080))
    with listening(box, port=80):
        assert reach(host.lan, HOST_ADDRESS, 8080) == "answered"
        assert reach(host.netns, "127.0.0.1", 8080) == "answered"
        assert reach(box, HOST_ADDRESS, 8080) == "answered"


@pytest.mark.root
def test_udp_is_published_too_and_apart_from_tcp(host, publish):
    box = publish(1, port(5353, 53, protocol="udp"))
    with listening(box, port=53, kind=UDP) as callers, listening(box, port=53):
        assert reach(host.lan, HOST_ADDRESS, 5353, kind=UDP) == "answered"
        assert reach(host.netns, "127.0.0.1", 5353, kind=UDP) == "answered"
        assert reach(host.lan, HOST_ADDRESS, 5353) == "refused"
        assert callers[0] == LAN_ADDRESS


@pytest.mark.root
def test_the_host_itself_reaches_it_by_every_address(host, publish):
    with listening(publish(1, port(8080)), port=80):
        for address in ("127.0.0.1", "127.0.0.9", HOST_ADDRESS):
            assert reach(host.netns, address, 8080) == "answered", address


@pytest.mark.root
def test_a_port_on_one_address_is_on_no_other(host, publish):
    ip(host.netns, "addr add 198.51.100.3/24 dev eth0")
    with listening(publish(1, port(8080, address="198.51.100.3")), port=80):
        assert reach(host.lan, "198.51.100.3", 8080) == "answered"
        assert reach(host.lan, HOST_ADDRESS, 8080) == "refused"
        assert reach(host.netns, "127.0.0.1", 8080) == "refused"


@pytest.mark.root
@pytest.mark.threat("NET-02")
def test_a_port_on_loopback_is_the_hosts_alone(network, host, publish):
    with listening(publish(1, port(8080, address="127.0.0.1")), port=80) as callers:
        assert reach(host.netns, "127.0.0.1", 8080) == "answered"
        callers.clear()
        assert reach(host.lan, HOST_ADDRESS, 8080) == "refused"
        _forge_loopback(host)
        assert not answers(host.lan, "127.0.0.1", 8080)
        assert callers == []


def _forge_loopback(host):
    """The LAN sends what it says to 127.0.0.1 to the host."""
    namespaces.in_netns(host.lan, lambda: Path("/proc/sys/net/ipv4/conf/eth0/route_localnet").write_text("1"))
    namespaces.in_netns(host.lan, lambda: Path("/proc/sys/net/ipv4/conf/all/route_localnet").write_text("1"))
    ip(host.lan, "addr del 127.0.0.1/8 dev lo")
    ip(host.lan, f"route add 127.0.0.1/32 via {HOST_ADDRESS} src {LAN_ADDRESS}")


@pytest.mark.root
@pytest.mark.threat("NET-02")
def test_ports_that_are_not_published_stay_out_of_reach(network, host, publish, addresses):
    ip(host.lan, f"route add {network.subnet} via {HOST_ADDRESS}")
    box = publish(1, port(8080))
    with listening(box, port=80) as callers, listening(box, port=81):
        assert is_silent(host.lan, addresses[0], 81)
        assert is_silent(host.lan, addresses[0], 80)
        assert callers == []


@pytest.mark.root
@pytest.mark.threat("NET-01")
def test_the_hosts_loopback_is_no_nearer_while_a_port_is_published_there(network, host, publish):
    box = publish(1, port(8080, address="127.0.0.1"))
    with listening(host.netns, port=8000, address="127.0.0.1") as callers:
        namespaces.in_netns(box, lambda: Path("/proc/sys/net/ipv4/conf/eth0/route_localnet").write_text("1"))
        ip(box, "addr del 127.0.0.1/8 dev lo")
        ip(box, f"route add 127.0.0.1/32 via {network.gateway}")
        assert not answers(box, "127.0.0.1", 8000)
        assert callers == []


@pytest.mark.root
def test_loopback_is_routed_only_while_somebody_publishes_there(network, host, config, publish):
    assert localnet(host, config) == "0"
    publish(1, port(8080, address=HOST_ADDRESS))
    assert localnet(host, config) == "0"
    publish(2, port(8081, address="127.0.0.1"))
    publish(3, port(8082))
    assert localnet(host, config) == "1"
    assert host.run(network.is_intact)
    host.run(lambda: network.detach(TWO))
    assert localnet(host, config) == "1"
    host.run(lambda: network.detach(THREE))
    assert localnet(host, config) == "0"
    assert host.run(network.is_intact)


@pytest.mark.root
@pytest.mark.parametrize("bridged", ["0", "1"])
def test_containers_reach_published_ports_their_own_among_them(network, host, publish, bridged):
    """Also where frames on the bridge pass the firewall, as beside Docker."""
    program(host.netns, "sysctl", "-w", f"net.bridge.bridge-nf-call-iptables={bridged}")
    one, two = publish(1, port(8080)), publish(2)
    with listening(one, port=80):
        for box in (one, two):
            for address in (HOST_ADDRESS, network.gateway):
                assert reach(box, address, 8080) == "answered", (box, address)


@pytest.mark.root
@pytest.mark.parametrize("docker", [True, False])
def test_it_is_reached_beside_a_firewall_that_drops_forwarding(network, host, publish, docker):
    program(host.netns, "iptables", "-P", "FORWARD", "DROP")
    if docker:
        program(host.netns, "iptables", "-N", "DOCKER-USER")
        program(host.netns, "iptables", "-I", "FORWARD", "-j", "DOCKER-USER")
    with listening(publish(1, port(8080)), port=80):
        assert is_silent(host.lan, HOST_ADDRESS, 8080)
        host.run(network.ensure)
        assert reach(host.lan, HOST_ADDRESS, 8080) == "answered"


@pytest.mark.root
@pytest.mark.fault("F44")
@pytest.mark.threat("NET-02")
def test_flushed_rules_close_published_ports_until_they_are_back(network, host, publish):
    box = publish(1, port(8080), port(8081, address="127.0.0.1"))
    with listening(box, port=80) as callers:
        program(host.netns, "nft", "flush", "ruleset")
        assert not host.run(network.is_intact)
        assert reach(host.lan, HOST_ADDRESS, 8080) == "refused"
        assert reach(host.netns, "127.0.0.1", 8081) == "refused"
        assert callers == []
        host.run(network.ensure)
        assert host.run(network.is_intact)
        assert reach(host.lan, HOST_ADDRESS, 8080) == "answered"
        assert reach(host.netns, "127.0.0.1", 8081) == "answered"


@pytest.mark.root
@pytest.mark.fault("F44")
@pytest.mark.parametrize(
    "damage",
    [
        "ip link del {bridge}",
        "nft flush map inet {table} published_everywhere",
        "nft add element inet {table} published_everywhere {{ tcp . 9999 : 10.0.0.9 . 22 }}",
        "sysctl -qw net.ipv4.conf.{bridge}.route_localnet=0",
    ],
)
def test_damage_to_published_ports_is_noticed_and_repaired(network, host, config, publish, damage):
    box = publish(1, port(8080))
    assert host.run(network.is_intact)
    done = program(
        host.netns,
        "sh",
        "-c",
        damage.format(bridge=config.bridge, table=config.table).replace("{", "'{").replace("}", "}'"),
    )
    assert done.returncode == 0, done.stderr
    assert not host.run(network.is_intact)
    host.run(network.ensure)
    assert host.run(network.is_intact)
    with listening(box, port=80):
        assert reach(host.lan, HOST_ADDRESS, 8080) == "answered"
        assert reach(box, HOST_ADDRESS, 8080) == "answered"


@pytest.mark.root
@pytest.mark.threat("NET-08")
@pytest.mark.parametrize(
    ("address", "kind"),
    [("0.0.0.0", socket.SOCK_STREAM), ("127.0.0.1", socket.SOCK_STREAM), ("::", socket.SOCK_STREAM), ("0.0.0.0", UDP)],
)
def test_a_port_of_a_program_of_the_host_is_refused_and_nothing_is_half_done(
    network, host, config, publish, address, kind
):
    protocol = "tcp" if kind == socket.SOCK_STREAM else "udp"
    with (
        listening(host.netns, port=8081, address=address, kind=kind),
        pytest.raises(PortTaken, match=rf"failed to bind host port 0.0.0.0:8081/{protocol}: address already in use"),
    ):
        publish(1, port(8080, protocol=protocol), port(8081, protocol=protocol))
    assert host.run(network.attached) == {}
    assert network.namespaces() == set()
    assert network.published(ONE) == ()
    assert "8080" not in program(host.netns, "nft", "list", "ruleset").stdout
    assert host.run(network.is_intact)
    publish(2, port(8080, protocol=protocol), port(8081, protocol=protocol))


@pytest.mark.root
def test_an_address_that_the_host_lacks_is_refused(publish):
    with pytest.raises(NetworkError, match=r"203\.0\.113\.9:8080/tcp: cannot assign requested address"):
        publish(1, port(8080, address="203.0.113.9"))


@pytest.mark.root
@pytest.mark.threat("NET-08")
def test_while_a_container_has_a_port_no_program_of_the_host_gets_it(network, host, publish):
    publish(1, port(8080), port(5353, protocol="udp"))

    def listen():
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", 8080))
            server.listen()

    def bind_udp():
        with socket.socket(socket.AF_INET, UDP) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("0.0.0.0", 5353))

    for attempt in (listen, bind_udp):
        with pytest.raises(OSError, match="in use"):
            host.run(attempt)
    host.run(lambda: network.detach(ONE))
    for attempt in (listen, bind_udp):
        host.run(attempt)


@pytest.mark.root
def test_connections_that_linger_are_no_hindrance(host, network, publish):
    box = publish(1)
    with listening(host.netns, port=8080):
        assert reach(box, network.gateway, 8080) == "refused"
        assert reach(host.lan, HOST_ADDRESS, 8080) == "answered"  # the server closes first: TIME_WAIT
    publish(2, port(8080))


@pytest.mark.root
@pytest.mark.threat("NET-08")
def test_a_port_that_another_container_is_giving_back_is_waited_for(network, host, publish, monkeypatch):
    publish(1, port(8080))
    given_back = network._reservations._changed
    threads = [threading.Thread(target=lambda: host.run(lambda: network.detach(ONE)))]
    wait = given_back.wait

    def waiting(timeout):
        if threads[0].ident is None:  # only now that the next one waits
            threads[0].start()
        return wait(timeout)

    monkeypatch.setattr(given_back, "wait", waiting)
    box = publish(2, port(8080, address="127.0.0.1"))
    threads[0].join()
    with listening(box, port=80):
        assert reach(host.netns, "127.0.0.1", 8080) == "answered"


@pytest.mark.root
@pytest.mark.threat("NET-08")
def test_of_two_at_once_one_gets_the_port(network, host, addresses, monkeypatch):
    monkeypatch.setattr("engine.network.reservations.Reservations.take.__kwdefaults__", {"patience_s": 0.2})
    outcomes = []

    def attach(number):
        try:
            host.run(lambda: network.attach(f"{number}" * 64, addresses[number - 1], published=[port(8080)]))
            outcomes.append("got it")
        except PortTaken as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=attach, args=(number,)) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["Bind for 0.0.0.0:8080 failed: port is already allocated"] * 2 + ["got it"]
    assert len(host.run(network.attached)) == 1


@pytest.mark.root
def test_detaching_gives_everything_back(network, host, config, publish):
    publish(1, port(8080), port(8081, address="127.0.0.1"))
    host.run(lambda: network.detach(ONE))
    rules = program(host.netns, "nft", "list", "ruleset").stdout
    assert "8080" not in rules
    assert "8081" not in rules
    assert list((config.run / "ports").iterdir()) == []
    assert host.run(network.is_intact)
    box = publish(2, port(8080), port(8081))
    with listening(box, port=80):
        assert reach(host.lan, HOST_ADDRESS, 8081) == "answered"


@pytest.mark.root
@pytest.mark.fault("F13")
def test_a_new_worker_holds_again_what_runs_and_forgets_what_died_between_steps(network, host, config, publish):
    box = publish(1, port(8080))
    network._reservations.release(ONE)  # as when its process was killed
    PublishedFiles(config.run / "ports").save(THREE, [port(9000)])
    again = Network(config)
    host.run(again.ensure)
    assert host.run(again.is_intact)
    assert again.published(ONE) == (port(8080),)
    assert again.published(THREE) == ()
    with pytest.raises(OSError, match="in use"):
        host.run(lambda: socket.socket().bind(("0.0.0.0", 8080)))
    with listening(box, port=80):
        assert reach(host.lan, HOST_ADDRESS, 8080) == "answered"
    host.run(lambda: again.detach(ONE))


@pytest.mark.root
def test_a_port_that_was_lost_while_no_worker_ran_is_told_and_still_leads_to_the_container(
    network, host, config, publish, caplog
):
    box = publish(1, port(8080))
    network._reservations.release(ONE)
    with listening(host.netns, port=8080), listening(box, port=80) as callers:
        again = Network(config)
        host.run(again.ensure)
        assert "address already in use" in caplog.text
        assert reach(host.lan, HOST_ADDRESS, 8080) == "answered"
        assert callers == [LAN_ADDRESS]


@pytest.mark.root
def test_a_range_of_a_thousand_ports_is_published_in_moments(network, host, publish):
    begun = time.monotonic()
    box = publish(1, *(port(20_000 + n, 20_000 + n) for n in range(1000)))
    assert time.monotonic() - begun < 5
    assert all(held.fileno() >= 1024 for held in network._reservations._held[ONE].values())  # see engine.kernel.nft
    assert host.run(network.is_intact)
    with listening(box, port=20_999):
        assert reach(host.lan, HOST_ADDRESS, 20_999) == "answered"


@pytest.mark.root
def test_two_engines_do_not_give_out_one_port_twice(network, host, publish):
    publish(1, port(8080))
    with temporary_engine(subnet="10.99.0.0/20") as other_config:
        other = Network(other_config)
        host.run(other.ensure)
        try:
            address = next(other.addresses())
            with pytest.raises(PortTaken, match="address already in use"):
                host.run(lambda: other.attach(TWO, address, published=[port(8080)]))
            box = host.run(lambda: other.attach(TWO, address, published=[port(8081)]))
            with listening(box, port=80):
                assert reach(host.lan, HOST_ADDRESS, 8081) == "answered"
        finally:
            host.run(other.remove)


@pytest.mark.parametrize(
    "wrong",
    [
        {"protocol": "sctp"},
        {"address": "::x"},
        {"address": "1.2.3"},
        {"port": 0},
        {"port": 65536},
        {"container_port": 0},
    ],
)
def test_what_cannot_be_published_is_refused(wrong):
    with pytest.raises(RequestRefused):
        Published(**{"protocol": "tcp", "address": "0.0.0.0", "port": 80, "container_port": 80} | wrong)


def test_files_are_read_back_and_a_broken_one_is_nothing(tmp_path):
    files = PublishedFiles(tmp_path / "ports")
    assert files.all() == {}
    files.save(ONE, [port(8080), port(53, 53, "127.0.0.1", "udp")])
    assert files.of(ONE) == (port(8080), port(53, 53, "127.0.0.1", "udp"))
    (tmp_path / "ports" / TWO).write_text("{")
    assert files.all() == {ONE: files.of(ONE), TWO: ()}
    files.save(ONE, [])
    files.forget(TWO)
    assert files.all() == {}


def test_the_limit_of_descriptors_is_raised_as_far_as_needed(monkeypatch):
    set_to = []
    monkeypatch.setattr("resource.getrlimit", lambda _what: (1024, 4096))
    monkeypatch.setattr("resource.setrlimit", lambda _what, limits: set_to.append(limits))
    reservations._make_room(0)
    assert set_to == []
    reservations._make_room(1000)
    assert set_to == [(2024, 4096)]
    with pytest.raises(NetworkError, match="the engine may have 4096 descriptors"):
        reservations._make_room(4000)
