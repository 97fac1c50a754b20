"""Holding the host's ports that containers publish.

A published port is a firewall rule, and rules alone would let a port belong to a container and to a program of the host
at once: whoever asked first would silently lose its callers. So each published port is also a socket of ours, bound and
never listened on, for as long as the container runs. Binding it is the check, made by the only one who knows (the
kernel): a program that has the port keeps it and the start is refused; one that comes later is told that the address is
in use; two engines, or Docker and we, cannot both have it; and the host does not pick it for a connection of its own.
When the rules are flushed a caller gets a reset at once, where a listening socket would leave it hanging.

The sockets are this process's and end with it, however it ends. A new worker takes them again for what still runs.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import socket
import threading
import time
from typing import TYPE_CHECKING

from engine.errors import NetworkError, PortTaken

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.network.published import Published

PATIENCE_S = 10.0
SPARE_DESCRIPTORS = 1024  # the lowest: for everything else that this process does (see `engine.kernel.nft`)
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_TAKEN = (errno.EADDRINUSE, errno.EACCES)


class Reservations:
    """By container. Safe to use from several threads."""

    def __init__(self) -> None:
        self._held: dict[str, dict[Published, socket.socket]] = {}
        self._changed = threading.Condition()

    def take(self, container_id: str, published: Iterable[Published], *, patience_s: float = PATIENCE_S) -> None:
        """Hold all of these ports, or none. What this container held before is given back.

        One that another container of ours holds is waited for: the database gives a port to one at a time, so that one
        has ended and its network is being taken away.

        Raises:
            PortTaken: by a program of the host, or another engine.
            NetworkError: the host has no such address, or this process no more descriptors.
        """
        self.release(container_id)
        wanted = [one for one in published if not one.is_relayed]  # a relay's own socket holds the others
        if not wanted:
            return
        deadline = time.monotonic() + patience_s
        with self._changed:
            while (held := self._held_by_others(wanted)) is not None:
                if not self._changed.wait(deadline - time.monotonic()):
                    raise _allocated(held)
            _make_room(len(wanted) + sum(len(sockets) for sockets in self._held.values()))
            self._held[container_id] = _bind_all(wanted)

    def _held_by_others(self, wanted: list[Published]) -> Published | None:
        held = [one for sockets in self._held.values() for one in sockets]
        by_port = {(one.protocol, one.port) for one in held}
        near = [one for one in wanted if (one.protocol, one.port) in by_port]
        return next((one for one in near if any(one.overlaps(other) for other in held)), None)

    def release(self, container_id: str) -> None:
        """Idempotent."""
        with self._changed:
            _close(self._held.pop(container_id, {}).values())
            self._changed.notify_all()

    def is_holding(self, container_id: str) -> bool:
        return container_id in self._held


def _close(sockets: Iterable[socket.socket]) -> None:
    for one in sockets:
        one.close()


def _make_room(sockets: int) -> None:
    """Login shells and systemd give a process 1024 descriptors and let it ask for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sockets + SPARE_DESCRIPTORS
    if soft >= wanted or soft == resource.RLIM_INFINITY:
        return
    if wanted > hard != resource.RLIM_INFINITY:
        msg = (
            f"So many ports cannot be published: the engine may have {hard} descriptors (ulimit -n) and needs {wanted}."
        )
        raise NetworkError(msg)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _bind_all(wanted: list[Published]) -> dict[Published, socket.socket]:
    bound: dict[Published, socket.socket] = {}
    for one in wanted:
        try:
            bound[one] = _bind(one)
        except OSError as error:
            _close(bound.values())
            raise _refusal(one, error) from error
    return bound


def _bind(published: Published) -> socket.socket:
    """A bound socket. The option for reuse is on only while it binds: connections of an earlier server that linger in
    TIME_WAIT are then no hindrance, and once it is off nobody else can listen there.
    """
    held = _high(socket.socket(socket.AF_INET, _KINDS[published.protocol]))
    try:
        if published.protocol == "tcp":
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)  # the kernel's least: nobody reads it
        held.bind((published.address, published.port))
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        held.close()
        raise
    return held


def _high(low: socket.socket) -> socket.socket:
    """The same socket with a number above those that others need: thousands of these live for long."""
    with low:
        return socket.socket(fileno=fcntl.fcntl(low.fileno(), fcntl.F_DUPFD_CLOEXEC, SPARE_DESCRIPTORS))


def _allocated(published: Published) -> PortTaken:
    msg = f"Bind for {published.address}:{published.port} failed: port is already allocated"
    return PortTaken(msg, protocol=published.protocol, address=published.address, port=published.port)


def _refusal(published: Published, error: OSError) -> NetworkError:
    """In Docker's words."""
    said = (error.strerror or os.strerror(error.errno or 0)).lower()
    msg = f"failed to bind host port {published.address}:{published.port}/{published.protocol}: {said}"
    if error.errno in _TAKEN:
        return PortTaken(msg, protocol=published.protocol, address=published.address, port=published.port)
    return NetworkError(msg)
