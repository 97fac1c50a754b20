"""What is mounted in a container: from options to rows of volumes, to the engine's request, and to what `inspect` prints."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Any

from dashboard import gateway
from dashboard.catalog.models import Image
from dashboard.containers.models import Container, VolumeUse
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, Requester, require
from dashboard.grammar import ContainerOptions
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.mounts import Mount
from dashboard.grammar.options import mounts_of
from dashboard.volumes import services as volumes
from dashboard.volumes.models import Volume

MOST = 100


def wanted(options: ContainerOptions) -> list[Mount]:
    """What the options name.

    Raises:
        DashboardError: an item that cannot be read (400).
    """
    try:
        return mounts_of(options)
    except ValueRefused as error:
        raise DashboardError(str(error)) from error


def refuse_impossible(options: ContainerOptions, user: Requester) -> None:
    """What no image could make right: two mounts at one place, a place of the system, a host path that is not allowed.

    Raises:
        DashboardError: 400.
        Denied: a path of the host, which `user` may not have in a container.
    """
    seen: set[str] = set()
    for mount in wanted(options):
        if mount.target in seen:
            msg = f"Duplicate mount point: {mount.target}"
            raise DashboardError(msg)
        seen.add(mount.target)
        _refuse_place(mount)
        if mount.kind == "bind":
            require(user, Permission.HOST_PATH)
    if len(seen) > MOST:
        msg = f"A container has at most {MOST} mounts."
        raise DashboardError(msg)


def _refuse_place(mount: Mount) -> None:
    """By the engine's own rules, before it is asked."""
    try:
        _request(mount, mount.source or "any")
        if mount.kind == "bind":
            gateway.refuse_host_path(mount.source)
    except gateway.EngineError as error:
        raise DashboardError(str(error)) from error


def _of_image(image: Image) -> list[str]:
    """The places that the image's maker wants kept (VOLUME); what is no path is nobody's wish."""
    said = (image.config.get("config") or {}).get("Volumes") or {}
    places = {"/" + posixpath.normpath(place).lstrip("/") for place in said if place.startswith("/")}
    return sorted(places - {"/"})[:MOST]


def claim_volumes(user: Requester, container: Container, options: ContainerOptions) -> None:
    """Rows for all volumes of a new container: named ones as they are or new, anonymous ones new. In its transaction."""
    mounts = wanted(options)
    taken = {mount.target for mount in mounts}
    named = [(mount.source, mount.target) for mount in mounts if mount.kind == "volume"]
    named += [("", place) for place in _of_image(container.image) if place not in taken]
    for name, target in sorted(named):  # in one order everywhere: two containers never wait for each other
        volume = volumes.claim(user, name, team_id=container.team_id)
        require(user, Permission.VOLUME_USE, volume)
        VolumeUse.objects.create(container=container, volume=volume, target=target)


def _uses(container: Container) -> dict[str, Volume]:
    return {use.target: use.volume for use in container.volume_uses.all()}


def _all(container: Container, options: ContainerOptions) -> list[tuple[Mount, Volume | None]]:
    """(mount, its volume) of everything in the container, the image's volumes too."""
    uses = _uses(container)
    found: list[tuple[Mount, Volume | None]] = []
    for mount in wanted(options):
        found.append((mount, uses.pop(mount.target, None) if mount.kind == "volume" else None))
    found += [(Mount(kind="volume", target=target), volume) for target, volume in uses.items()]
    return sorted(found, key=lambda pair: pair[0].target)


def _request(mount: Mount, source: str) -> gateway.MountRequest:
    return gateway.MountRequest(
        kind=gateway.MountKind(mount.kind),
        source="" if mount.kind == "tmpfs" else source,
        target=mount.target,
        read_only=mount.read_only,
        copies=mount.copies,
        size=mount.size,
        mode=mount.mode,
        allows=mount.allows,
    )


def requests_of(container: Container, options: ContainerOptions) -> tuple[gateway.MountRequest, ...]:
    """The engine's requests."""
    return tuple(
        _request(mount, mount.source if volume is None else volume.key) for mount, volume in _all(container, options)
    )


def let_go(container: Container, *, anonymous: bool) -> list[Volume]:
    """The container has no volumes any more; with `anonymous`, those of its own that are to be removed now."""
    had = list(_uses(container).values())
    container.volume_uses.all().delete()
    return volumes.let_go(had) if anonymous else []


def names(container: Container) -> tuple[str, ...]:
    """As `ps` prints them: names of volumes, paths of the host."""
    options = ContainerOptions.from_json(container.options)
    return tuple(
        mount.source if volume is None else volume.name
        for mount, volume in _all(container, options)
        if mount.kind != "tmpfs"
    )


def shapes(container: Container, options: ContainerOptions) -> list[dict[str, Any]]:
    """`Mounts` of `inspect`."""
    return [_shape(mount, volume) for mount, volume in _all(container, options)]


def _shape(mount: Mount, volume: Volume | None) -> dict[str, Any]:
    common = {"Destination": mount.target, "Mode": _mode(mount), "RW": not mount.read_only}
    if volume is not None:
        place = volumes.mountpoint(volume)
        of_volume = {"Type": "volume", "Name": volume.name, "Source": place, "Driver": "local"}
        return {**of_volume, **common, "Propagation": ""}
    propagation = "rprivate" if mount.kind == "bind" else ""
    return {"Type": mount.kind, "Source": mount.source, **common, "Propagation": propagation}


def _mode(mount: Mount) -> str:
    words: Iterable[str] = ("ro" if mount.read_only else "", "" if mount.copies else "nocopy")
    return ",".join(filter(None, words))
