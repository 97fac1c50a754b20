"""Names inside networks: one name server (aardvark-dns) for all of an engine's networks but the default one.

It reads a folder: a file for each network, first the address to listen on, then a line for each container with its
address there and its names. It answers whoever asks by all networks that the asker is in, and passes other names on. These
files are the only record of who has which name, and end with the boot, as interfaces do.

It parses what hostile containers send, so it runs as nobody, with the one right that port 53 takes, in control groups of
its own: `is_running` looks there, as its pid file is its own to write.

A network without a way out must not have one by questions either (NET-05): whoever is only in such networks has, as its
name server, an address that nothing is ever sent to.

Source: aardvark-dns 1.4.0 (Debian 12); tried: a reload takes 1 to 7 ms, in which nobody answers.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import HostUnfit, NetworkError
from engine.kernel import cgroups
from engine.kernel.pidfd import PidFd
from engine.kernel.process import Process, ProcessFailed
from engine.network import links
from engine.network.resolvers import HOST_FILE, is_reachable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from engine.config import EngineConfig
    from engine.network.definition import Endpoint, NetworkDefinition

logger = logging.getLogger(__name__)
NOBODY = 65534
NOWHERE = "255.255.255.255"  # the kernel refuses to send there
_PID_FILE = "aardvark.pid"
_RIGHT = "-all,+net_bind_service"
_START_S = 10.0
_READY_S = 5.0
_LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class NamedContainer:
    """One line of a network's file."""

    container_id: str
    address: str
    names: tuple[str, ...]
    server: str = ""
    address6: str = ""

    @classmethod
    def read(cls, line: str) -> NamedContainer:
        container_id, address, address6, names, *server = line.split(" ")
        known = tuple(filter(None, names.split(",")))
        return cls(container_id, address, known, server[0] if server else "", address6)

    def __str__(self) -> str:
        words = [self.container_id, self.address, self.address6, ",".join(self.names)]
        return " ".join([*words, self.server] if self.server else words)


def as_nobody(*argv: str) -> tuple[str, ...]:
    """Words that run a program as nobody, with the one right that low ports take."""
    who = ("/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs")
    return (*who, f"--inh-caps={_RIGHT}", f"--ambient-caps={_RIGHT}", f"--bounding-set={_RIGHT}", "--", *argv)


def cgroup_of(config: EngineConfig) -> str:
    return f"{config.cgroup}/names"


class Names:
    """Not safe for several threads: the network's lock is held by whoever calls.

    `network_of`: which network an address belongs to; `networks_of`: numbers of those that a container is in.
    """

    def __init__(
        self,
        config: EngineConfig,
        network_of: Callable[[str], NetworkDefinition | None],
        networks_of: Callable[[str], Collection[int]],
    ) -> None:
        self._network_of = network_of
        self._networks_of = networks_of
        self._program = config.aardvark
        self._cgroup = cgroup_of(config)
        self._folder = config.run / "names"
        self._partial = config.run / ".names"
        self._resolvers: tuple[int, int] | None = None
        self._failures = 0
        self._retry_at = 0.0

    def refuse_missing(self) -> None:
        """Before a network with names is used.

        Raises:
            HostUnfit: this host has no name server for it.
        """
        if not self._program.exists():
            msg = "Networks of one's own need a name server on this host. Install it (apt-get install aardvark-dns)."
            raise HostUnfit(msg, subject=str(self._program))

    def add(self, container_id: str, endpoint: Endpoint, *, leads_out: bool) -> None:
        """Answer for a container in one network, in place of what was there of it. `leads_out`: it has a network with a
        way out, this one or another.
        """
        network = endpoint.network
        if network.has_names:
            server = self._asked_by(container_id, endpoint.servers) if leads_out else NOWHERE
            line = NamedContainer(container_id, endpoint.address, endpoint.names, server, endpoint.address6)
            others = [one for one in self.of(network.number) if one.container_id != container_id]
            self._write(network.number, network.subnet.gateway, [*others, line])

    def remove(self, container_id: str, *, number: int | None = None) -> bool:
        """Answer for it no more, in one network or in all; whether anything was there. Idempotent."""
        return self._keep(
            lambda network, one: one.container_id != container_id or (number is not None and network != number)
        )

    def lead_out(self, container_id: str, servers: Sequence[str], *, leads_out: bool) -> None:
        """Pass on its questions for other names, to `servers`, or not at all; from all networks that it is in."""
        server = self._asked_by(container_id, servers) if leads_out else NOWHERE
        for number in self._numbers():
            before = self.of(number)
            after = [replace(one, server=server) if one.container_id == container_id else one for one in before]
            if after != before:
                self._write(number, self._gateway(number), after)

    def servers_of(self, container_id: str) -> tuple[str, ...]:
        """Whom it wants to be asked; () for the host's own."""
        lines = [one for number in self._numbers() for one in self.of(number) if one.container_id == container_id]
        return next((tuple(one.server.split(",")) for one in lines if one.server not in {"", NOWHERE}), ())

    def _asked_by(self, container_id: str, servers: Sequence[str]) -> str:
        """As the file has them: "" for the host's own. It asks as the host, so it asks none that the container itself
        could not: not the host (NET-01), nor what is in a network of ours that it is not in (NET-04).
        """
        own = links.host_addresses() if servers else set()
        homes = [(server, self._network_of(server)) for server in servers if is_reachable(server, own)]
        there = self._networks_of(container_id) if servers else ()
        return ",".join(server for server, home in homes if home is None or home.number in there)

    def prune(self, attached: Iterable[tuple[str, str]]) -> bool:
        """Answer only for these (container id, address); whether anything was to be forgotten."""
        there = set(attached)
        return self._keep(lambda _network, one: (one.container_id, one.address) in there)

    def _keep(self, keeps: Callable[[int, NamedContainer], bool]) -> bool:
        changed = False
        for number in self._numbers():
            before = self.of(number)
            after = [one for one in before if keeps(number, one)]
            if after != before:
                self._write(number, self._gateway(number), after)
                changed = True
        return changed

    def begin(self, network: NetworkDefinition) -> None:
        """Listen in this network, though nobody is there yet. Idempotent."""
        if network.has_names and not self._file(network.number).exists():
            self._write(network.number, network.subnet.gateway, ())

    def forget(self, number: int) -> None:
        """Listen there no more. Idempotent."""
        self._file(number).unlink(missing_ok=True)

    def of(self, number: int) -> list[NamedContainer]:
        """Whom it answers for in one network; () of a file that a power cut has left broken."""
        try:
            return [NamedContainer.read(line) for line in self._file(number).read_text("utf-8").splitlines()[1:]]
        except (OSError, ValueError):
            return []

    def is_running(self) -> bool:
        return bool(cgroups.pids(self._cgroup))

    def is_intact(self) -> bool:
        """Whether it runs where it should, and by the resolvers that the host has now."""
        return not self._numbers() or (self.is_running() and self._resolvers == _stamp())

    def reload(self) -> None:
        """Have it know what the files say now; start it if it does not run, end it when there is nothing to answer for.

        A failure is logged, and tried again at a later call: containers run without names, too.
        """
        if not self._numbers():
            self.stop()
            return
        self._resolvers = _stamp()
        if not self._hang_up() and time.monotonic() >= self._retry_at:
            try:
                self._start()
                self._failures = 0
            except (ProcessFailed, HostUnfit, NetworkError, OSError) as error:
                self._failures += 1
                self._retry_at = time.monotonic() + min(2.0**self._failures, _LONGEST_PAUSE_S)
                logger.error("containers cannot find each other by name: %s", error)  # noqa: TRY400 - it says it

    def stop(self) -> None:
        """Idempotent."""
        cgroups.kill_all(self._cgroup)
        cgroups.remove(self._cgroup)

    def remove_all(self) -> None:
        for number in self._numbers():
            self.forget(number)
        self.stop()

    def _hang_up(self) -> bool:
        told = False
        for pid in cgroups.pids(self._cgroup):
            with contextlib.suppress(ProcessLookupError), PidFd(pid) as process:
                told = process.signal(signal.SIGHUP) or told
        return told

    def _start(self) -> None:
        """Its own control groups first: what it leaves behind when it becomes a daemon is found there."""
        self.refuse_missing()
        cgroups.create(self._cgroup)
        pid_file = self._folder / _PID_FILE
        pid_file.touch(0o644)
        os.chown(pid_file, NOBODY, NOBODY, follow_symlinks=False)
        serve = [str(self._program), "--config", str(self._folder), "-p", "53", "run"]
        argv = ["/bin/sh", "-c", 'read -r _ && exec "$@"', "sh", *as_nobody(*serve)]
        with Process(argv, stdin="pipe") as starting:
            cgroups.move(starting.pid, self._cgroup)
            starting.write(b"\n")
            starting.check(_START_S)
        self._wait_ready()

    def _wait_ready(self) -> None:
        """Until it minds SIGHUP, which would end it before."""
        deadline = time.monotonic() + _READY_S
        while not any(map(_minds_hangup, cgroups.pids(self._cgroup))):
            if time.monotonic() > deadline:
                msg = "The name server of the networks ended at once. Has another program of this host port 53?"
                raise NetworkError(msg)
            time.sleep(0.005)

    def _numbers(self) -> list[int]:
        names = [path.name for path in self._folder.iterdir()] if self._folder.is_dir() else []
        return sorted(int(name) for name in names if name.isdecimal())

    def _gateway(self, number: int) -> str:
        return self._file(number).read_text("utf-8").partition("\n")[0]

    def _file(self, number: int) -> Path:
        return self._folder / str(number)

    def _write(self, number: int, gateway: str, lines: Iterable[NamedContainer]) -> None:
        """Whole or not at all: it may read at any moment, and takes any file there for a network."""
        self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._partial.write_text("".join(f"{line}\n" for line in (gateway, *lines)), "utf-8")
        self._partial.chmod(0o644)
        self._partial.replace(self._file(number))


def _minds_hangup(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
    except OSError:
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) & 1 << (signal.SIGHUP - 1))


def _stamp() -> tuple[int, int] | None:
    """Which resolv.conf of the host that is."""
    try:
        found = HOST_FILE.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
