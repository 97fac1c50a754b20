"""Ports for the servers of tests: nobody gets one by chance, and no two test runs of a machine use the same."""

from __future__ import annotations

import random
import socket

FIRST, LAST = 20_000, 32_000  # below what the kernel gives to connections (ip_local_port_range)
CLAIM = "berth-test-port-"
_held: list[socket.socket] = []


def free_port() -> int:
    """A loopback port that stays this process's until it ends, also while nothing listens on it."""
    for port in random.sample(range(FIRST, LAST), k=200):
        claim = socket.socket(socket.AF_UNIX)
        if _is_ours(claim, port) and _is_free(port):
            _held.append(claim)
            return port
        claim.close()
    raise RuntimeError("no port is free")


def _is_ours(claim: socket.socket, port: int) -> bool:
    """By a name that no file stands for: it goes with its process, and any user of the machine may try it."""
    try:
        claim.bind(f"\0{CLAIM}{port}")
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
