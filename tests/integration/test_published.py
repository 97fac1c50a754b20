"""Published ports on a whole Berth: run, ask, list, restart of every process, remove."""

from __future__ import annotations

import json
import re
import socket
import subprocess

import pytest

from tests.support.callers import SERVE, ask, is_free
from tests.support.ports import free_port
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(180)]
IMAGE = "ubuntu:14.04"


@pytest.fixture(autouse=True)
def no_container_stays(berth):
    yield
    berth.remove_all()


def serve(berth, name: str, *flags: str) -> str:
    return berth.start_long("--name", name, "-h", name, *flags, IMAGE, "sh", "-c", SERVE)


def test_a_server_is_published_shown_and_gone(berth):
    port = free_port()
    serve(berth, "web", "-p", f"{port}:80")
    assert ask(port) == "from-web"
    assert berth.ok("port", "web") == f"80/tcp -> 127.0.0.1:{port}\n"
    assert berth.ok("ps", "--format", "{{.Ports}}") == f"127.0.0.1:{port}->80/tcp\n"
    shape = json.loads(berth.ok("inspect", "web"))[0]
    assert shape["NetworkSettings"]["Ports"] == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}
    berth.ok("stop", "-t", "0", "web")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=2)
    serve(berth, "next", "-p", f"{port}:80")
    assert ask(port) == "from-next"
    taken = berth.run_command("start", "web")
    assert taken.returncode == 1
    assert f"Bind for 127.0.0.1:{port} failed: port is already allocated" in taken.stderr
    berth.ok("rm", "-f", "next")
    berth.ok("start", "web")
    assert ask(port) == "from-web"


def test_two_of_one_image_get_ports_of_their_own(berth):
    for name in ("one", "two"):
        serve(berth, name, "-P", "--expose", "80")
    ports = [int(berth.ok("port", name, "80").rpartition(":")[2]) for name in ("one", "two")]
    assert len(set(ports)) == 2
    assert [ask(port) for port in ports] == ["from-one", "from-two"]


def test_one_run_after_another_on_one_port(berth):
    """The first has ended, and its network may still be going away."""
    port = free_port()
    for number in range(4):
        assert berth.ok("run", "--rm", "-p", f"{port}:80", IMAGE, "echo", str(number)) == f"{number}\n"


def test_a_port_of_a_program_of_the_host_is_refused_in_dockers_words(berth):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        done = berth.run_command("run", "-d", "--name", "late", "-p", f"{port}:80", IMAGE, "sleep", "100")
        assert done.returncode == 125
        assert re.search(
            rf"endpoint late \([0-9a-f]{{64}}\): failed to bind host port 127.0.0.1:{port}/tcp: address already in use",
            done.stderr,
        )
    berth.ok("start", "late")


@pytest.mark.fault("F44")
def test_a_flushed_firewall_is_back_within_five_seconds(berth):
    port = free_port()
    serve(berth, "web", "-p", f"{port}:80")
    assert ask(port) == "from-web"
    subprocess.run(["nft", "delete", "table", "inet", f"berth_{berth.tag}"], check=True)
    assert ask(port, within_s=5) == "from-web"


@pytest.mark.fault("F13")
def test_the_port_leads_on_while_the_engine_worker_is_killed_and_is_held_again(berth):
    port = free_port()
    serve(berth, "web", "-p", f"{port}:80")
    assert ask(port) == "from-web"
    before = berth.kill_program("engine")
    assert ask(port) == "from-web"
    berth.wait_back("engine", before)
    until("the port is held again", lambda: not is_free(port))
    assert ask(port) == "from-web"
    berth.ok("rm", "-f", "web")
    assert is_free(port)
