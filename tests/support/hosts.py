"""Fake hosts for tests of the network: a network namespace that plays the host, and another that plays its LAN.

    lan 198.51.100.1 ── 198.51.100.2 (eth0) host ── the bridge of the engine under test ── containers

`FakeHost.run` runs code of the engine inside the host's namespace, in a thread of its own; threads and programs that
it starts are inside too. Nothing of the real host's network is touched.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from engine.kernel import namespaces

T = TypeVar("T")
LAN_ADDRESS, HOST_ADDRESS = "198.51.100.1", "198.51.100.2"
LAN_ADDRESS6, HOST_ADDRESS6 = "2001:db8::1", "2001:db8::2"
ANSWER = b"berth"


def ip(netns: Path, command: str) -> str:
    argv = ["nsenter", f"--net={netns}", "ip", *command.split()]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def program(netns: Path, *argv: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(["nsenter", f"--net={netns}", *argv], capture_output=True, text=True, check=False, **options)


class FakeHost:
    def __init__(self, folder: Path) -> None:
        self.netns = folder / "fake-host"
        self.lan = folder / "fake-lan"

    def run(self, work: Callable[[], T]) -> T:
        return namespaces.in_netns(self.netns, work)

    def start(self) -> None:
        name = f"t{secrets.token_hex(4)}"
        for netns in (self.netns, self.lan):
            namespaces.create_netns(netns)
            ip(netns, "link set lo up")
        ip(self.netns, f"link add eth0 type veth peer name {name}")
        namespaces.in_netns(self.lan, lambda: ip(self.netns, f"link set {name} netns {threading.get_native_id()}"))
        ip(self.lan, f"link set {name} name eth0")
        both = ((self.netns, HOST_ADDRESS, HOST_ADDRESS6), (self.lan, LAN_ADDRESS, LAN_ADDRESS6))
        for netns, address, address6 in both:
            ip(netns, f"addr add {address}/24 dev eth0")
            ip(netns, f"-6 addr add {address6}/64 dev eth0 nodad")
            ip(netns, "link set eth0 up")
        ip(self.netns, f"route add default via {LAN_ADDRESS}")
        ip(self.netns, f"-6 route add default via {LAN_ADDRESS6}")

    def stop(self) -> None:
        for netns in (self.netns, self.lan):
            namespaces.delete_netns(netns)


@contextlib.contextmanager
def fake_host(folder: Path) -> Iterator[FakeHost]:
    host = FakeHost(folder)
    try:
        host.start()
        yield host
    finally:
        host.stop()


@contextlib.contextmanager
def listening(
    netns: Path, *, port: int, address: str = "0.0.0.0", kind: int = socket.SOCK_STREAM
) -> Iterator[list[str]]:
    """A server in a namespace that says `berth` to everybody; yields the addresses that it was called from."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    callers: list[str] = []

    def open_socket() -> socket.socket:
        server = socket.socket(family, kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        if kind == socket.SOCK_STREAM:
            server.listen()
        server.settimeout(0.1)
        return server

    server = namespaces.in_netns(netns, open_socket)
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            with contextlib.suppress(TimeoutError):
                if kind == socket.SOCK_STREAM:
                    connection, caller = server.accept()
                    callers.append(caller[0])
                    with connection:
                        connection.sendall(ANSWER)
                else:
                    _, caller = server.recvfrom(100)
                    callers.append(caller[0])
                    server.sendto(ANSWER, caller)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield callers
    finally:
        ending.set()
        thread.join()
        server.close()


SILENT_S = 0.7


def reach(netns: Path, address: str, port: int, *, kind: int = socket.SOCK_STREAM, timeout_s: float = 20.0) -> str:
    """How a call from a namespace ends: answered, refused, unreachable, or silent.

    An answer may take its time on a busy machine. Where none is expected, `is_silent` and `answers` do not wait for long.
    """

    def call() -> str:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, kind) as client:
            client.settimeout(timeout_s)
            try:
                client.connect((address, port))
                if kind == socket.SOCK_DGRAM:
                    client.send(b"?")
                return "answered" if client.recv(10) == ANSWER else "silent"
            except TimeoutError:
                return "silent"
            except ConnectionRefusedError:
                return "refused"
            except OSError as error:
                return "unreachable" if error.errno in UNREACHABLE else errno.errorcode[error.errno or 0]

    return namespaces.in_netns(netns, call)


def answers(netns: Path, address: str, port: int, *, kind: int = socket.SOCK_STREAM) -> bool:
    """Whether a call that must not be answered is."""
    return reach(netns, address, port, kind=kind, timeout_s=SILENT_S) == "answered"


def is_silent(netns: Path, address: str, port: int, *, kind: int = socket.SOCK_STREAM) -> bool:
    return reach(netns, address, port, kind=kind, timeout_s=SILENT_S) == "silent"


UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM, errno.EADDRNOTAVAIL)
