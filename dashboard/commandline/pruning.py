"""The `prune` of each group. There is nobody to ask here: without --force it says what it would do."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from dashboard import gateway
from dashboard.commandline.console import Console
from dashboard.commandline.following import finished
from dashboard.containers import services as containers
from dashboard.containers.models import Container
from dashboard.core.errors import DashboardError
from dashboard.grammar import human_size, requests
from dashboard.jobs.models import Job
from dashboard.networks import services as networks
from dashboard.networks.models import Network
from dashboard.volumes import services as volumes
from dashboard.volumes.models import Volume

CONTAINERS_WARNING = "WARNING! This will remove all stopped containers."
ANONYMOUS_WARNING = "WARNING! This will remove anonymous local volumes not used by at least one container."
NETWORKS_WARNING = "WARNING! This will remove all custom networks not used by at least one container."
ALL_WARNING = "WARNING! This will remove all local volumes not used by at least one container."
NO_PROMPT = "Nothing was removed. Say --force to go on."
T = TypeVar("T")


async def _refused(console: Console, warning: str) -> int:
    await console.err(warning)
    await console.err(NO_PROMPT)
    return 1


async def _remove_all(
    console: Console,
    found: Iterable[T],
    title: str,
    remove: Callable[[T], Awaitable[tuple[str, int] | None]],
    *,
    takes_space: bool = True,
) -> int:
    """`remove` gives what is printed and the bytes that came free; None: it is wanted again, and stays.

    Returns:
        1 if any could not be removed, which has been told then. The others are.
    """
    deleted, freed, code = [], 0, 0
    for one in found:
        try:
            removed = await remove(one)
        except (DashboardError, gateway.EngineError) as error:
            await console.err(f"Error: {error}")
            code = 1
        else:
            deleted += [] if removed is None else [removed[0]]
            freed += 0 if removed is None else removed[1]
    if deleted:
        await console.line("\n".join([f"Deleted {title}:", *deleted, ""]))
    if takes_space:
        await console.line(f"Total reclaimed space: {human_size(freed)}")
    return code


async def volumes_prune(console: Console, request: requests.VolumePrune) -> int:
    found = await console.call(volumes.prunable, console.user, everything=request.all, filters=request.filters)
    if not request.force:
        return await _refused(console, ALL_WARNING if request.all else ANONYMOUS_WARNING)

    async def remove(volume: Volume) -> tuple[str, int] | None:
        try:
            job = await finished(console, await console.call(volumes.remove, volume, console.user))
        except volumes.VolumeInUse:
            return None  # a container has taken it since
        return volume.name, int(job.result.get("freed_bytes", 0)) if job is not None else 0

    return await _remove_all(console, found, "Volumes", remove)


async def networks_prune(console: Console, request: requests.NetworkPrune) -> int:
    found = await console.call(networks.prunable, console.user, request.filters)
    if not request.force:
        return await _refused(console, NETWORKS_WARNING)

    async def remove(network: Network) -> tuple[str, int] | None:
        try:
            await finished(console, await console.call(networks.remove, network, console.user))
        except networks.NetworkInUse:
            return None  # a container has come since
        return network.name, 0

    return await _remove_all(console, found, "Networks", remove, takes_space=False)


def _remove_now(container: Container, console: Console) -> Job | None:
    """Who prunes wants the space."""
    return containers.remove(container, console.user, now=True)


async def containers_prune(console: Console, request: requests.ContainerPrune) -> int:
    found = await console.call(containers.prunable, console.user, request.filters, now_ns=time.time_ns())
    if not request.force:
        return await _refused(console, CONTAINERS_WARNING)
    measuring = await finished(console, await console.call(containers.measure, found, console.user)) if found else None
    sizes: dict[str, int] = measuring.result.get("sizes", {}) if measuring is not None else {}

    async def remove(container: Container) -> tuple[str, int] | None:
        if not await console.call(containers.is_down, container):
            return None  # somebody has started it since
        await finished(console, await console.call(_remove_now, container, console))
        return container.container_id, sizes.get(container.container_id, 0)

    return await _remove_all(console, found, "Containers", remove)
