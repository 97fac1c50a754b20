"""What commands of the groups `policy` and `quota` ask for. `team` "" is the current one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyShow:
    team: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """`changes`: (rule, value) each; a value is a switch, names, or None for whatever the host allows."""

    team: str = ""
    changes: tuple[tuple[str, bool | tuple[str, ...] | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyUnset:
    team: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaShow:
    team: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaSet:
    """Of a team, of a person, of both: of the person in the team; or of everybody who has none. `changes`: (limit, value
    or None for no limit).
    """

    team: str = ""
    user: str = ""
    everybody: bool = False
    changes: tuple[tuple[str, int | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaUnset:
    team: str = ""
    user: str = ""
    everybody: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRules:
    """`listed` None only shows; else whether a team has only what its list names."""

    team: str = ""
    listed: bool | None = None
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAllow:
    patterns: tuple[str, ...]
    team: str = ""
    once: bool = False
    days: int | None = None
    pins: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDisallow:
    """`numbers`: of rules, as `ImageRules` prints them."""

    numbers: tuple[str, ...]
    team: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAsk:
    image: str
    reason: str
    team: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequests:
    team: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDecide:
    number: str
    approve: bool
    team: str = ""
    once: bool = False
    days: int | None = None
    pins: bool = False
    said: str = ""


PolicyRequest = (
    ImageAllow
    | ImageAsk
    | ImageDecide
    | ImageDisallow
    | ImageRequests
    | ImageRules
    | PolicySet
    | PolicyShow
    | PolicyUnset
    | QuotaSet
    | QuotaShow
    | QuotaUnset
)
