from __future__ import annotations

import pytest

from engine.network import links, resolvers


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(resolvers, "HOST_FILE", tmp_path / "host")
    monkeypatch.setattr(resolvers, "UPSTREAM_FILE", tmp_path / "upstream")
    monkeypatch.setattr(links, "host_addresses", lambda: {"192.0.2.2", "127.0.0.1"})
    return tmp_path


def test_the_hosts_own_resolvers_and_options_are_taken_over(files):
    (files / "host").write_text("# made by hand\nnameserver 192.0.2.53\nsearch a.example b.example\noptions ndots:2\n")
    assert resolvers.resolv_conf() == "nameserver 192.0.2.53\nsearch a.example b.example\noptions ndots:2\n"


@pytest.mark.parametrize(
    "unreachable", ["127.0.0.53", "127.0.0.1", "::1", "192.0.2.2", "fe80::1%eth0", "0.0.0.0", "169.254.169.254"]
)
def test_resolvers_on_the_host_itself_give_way_to_its_upstreams(files, unreachable):
    (files / "host").write_text(f"nameserver {unreachable}\noptions edns0\n")
    (files / "upstream").write_text("nameserver 192.0.2.53\nnameserver 192.0.2.54\nsearch up.example\n")
    assert resolvers.resolv_conf() == "nameserver 192.0.2.53\nnameserver 192.0.2.54\nsearch up.example\n"


def test_without_any_the_public_ones_stand_there_and_the_file_says_so(files):
    (files / "host").write_text("nameserver 127.0.0.53\nsearch a.example\n")
    text = resolvers.resolv_conf()
    assert text.startswith("# No resolver of this host can be reached")
    assert "nameserver 8.8.8.8\n" in text
    assert text.endswith("search a.example\n")


def test_at_most_three_servers_are_given_as_libc_reads_no_more(files):
    (files / "host").write_text("".join(f"nameserver 192.0.2.{number}\n" for number in range(10, 20)))
    assert resolvers.resolv_conf().count("nameserver") == 3


def test_what_a_container_names_itself_comes_before_the_hosts(files):
    text = resolvers.resolv_conf(servers=("9.9.9.9",), search=("a.example", "b.example"), options=("ndots:3",))
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("nameserver")] == ["nameserver 9.9.9.9"]
    assert "search a.example b.example" in lines
    assert "options ndots:3" in lines
    assert "search" not in resolvers.resolv_conf(search=(".",))
