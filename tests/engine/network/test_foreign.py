from __future__ import annotations

import ipaddress

import pytest

from engine.errors import NetworkError
from engine.network import resolvers
from engine.network.foreign import refuse_foreign


@pytest.fixture
def host_file(tmp_path, monkeypatch):
    for name in ("HOST_FILE", "UPSTREAM_FILE"):
        monkeypatch.setattr(resolvers, name, tmp_path / name)
    return tmp_path / "HOST_FILE"


def refuse(text):
    refuse_foreign(ipaddress.IPv4Network(text))


@pytest.mark.parametrize("text", ["10.0.0.0/8", "172.31.9.0/24", "192.168.0.0/16", "100.64.3.0/24", "198.18.0.0/15"])
def test_private_addresses_may_be_a_networks(host_file, text):
    host_file.write_text("nameserver 127.0.0.53\nnameserver fd00::1\n")
    refuse(text)


@pytest.mark.parametrize(
    "text",
    ["8.8.8.0/24", "169.254.169.0/24", "127.5.0.0/16", "224.1.0.0/24", "0.0.0.0/8", "172.0.0.0/8", "240.0.1.0/24"],
)
def test_those_of_the_world_and_of_the_host_may_not(host_file, text):
    with pytest.raises(NetworkError, match=f"The addresses of {text} are not private ones"):
        refuse(text)


@pytest.mark.parametrize("which", ["HOST_FILE", "UPSTREAM_FILE"])
def test_a_name_server_that_the_host_asks_keeps_its_address(host_file, which):
    """Else a container with that address would answer the host."""
    host_file.with_name(which).write_text("nameserver 10.9.8.7\nnameserver 192.0.2.1\n")
    with pytest.raises(NetworkError, match=r"The name server of this host \(10.9.8.7\) has an address of 10.9.8.0/24"):
        refuse("10.9.8.0/24")
    refuse("10.9.9.0/24")
