"""What commands of the groups `team`, `user` and `token` ask for. `team` "" is the current one."""

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
class TeamFactor:
    """Whether everybody in the team needs a second factor."""

    required: bool
    team: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRemoveFactors:
    names: tuple[str, ...]


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
class TeamGroups:
    team: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamMapGroup:
    """`role` "": the group gives nothing any more."""

    group: str
    role: str = ""
    team: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamMove:
    """`kind`: "container" or "volume"."""

    names: tuple[str, ...]
    to: str
    kind: str = "container"


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamTransfer:
    """All that is `giver`'s in the team becomes `taker`'s."""

    giver: str
    taker: str
    team: str = ""


TeamRequest = (
    TeamAdd
    | TeamCan
    | TeamCreate
    | TeamDismiss
    | TeamFactor
    | TeamGroups
    | TeamImport
    | TeamInvitations
    | TeamInvite
    | TeamList
    | TeamMapGroup
    | TeamMembers
    | TeamMove
    | TeamRemove
    | TeamRemoveRole
    | TeamRevoke
    | TeamRole
    | TeamRoles
    | TeamTransfer
    | TeamUse
    | TokenCreate
    | TokenList
    | TokenRemove
    | UserActive
    | UserCreate
    | UserList
    | UserRemoveFactors
    | UserReset
)
