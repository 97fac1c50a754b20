"""Networks on a whole Berth, from the command line to the inside of real containers with user namespaces."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.callers import SERVE, ask
from tests.support.ports import free_port
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(180)]
IMAGE = "ubuntu:14.04"


@pytest.fixture(autouse=True)
def nothing_stays(berth):
    yield
    berth.remove_all()
    berth.ok("network", "prune", "-f")
    assert berth.ok("network", "ls", "-q", "-f", "type=custom") == ""
    until("bridges are gone", lambda: len(bridges(berth)) == 1)


def bridges(berth) -> list[str]:
    return sorted(path.name for path in Path("/sys/class/net").glob(f"br-{berth.tag}*"))


def network_of(berth, name: str) -> dict:
    return json.loads(berth.ok("network", "inspect", name))[0]


def serve(berth, name: str, *flags: str) -> str:
    return berth.start_long("--name", name, "-h", name, *flags, IMAGE, "sh", "-c", SERVE)


def call(berth, container: str, where: str, port: int = 80) -> str:
    """What a container hears from a server; "" for nothing."""
    script = f"exec 3<>/dev/tcp/{where}/{port} && cat <&3"
    return berth.run_command("exec", container, "timeout", "5", "bash", "-c", script).stdout.strip()


def found(berth, container: str, name: str, *, kind: str = "a") -> list[str]:
    """Addresses, by the name server that its resolv.conf names."""
    said = berth.run_command("exec", container, "timeout", "8", "nslookup", f"-type={kind}", name).stdout
    return re.findall(r"^Address: ([0-9a-f.:]+)$", said.partition("Name:")[2], re.MULTILINE)


def test_containers_find_each_other_by_name_in_their_network_only(berth):
    berth.ok("network", "create", "front")
    berth.ok("network", "create", "--internal", "back")
    serve(berth, "web", "--network", "front", "--network-alias", "www")
    serve(berth, "db", "--network", "back")
    client = berth.start_long("--network", "front", IMAGE, "sleep", "1000")
    alone = berth.start_long(IMAGE, "sleep", "1000")
    gateway = network_of(berth, "front")["IPAM"]["Config"][0]["Gateway"]
    assert f"nameserver {gateway}" in berth.ok("exec", client, "cat", "/etc/resolv.conf")
    address = json.loads(berth.ok("inspect", "web"))[0]["NetworkSettings"]["Networks"]["front"]["IPAddress"]
    for name in ("web", "www"):
        assert until(f"{name} is found", lambda name=name: found(berth, client, name)) == [address]
    assert call(berth, client, "web") == "from-web"
    assert found(berth, client, "db") == found(berth, alone, "web") == []
    assert call(berth, alone, address) == ""
    berth.ok("network", "connect", "--alias", "store", "back", client)
    assert until("db is found", lambda: found(berth, client, "db")) != []
    assert call(berth, client, "db") == "from-db"
    assert "eth1" in berth.ok("exec", client, "cat", "/proc/net/dev")
    berth.ok("network", "disconnect", "back", client)
    until("db is not found any more", lambda: found(berth, client, "db") == [])
    assert "eth1" not in berth.ok("exec", client, "cat", "/proc/net/dev")


def test_resolv_conf_follows_a_container_into_networks_and_out(berth):
    berth.ok("network", "create", "front")
    client = berth.start_long(IMAGE, "sleep", "1000")
    before = berth.ok("exec", client, "cat", "/etc/resolv.conf")
    gateway = network_of(berth, "front")["IPAM"]["Config"][0]["Gateway"]
    berth.ok("network", "connect", "front", client)
    assert f"nameserver {gateway}\n" in berth.ok("exec", client, "cat", "/etc/resolv.conf")
    berth.ok("network", "disconnect", "front", client)
    assert berth.ok("exec", client, "cat", "/etc/resolv.conf") == before
    berth.ok("exec", client, "sh", "-c", "echo '# mine' > /etc/resolv.conf")
    berth.ok("network", "connect", "front", client)
    assert berth.ok("exec", client, "cat", "/etc/resolv.conf") == "# mine\n"


def test_a_network_is_in_use_and_says_by_whom_and_then_is_gone(berth):
    berth.ok("network", "create", "--subnet", "10.231.5.0/24", "front")
    serve(berth, "web", "--network", "front", "--ip", "10.231.5.77")
    assert len(bridges(berth)) == 2
    assert "10.231.5.77" in berth.ok("exec", "web", "cat", "/etc/hosts")
    (member,) = network_of(berth, "front")["Containers"].values()
    assert (member["Name"], member["IPv4Address"]) == ("web", "10.231.5.77/24")
    done = berth.run_command("network", "rm", "front")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: error while removing network: network front has active endpoints (web)\n"
    berth.ok("restart", "-t", "0", "web")
    assert "10.231.5.77" in berth.ok("exec", "web", "cat", "/etc/hosts")
    berth.ok("rm", "-f", "web")
    assert berth.ok("network", "rm", "front") == "front\n"
    assert len(bridges(berth)) == 1


def test_published_ports_go_to_the_first_network(berth):
    berth.ok("network", "create", "front")
    berth.ok("network", "create", "back")
    port = free_port()
    serve(berth, "web", "--network", "front", "--network", "back", "-p", f"{port}:80")
    assert ask(port) == "from-web"
    berth.ok("network", "disconnect", "front", "web")
    assert ask(port, within_s=10) == "from-web"


def test_none_is_a_loopback_and_nothing_else(berth):
    assert re.findall(
        r"^ *(\w+):", berth.ok("run", "--rm", "--network", "none", IMAGE, "cat", "/proc/net/dev"), re.M
    ) == ["lo"]
    done = berth.run_command("run", "--rm", "--network", "host", IMAGE, "true")
    assert done.returncode == 125
    assert "This host does not let containers into its own network" in done.stderr


@pytest.mark.fault("F44")
def test_a_flushed_firewall_is_back_within_five_seconds_for_all_networks(berth):
    berth.ok("network", "create", "front")
    berth.ok("network", "create", "back")
    serve(berth, "web", "--network", "front")
    client = berth.start_long("--network", "back", IMAGE, "sleep", "1000")
    address = json.loads(berth.ok("inspect", "web"))[0]["NetworkSettings"]["Networks"]["front"]["IPAddress"]
    subprocess.run(["nft", "delete", "table", "inet", f"berth_{berth.tag}"], check=True)
    assert call(berth, client, address) == ""

    def is_back() -> bool:
        listed = subprocess.run(
            ["nft", "list", "table", "inet", f"berth_{berth.tag}"], capture_output=True, text=True, check=False
        )
        return bridges(berth)[1] in listed.stdout

    until("the rules are back", is_back, 5)
    assert call(berth, client, address) == ""


@pytest.mark.fault("F13")
def test_names_outlive_the_engine_worker_and_come_back_when_their_server_dies(berth):
    berth.ok("network", "create", "front")
    serve(berth, "web", "--network", "front")
    client = berth.start_long("--network", "front", IMAGE, "sleep", "1000")
    until("web is found", lambda: found(berth, client, "web"))
    berth.wait_back("engine", berth.kill_program("engine"))
    assert until("web is found", lambda: found(berth, client, "web"))
    group = _names_group(berth)
    (pid,) = map(int, group.read_text().split())
    os.kill(pid, signal.SIGKILL)
    until("another one", lambda: group.read_text().split() not in ([], [str(pid)]), 10)
    assert until("web is found", lambda: found(berth, client, "web"))


def _names_group(berth) -> Path:
    tops = (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*"))
    return next(path for top in tops if (path := top / f"berth-{berth.tag}/names/cgroup.procs").exists())


def test_ipv6_between_containers_and_from_the_hosts_loopback(berth):
    port = free_port()
    berth.ok("network", "create", "--ipv6", "six")
    serve(berth, "web", "--network", "six", "-p", f"[::1]:{port}:80")
    client = berth.start_long("--network", "six", IMAGE, "sleep", "1000")
    told = json.loads(berth.ok("inspect", "web"))[0]["NetworkSettings"]["Networks"]["six"]
    address = told["GlobalIPv6Address"]
    assert address.startswith("fd")
    assert f"{address}\tweb" in berth.ok("exec", "web", "cat", "/etc/hosts")
    said = until("web has an IPv6 address", lambda: found(berth, client, "web", kind="aaaa"))
    assert said == [address]
    assert berth.ok("port", "web") == f"80/tcp -> [::1]:{port}\n"
    assert f"[::1]:{port}->80/tcp" in berth.ok("ps")

    def heard() -> str:
        with socket.create_connection(("::1", port), timeout=10) as caller:
            return caller.recv(100).decode().strip()

    assert heard() == "from-web"
    assert berth.findings() == []
    berth.wait_back("engine", berth.kill_program("engine"))
    assert heard() == "from-web"
    assert berth.findings() == []
    berth.ok("restart", "-t", "0", "web")
    assert until("the new one answers", heard) == "from-web"
    berth.ok("rm", "-f", "web")
    with pytest.raises(ConnectionRefusedError):
        heard()
