"""What commands about registries and the sharing of images ask for. `whose`: "me", "team" or "site"."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """`password` None: it is asked for, or read from standard input."""

    registry: str = ""
    username: str = ""
    password: str | None = None
    reads_stdin: bool = False
    whose: str = "me"


@dataclass(frozen=True, slots=True, kw_only=True)
class Logout:
    registry: str = ""
    whose: str = "me"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryList:
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageShare:
    """`team` "": with everybody."""

    image: str
    team: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUnshare:
    image: str


RegistryRequest = ImageShare | ImageUnshare | Login | Logout | RegistryList
