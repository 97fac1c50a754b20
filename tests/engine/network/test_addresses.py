from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import NetworkError
from engine.network.addresses import Subnet, address_code, bridge_mac, container_mac
from tests.support.examples import examples


@settings(max_examples=examples(50))
@given(st.integers(0, 2**32 - 1), st.integers(22, 29))
def test_every_usable_address_passes_its_own_check_and_nothing_else_does(base, prefix):
    network = ipaddress.IPv4Network((base, prefix), strict=False)
    subnet = Subnet.parse(str(network))
    usable = list(subnet.usable())
    assert len(usable) == len(set(usable)) == network.num_addresses - 3
    assert all(subnet.check(address) == address for address in usable)
    for refused in (network[0], network[1], network[-1]):
        with pytest.raises(NetworkError):
            subnet.check(str(refused))


@pytest.mark.parametrize("text", ["10.0.0.0/30", "10.0.0.1/20", "fd00::/64", "0.0.0.0/0", "ten", ""])
def test_what_is_no_fit_network_is_refused(text):
    with pytest.raises(NetworkError):
        Subnet.parse(text)


@pytest.mark.parametrize("address", ["10.1.16.1", "10.1.0.256", "", "::1", "10.1.0.2; drop"])
def test_addresses_from_elsewhere_are_refused(address):
    with pytest.raises(NetworkError):
        Subnet.parse("10.1.0.0/20").check(address)


def test_hardware_addresses_are_fixed_local_and_unicast():
    assert container_mac("10.1.2.3") == "02:42:0a:01:02:03"
    assert bridge_mac("br-1") == bridge_mac("br-1") != bridge_mac("br-2")
    assert int(bridge_mac("br-1")[:2], 16) & 0b11 == 0b10


def test_a_gateway_of_ones_own_is_nobody_elses():
    subnet = Subnet.parse("10.1.0.0/29", "10.1.0.4")
    assert list(subnet.usable()) == ["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.5", "10.1.0.6"]
    with pytest.raises(NetworkError, match="cannot be a container's"):
        subnet.check("10.1.0.4")
    for gateway in ("10.1.0.0", "10.1.0.7", "10.2.0.1", "x"):
        with pytest.raises(NetworkError):
            Subnet.parse("10.1.0.0/29", gateway)


@settings(max_examples=examples(50))
@given(st.sets(st.integers(0, 2**32 - 1), min_size=2, max_size=20))
def test_the_code_of_an_address_is_its_own(numbers):
    codes = {address_code(str(ipaddress.IPv4Address(number))) for number in numbers}
    assert len(codes) == len(numbers)
    assert all(len(code) == 6 and not set(code) & set("0123456789abcdef") for code in codes)
