"""`images` and `ps`: from plain values to what Docker prints."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.grammar.requests import Images, Ps
from dashboard.grammar.tables import Row, ellipsis, render_table
from dashboard.grammar.units import ago, human_duration, human_size, listed_time

NONE = "<none>"
SHORT = 12
COMMAND_WIDTH = 20
_NAMES_SIZE = re.compile(r"\{\{.*\.Size\b")
MOUNT_WIDTH = 15
_HEALTH = {"starting": " (health: starting)", "healthy": " (healthy)", "unhealthy": " (unhealthy)"}

IMAGE_HEADERS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "Containers": "CONTAINERS",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
    "VirtualSize": "SIZE",
}
CONTAINER_HEADERS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "RunningFor": "CREATED",
    "CreatedAt": "CREATED AT",
    "Status": "STATUS",
    "State": "STATE",
    "Ports": "PORTS",
    "Names": "NAMES",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "Networks": "NETWORKS",
    "LocalVolumes": "LOCAL VOLUMES",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLine:
    """One name of one image. `image_id` and `digest` with their `sha256:`; "" stands for none."""

    repository: str
    tag: str
    digest: str
    image_id: str
    built_at: datetime | None
    size_bytes: int
    containers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerLine:
    container_id: str
    name: str
    image: str
    command: str
    state: str  # Docker's word: created, running, paused, restarting, removing, exited, dead
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int | None
    image_bytes: int
    labels: str = ""
    ends_at: datetime | None = None  # it is stopped then, as somebody has been warned
    health: str = ""  # starting, healthy, unhealthy
    written_bytes: int | None = None  # None: not counted
    ports: str = ""
    mounts: tuple[str, ...] = ()  # names of volumes and paths of the host
    networks: tuple[str, ...] = ("bridge",)


def _short(digest: str) -> str:
    return digest.partition(":")[2][:SHORT] or digest[:SHORT]


def image_row(line: ImageLine, *, now: datetime, no_trunc: bool) -> Row:
    return {
        "Repository": line.repository or NONE,
        "Tag": line.tag or NONE,
        "Digest": line.digest or NONE,
        "ID": line.image_id if no_trunc else _short(line.image_id),
        "CreatedSince": ago(line.built_at, now),
        "CreatedAt": listed_time(line.built_at),
        "Size": human_size(line.size_bytes),
        "VirtualSize": human_size(line.size_bytes),
        "Containers": "N/A",  # as Docker, which does not count them here
        "SharedSize": "N/A",
        "UniqueSize": "N/A",
    }


def render_images(request: Images, lines: Sequence[ImageLine], *, now: datetime) -> str:
    """The text of `images`, without a last newline; "" when `-q` finds nothing."""
    rows = [image_row(line, now=now, no_trunc=request.no_trunc) for line in lines]
    if request.quiet and not request.format:
        return "\n".join(str(row["ID"]) for row in rows)
    columns = ["Repository", "Tag", *(["Digest"] if request.digests else []), "ID", "CreatedSince", "Size"]
    return render_table(rows, headers=IMAGE_HEADERS, columns=columns, format_text=request.format)


def status(line: ContainerLine, now: datetime) -> str:
    """`Up 3 minutes`, `Exited (0) 5 minutes ago`."""
    if line.state == "running" and line.started_at is not None:
        return f"Up {human_duration(now - line.started_at)}{_HEALTH.get(line.health, '')}{_ending(line, now)}"
    if line.state == "paused" and line.started_at is not None:
        return f"Up {human_duration(now - line.started_at)} (Paused){_ending(line, now)}"
    if line.state in {"exited", "restarting"} and line.finished_at is not None:
        code = "unknown" if line.exit_code is None else line.exit_code
        return f"{line.state.capitalize()} ({code}) {ago(line.finished_at, now)}"
    words = {"removing": "Removal In Progress", "dead": "Dead", "running": "Up", "exited": "Exited (unknown)"}
    return words.get(line.state, "Created")


def _ending(line: ContainerLine, now: datetime) -> str:
    """Of one whose life span is near its end."""
    if line.ends_at is None:
        return ""
    return f" (stops in {human_duration(max(line.ends_at - now, timedelta(0)))})"


def container_size(line: ContainerLine) -> str:
    """`12B (virtual 188MB)`: what it wrote, and with its image. "N/A" where nobody counted, as Docker says of images."""
    if line.written_bytes is None:
        return "N/A"
    return f"{human_size(line.written_bytes)} (virtual {human_size(line.written_bytes + line.image_bytes)})"


def wants_sizes(request: Ps) -> bool:
    """As in Docker, a template that names the size asks for it as `-s` does."""
    return not (request.quiet and not request.format) and (
        request.size or _NAMES_SIZE.search(request.format) is not None
    )


def container_row(line: ContainerLine, *, now: datetime, no_trunc: bool) -> Row:
    command = line.command if no_trunc else ellipsis(line.command, COMMAND_WIDTH)
    return {
        "ID": line.container_id if no_trunc else line.container_id[:SHORT],
        "Image": line.image,
        "Command": json.dumps(command, ensure_ascii=False),
        "RunningFor": ago(line.created_at, now),
        "CreatedAt": listed_time(line.created_at),
        "Status": status(line, now),
        "State": line.state,
        "Ports": line.ports,
        "Names": line.name,
        "Size": container_size(line),
        "Labels": line.labels,
        "Mounts": ",".join(line.mounts if no_trunc else (ellipsis(name, MOUNT_WIDTH) for name in line.mounts)),
        "Networks": ",".join(line.networks),
        "LocalVolumes": str(sum(not name.startswith("/") for name in line.mounts)),
    }


def render_containers(request: Ps, lines: Sequence[ContainerLine], *, now: datetime) -> str:
    """The text of `ps`, without a last newline; "" when `-q` finds nothing."""
    rows = [container_row(line, now=now, no_trunc=request.no_trunc) for line in lines]
    if request.quiet and not request.format:
        return "\n".join(str(row["ID"]) for row in rows)
    columns = ["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names", *(["Size"] if request.size else [])]
    return render_table(rows, headers=CONTAINER_HEADERS, columns=columns, format_text=request.format)
