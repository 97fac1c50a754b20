"""Networks through the command door: Docker's words, columns and exit codes; who is in them; when they go."""

from __future__ import annotations

import json
import re

import pytest
from channels.db import database_sync_to_async

from dashboard.containers.models import Container
from dashboard.networks.models import Network
from engine.errors import NetworkError

pytestmark = pytest.mark.django_db(transaction=True)
IMAGE = "ubuntu:14.04"


@database_sync_to_async
def names() -> list[str]:
    return list(Network.objects.exclude(name__in=["bridge", "none"]).order_by("name").values_list("name", flat=True))


@database_sync_to_async
def network_id(name: str) -> str:
    return Network.objects.get(name=name).network_id


@pytest.fixture
async def image(pulled):
    return await database_sync_to_async(pulled)(IMAGE)


async def shape_of(door, name) -> dict:
    assert await door.say("inspect", name) == 0, door.err
    return json.loads(door.out)[0]


async def test_a_network_is_made_listed_inspected_and_removed(door, engine):
    words = [
        "--label",
        "tier=front",
        "--subnet",
        "10.77.5.0/24",
        "--gateway",
        "10.77.5.9",
        "--ip-range",
        "10.77.5.64/26",
    ]
    assert await door.say("network", "create", *words, "front") == 0, door.err
    assert re.fullmatch("[0-9a-f]{64}\n", door.out)
    whole = door.out.strip()
    bridge, none = await network_id("bridge"), await network_id("none")
    assert await door.say("network", "ls") == 0
    assert door.out.splitlines() == [
        "NETWORK ID     NAME      DRIVER    SCOPE",
        f"{bridge[:12]}   bridge    bridge    local",
        f"{whole[:12]}   front     bridge    local",
        f"{none[:12]}   none      null      local",
    ]
    assert await door.say("network", "ls", "-q", "--no-trunc", "-f", "type=custom") == 0
    assert door.out == f"{whole}\n"
    assert (
        await door.say("network", "ls", "-f", "label=tier=front", "--format", "{{.Name}} {{.Labels}} {{.Internal}}")
        == 0
    )
    assert door.out == "front tier=front false\n"
    assert await door.say("network", "inspect", whole[:6]) == 0
    shape = json.loads(door.out)[0]
    assert (shape["Name"], shape["Driver"], shape["Scope"], shape["Internal"]) == ("front", "bridge", "local", False)
    assert shape["IPAM"]["Config"] == [{"Subnet": "10.77.5.0/24", "IPRange": "10.77.5.64/26", "Gateway": "10.77.5.9"}]
    assert (shape["Labels"], shape["Containers"]) == ({"tier": "front"}, {})
    assert await door.say("network", "rm", "front") == 0
    assert door.out == "front\n"
    assert await names() == []
    assert [call[0] for call in engine.calls] == ["remove_network"]


async def test_networks_of_the_pool_never_overlap(door):
    for number in range(3):
        assert await door.say("network", "create", f"n{number}") == 0
    assert await door.say("network", "inspect", "n0", "n1", "n2") == 0
    found = [shape["IPAM"]["Config"][0]["Subnet"] for shape in json.loads(door.out)]
    assert len(set(found)) == 3
    assert all(text.startswith("10.20") and text.endswith(".0/24") for text in found)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("create", "a b"), 1, "invalid network name"),
        (("create", "bridge"), 1, "network with name bridge already exists"),
        (("create", "host"), 1, "operation is not permitted on predefined host network"),
        (("create", "-d", "overlay", "x"), 1, 'plugin "overlay" not found'),
        (("create", "-o", "mtu=9000", "x"), 1, "The network option 'mtu=9000' is not known"),
        (("create", "--subnet", "10.1.2.3/24", "x"), 125, "invalid CIDR block 10.1.2.3/24"),
        (("create", "--subnet", "fd00::/64", "x"), 1, "is one of IPv6 addresses: say --ipv6, too"),
        (("create", "--ip-range", "fd00::/64", "x"), 125, "IPv6 addresses follow from the IPv4 ones"),
        (("create", "--subnet", "10.1.2.0/30", "x"), 1, "is too small or too big"),
        (("create", "--subnet", "169.254.169.0/24", "x"), 1, "The addresses of 169.254.169.0/24 are not private ones"),
        (("create", "--gateway", "10.1.2.1", "x"), 1, "must have a corresponding subnet"),
        (("create", "--subnet", "10.77.1.0/24", "--gateway", "10.78.1.1", "x"), 1, "cannot be the gateway's"),
        (("create", "--subnet", "10.77.1.0/24", "--ip-range", "10.78.1.0/28", "x"), 1, "no matching subnet for range"),
        (("create", "--ipv6", "--subnet", "2001:db8::/64", "x"), 1, "may be somebody else's"),
        (("create",), 1, '"berth network create" requires exactly 1 argument.'),
        (("rm", "nope"), 1, "Error: network nope not found\n"),
        (("rm", "bridge"), 1, "bridge is a pre-defined network and cannot be removed"),
        (("inspect", "nope"), 1, "Error: network nope not found\n"),
        (("connect", "nope", "nobody"), 1, "No such container: nobody"),
        (("ls", "-f", "shiny=1"), 1, "invalid filter 'shiny'"),
        (("ls", "-f", "type=odd"), 1, "invalid filter 'type=odd'"),
        (("mend",), 1, "'network mend' is not a berth command"),
    ],
)
async def test_what_cannot_be_is_said_in_dockers_words(door, words, code, said):
    assert await door.say("network", *words) == code, door.err
    assert said in door.err
    assert await names() == []


async def test_names_and_subnets_are_taken_once(door):
    assert await door.say("network", "create", "--subnet", "10.77.5.0/24", "front") == 0
    assert await door.say("network", "create", "front") == 1
    assert door.err == "Error: network with name front already exists\n"
    assert await door.say("network", "create", "--subnet", "10.77.0.0/16", "wide") == 1
    assert door.err == "Error: Pool overlaps with other one on this address space\n"
    assert await door.say("network", "rm", "-f", "nope") == 0


async def test_a_subnet_that_the_host_routes_is_refused(door, monkeypatch):
    import ipaddress

    from dashboard import gateway

    monkeypatch.setattr(gateway, "routed_networks", lambda: [ipaddress.IPv4Network("10.77.0.0/16")])
    assert await door.say("network", "create", "--subnet", "10.77.5.0/24", "front") == 1
    assert door.err == "Error: This host has a route that overlaps 10.77.5.0/24. Choose another subnet.\n"


async def test_a_container_starts_in_its_networks_in_order(door, image, engine):
    for words in (["front", "--subnet", "10.77.5.0/24"], ["back", "--subnet", "10.77.6.0/24", "--internal"]):
        assert await door.say("network", "create", *words) == 0
    words = ["--network", "front", "--network", "name=back,alias=db", "--network-alias", "www", "--ip", "10.77.5.40"]
    assert await door.say("run", "-d", "--name", "web", *words, "-h", "box", IMAGE) == 0, door.err
    made = door.out.strip()
    first, second = engine.places[made]
    assert (first.address, first.names, first.network.is_internal) == (
        "10.77.5.40",
        ("web", "www", made[:12], "box"),
        False,
    )
    assert (second.address, second.names) == ("10.77.6.2", ("web", "db", made[:12], "box"))
    assert (str(second.network.subnet), second.network.is_internal) == ("10.77.6.0/24", True)
    shape = await shape_of(door, "web")
    assert shape["HostConfig"]["NetworkMode"] == "front"
    settings = shape["NetworkSettings"]
    assert settings["IPAddress"] == ""  # as in Docker: of the default network only
    front = settings["Networks"]["front"]
    assert (front["IPAddress"], front["IPPrefixLen"], front["Gateway"]) == ("10.77.5.40", 24, "10.77.5.1")
    assert (front["Aliases"], front["IPAMConfig"]) == (["www"], {"IPv4Address": "10.77.5.40"})
    assert (front["MacAddress"], front["DNSNames"]) == ("02:42:0a:4d:05:28", ["web", "www", made[:12], "box"])
    assert await door.say("network", "inspect", "front") == 0
    member = json.loads(door.out)[0]["Containers"][made]
    assert (member["Name"], member["IPv4Address"], member["EndpointID"]) == (
        "web",
        "10.77.5.40/24",
        front["EndpointID"],
    )
    assert await door.say("ps", "--format", "{{.Networks}}") == 0
    assert door.out == "back,front\n"
    assert await door.say("ps", "-q", "-f", "network=back") == 0
    assert len(door.out.splitlines()) == 1
    assert await door.say("ps", "-q", "-f", "network=bridge") == 0
    assert door.out == ""


async def test_a_container_without_a_network_starts_nowhere(door, image, engine):
    assert await door.say("run", "-d", "--network", "none", IMAGE) == 0, door.err
    assert engine.places[door.out.strip()] == ()
    assert list((await shape_of(door, door.out.strip()))["NetworkSettings"]["Networks"]) == ["none"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--network", "nope"), "network nope not found"),
        (("--network", "host"), "This host does not let containers into its own network"),
        (("--network", "container:x"), "do not share a network namespace"),
        (("--ip", "10.1.2.3"), "user specified IP address is supported on user defined networks only"),
        (("--network-alias", "x"), "network-scoped alias is supported only for containers in user defined networks"),
        (("--network", "none", "--network", "bridge"), "one of the networks in private (none) mode"),
        (("--network", "none", "-p", "80"), "conflicting options: port publishing"),
        (("--network", "inner", "-p", "80"), "The network inner is internal"),
        (("--network", "inner", "--network", "inner"), "in each once"),
        (("--network", "inner", "--ip", "10.78.0.2"), "cannot be a container's"),
        (("--network", "inner", "--ip", "10.77.7.1"), "cannot be a container's"),
        (("--network", "name=inner,speed=1"), "invalid field speed"),
        (("--network-alias", "a b"), "an alias is made of letters"),
        (("--network", ""), "network name cannot be empty"),
        (("--ip", "x"), "invalid IPv4 address: x"),
        (("--ip6", "fd00::2"), "does not take --ip6: a container's IPv6 address follows"),
    ],
)
async def test_a_place_that_cannot_be_is_refused_before_anything_is_made(door, image, words, said):
    assert await door.say("network", "create", "--internal", "--subnet", "10.77.7.0/24", "inner") == 0
    assert await door.say("create", *words, IMAGE) == 125, door.out
    assert said in door.err
    assert await database_sync_to_async(Container.objects.count)() == 0


async def test_a_running_container_comes_and_goes(door, image, engine):
    assert await door.say("network", "create", "--subnet", "10.77.5.0/24", "front") == 0
    assert await door.say("run", "-d", "--name", "web", IMAGE) == 0
    made = door.out.strip()
    assert await door.say("network", "connect", "--alias", "www", "--ip", "10.77.5.7", "front", "web") == 0, door.err
    assert door.out == ""
    kind, container, endpoint, before = engine.calls[-1]
    assert (kind, container, endpoint.address, [one.network.number for one in before]) == (
        "connect",
        made,
        "10.77.5.7",
        [0],
    )
    assert endpoint.names == ("web", "www", made[:12])
    assert await door.say("network", "connect", "front", "web") == 1
    assert door.err == "Error: endpoint with name web already exists in network front\n"
    assert await door.say("network", "connect", "none", "web") == 1
    assert "private (none) mode" in door.err
    assert await door.say("network", "rm", "front") == 1
    assert door.err == "Error: error while removing network: network front has active endpoints (web)\n"
    assert await door.say("network", "prune", "-f") == 0
    assert door.out == ""
    assert await door.say("network", "disconnect", "bridge", "web") == 0, door.err
    assert engine.calls[-1][:3] == ("disconnect", made, 0)
    assert list((await shape_of(door, "web"))["NetworkSettings"]["Networks"]) == ["front"]
    assert await door.say("network", "disconnect", "bridge", "web") == 1
    assert door.err == f"Error: container {made} is not connected to network bridge\n"
    assert await door.say("network", "disconnect", "-f", "front", "web") == 0
    assert await door.say("network", "prune") == 1
    assert "WARNING! This will remove all custom networks not used by at least one container." in door.err
    assert await door.say("network", "prune", "-f") == 0
    assert door.out == "Deleted Networks:\nfront\n\n"
    words = [
        "--since",
        "1h",
        "--until",
        "0s",
        "-f",
        "type=network",
        "--format",
        "{{.Action}} {{.Actor.Attributes.name}}",
    ]
    assert await door.say("events", *words) == 0, door.err
    assert door.out.splitlines() == [
        *("create front", "connect front", "disconnect bridge", "disconnect front", "destroy front")
    ]
    assert await names() == []


async def test_a_stopped_container_is_connected_for_its_next_start(door, image, engine):
    assert await door.say("network", "create", "--subnet", "10.77.5.0/24", "front") == 0
    assert await door.say("create", "--name", "web", IMAGE) == 0
    made = door.out.strip()
    assert await door.say("network", "connect", "front", "web") == 0, door.err
    assert await door.say("network", "disconnect", "bridge", "web") == 0, door.err
    assert engine.calls == []
    assert await door.say("start", "web") == 0
    assert [place.address for place in engine.places[made]] == ["10.77.5.2"]


async def test_a_place_that_the_engine_refuses_is_not_kept(door, image, engine):
    assert await door.say("network", "create", "front") == 0
    assert await door.say("run", "-d", "--name", "web", IMAGE) == 0
    engine.networks.fails = NetworkError("The network 10.200.0.0/24 overlaps a route of this host (eth7).")
    assert await door.say("network", "connect", "front", "web") == 1
    assert door.err == "Error: The network 10.200.0.0/24 overlaps a route of this host (eth7).\n"
    assert await door.say("network", "rm", "front") == 1
    assert "overlaps" in door.err
    engine.networks.fails = None
    assert await door.say("network", "rm", "front") == 0


async def test_addresses_are_given_once_and_again(door, image):
    assert await door.say("network", "create", "--subnet", "10.77.5.0/29", "small") == 0
    for name in ("aa", "bb"):
        assert await door.say("create", "--name", name, "--network", "small", IMAGE) == 0
    assert await door.say("create", "--name", "cc", "--network", "small", "--ip", "10.77.5.3", IMAGE) == 125
    assert "Address already in use" in door.err
    for name in ("cc", "dd", "ee"):
        assert await door.say("create", "--name", name, "--network", "small", IMAGE) == 0
    assert await door.say("create", "--network", "small", IMAGE) == 125
    assert "no available IPv4 addresses on this network's address pools: small" in door.err
    assert await door.say("rm", "bb") == 0
    assert await door.say("run", "-d", "--name", "ff", "--network", "small", IMAGE) == 0
    assert (await shape_of(door, "ff"))["NetworkSettings"]["Networks"]["small"]["IPAddress"] == "10.77.5.3"


async def test_addresses_come_from_the_range(door, image):
    words = ["--subnet", "10.77.5.0/24", "--ip-range", "10.77.5.128/30"]
    assert await door.say("network", "create", *words, "front") == 0
    assert await door.say("run", "-d", "--name", "web", "--network", "front", IMAGE) == 0
    assert (await shape_of(door, "web"))["NetworkSettings"]["Networks"]["front"]["IPAddress"] == "10.77.5.128"


async def test_published_ports_are_not_led_into_an_internal_network(door, image):
    for words in (["front"], ["inner", "--internal"]):
        assert await door.say("network", "create", *words) == 0
    words = ["--network", "front", "--network", "inner", "-p", "80"]
    assert await door.say("run", "-d", "--name", "web", *words, IMAGE) == 0
    assert await door.say("network", "disconnect", "front", "web") == 1
    assert "The network inner is internal" in door.err
