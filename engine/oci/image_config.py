"""The image config: what the image's maker wants to be run and how, and the diff IDs of its layers.

All of it is a stranger's wish. Types are checked here; what a value may do is decided where it is used: labels are
text and never control anything, paths and users are resolved inside the container's root only (REG-12, RUN-14).

Source: OCI image-spec 1.1, config.md. Members that Docker adds are kept in `raw`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from engine.digest import DiffId
from engine.errors import DocumentInvalid
from engine.oci.documents import LAYER_LIMIT, parse_digest
from engine.oci.strict_json import Reader, load

WHAT = "the image's configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """`entrypoint` and `cmd` are empty where the image names none; `created` is aware, None where it is unknown."""

    architecture: str
    os: str
    variant: str
    created: datetime | None
    diff_ids: tuple[DiffId, ...]
    env: tuple[str, ...]
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    user: str
    working_dir: str
    labels: dict[str, str]
    exposed_ports: tuple[str, ...]
    volumes: tuple[str, ...]
    stop_signal: str
    raw: dict[str, Any] = field(repr=False)  # Any: the JSON document as it is, for `inspect`

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From the raw bytes of the config blob.

        Raises:
            DocumentInvalid: not JSON, members of wrong types, or no usable list of layers.
        """
        reader = Reader(load(data, WHAT), WHAT)
        wishes = reader.child("config")
        return cls(
            architecture=reader.text("architecture"),
            os=reader.text("os", "linux"),
            variant=reader.text("variant"),
            created=_time(reader.text("created")),
            diff_ids=_diff_ids(reader),
            env=_environment(wishes),
            entrypoint=wishes.texts("Entrypoint"),
            cmd=wishes.texts("Cmd"),
            user=wishes.text("User"),
            working_dir=wishes.text("WorkingDir"),
            labels=wishes.text_map("Labels"),
            exposed_ports=wishes.keys("ExposedPorts"),
            volumes=wishes.keys("Volumes"),
            stop_signal=wishes.text("StopSignal"),
            raw=reader.members,
        )


def _diff_ids(reader: Reader) -> tuple[DiffId, ...]:
    rootfs = reader.child("rootfs")
    if rootfs.text("type") != "layers":
        rootfs.reject("type", "'layers'")
    texts = rootfs.texts("diff_ids")
    if len(texts) > LAYER_LIMIT:
        msg = f"{WHAT} has more than {LAYER_LIMIT} layers."
        raise DocumentInvalid(msg)
    return tuple(DiffId(parse_digest(text, WHAT)) for text in texts)


def _environment(wishes: Reader) -> tuple[str, ...]:
    """`NAME=value` each. An entry without `=` sets nothing and is dropped, as Docker does; one without a name too."""
    return tuple(entry for entry in wishes.texts("Env") if entry.partition("=")[0] and "=" in entry)


def _time(text: str) -> datetime | None:
    """RFC 3339 with any number of fractional digits; Go's zero time and anything unreadable is None."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return aware if aware.year > 1 else None
