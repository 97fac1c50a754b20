"""Platforms: `linux/arm64/v8` as a value, what this host is, and which entry of an index suits it best.

Source: containerd/platforms `compare.go` and `database.go` (names and the order of variants).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Self

from engine.errors import RequestRefused

_PART = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z", re.ASCII)
_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armv8l": ("arm", "v8"),
}
_DEFAULT_VARIANT = {"arm": "v7", "arm64": "v8", "amd64": "v1"}
_VARIANT = re.compile(r"v([1-9][0-9]?)\Z")


@dataclass(frozen=True, slots=True)
class Platform:
    """Normalised: architecture by Go's names, a variant only where it says more than the architecture's usual one."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def of(cls, os_name: str, architecture: str, variant: str = "") -> Self:
        """From the parts as a document or a person gives them."""
        name, implied = _ARCHITECTURES.get(architecture.lower(), (architecture.lower(), ""))
        chosen = variant.lower() or implied
        if name in ("arm64", "amd64") and chosen in ("8", _DEFAULT_VARIANT[name]):
            chosen = ""
        if chosen.isdigit():
            chosen = f"v{chosen}"
        return cls(os_name.lower(), name, chosen)

    @classmethod
    def parse(cls, text: str) -> Self:
        """`linux/arm64/v8`, `linux/amd64`, or the architecture alone.

        Raises:
            RequestRefused: not of that form.
        """
        parts = text.split("/")
        if len(parts) > 3 or not all(_PART.match(part) for part in parts):
            msg = f"'{text[:160]}' is not a platform. A platform is written like linux/amd64 or linux/arm64/v8."
            raise RequestRefused(msg)
        if len(parts) == 1:
            return cls.of("linux", parts[0])
        return cls.of(*parts)

    @classmethod
    def host(cls) -> Self:
        """What this machine runs."""
        return cls.of("linux", os.uname().machine)

    def __str__(self) -> str:
        """As Docker prints it: with the variant that arm and arm64 always have."""
        variant = self.variant or (_DEFAULT_VARIANT[self.architecture] if self.architecture in ("arm", "arm64") else "")
        return "/".join(filter(None, (self.os, self.architecture, variant)))

    @property
    def level(self) -> int | None:
        """The number in the variant (the usual one where none is given); None for a variant without one."""
        match = _VARIANT.match(self.variant or _DEFAULT_VARIANT.get(self.architecture, "v1"))
        return int(match[1]) if match else None

    def suitability(self, offered: Platform) -> int | None:
        """How well an image for `offered` suits this platform: higher is better, None is not at all.

        The same or a lower variant of the same architecture runs; a higher one may not.
        """
        if (self.os, self.architecture) != (offered.os, offered.architecture):
            return None
        if self.level is None or offered.level is None:
            return 0 if self.variant == offered.variant else None
        return offered.level if offered.level <= self.level else None
