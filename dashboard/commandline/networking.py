"""Commands of the group `network`."""

from __future__ import annotations

from dashboard.commandline.changing import each
from dashboard.commandline.console import Console
from dashboard.commandline.following import finished
from dashboard.containers import services as containers
from dashboard.grammar import requests
from dashboard.grammar.netvalues import NetworkChoice
from dashboard.grammar.networks import render_networks
from dashboard.networks import services as networks


async def create(console: Console, request: requests.NetworkCreate) -> int:
    made = await console.call(networks.create, console.user, request)
    await console.line(made.network_id)
    return 0


async def listing(console: Console, request: requests.NetworkList) -> int:
    def render() -> str:
        return render_networks(request, networks.network_lines(networks.networks_for(console.user), request.filters))

    text = await console.call(render)
    if text:
        await console.line(text)
    return 0


async def remove(console: Console, request: requests.NetworkRemove) -> int:
    async def one(name: str) -> str:
        try:
            network = await console.call(networks.find, name, console.user)
        except networks.NoSuchNetwork:
            if request.force:
                return ""
            raise
        await finished(console, await console.call(networks.remove, network, console.user))
        return f"{name}\n"

    return await each(console, request.names, one)


async def connect(console: Console, request: requests.NetworkConnect) -> int:
    container = await console.call(containers.find, request.container, console.user)
    choice = NetworkChoice(name=request.network, aliases=request.aliases, ip=request.ip)
    await finished(console, await console.call(containers.connect_network, console.user, container, choice))
    return 0


async def disconnect(console: Console, request: requests.NetworkDisconnect) -> int:
    """`--force` is for a container that is gone, whose place in a network goes with it here."""
    network = await console.call(networks.find, request.network, console.user)
    container = await console.call(containers.find, request.container, console.user)
    await finished(console, await console.call(containers.disconnect_network, console.user, container, network))
    return 0
