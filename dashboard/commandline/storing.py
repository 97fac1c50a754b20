"""Commands of the group `volume`."""

from __future__ import annotations

from dashboard import gateway
from dashboard.commandline.changing import each
from dashboard.commandline.console import Console
from dashboard.commandline.following import finished
from dashboard.core.errors import DashboardError
from dashboard.grammar import human_size, requests
from dashboard.grammar.volumes import render_volumes
from dashboard.volumes import services as volumes

ANONYMOUS_WARNING = "WARNING! This will remove anonymous local volumes not used by at least one container."
ALL_WARNING = "WARNING! This will remove all local volumes not used by at least one container."
NO_PROMPT = "Nothing was removed. Say --force to go on."


async def create(console: Console, request: requests.VolumeCreate) -> int:
    made = await console.call(volumes.create, console.user, request.name, driver=request.driver, labels=request.labels)
    await console.line(made.name)
    return 0


async def listing(console: Console, request: requests.VolumeList) -> int:
    def render() -> str:
        return render_volumes(request, volumes.volume_lines(volumes.volumes_for(console.user), request.filters))

    text = await console.call(render)
    if text:
        await console.line(text)
    return 0


async def remove(console: Console, request: requests.VolumeRemove) -> int:
    async def one(name: str) -> str:
        try:
            volume = await console.call(volumes.find, name)
        except volumes.NoSuchVolume:
            if request.force:
                return f"{name}\n"
            raise
        await finished(console, await console.call(volumes.remove, volume, console.user))
        return f"{name}\n"

    return await each(console, request.names, one)


async def prune(console: Console, request: requests.VolumePrune) -> int:
    """There is nobody to ask here: without --force it says what it would do."""
    found = await console.call(volumes.prunable, console.user, everything=request.all, filters=request.filters)
    if not request.force:
        await console.err(ALL_WARNING if request.all else ANONYMOUS_WARNING)
        await console.err(NO_PROMPT)
        return 1
    deleted, freed, code = [], 0, 0
    for volume in found:
        try:
            job = await finished(console, await console.call(volumes.remove, volume, console.user))
        except volumes.VolumeInUse:
            continue  # a container has taken it since
        except (DashboardError, gateway.EngineError) as error:
            await console.err(f"Error: {error}")
            code = 1
        else:
            deleted.append(volume.name)
            freed += int(job.result.get("freed_bytes", 0)) if job is not None else 0
    if deleted:
        await console.line("\n".join(["Deleted Volumes:", *deleted, ""]))
    await console.line(f"Total reclaimed space: {human_size(freed)}")
    return code
