"""Throughput by iperf3: between two containers of one network, and from the LAN through a published port."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.kernel import namespaces
from tests.bench.bench import Bench, Side, run_command
from tests.bench.measure import Figure
from tests.support.hosts import ip
from tests.support.images import Entry, folder, image, layer, push
from tests.support.shell_image import with_libraries

IPERF = Path("/usr/bin/iperf3")
NAME = "bench/iperf"
NETWORK = "bench-traffic"
SECONDS = 5
ROUNDS = 3
PORT = 28418
LAN, HOST = "198.51.100.129", "198.51.100.130"  # TEST-NET-2


def between(bench: Bench) -> Figure:
    """From a container to another in a network that a person made, megabits a second."""

    def once(side: Side, server: str) -> float:
        said = run_command(side, "run", "--rm", "--network", NETWORK, _image(bench), "-c", server, *_words())
        return _megabits(said)

    return _measured(bench, "between", once)


def published(bench: Bench) -> Figure:
    """From a host of the LAN (a network namespace) to a published port of this host, megabits a second."""

    def once(side: Side, _server: str) -> float:
        with _lan() as netns:
            argv = ["nsenter", f"--net={netns}", str(IPERF), "-c", HOST, "-p", str(PORT), *_words()]
            return _megabits(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)

    return _measured(bench, "published", once)


def _words() -> list[str]:
    return ["-t", str(SECONDS), "-O", "1", "-J"]


def _image(bench: Bench) -> str:
    return f"{bench.registry.host}/{NAME}:1"


def _megabits(said: str) -> float:
    return json.loads(said)["end"]["sum_received"]["bits_per_second"] / 1e6


def _measured(bench: Bench, work: str, once: Callable[[Side, str], float]) -> Figure:
    """Each side has the machine for itself: the other's server is not there meanwhile."""
    files: list[Entry] = [folder("tmp/", 0o1777), folder("bin/"), *with_libraries("bin/iperf3", IPERF)]
    push(bench.registry.url, f"{NAME}:1", image([layer(files)], Entrypoint=["/bin/iperf3"]))
    found: dict[str, list[float]] = {"ours": [], "docker": []}
    for number in range(ROUNDS):
        for side in bench.sides if number % 2 == 0 else bench.sides[::-1]:
            with _server(bench, side) as server:
                found[side.name].append(once(side, server))
    return Figure(work, found["ours"], found["docker"], unit="Mbit/s")


@contextlib.contextmanager
def _server(bench: Bench, side: Side) -> Iterator[str]:
    run_command(side, "pull", "-q", _image(bench))
    run_command(side, "network", "create", NETWORK)
    words = ("--network", NETWORK, "-p", f"{HOST}:{PORT}:5201")
    with _address():
        server = bench.container_of(side, "-s", words=("--name", "iperf-server", *words), image=_image(bench))
        try:
            time.sleep(1)
            yield "iperf-server"
        finally:
            run_command(side, "rm", "-f", server)
            run_command(side, "network", "rm", NETWORK)


@contextlib.contextmanager
def _address() -> Iterator[None]:
    """The host's side of a cable to the LAN, with its address; its other end waits for `_lan`."""
    subprocess.run(["ip", "link", "add", "bench-lan", "type", "veth", "peer", "name", "bench-far"], check=True)
    try:
        subprocess.run(["ip", "addr", "add", f"{HOST}/30", "dev", "bench-lan"], check=True)
        subprocess.run(["ip", "link", "set", "bench-lan", "up"], check=True)
        yield
    finally:
        subprocess.run(["ip", "link", "delete", "bench-lan"], check=False)


@contextlib.contextmanager
def _lan() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as parent:
        netns = Path(parent, "lan")
        namespaces.create_netns(netns)
        try:
            subprocess.run(["ip", "link", "set", "bench-far", "netns", str(netns)], check=True)
            ip(netns, f"addr add {LAN}/30 dev bench-far")
            ip(netns, "link set bench-far up")
            time.sleep(1)
            yield netns
        finally:
            namespaces.delete_netns(netns)
