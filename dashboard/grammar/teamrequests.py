"""What commands of the groups `team`, `policy` and `user` ask for. `team` "" is the current one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamList:
    quiet: bool = False
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamCreate:
    slug: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamRemove:
    slugs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamUse:
    """`slug`: "--all" for all teams."""

    slug: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamMembers:
    """`team` "" is the current one, here and below."""

    team: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamAdd:
    names: tuple[str, ...]
    team: str = ""
    role: str = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamDismiss:
    names: tuple[str, ...]
    team: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamRole:
    name: str
    team: str = ""
    permissions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UserList:
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserCreate:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserActive:
    names: tuple[str, ...]
    is_active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UserReset:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamInvite:
    """`uses`: how many people; `days`: how long the link holds."""

    team: str = ""
    role: str = "operator"
    uses: int = 1
    days: int = 7
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamInvitations:
    team: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamRevoke:
    """`numbers`: of invitations, as `TeamInvitations` prints them."""

    numbers: tuple[str, ...]
    team: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamImport:
    names: tuple[str, ...]
    team: str = ""
    role: str = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamRoles:
    team: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamRemoveRole:
    names: tuple[str, ...]
    team: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamCan:
    """`permission` "" is every one."""

    name: str
    permission: str = ""
    team: str = ""
    format: str = ""


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
class TokenCreate:
    """`user` "" is oneself. `rights` None: all that the owner may."""

    name: str
    user: str = ""
    days: int = 30
    rights: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenList:
    user: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRemove:
    numbers: tuple[str, ...]


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
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamTransfer:
    """All that is `giver`'s in the team becomes `taker`'s."""

    giver: str
    taker: str
    team: str = ""
