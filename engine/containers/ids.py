"""Which ids of the host a container's users get, and what the engine itself checks about it, whoever asks (RUN-19)."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import HostUnfit, RequestRefused
from engine.ids import HOST_IDS, IdRange, parse_accounts, parse_subordinate
from engine.kernel import features
from engine.runtime.request import IdMode

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.config import EngineConfig
    from engine.runtime.policy import Policy
    from engine.runtime.request import ContainerRequest

ETC = Path("/etc")
_SUBORDINATE, _ACCOUNTS = ("subuid", "subgid"), ("passwd", "group")
_OTHERS_PASS = 0o001


@dataclass(frozen=True, slots=True)
class Given:
    """A range for a new container; `is_shared`: all containers of this kernel have it."""

    first_id: int
    is_shared: bool


def taken_on_host() -> list[IdRange]:
    """Ids above the host's own that somebody has here: subordinate ids of users, and accounts."""
    found: list[IdRange] = []
    for names, parse in ((_SUBORDINATE, parse_subordinate), (_ACCOUNTS, parse_accounts)):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                found += parse((ETC / name).read_text("utf-8", "replace"))
    return found


def choose(config: EngineConfig, used: Collection[int]) -> Given:
    """A range that is nobody's: none of those that begin with an id of `used`.

    Raises:
        HostUnfit: there is none left, or whether each container can have its own could not be found out just now. A
            container keeps its ids for good, so it must not get shared ones because a loop device was missing.
    """
    taken, found = taken_on_host(), features.features()
    if not found.ids_are_known:
        msg = f"Whether containers can have ids of their own here could not be tried: {found.ids_problem.rstrip('.')}. Try again later."
        raise HostUnfit(msg)
    if not found.idmapped_layers:
        shared = config.ids.shared
        if any(shared.overlaps(other) for other in taken):
            msg = f"Ids {shared.first} to {shared.end - 1} belong to users of this host; choose others (BERTH_ID_BASE)."
            raise HostUnfit(msg)
        return Given(shared.first, is_shared=True)
    free = config.ids.free(used=used, taken=taken, start=int(config.tag, 16))
    if (own := next(free, None)) is None:
        msg = (
            f"All {config.ids.ranges - 1} ranges of ids for containers are in use. Remove a container, or allow more"
            " (BERTH_ID_RANGES)."
        )
        raise HostUnfit(msg)
    return Given(own.first, is_shared=False)


def refuse_new(config: EngineConfig, request: ContainerRequest, policy: Policy) -> None:
    """What a new container may not be, whatever the database says.

    Raises:
        RequestRefused: it would share ids with the host, or has some that are not ours to give.
    """
    if request.ids is None:
        if request.id_mode is not IdMode.HOST:
            msg = "A new container needs ids of its own."
            raise RequestRefused(msg, subject=request.container_id)
        may = policy.userns_host or (policy.privileged and request.access.privileged)
        if not may or policy.user_namespaces:
            msg = (
                "This host does not allow containers without a user namespace (--userns host): root in one would be root"
                f" of the host. Its administrator can, in {config.policy_file} (userns_host = true)."
            )
            raise RequestRefused(msg, subject=request.container_id)
        return
    shares = request.ids == config.ids.shared
    if request.ids not in config.ids or (shares and features.features().idmapped_layers):
        msg = "The container's ids are not of those that this host gives to containers (BERTH_ID_BASE)."
        raise RequestRefused(msg, subject=request.container_id)


def refuse_taken(ids: IdRange, container_id: str) -> None:
    """At each start: the host may have got users since.

    Raises:
        RequestRefused: somebody of the host has one of these ids now.
    """
    if ids.first < HOST_IDS or any(ids.overlaps(other) for other in taken_on_host()):
        msg = (
            f"The container's ids {ids.first} to {ids.end - 1} belong to users of this host now (/etc/passwd, /etc/group,"
            " /etc/subuid, /etc/subgid). It will not be started."
        )
        raise RequestRefused(msg, subject=container_id)


def refuse_hidden(folder: Path) -> None:
    """The container's root is nobody here, and must reach its root file system from `/`.

    Raises:
        HostUnfit: a folder above lets only its own people pass.
    """
    for parent in (folder, *folder.parents):
        if not os.stat(parent).st_mode & _OTHERS_PASS:  # noqa: PTH116 - one call, no Path
            msg = f"{parent} lets nobody else pass, so containers cannot reach their files. Give it the mode 0711."
            raise HostUnfit(msg, subject=str(parent))
