"""Commands of the group `volume`, but for `prune`."""

from __future__ import annotations

from dashboard.commandline.changing import each
from dashboard.commandline.console import Console
from dashboard.commandline.following import finished
from dashboard.grammar import requests
from dashboard.grammar.volumes import render_volumes
from dashboard.volumes import services as volumes


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
            volume = await console.call(volumes.find, name, console.user)
        except volumes.NoSuchVolume:
            if request.force:
                return f"{name}\n"
            raise
        await finished(console, await console.call(volumes.remove, volume, console.user))
        return f"{name}\n"

    return await each(console, request.names, one)
