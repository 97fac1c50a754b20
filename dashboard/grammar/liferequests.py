"""What commands about the trash and about life spans ask for. `team` "" is the current one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TrashList:
    quiet: bool = False
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrashRestore:
    """`new_name` "": its own, or one like it."""

    names: tuple[str, ...]
    new_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrashRemove:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrashEmpty:
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeShow:
    team: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeSet:
    """`changes`: (rule, value or None for "never", or of the trash for the server's own)."""

    team: str = ""
    changes: tuple[tuple[str, int | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend:
    """`seconds` None: as long as the team allows."""

    name: str
    seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    names: tuple[str, ...]
    keep: bool = True


LifeRequest = Extend | Keep | LifeSet | LifeShow | TrashEmpty | TrashList | TrashRemove | TrashRestore
