"""Ports as people spell them and as Docker prints them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.grammar import UsageError, parse, requests
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.ports import (
    Binding,
    PortRange,
    PortSpec,
    ShownPort,
    bindings,
    exposed_ports,
    link_to,
    port_lines,
    read_exposed,
    read_private,
    shown_ports,
)

numbers = st.integers(1, 65535)
protocols = st.sampled_from(["tcp", "udp"])
addresses = st.just("") | st.ip_addresses(v=4).map(str)


def ranges(length):
    return st.integers(1, 65536 - length).map(lambda first: PortRange(first, first + length - 1))


@st.composite
def some_specs(draw):
    length = draw(st.integers(1, 50))
    container = draw(ranges(length))
    host_length = length if length > 1 else draw(st.integers(1, 50))
    return PortSpec(
        container=container,
        protocol=draw(protocols),
        host=draw(st.none() | ranges(host_length)),
        address=draw(addresses),
    )


specs = some_specs()
exposed = st.builds(lambda ports, protocol: f"{ports}/{protocol}", st.integers(1, 20).flatmap(ranges), protocols)


@settings(max_examples=300, deadline=None)
@given(specs)
def test_what_is_written_is_read_back(spec):
    assert PortSpec.read(str(spec)) == spec


@settings(max_examples=200, deadline=None)
@given(specs)
def test_every_container_port_of_a_range_is_published_once_in_order(spec):
    found = list(spec.bindings())
    assert [one.container_port for one in found] == list(range(spec.container.first, spec.container.last + 1))
    hosts = [one.host for one in found]
    if len(found) > 1 and spec.host is not None:
        assert [host.first for host in hosts] == list(range(spec.host.first, spec.host.last + 1))
        assert all(len(host) == 1 for host in hosts)
    else:
        assert set(hosts) == {spec.host}


@settings(max_examples=300, deadline=None)
@given(st.text("0123456789-:/.[]tcpud=,", max_size=24))
def test_any_text_is_read_or_refused_in_one_sentence(text):
    with suppress(ValueRefused):
        spec = PortSpec.read(text)
        assert PortSpec.read(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "spelled", "found"),
    [
        ("80", "80", [("tcp", 80, "", None)]),
        ("8080:80", "8080:80", [("tcp", 80, "", (8080, 8080))]),
        ("8080:80/tcp", "8080:80", [("tcp", 80, "", (8080, 8080))]),
        ("53:53/UDP", "53:53/udp", [("udp", 53, "", (53, 53))]),
        ("127.0.0.1:8080:80", "127.0.0.1:8080:80", [("tcp", 80, "127.0.0.1", (8080, 8080))]),
        ("127.0.0.1::80", "127.0.0.1::80", [("tcp", 80, "127.0.0.1", None)]),
        ("[::1]:8080:80", "[::1]:8080:80", [("tcp", 80, "::1", (8080, 8080))]),
        ("[0:0::1]::80/udp", "[::1]::80/udp", [("udp", 80, "::1", None)]),
        (
            ":::8080-8081:80-81",
            "[::]:8080-8081:80-81",
            [("tcp", 80, "::", (8080, 8080)), ("tcp", 81, "::", (8081, 8081))],
        ),
        ("127.0.0.1:0:80", "127.0.0.1::80", [("tcp", 80, "127.0.0.1", None)]),
        (":80", "80", [("tcp", 80, "", None)]),
        ("[127.0.0.1]:8080:80", "127.0.0.1:8080:80", [("tcp", 80, "127.0.0.1", (8080, 8080))]),
        ("8000-8001:80-81", "8000-8001:80-81", [("tcp", 80, "", (8000, 8000)), ("tcp", 81, "", (8001, 8001))]),
        ("8000-8010:80", "8000-8010:80", [("tcp", 80, "", (8000, 8010))]),
        ("80-81", "80-81", [("tcp", 80, "", None), ("tcp", 81, "", None)]),
        ("80-80", "80", [("tcp", 80, "", None)]),
        ("published=8080,target=80", "8080:80", [("tcp", 80, "", (8080, 8080))]),
        ("target=53,protocol=udp", "53/udp", [("udp", 53, "", None)]),
    ],
)
def test_dockers_spellings(text, spelled, found):
    spec = PortSpec.read(text)
    assert str(spec) == spelled
    wanted = [Binding(p, c, a, h and PortRange(*h)) for p, c, a, h in found]
    assert list(spec.bindings()) == wanted


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no port specified: <empty>"),
        ("8080:", "no port specified: 8080:<empty>"),
        ("8080:/tcp", "no port specified"),
        ("x", "invalid containerPort: x"),
        ("0", "invalid containerPort: 0"),
        ("70000", "invalid containerPort: 70000"),
        ("81-80", "invalid containerPort: 81-80"),
        ("8080:80-", "invalid containerPort: 80-"),
        ("x:80", "invalid hostPort: x"),
        ("0-5:80", "invalid hostPort: 0-5"),
        ("65536:80", "invalid hostPort: 65536"),
        ("8000-8002:80-81", "invalid ranges specified for container and host Ports: 80-81 and 8000-8002"),
        ("8080:80/xyz", "invalid proto: xyz"),
        ("8080:80/sctp", "sctp ports cannot be published here"),
        ("300.1.1.1:8080:80", "invalid IP address: 300.1.1.1"),
        ("localhost:8080:80", "invalid IP address: localhost"),
        ("[fe80::1%eth0]:8080:80", r"nothing can be published on \[fe80::1%eth0\]"),
        ("[::ffff:127.0.0.1]:8080:80", "nothing can be published on"),
        ("[::1:8080:80", "invalid IP address"),
        ("published=1,what=2", "invalid publish opts format"),
        ("٨٠", "invalid containerPort"),
    ],
)
def test_what_cannot_be_published_is_refused_in_a_sentence(text, sentence):
    with pytest.raises(ValueRefused, match=sentence):
        PortSpec.read(text)


def test_the_command_line_names_the_flag():
    with pytest.raises(UsageError) as caught:
        parse(["run", "-p", "x:80", "ubuntu"])
    assert caught.value.message.startswith('invalid argument "x:80" for "-p, --publish" flag: invalid hostPort: x')
    assert caught.value.exit_code == 125


def test_flags_of_run_and_create():
    options = parse(["run", "-d", "-p8080:80", "--publish", "53/udp", "-P", "--expose=9000", "x"]).options
    assert (options.publish, options.publish_all, options.expose) == (("8080:80", "53/udp"), True, ("9000/tcp",))
    assert parse(["create", "-p", "80", "x"]).options.publish == ("80",)


@pytest.mark.parametrize("group", [[], ["container"]])
def test_the_port_command(group):
    assert parse([*group, "port", "web"]) == requests.Port(name="web")
    assert parse([*group, "port", "web", "53/udp"]) == requests.Port(name="web", private=(53, "udp"))
    for words in (["port"], ["port", "a", "80", "x"], ["port", "a", "nope"]):
        with pytest.raises(UsageError) as caught:
            parse([*group, *words])
        assert caught.value.exit_code == 1


def test_exposing():
    assert read_exposed("3000-3001/udp") == "3000-3001/udp"
    with pytest.raises(ValueRefused, match="invalid port format for --expose: 1:2"):
        read_exposed("1:2")
    assert exposed_ports(["81/tcp", "80-81", "5/sctp", "junk"]) == [(80, "tcp"), (81, "tcp")]
    assert read_private("80") == (80, "tcp")


def test_all_exposed_ports_that_are_not_named_are_published_anywhere():
    found = bindings(["8080:80", "8080:80"], [(53, "udp"), (80, "tcp")])
    assert found == [Binding("tcp", 80, "", PortRange(8080, 8080)), Binding("udp", 53, "", None)]


def port(container_port, port=0, address="", protocol="tcp"):
    return ShownPort(container_port=container_port, port=port, address=address, protocol=protocol)


@pytest.mark.parametrize(
    ("ports", "shown"),
    [
        ([], ""),
        ([port(80)], "80/tcp"),
        ([port(80, 8080, "0.0.0.0")], "0.0.0.0:8080->80/tcp"),
        ([port(81), port(80), port(83)], "80-81/tcp, 83/tcp"),
        ([port(n, n, "0.0.0.0") for n in (8000, 8001, 8002)], "0.0.0.0:8000-8002->8000-8002/tcp"),
        (
            [port(80, 8000, "0.0.0.0"), port(81, 8001, "0.0.0.0")],
            "0.0.0.0:8000->80/tcp, 0.0.0.0:8001->81/tcp",
        ),
        (
            [port(443), port(80, 8080, "127.0.0.1"), port(53, 53, "0.0.0.0", "udp")],
            "0.0.0.0:53->53/udp, 443/tcp, 127.0.0.1:8080->80/tcp",
        ),
        ([port(53), port(53, protocol="udp")], "53/tcp, 53/udp"),
    ],
)
def test_the_ports_column(ports, shown):
    assert shown_ports(ports) == shown


def test_the_lines_of_port():
    ports = [port(443), port(80, 8080, "127.0.0.1"), port(80, 9090, "0.0.0.0"), port(53, 53, "0.0.0.0", "udp")]
    assert port_lines(ports) == ["53/udp -> 0.0.0.0:53", "80/tcp -> 0.0.0.0:9090", "80/tcp -> 127.0.0.1:8080"]
    assert port_lines(ports, (53, "udp")) == ["0.0.0.0:53"]
    assert port_lines(ports, (443, "tcp")) == []


@pytest.mark.parametrize(
    ("shown", "page", "link"),
    [
        (port(80, 8080, "0.0.0.0"), "berth.example", "http://berth.example:8080/"),
        (port(443, 8443, "0.0.0.0"), "berth.example", "https://berth.example:8443/"),
        (port(80, 8080, "0.0.0.0"), "fd00::1", "http://[fd00::1]:8080/"),
        (port(80, 8080, "192.0.2.7"), "berth.example", "http://192.0.2.7:8080/"),
        (port(80, 8080, "127.0.0.1"), "berth.example", None),
        (port(80, 8080, "127.0.0.1"), "localhost", "http://127.0.0.1:8080/"),
        (port(80, 8080, "127.0.0.1"), "127.0.0.1", "http://127.0.0.1:8080/"),
        (port(53, 53, "0.0.0.0", "udp"), "berth.example", None),
        (port(80), "berth.example", None),
        (port(80, 8080, "0.0.0.0"), "", None),
    ],
)
def test_a_browser_gets_a_link_where_it_can_go(shown, page, link):
    assert link_to(shown, page) == link
