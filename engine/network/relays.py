"""Ports that are published on IPv6 addresses of the host: a program passes each call on to the container's IPv4 address.

The kernel translates no address of ::1 to another (there is no route_localnet of IPv6), and a container need not have an
IPv6 address; so for these ports a relay listens, one for each, as Docker's own proxy does. Callers seem to be the network's
gateway. What runs is the only record: a relay's words say what it is for, and it is found in the relays' control group, so a
new engine finds those of the one before and nothing falls silent in between.

It takes what anybody sends, so it runs as nobody, with the one right that low ports take.

Source: socat(1), 1.7.4; tried: with its own -t of 0.5 s, an answer is cut off that comes later than that after the
caller has closed its half.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import HostUnfit, NetworkError, PortTaken
from engine.kernel import cgroups
from engine.kernel.pidfd import PidFd
from engine.kernel.process import Process, ProcessFailed
from engine.network.names import as_nobody

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.config import EngineConfig
    from engine.network.published import Published

logger = logging.getLogger(__name__)
PATIENCE_S = 10.0
_START_S = 5.0
_STEP_S = 0.02
_LONGEST_PAUSE_S = 60.0
_MOST_CALLS = 512
_HALF_OPEN_S = 3600  # how long one half of a call may outlive the other
_UDP_IDLE_S = 180
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


@dataclass(frozen=True, slots=True, order=True)
class Relay:
    """A published port of an IPv6 address, and the IPv4 address of the container that it leads to."""

    published: Published
    to: str

    @property
    def words(self) -> tuple[str, ...]:
        """What it is called with, without the program. `ipv6only`: 0.0.0.0 is the firewall's."""
        one, kind = self.published, self.published.protocol.upper()
        how = f"bind=[{one.address}],ipv6only=1,reuseaddr,fork,max-children={_MOST_CALLS}"
        alive = ",keepalive" if one.protocol == "tcp" else ""
        patience = ("-t", str(_HALF_OPEN_S)) if one.protocol == "tcp" else ("-T", str(_UDP_IDLE_S))
        return (*patience, f"{kind}6-LISTEN:{one.port},{how}{alive}", f"{kind}4:{self.to}:{one.container_port}{alive}")


def wanted(published: Mapping[str, tuple[Published, ...]], addresses: Mapping[str, str]) -> set[Relay]:
    """Of all containers; `addresses`: theirs, in their first networks."""
    there = published.keys() & addresses
    return {Relay(one, addresses[name]) for name in there for one in published[name] if one.is_relayed}


def cgroup_of(config: EngineConfig) -> str:
    return f"{config.cgroup}/relays"


class Relays:
    """Not safe for several threads: the network's lock is held by whoever calls."""

    def __init__(self, config: EngineConfig) -> None:
        self._program = config.socat
        self._cgroup = cgroup_of(config)
        self._failures = 0
        self._retry_at = 0.0

    def running(self) -> dict[tuple[str, ...], set[int]]:
        """The relays' words, and their processes: the one that listens and one for each call."""
        found: dict[tuple[str, ...], set[int]] = {}
        for pid in cgroups.pids(self._cgroup):
            if (words := _words_of(pid)) and Path(words[0]).name == self._program.name:
                found.setdefault(words[1:], set()).add(pid)
        return found

    def refuse_taken(self, published: Iterable[Published], *, patience_s: float = PATIENCE_S) -> None:
        """Go on only if nobody listens on any of these. A relay of ours is waited for: it is just being ended.

        Raises:
            PortTaken: by a program of the host.
            HostUnfit: there is no program to relay with.
            NetworkError: the host has no such address.
        """
        deadline = time.monotonic() + patience_s
        for one in (one for one in published if one.is_relayed):
            if not self._program.exists():
                msg = "Ports of IPv6 addresses need a relay on this host. Install it (apt-get install socat)."
                raise HostUnfit(msg, subject=str(self._program))
            while (error := _tried(one)) is not None:
                if not self._is_ours(one) or time.monotonic() > deadline:
                    raise _refusal(one, error)
                time.sleep(_STEP_S)

    def _is_ours(self, published: Published) -> bool:
        listens = Relay(published, "").words[-2]
        return any(words[-2] == listens for words in self.running() if len(words) > 1)

    def is_intact(self, found: Iterable[Relay]) -> bool:
        there = {words for words, pids in self.running().items() if _listener(pids)}
        return there == {one.words for one in found}

    def ensure(self, found: Iterable[Relay]) -> None:
        """Exactly these. One that does not start is logged, and tried again at a later call: a pause doubles up to a minute.

        Calls under way of one that is not wanted any more end with it.
        """
        by_words, running = {one.words: one for one in found}, self.running()
        for words, pids in running.items():
            if words not in by_words or not _listener(pids):
                _end(pids)
        missing = [one for words, one in sorted(by_words.items()) if not _listener(running.get(words, set()))]
        if missing and time.monotonic() >= self._retry_at:
            failed = [one for one in missing if not self._is_started(one)]
            self._failures = self._failures + 1 if failed else 0
            self._retry_at = time.monotonic() + min(2.0**self._failures, _LONGEST_PAUSE_S) if failed else 0.0
        if not by_words:
            self.remove()

    def _is_started(self, relay: Relay) -> bool:
        try:
            self._start(relay)
        except (ProcessFailed, HostUnfit, NetworkError, OSError) as error:
            logger.error("nobody is led from %s: %s", relay.published.spelled, error)  # noqa: TRY400 - it says it
            return False
        return True

    def remove(self) -> None:
        """Idempotent."""
        cgroups.kill_all(self._cgroup)
        cgroups.remove(self._cgroup)

    def _start(self, relay: Relay) -> None:
        """In the relays' control group before it is itself, and in a session of its own: it outlives this process."""
        cgroups.create(self._cgroup)
        serve = as_nobody(str(self._program), *relay.words)
        argv = ["/bin/sh", "-c", 'read -r _ && exec setsid --fork "$@" </dev/null >/dev/null 2>&1', "sh", *serve]
        with Process(argv, stdin="pipe") as starting:
            cgroups.move(starting.pid, self._cgroup)
            starting.write(b"\n")
            starting.check(_START_S)
        deadline, was_there = time.monotonic() + _START_S, False
        while not (is_there := relay.words in self.running()) or _tried(relay.published) is None:
            was_there = was_there or is_there
            if time.monotonic() > deadline or (was_there and not is_there):  # it ended at once
                msg = "the relay did not begin to listen"
                raise NetworkError(msg)
            time.sleep(_STEP_S)


def _words_of(pid: int) -> tuple[str, ...]:
    try:
        return tuple(Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").rstrip("\0").split("\0"))
    except OSError:
        return ()


def _listener(pids: set[int]) -> int:
    """The one whose parent is none of them; 0 when it has ended before its calls have."""
    return next((pid for pid in pids if 0 < _parent(pid) not in pids), 0)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _end(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError), PidFd(pid) as process:
            process.signal(signal.SIGKILL)


def _tried(published: Published) -> OSError | None:
    """What the kernel says to whoever wants to listen there."""
    try:
        with socket.socket(socket.AF_INET6, _KINDS[published.protocol]) as trying:
            trying.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if published.protocol == "tcp":
                trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trying.bind((published.address, published.port))
            if published.protocol == "tcp":
                trying.listen(1)
    except OSError as error:  # also of a kernel that has no IPv6
        return error
    return None


def _refusal(published: Published, error: OSError) -> NetworkError:
    """In Docker's words."""
    said = (error.strerror or os.strerror(error.errno or 0)).lower()
    msg = f"failed to bind host port [{published.address}]:{published.port}/{published.protocol}: {said}"
    if error.errno in {errno.EADDRINUSE, errno.EACCES}:
        return PortTaken(msg, protocol=published.protocol, address=published.address, port=published.port)
    return NetworkError(msg)
