from __future__ import annotations

import socket

import pytest

from engine.network import NetworkDefinition, ports
from engine.network.addresses import Subnet
from engine.network.ports import Link, attached_among
from tests.support.hosts import fake_host, ip


def test_only_ports_with_our_own_alias_are_ours():
    links = [
        Link(1, "lo", 0, "", True),
        Link(3, "vbbbbbbbb2", 9, ports.alias("bbbbbbbb", "2" * 64, "10.2.0.2", "eth0"), True),
        Link(4, "veth1", 0, "berth-aaaaaaaa is a nice engine", True),
        Link(5, "vaaaaaaaax", 9, ports.alias("aaaaaaaa", "1" * 64, "10.3.0.2", "eth1"), True),
        Link(2, "vaaaaaaaa2", 9, f"berth-aaaaaaaa {'1' * 64} 10.1.0.2", True),  # of a version with one network
    ]
    first, second = attached_among(links, "aaaaaaaa")
    assert (first.index, first.container_id, first.address, first.master) == (2, "1" * 64, "10.1.0.2", 9)
    assert first.port.mac == "02:42:0a:01:00:02"
    assert (second.index, second.inside, first.inside) == (5, "eth1", "eth0")


def test_names_of_ports_fit_and_differ_between_networks():
    default = NetworkDefinition(number=0, subnet=Subnet.parse("10.0.0.0/8"))
    other = NetworkDefinition(number=1, subnet=Subnet.parse("192.168.0.0/16"))
    names = {ports.port_name("a" * 8, default, f"10.{n}.255.254") for n in range(0, 256, 5)}
    names |= {ports.port_name("a" * 8, other, f"192.168.{n}.2") for n in range(1, 256, 5)}
    assert len(names) == 52 + 51
    assert max(map(len, names)) == 15


def test_the_links_of_this_host_are_those_that_python_knows():
    assert {(link.index, link.name) for link in ports.all_links()} >= {
        (i, n) for i, n in socket.if_nameindex() if n == "lo"
    }


@pytest.mark.root
def test_many_links_are_listed_with_masters_and_odd_aliases(tmp_path):
    with fake_host(tmp_path) as host:
        ip(host.netns, "link add bridge0 type bridge")
        for number in range(40):
            ip(host.netns, f"link add w{number} type veth peer name p{number}")
        ip(host.netns, "link set w7 master bridge0 alias 한국어")
        links = {link.name: link for link in host.run(ports.all_links)}
    assert len(links) == 83
    assert links["w7"].master == links["bridge0"].index
    assert links["w7"].alias == "한국어"
    assert links["w8"].master == 0
