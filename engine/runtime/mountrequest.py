"""What somebody wants mounted in a container: a volume, a folder of the host, or memory."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from engine.errors import RequestRefused

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SYSTEM = ("/proc", "/sys", "/dev")
_PATH_LIMIT = 4096
_SIZE = re.compile(r"[1-9][0-9]{0,17}[kmgKMG%]?\Z", re.ASCII)


class MountKind(StrEnum):
    VOLUME = "volume"
    HOST = "bind"
    MEMORY = "tmpfs"


@dataclass(frozen=True, slots=True, kw_only=True)
class MountRequest:
    """`source`: the volume's name, the path of the host, or "" for memory. `copies`: an empty volume gets the image's
    files of that place. `size`, `mode` and `allows` (of "exec", "suid") are of memory.

    Raises:
        RequestRefused: a target that is not a path of the container, or is the system's (RUN-05).
    """

    kind: MountKind
    source: str
    target: str
    read_only: bool = False
    copies: bool = True
    size: str = ""
    mode: int | None = None
    allows: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        target = self.target
        if len(target) > _PATH_LIMIT or _CONTROL.search(self.source + target):
            msg = "Paths of mounts may not contain control characters or be longer than 4096."
            raise RequestRefused(msg)
        if not target.startswith("/") or posixpath.normpath(target) != target or target.startswith("//"):
            msg = f"invalid mount path: '{target[:200]}' mount path must be absolute"
            raise RequestRefused(msg)
        if target == "/":
            msg = "invalid specification: destination can't be '/'"
            raise RequestRefused(msg)
        if any(target == top or target.startswith(f"{top}/") for top in _SYSTEM):
            msg = f"Nothing can be mounted at {target[:200]}: /proc, /sys and /dev belong to the system."
            raise RequestRefused(msg)
        self._check_memory()

    def _check_memory(self) -> None:
        if self.size and not _SIZE.match(self.size):
            msg = f"invalid size of a tmpfs: '{self.size[:40]}'"
            raise RequestRefused(msg)
        if self.mode is not None and not 0 <= self.mode <= 0o7777:
            msg = "The mode of a tmpfs must be between 0 and 7777."
            raise RequestRefused(msg)
        if set(self.allows) - {"exec", "suid"}:
            msg = "A tmpfs may allow 'exec' and 'suid' only."
            raise RequestRefused(msg)

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:  # Any: JSON, checked by the constructor
        """From what `dataclasses.asdict` made of one.

        Raises:
            TypeError, ValueError: fields missing, unknown, or of the wrong kind.
        """
        return cls(**{**fields, "kind": MountKind(fields["kind"]), "allows": tuple(fields.get("allows", ()))})
