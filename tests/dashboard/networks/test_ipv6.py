"""Networks with IPv6 as rows, in what Docker's commands print of them, and in what the engine is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dashboard.containers import inspection
from dashboard.containers import services as containers
from dashboard.core.errors import DashboardError
from dashboard.grammar import ContainerOptions, UsageError, parse
from dashboard.grammar.requests import NetworkCreate
from dashboard.networks import services
from dashboard.networks.models import Network

pytestmark = pytest.mark.django_db(transaction=True)
OPTIONS = ContainerOptions(image="ubuntu:14.04", name="web", networks=("six",))
MINE = "fd12:3456:789a:1::/64"


@pytest.fixture(autouse=True)
def host(monkeypatch):
    """One with IPv6, whatever this machine has, and without routes."""
    monkeypatch.setattr("engine.network.addresses6.is_there", lambda: True)
    monkeypatch.setattr("engine.network.routes.read_routes6", lambda _text: [])


def make(user, name="six", **more):
    return services.create(user, NetworkCreate(name=name, ipv6=True, **more))


def test_without_a_word_a_network_has_none_and_with_it_its_own(user):
    plain, *six = services.create(user, NetworkCreate(name="plain")), make(user), make(user, "more")
    assert plain.subnet6 == ""
    assert len({one.subnet6 for one in six}) == 2
    assert all(one.subnet6.startswith("fd") and one.subnet6.endswith(f":{one.number:x}::/64") for one in six)
    shown = {row.name: row.has_ipv6 for row in services.network_lines(Network.objects.all())}
    assert shown == {"bridge": False, "none": False, "plain": False, "six": True, "more": True}
    assert services.inspect(plain, user)["EnableIPv6"] is False


def test_what_is_told_of_a_network_and_of_a_container_in_it(user, pulled, queue, engine):
    pulled("ubuntu:14.04")
    made = make(user, subnet="10.77.5.0/24", subnet6=MINE)
    web = containers.create(user, OPTIONS)
    containers.start(web, user)
    queue.run()
    web.refresh_from_db()
    told = services.inspect(made, user)
    assert told["EnableIPv6"] is True
    assert told["IPAM"]["Config"][1] == {"Subnet": MINE, "Gateway": "fd12:3456:789a:1::1"}
    (member,) = told["Containers"].values()
    assert (member["IPv4Address"], member["IPv6Address"]) == ("10.77.5.2/24", "fd12:3456:789a:1::2/64")
    said = inspection.inspect(web)["NetworkSettings"]["Networks"]["six"]
    wanted = {
        "IPv6Gateway": "fd12:3456:789a:1::1",
        "GlobalIPv6Address": "fd12:3456:789a:1::2",
        "GlobalIPv6PrefixLen": 64,
    }
    assert {key: said[key] for key in wanted} == wanted
    (place,) = engine.places[web.container_id]
    assert place.address6 == "fd12:3456:789a:1::2"


@pytest.mark.parametrize(
    ("more", "sentence", "status"),
    [
        ({"subnet6": "2001:db8::/64"}, "may be somebody else's", 400),
        ({"subnet6": "fd12:3456:789a::/48"}, "must be a /64", 400),
        ({"subnet6": MINE, "ipv6": False}, "say --ipv6, too", 400),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_made(user, more, sentence, status):
    with pytest.raises(DashboardError, match=sentence) as caught:
        services.create(user, replace(NetworkCreate(name="six", ipv6=True), **more))
    assert caught.value.status == status
    assert not Network.objects.filter(name="six").exists()


def test_one_subnet_is_one_networks(user, monkeypatch):
    make(user, subnet6=MINE)
    with pytest.raises(DashboardError, match="Pool overlaps") as caught:
        make(user, "other", subnet6=MINE)
    assert caught.value.status == 409
    monkeypatch.setattr("dashboard.gateway.config.has_route6", lambda _subnet6: True)
    monkeypatch.setattr("dashboard.gateway.has_route6", lambda _subnet6: True, raising=False)
    with pytest.raises(DashboardError, match="has a route that overlaps"):
        make(user, "other", subnet6="fd12:3456:789a:2::/64")


def test_a_host_without_ipv6_says_so(user, monkeypatch):
    monkeypatch.setattr("engine.network.addresses6.is_there", lambda: False)
    with pytest.raises(DashboardError, match="This host has no IPv6"):
        make(user)
    assert services.create(user, NetworkCreate(name="plain")).subnet6 == ""


def test_the_command(user):
    asked = parse(["network", "create", "--ipv6", "--subnet", "10.77.5.0/24", "--subnet", MINE, "six"])
    assert (asked.subnet, asked.subnet6, asked.ipv6) == ("10.77.5.0/24", MINE, True)
    with pytest.raises(UsageError, match="one subnet of IPv4"):
        parse(["network", "create", "--subnet", "10.77.5.0/24", "--subnet", "10.77.6.0/24", "two"])
