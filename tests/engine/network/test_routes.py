from __future__ import annotations

import ipaddress
import sys

import pytest

from engine.network import routes

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the sample is of a little-endian machine")
SAMPLE = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
br-78de77a4\t00D0780A\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\t0\t0
eth1\t0000A8C0\t00000000\t0000\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


def test_networks_are_read_without_the_default_route_and_those_that_are_down():
    assert routes.read_routes(SAMPLE) == [(ipaddress.IPv4Network("10.120.208.0/20"), "br-78de77a4")]


def test_a_host_that_shows_no_routes_has_none(monkeypatch, tmp_path):
    monkeypatch.setattr(routes, "ROUTES", tmp_path / "none")
    assert routes.routed_networks(but="br-") == []
