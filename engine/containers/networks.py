"""Networks, and containers that come and go in them while they run."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.containers.observe import observe
from engine.containers.states import Action, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.containers.folder import ContainerFolder
    from engine.containers.lifecycle import Parts
    from engine.containers.locks import ContainerLocks
    from engine.network import Endpoint, Published

logger = logging.getLogger(__name__)


class Networks:
    """`Engine.networks`. Needs root. Safe to use from several threads."""

    def __init__(self, parts: Parts, locks: ContainerLocks, folder_of: Callable[[str], ContainerFolder]) -> None:
        self._parts = parts
        self._network = parts.network
        self._locks = locks
        self._folder_of = folder_of

    def connect(
        self, container_id: str, endpoint: Endpoint, before: Sequence[Endpoint], published: Sequence[Published] = ()
    ) -> None:
        """Put a running container into one more network. `before`: those that it is in. If that is none, ports of the
        host lead there (`published`). Idempotent.

        Raises:
            NetworkError, PortTaken, HostUnfit: nothing is changed.
            WrongState: it does not run.
        """
        with self._running(container_id) as folder:
            self._network.connect(container_id, endpoint, published)
            self._rewrite_resolv_conf(folder, before, [*before, endpoint])

    def disconnect(self, container_id: str, number: int, before: Sequence[Endpoint]) -> None:
        """Take a running container out of a network. `before`: those that it is in. Idempotent.

        Raises:
            NetworkError: the kernel refused.
            WrongState: it does not run.
        """
        with self._running(container_id) as folder:
            self._network.disconnect(container_id, number)
            self._rewrite_resolv_conf(folder, before, [one for one in before if one.network.number != number])

    @contextmanager
    def _running(self, container_id: str) -> Iterator[ContainerFolder]:
        with self._locks.hold(container_id):
            folder = self._folder_of(container_id)
            require(Action.KILL, observe(self._parts.config, folder, self._parts.runc).state, container_id)
            yield folder

    def _rewrite_resolv_conf(
        self, folder: ContainerFolder, before: Sequence[Endpoint], after: Sequence[Endpoint]
    ) -> None:
        """In its place, as it is mounted; not where the container has written something else into it."""
        names = folder.request().names
        said = {"servers": names.servers, "search": names.search, "options": names.options}
        path, expected = folder.etc / "resolv.conf", self._network.resolv_conf(before, **said).encode()
        try:
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(file, "r+b", buffering=0) as opened:
                if opened.read(len(expected) + 1) == expected:
                    opened.seek(0)
                    opened.truncate()
                    opened.write(self._network.resolv_conf(after, **said).encode())
        except OSError as error:  # it is in the network all the same
            logger.warning("container %s keeps its resolv.conf: %s", folder.container_id[:12], error)

    def whereabouts(self) -> dict[str, dict[int, str]]:
        """Of all that run, in one look: the address in each network that it is in now, by its id and the network's number."""
        return self._network.whereabouts()

    def set_names(self, container_id: str, endpoint: Endpoint) -> bool:
        """Have others in that network find a running container by these names; whether that was new."""
        return self._network.set_names(self._folder_of(container_id).container_id, endpoint)

    def known(self) -> set[int]:
        """Numbers of the networks that have a bridge here, without the default one."""
        return {network.number for network in self._network.networks()} - {0}

    def remove(self, number: int) -> None:
        """Remove a network's bridge, rules and names. Idempotent.

        Raises:
            WrongState: a container is still in it, whatever the database says (F25).
            NetworkError: the kernel refused.
        """
        self._network.forget_network(number)
