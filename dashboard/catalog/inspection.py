"""`inspect` of an image, in Docker's shape; and its lines in `images`."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from dashboard import gateway
from dashboard.catalog.lookup import familiar_name, tags_here
from dashboard.catalog.models import Image, Tag
from dashboard.core.filters import anything, refuse_unknown
from dashboard.core.gate import Requester
from dashboard.grammar.listing import ImageLine
from dashboard.grammar.requests import Images
from dashboard.grammar.units import rfc3339

_YES, _NO = frozenset({"true", "1"}), frozenset({"false", "0"})
_FILTERS = {"reference": anything, "label": anything, "dangling": lambda value: value.lower() in _YES | _NO}


def _config_part(image: Image) -> dict[str, Any]:
    said = image.config.get("config") or {}
    asked = {"Healthcheck": said["Healthcheck"]} if said.get("Healthcheck") else {}  # only then, as Docker
    return {
        "Hostname": said.get("Hostname", ""),
        "Domainname": said.get("Domainname", ""),
        "User": said.get("User", ""),
        "ExposedPorts": said.get("ExposedPorts"),
        "Env": said.get("Env"),
        "Cmd": said.get("Cmd"),
        "Image": said.get("Image", ""),
        "Volumes": said.get("Volumes"),
        "WorkingDir": said.get("WorkingDir", ""),
        "Entrypoint": said.get("Entrypoint"),
        "OnBuild": said.get("OnBuild"),
        "Labels": said.get("Labels"),
        "StopSignal": said.get("StopSignal", ""),
        **asked,
    }


def inspect_image(image: Image, user: Requester) -> dict[str, Any]:
    """One element of what `inspect` prints, with the names that `user` sees."""
    tags = list(tags_here(user).filter(image=image).order_by("pk"))
    names = [f"{familiar_name(tag)}:{tag.tag}" for tag in tags if tag.tag]
    digests = list(dict.fromkeys(f"{familiar_name(tag)}@{tag.digest}" for tag in tags))
    return {
        "Id": image.image_id,
        "RepoTags": names,
        "RepoDigests": digests,
        "Parent": "",
        "Comment": image.config.get("comment", ""),
        "Created": rfc3339(image.built_at),
        "DockerVersion": image.config.get("docker_version", ""),
        "Author": image.config.get("author", ""),
        "Config": _config_part(image),
        "Architecture": image.architecture,
        **({"Variant": image.variant} if image.variant else {}),
        "Os": image.os,
        "Size": image.size_bytes,
        "VirtualSize": image.size_bytes,
        "RootFS": {"Type": "layers", "Layers": [link.layer.diff_id for link in image.stack.select_related("layer")]},
        "Metadata": {"LastTagTime": rfc3339(max((tag.updated_at for tag in tags), default=None))},
    }


def _line(image: Image, tag: Tag | None) -> ImageLine:
    return ImageLine(
        repository=familiar_name(tag) if tag else "",
        tag=tag.tag if tag else "",
        digest=tag.digest if tag else "",
        image_id=image.image_id,
        built_at=image.built_at,
        size_bytes=image.size_bytes,
    )


def _lines_of(image: Image) -> list[ImageLine]:
    return [_line(image, tag) for tag in image.tags.all()] or [_line(image, None)]


def _wanted(line: ImageLine, pattern: str) -> bool:
    """`ubuntu` or `ubuntu:14*`, as the argument of `images` and the filter `reference`."""
    if not pattern:
        return True
    full = f"{line.repository}:{line.tag}"
    return line.repository != "" and (fnmatchcase(line.repository, pattern) or fnmatchcase(full, pattern))


def _has_labels(image: Image, values: list[str]) -> bool:
    """All of them: `key`, or `key=value`."""
    found = (image.config.get("config") or {}).get("Labels") or {}
    wanted = (value.partition("=") for value in values)
    return all(key in found and (not sign or found[key] == value) for key, sign, value in wanted)


def image_lines(images: Iterable[Image], request: Images) -> list[ImageLine]:
    """A line for each name, and one for an image without any, as the arguments and filters of `images` choose.

    Raises:
        DashboardError: a filter that `images` does not know, whether there are images or not.
    """
    refuse_unknown(request.filters, _FILTERS)
    labels = [value for name, value in request.filters if name == "label"]
    lines = [line for image in images if _has_labels(image, labels) for line in _lines_of(image)]
    pattern = gateway.parse(request.repository).familiar_name if "/" in request.repository else request.repository
    if ":" in request.repository.rpartition("/")[2]:
        pattern = request.repository
    lines = [line for line in lines if _wanted(line, pattern)]
    for name, value in request.filters:
        if name == "reference":
            lines = [line for line in lines if _wanted(line, value)]
        elif name == "dangling":
            lines = [line for line in lines if (not line.repository) == (value.lower() in _YES)]
    return lines
