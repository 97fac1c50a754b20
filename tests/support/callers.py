"""A small server for containers, and somebody of the host who calls it by its published port."""

from __future__ import annotations

import contextlib
import socket

from tests.support.waiting import WAIT_S, until

SERVE = "while :; do echo from-$HOSTNAME | nc -l -p 80 >/dev/null; done"


def ask(port: int, within_s: float = WAIT_S) -> str:
    """What the server says; asked again while it is between two callers."""
    return until(f"an answer on {port}", lambda: _said(port), within_s)


def _said(port: int) -> str:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as client:
        client.shutdown(socket.SHUT_WR)
        return client.recv(100).decode().strip()
    return ""


def is_free(port: int) -> bool:
    """Whether no program of the host has it, and nobody holds it."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
