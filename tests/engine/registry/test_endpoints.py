from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest

from engine.config import EngineConfig
from engine.errors import RegistryError
from engine.registry import addresses
from engine.registry.endpoints import Credentials, check_realm, endpoint_for, is_same_owner
from engine.registry.wire import proxy_for


def config(**more):
    return EngineConfig(data=Path("/nowhere"), uid=0, gid=0, **more)


def test_docker_hub_is_spoken_to_at_its_registry_host():
    endpoint = endpoint_for(config(), "docker.io")
    assert str(endpoint.url("library/x/manifests/1")) == "https://registry-1.docker.io/v2/library/x/manifests/1"
    assert (endpoint.label, endpoint.is_trusted) == ("docker.io", False)


def test_a_mirror_replaces_the_registry_and_may_have_a_path_and_credentials():
    endpoint = endpoint_for(config(mirrors={"docker.io": "http://me:p%40ss@10.0.0.1:5000/hub/"}), "docker.io")
    assert str(endpoint.url("library/x/tags")) == "http://10.0.0.1:5000/hub/v2/library/x/tags"
    assert endpoint.credentials == Credentials("me", "p@ss")
    assert endpoint.label == "docker.io (by 10.0.0.1:5000)"
    assert "p@ss" not in repr(endpoint)
    assert "p%40ss" not in repr(endpoint)


@pytest.mark.threat("REG-13")
def test_only_listed_registries_are_spoken_to_in_plain_http():
    assert endpoint_for(config(), "quay.io").base.scheme == "https"
    assert endpoint_for(config(), "localhost:5000").base.scheme == "https"
    assert endpoint_for(config(plain_http=frozenset({"localhost:5000"})), "localhost:5000").base.scheme == "http"


@pytest.mark.parametrize("mirror", ["", "127.0.0.1:5000", "ftp://x", "http://", "http://x?y", "//x"])
def test_a_mirror_that_is_no_url_is_said_to_be_none(mirror):
    with pytest.raises(RegistryError, match="is not a URL like"):
        endpoint_for(config(mirrors={"docker.io": mirror}), "docker.io")


@pytest.mark.threat("REG-05")
@pytest.mark.parametrize(
    ("registry", "realm", "allowed"),
    [
        ("docker.io", "https://auth.docker.io/token", True),
        ("ghcr.io", "https://ghcr.io/token", True),
        ("registry.gitlab.com", "https://gitlab.com/jwt/auth", True),
        ("docker.io", "http://auth.docker.io/token", False),
        ("docker.io", "https://evil.example/token", False),
        ("docker.io", "https://docker.io.evil.example/token", False),
        ("docker.io", "https://user@auth.docker.io/token", False),
        ("docker.io", "http://169.254.169.254/", False),
        ("docker.io", "https://169.254.169.254/", False),
        ("docker.io", "file:///etc/passwd", False),
        ("docker.io", "", False),
        ("docker.io", "https://", False),
        ("docker.io", "https://[", False),
        ("a.co.kr", "https://b.co.kr/token", False),
        ("one.azurecr.io", "https://two.azurecr.io/token", False),
        ("1.2.3.4", "https://9.2.3.4/token", False),
        ("1.2.3.4:5000", "https://1.2.3.4:5001/token", True),
    ],
)
def test_a_token_is_fetched_only_where_it_belongs(registry, realm, allowed):
    endpoint = endpoint_for(config(), registry)
    if allowed:
        assert check_realm(endpoint, realm) == httpx.URL(realm)
    else:
        with pytest.raises(RegistryError, match="for a token"):
            check_realm(endpoint, realm)


def test_a_plain_registry_may_have_a_plain_token_server_on_its_own_host():
    endpoint = endpoint_for(config(plain_http=frozenset({"localhost:5000"})), "localhost:5000")
    assert check_realm(endpoint, "http://localhost:5001/auth").port == 5001


def test_owners_are_told_apart():
    assert is_same_owner("auth.docker.io", "REGISTRY-1.docker.io")
    assert not is_same_owner("localhost", "otherhost")
    assert not is_same_owner("::1", "::2")


@pytest.mark.threat("REG-05")
@pytest.mark.threat("NET-06")
@pytest.mark.parametrize(
    ("address", "stranger", "listed"),
    [
        ("1.1.1.1", True, True),
        ("2606:4700::1111", True, True),
        ("127.0.0.1", False, True),
        ("10.1.2.3", False, True),
        ("192.168.1.1", False, True),
        ("172.16.0.1", False, True),
        ("100.64.0.1", False, True),
        ("::1", False, True),
        ("fc00::1", False, True),
        ("::ffff:10.0.0.1", False, True),
        ("64:ff9b::7f00:1", False, True),
        ("2002:7f00:1::", False, True),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("fe80::1", False, False),
        ("fd00:ec2::254", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("ff02::1", False, False),
        ("255.255.255.255", False, False),
    ],
)
def test_addresses_inside_the_network_are_for_listed_registries_only(address, stranger, listed):
    assert addresses.is_allowed(ip_address(address), is_trusted=False) is stranger
    assert addresses.is_allowed(ip_address(address), is_trusted=True) is listed


def test_the_environments_proxies_are_honoured_but_never_for_this_host(monkeypatch):
    for name in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    assert proxy_for(httpx.URL("https://quay.io")) is None
    monkeypatch.setenv("https_proxy", "proxy.example:3128")
    monkeypatch.setenv("no_proxy", "internal.example,quay.io:5000")
    assert proxy_for(httpx.URL("https://quay.io/v2/")) == "http://proxy.example:3128"
    assert proxy_for(httpx.URL("https://quay.io:5000/v2/")) is None
    assert proxy_for(httpx.URL("https://x.internal.example/v2/")) is None
    assert proxy_for(httpx.URL("http://quay.io/v2/")) is None
    for host in ("127.0.0.1:5000", "localhost", "[::1]:5000"):
        assert proxy_for(httpx.URL(f"https://{host}/v2/")) is None
