"""Commands that only look: images, ps, inspect, version, info, help."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from django.conf import settings
from django.utils import timezone

from dashboard import gateway
from dashboard.catalog import services as catalog
from dashboard.catalog.models import Image
from dashboard.commandline.console import Console
from dashboard.commandline.following import finished
from dashboard.containers import services as containers
from dashboard.containers.models import Container
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, Requester, require
from dashboard.core.shown import shown_mirrors
from dashboard.grammar import binary_size, human_size, requests
from dashboard.grammar.listing import render_containers, render_images, wants_sizes
from dashboard.grammar.ports import port_lines
from dashboard.grammar.template import Template, as_json
from dashboard.jobs.host import host_info, host_memory, host_warnings
from dashboard.networks import services as networks
from dashboard.networks.models import Network
from dashboard.volumes import services as volumes
from dashboard.volumes.models import Volume

Inspected = Container | Image | Volume | Network
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


async def show_help(console: Console, request: requests.Help) -> int:
    await console.line(request.text)
    return 0


def version_text() -> str:
    return f"Berth version {settings.VERSION}, build {settings.BUILD}"


async def version_line(console: Console, _request: requests.VersionLine) -> int:
    await console.line(version_text())
    return 0


async def _text(console: Console, text: str) -> int:
    if text:
        await console.line(text)
    return 0


async def images(console: Console, request: requests.Images) -> int:
    def render() -> str:
        rows = catalog.images_for(console.user).annotate(user_count=catalog.users_counted(console.user))
        return render_images(request, catalog.image_lines(rows, request), now=timezone.now())

    return await _text(console, await console.call(render))


async def ps(console: Console, request: requests.Ps) -> int:
    def choose() -> list[Container]:
        return containers.chosen_containers(containers.containers_for(console.user), request, console.user)

    rows = await console.call(choose)
    sizes = await _measured(console, rows) if wants_sizes(request) else {}
    lines = [containers.container_line(row, sizes.get(row.container_id)) for row in rows]
    return await _text(console, render_containers(request, lines, now=timezone.now()))


async def _measured(console: Console, rows: Sequence[Container]) -> dict[str, int]:
    """What each container wrote, by id; without those that could not be counted."""
    job = await finished(console, await console.call(containers.measure, rows, console.user)) if rows else None
    return dict(job.result["sizes"]) if job is not None else {}


async def port(console: Console, request: requests.Port) -> int:
    def render() -> str:
        container = containers.find(request.name, console.user)
        require(console.user, Permission.CONTAINER_VIEW, container)
        lines = port_lines(containers.shown_ports(container), request.private)
        if not lines and request.private is not None:
            number, protocol = request.private
            msg = f"No public port '{number}/{protocol}' published for {request.name}"
            raise DashboardError(msg, status=404)
        return "\n".join(lines)

    return await _text(console, await console.call(render))


async def _shapes(console: Console, rows: Sequence[Inspected], *, with_sizes: bool) -> list[dict[str, Any]]:
    sizes = await _measured(console, [row for row in rows if isinstance(row, Container)]) if with_sizes else {}

    def shape(row: Inspected) -> dict[str, Any]:
        if isinstance(row, Image):
            return catalog.inspect_image(row, console.user)
        if isinstance(row, Volume):
            return volumes.inspect(row)
        if isinstance(row, Network):
            return networks.inspect(row, console.user)
        added = containers.inspect_sizes(row, sizes.get(row.container_id)) if with_sizes else {}
        return containers.inspect(row) | added

    return await console.call(lambda: [shape(row) for row in rows])


class Kind(NamedTuple):
    """One kind of thing that `inspect` finds by a name: how, what is raised when there is none, who may see it."""

    find: Callable[[str, Requester], Inspected]
    missing: tuple[type[Exception], ...]
    permission: Permission


_KINDS = {
    "container": Kind(containers.find, (containers.NoSuchContainer,), Permission.CONTAINER_VIEW),
    "image": Kind(catalog.find_image, (catalog.NoSuchImage, gateway.ReferenceInvalid), Permission.IMAGE_VIEW),
    "network": Kind(networks.find, (networks.NoSuchNetwork,), Permission.NETWORK_VIEW),
    "volume": Kind(volumes.find, (volumes.NoSuchVolume,), Permission.VOLUME_VIEW),
}


def _object(console: Console, name: str, kind: str) -> Inspected | None:
    for one in [_KINDS[kind]] if kind else _KINDS.values():
        with suppress(*one.missing):
            found = one.find(name, console.user)
            require(console.user, one.permission, found)
            return found
    return None


async def inspect(console: Console, request: requests.Inspect) -> int:
    rows = [await console.call(_object, console, name, request.type) for name in request.names]
    found = await _shapes(console, [row for row in rows if row is not None], with_sizes=request.size)
    missing = [name for name, row in zip(request.names, rows, strict=True) if row is None]
    if request.format and request.format != "json":
        template = Template(request.format)
        await console.out("".join(f"{template.render(shape)}\n" for shape in found))
    else:
        await console.line(json.dumps(found, indent=4, ensure_ascii=False))
    for name in missing:
        await console.err(f"Error: {_missed(name, request.type)}")
    return 1 if missing else 0


def _missed(name: str, kind: str) -> str:
    said = {"volume": f"get {name}: no such volume", "network": f"network {name} not found"}
    return said.get(kind, f"No such {kind or 'object'}: {name}")


def _architecture() -> str:
    return MACHINES.get(platform.machine(), platform.machine())


def version_shape(client: str) -> dict[str, Any]:
    """What `version --format` walks over."""
    server = {
        "Version": settings.VERSION,
        "Build": settings.BUILD,
        "Os": "linux",
        "Arch": _architecture(),
        "KernelVersion": os.uname().release,
        "PythonVersion": platform.python_version(),
    }
    words = client.removeprefix("Berth version ").split(", build ")
    own = {"Version": words[0], "Build": words[-1]} if len(words) > 1 else {}
    return {"Client": {"Version": settings.VERSION, "Build": settings.BUILD, **own}, "Server": server}


async def version(console: Console, request: requests.Version) -> int:
    shape = version_shape(console.client)
    if request.format:
        is_json = request.format == "json"
        return await _text(console, as_json(shape) if is_json else Template(request.format).render(shape))
    client, server = shape["Client"], shape["Server"]
    lines = [
        "Client: Berth",
        f" Version:           {client['Version']}",
        f" Build:             {client['Build']}",
        "",
        "Server: Berth",
        " Engine:",
        f"  Version:          {server['Version']}",
        f"  Build:            {server['Build']}",
        f"  Python version:   {server['PythonVersion']}",
        f"  OS/Arch:          {server['Os']}/{server['Arch']}",
        f"  Kernel version:   {server['KernelVersion']}",
    ]
    return await _text(console, "\n".join(lines))


def info_shape(console: Console) -> dict[str, Any]:
    """What `info --format` walks over."""
    states = Counter(containers.docker_state(row) for row in containers.containers_for(console.user))
    config = gateway.engine_config()
    disk = shutil.disk_usage(config.data)
    return {
        "ServerVersion": settings.VERSION,
        "Containers": states.total(),
        "ContainersRunning": states["running"],
        "ContainersPaused": states["paused"],
        "ContainersStopped": states.total() - states["running"] - states["paused"],
        "Images": catalog.images_for(console.user).count(),
        "Driver": "overlay",
        "BackingLayers": "squashfs",
        "LoggingDriver": "k8s-file",
        "DefaultRuntime": "runc",
        "SecurityOptions": _security_options(),
        "KernelVersion": os.uname().release,
        "OperatingSystem": _operating_system(),
        "OSType": "linux",
        "Architecture": platform.machine(),
        "NCPU": os.cpu_count() or 1,
        "MemTotal": host_memory(),
        "Name": platform.node(),
        "DockerRootDir": str(config.data),
        "DataFree": disk.free,
        "DataTotal": disk.total,
        "RegistryMirrors": shown_mirrors(),
        "InsecureRegistries": sorted(config.plain_http),
        "RuncVersion": host_info().get("runc_version") or "",
        "Warnings": host_warnings(),
    }


def _security_options() -> list[str]:
    """In Docker's words, as far as the engine has told. `shared`: containers have one range of ids between them."""
    found = host_info()
    userns = "name=userns,ids=shared" if found.get("shared_ids") else "name=userns"
    options = (("seccomp", "name=seccomp,profile=berth"), ("apparmor", "name=apparmor"), ("user_namespaces", userns))
    return [option for key, option in options if found.get(key)]


def _security_lines(options: list[str]) -> list[str]:
    lines = [" Security Options:"] if options else []
    for option in options:
        name, *details = option.removeprefix("name=").split(",")
        lines.append(f"  {name}")
        lines += [f"   {key.capitalize()}: {value}" for key, _, value in (detail.partition("=") for detail in details)]
    return lines


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


async def info(console: Console, request: requests.Info) -> int:
    shape = await console.call(info_shape, console)
    if request.format:
        is_json = request.format == "json"
        return await _text(console, as_json(shape) if is_json else Template(request.format).render(shape))
    lines = [
        "Server:",
        f" Containers: {shape['Containers']}",
        f"  Running: {shape['ContainersRunning']}",
        f"  Paused: {shape['ContainersPaused']}",
        f"  Stopped: {shape['ContainersStopped']}",
        f" Images: {shape['Images']}",
        f" Server Version: {shape['ServerVersion']}",
        f" Storage Driver: {shape['Driver']}",
        f"  Layers: {shape['BackingLayers']}",
        f" Logging Driver: {shape['LoggingDriver']}",
        f" Default Runtime: {shape['DefaultRuntime']}",
        f" runc version: {shape['RuncVersion'] or 'N/A'}",
        *_security_lines(shape["SecurityOptions"]),
        f" Kernel Version: {shape['KernelVersion']}",
        f" Operating System: {shape['OperatingSystem']}",
        f" OSType: {shape['OSType']}",
        f" Architecture: {shape['Architecture']}",
        f" CPUs: {shape['NCPU']}",
        f" Total Memory: {binary_size(shape['MemTotal'])}",
        f" Name: {shape['Name']}",
        f" Berth Root Dir: {shape['DockerRootDir']}",
        f"  Free: {human_size(shape['DataFree'])} of {human_size(shape['DataTotal'])}",
    ]
    lines += [" Registry Mirrors:", *(f"  {name}: {at}" for name, at in shape["RegistryMirrors"].items())]
    await console.line("\n".join(lines if shape["RegistryMirrors"] else lines[:-1]))
    for warning in shape["Warnings"]:
        await console.err(f"WARNING: {warning}")
    return 0
