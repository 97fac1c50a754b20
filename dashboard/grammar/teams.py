"""The commands of the groups `team` and `user` (Berth's own: Docker has no such commands), and what their `ls` print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.grammar import teamrequests
from dashboard.grammar.commands import FORMAT, Command
from dashboard.grammar.errors import EXIT_ARGUMENTS, PROGRAM, UsageError, ValueRefused
from dashboard.grammar.flags import Flag, Values, number, string, switch
from dashboard.grammar.tables import Row, render_table

GLOBAL = "--team"
ALL = "--all"


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamLine:
    slug: str
    name: str
    members: int
    role: str
    is_current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonLine:
    """A member of a team, or an account with all its teams."""

    name: str
    role: str = ""
    teams: str = ""
    state: str = "active"


def render_teams(request: teamrequests.TeamList, lines: Sequence[TeamLine]) -> str:
    """The text of `team ls`, without a last newline; the current one has a star."""
    if request.quiet and not request.format:
        return "\n".join(line.slug for line in lines)
    headers = {"Current": "CURRENT", "Team": "TEAM", "Name": "NAME", "Members": "MEMBERS", "Role": "ROLE"}
    rows: list[Row] = [
        {
            "Current": "*" if line.is_current else "",
            "Team": line.slug,
            "Name": line.name,
            "Members": str(line.members),
            "Role": line.role,
        }
        for line in lines
    ]
    return render_table(rows, headers=headers, columns=list(headers), format_text=request.format)


def render_people(lines: Sequence[PersonLine], columns: Sequence[str], format_text: str) -> str:
    """The text of `team members` and `user ls`."""
    headers = {"User": "USER", "Role": "ROLE", "Teams": "TEAMS", "State": "STATE"}
    rows: list[Row] = [
        {"User": line.name, "Role": line.role, "Teams": line.teams, "State": line.state} for line in lines
    ]
    return render_table(rows, headers=headers, columns=list(columns), format_text=format_text)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationLine:
    number: int
    note: str
    role: str
    used: str
    ends: str
    giver: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleLine:
    name: str
    members: int
    permissions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RightLine:
    permission: str
    is_given: bool
    why: str


def render_invitations(lines: Sequence[InvitationLine], format_text: str) -> str:
    headers = {"ID": "ID", "Note": "NOTE", "Role": "ROLE", "Used": "USED", "Ends": "ENDS", "MadeBy": "MADE BY"}
    rows: list[Row] = [
        {
            "ID": str(line.number),
            "Note": line.note,
            "Role": line.role,
            "Used": line.used,
            "Ends": line.ends,
            "MadeBy": line.giver,
        }
        for line in lines
    ]
    return render_table(rows, headers=headers, columns=list(headers), format_text=format_text)


def render_groups(groups: Sequence[tuple[str, str]], format_text: str) -> str:
    """`groups`: (group, role)."""
    rows: list[Row] = [{"Group": group, "Role": role} for group, role in groups]
    headers = {"Group": "GROUP", "Role": "ROLE"}
    return render_table(rows, headers=headers, columns=list(headers), format_text=format_text)


def render_roles(lines: Sequence[RoleLine], format_text: str) -> str:
    headers = {"Role": "ROLE", "Members": "MEMBERS", "Permissions": "PERMISSIONS"}
    rows: list[Row] = [
        {"Role": line.name, "Members": str(line.members), "Permissions": ",".join(line.permissions)} for line in lines
    ]
    return render_table(rows, headers=headers, columns=list(headers), format_text=format_text)


def render_rights(lines: Sequence[RightLine], format_text: str) -> str:
    headers = {"Permission": "PERMISSION", "Given": "GIVEN", "Why": "WHY"}
    rows: list[Row] = [
        {"Permission": line.permission, "Given": "yes" if line.is_given else "no", "Why": line.why} for line in lines
    ]
    return render_table(rows, headers=headers, columns=list(headers), format_text=format_text)


def split_team(words: Sequence[str]) -> tuple[str, list[str]]:
    """The team that the global option names ("" when it is not there), and the words without it. It stands first.

    Raises:
        UsageError: no name behind it.
    """
    left = list(words)
    if not left or left[0].partition("=")[0] != GLOBAL:
        return "", left
    _flag, equals, team = left.pop(0).partition("=")
    if not equals:
        team = left.pop(0) if left else ""
    if not team:
        msg = f"flag needs an argument: {GLOBAL}\nSee '{PROGRAM} --help'."
        raise UsageError(msg, exit_code=EXIT_ARGUMENTS)
    return ALL if team == "all" else team, left


_TEAM = string("team", text="Another team than the current one")
_ROLE = string("role", text='Role: viewer, operator, maintainer, admin or one of the team (default "operator")')


def _build_factor(values: Values, words: tuple[str, ...]) -> teamrequests.TeamFactor:
    if words[0] not in {"required", "optional"}:
        msg = f"'required' or 'optional', not '{words[0]}'"
        raise UsageError(msg)
    return teamrequests.TeamFactor(required=words[0] == "required", team=values.get("team", ""))


def _read_kind(text: str) -> str:
    if text not in {"container", "volume"}:
        msg = "must be container or volume"
        raise ValueRefused(msg)
    return text


def _build_move(values: Values, words: tuple[str, ...]) -> teamrequests.TeamMove:
    if not values.get("to"):
        msg = "say to which team: --to TEAM"
        raise UsageError(msg)
    return teamrequests.TeamMove(names=words, to=values["to"], kind=values.get("type", "container"))


TEAM_COMMANDS: tuple[Command, ...] = (
    Command(
        name="add",
        usage="[OPTIONS] USER [USER...]",
        about="Add people to a team, or give members another role",
        build=lambda v, w: teamrequests.TeamAdd(names=w, team=v.get("team", ""), role=v.get("role", "operator")),
        flags=(_TEAM, _ROLE),
        least=1,
    ),
    Command(
        name="can",
        usage="[OPTIONS] USER [PERMISSION]",
        about="Say what somebody may do in a team, and why",
        build=lambda v, w: teamrequests.TeamCan(
            name=w[0], permission=w[1] if len(w) > 1 else "", team=v.get("team", ""), format=v.get("format", "")
        ),
        flags=(_TEAM, FORMAT),
        least=1,
        most=2,
    ),
    Command(
        name="create",
        usage="[OPTIONS] TEAM",
        about="Create a team",
        build=lambda v, w: teamrequests.TeamCreate(slug=w[0], name=v.get("name", "")),
        flags=(string("name", text="Name that people read"),),
        least=1,
        most=1,
    ),
    Command(
        name="import",
        usage="[OPTIONS] USER [USER...]",
        about="Add people to a team; who has no account gets one, and a link to set its password",
        build=lambda v, w: teamrequests.TeamImport(names=w, team=v.get("team", ""), role=v.get("role", "operator")),
        flags=(_TEAM, _ROLE),
        least=1,
    ),
    Command(
        name="invitations",
        usage="[OPTIONS] [TEAM]",
        about="List the open links of a team",
        build=lambda v, w: teamrequests.TeamInvitations(team=w[0] if w else "", format=v.get("format", "")),
        flags=(FORMAT,),
        most=1,
    ),
    Command(
        name="invite",
        usage="[OPTIONS]",
        about="Print a link with which people join a team by themselves",
        build=lambda v, _w: teamrequests.TeamInvite(
            team=v.get("team", ""),
            role=v.get("role", "operator"),
            uses=v.get("uses", 1),
            days=v.get("days", 7),
            note=v.get("note", ""),
        ),
        flags=(
            _TEAM,
            _ROLE,
            number("uses", text="How many people may use it (default 1)"),
            number("days", text="For how many days it holds (default 7)"),
            string("note", text="What it is for"),
        ),
        most=0,
    ),
    Command(
        name="ls",
        usage="[OPTIONS]",
        about="List teams",
        build=lambda v, _w: teamrequests.TeamList(quiet=v.get("quiet", False), format=v.get("format", "")),
        flags=(FORMAT, switch("quiet", "q", "Only display what commands call them")),
        most=0,
    ),
    Command(
        name="members",
        usage="[OPTIONS] [TEAM]",
        about="List who is in a team and as what",
        build=lambda v, w: teamrequests.TeamMembers(team=w[0] if w else "", format=v.get("format", "")),
        flags=(FORMAT,),
        most=1,
    ),
    Command(
        name="remove",
        usage="[OPTIONS] USER [USER...]",
        about="Take people out of a team. What they made stays the team's",
        build=lambda v, w: teamrequests.TeamDismiss(names=w, team=v.get("team", "")),
        flags=(_TEAM,),
        least=1,
    ),
    Command(
        name="remove-role",
        usage="[OPTIONS] ROLE [ROLE...]",
        about="Remove roles of a team's own that nobody has any more",
        build=lambda v, w: teamrequests.TeamRemoveRole(names=w, team=v.get("team", "")),
        flags=(_TEAM,),
        least=1,
    ),
    Command(
        name="revoke",
        usage="[OPTIONS] INVITATION [INVITATION...]",
        about="Take open links back",
        build=lambda v, w: teamrequests.TeamRevoke(numbers=w, team=v.get("team", "")),
        flags=(_TEAM,),
        least=1,
    ),
    Command(
        name="rm",
        usage="TEAM [TEAM...]",
        about="Remove teams that own nothing any more",
        build=lambda _v, w: teamrequests.TeamRemove(slugs=w),
        least=1,
    ),
    Command(
        name="role",
        usage="[OPTIONS] ROLE",
        about="Create a role of a team's own, or change what it may do",
        build=lambda v, w: teamrequests.TeamRole(name=w[0], team=v.get("team", ""), permissions=v.get("allow", ())),
        flags=(
            _TEAM,
            Flag(
                name="allow",
                read=str,
                kind="permission",
                repeats=True,
                help="What it may do, for example terminal.open",
            ),
        ),
        least=1,
        most=1,
    ),
    Command(
        name="roles",
        usage="[OPTIONS] [TEAM]",
        about="List the roles of a team and what each may do",
        build=lambda v, w: teamrequests.TeamRoles(team=w[0] if w else "", format=v.get("format", "")),
        flags=(FORMAT,),
        most=1,
    ),
    Command(
        name="second-factor",
        usage="[OPTIONS] required|optional",
        about="Ask for a second factor of everybody in a team, or of nobody",
        build=_build_factor,
        flags=(_TEAM,),
        least=1,
        most=1,
    ),
    Command(
        name="groups",
        usage="[OPTIONS]",
        about="List the directory's groups that give a role in a team",
        build=lambda v, _w: teamrequests.TeamGroups(team=v.get("team", ""), format=v.get("format", "")),
        flags=(_TEAM, FORMAT),
        most=0,
    ),
    Command(
        name="map-group",
        usage="[OPTIONS] GROUP ROLE",
        about="Give a role in a team to whoever is in a group of the directory, from their next sign-in on",
        build=lambda v, w: teamrequests.TeamMapGroup(group=w[0], role=w[1], team=v.get("team", "")),
        flags=(_TEAM,),
        least=2,
        most=2,
    ),
    Command(
        name="unmap-group",
        usage="[OPTIONS] GROUP",
        about="Have a group of the directory give nothing in a team any more",
        build=lambda v, w: teamrequests.TeamMapGroup(group=w[0], team=v.get("team", "")),
        flags=(_TEAM,),
        least=1,
        most=1,
    ),
    Command(
        name="move",
        usage="[OPTIONS] NAME [NAME...]",
        about="Give containers, or volumes that nothing uses, to another team",
        build=_build_move,
        flags=(
            string("to", text="The other team, one of your own"),
            Flag(name="type", read=_read_kind, kind="string", help="container (default) or volume"),
        ),
        least=1,
    ),
    Command(
        name="transfer",
        usage="[OPTIONS] FROM TO",
        about="Give what is somebody's in a team to somebody else in it",
        build=lambda v, w: teamrequests.TeamTransfer(giver=w[0], taker=w[1], team=v.get("team", "")),
        flags=(_TEAM,),
        least=2,
        most=2,
    ),
    Command(
        name="use",
        usage="TEAM",
        about="Work in a team from now on ('all', for site administrators: in all of them)",
        build=lambda _v, w: teamrequests.TeamUse(slug=ALL if w[0] == "all" else w[0]),
        least=1,
        most=1,
    ),
)
USER_COMMANDS: tuple[Command, ...] = (
    Command(
        name="activate",
        usage="USER [USER...]",
        about="Open closed accounts again",
        build=lambda _v, w: teamrequests.UserActive(names=w, is_active=True),
        least=1,
    ),
    Command(
        name="create",
        usage="USER [USER...]",
        about="Create accounts",
        build=lambda _v, w: teamrequests.UserCreate(names=w),
        least=1,
    ),
    Command(
        name="deactivate",
        usage="USER [USER...]",
        about="Close accounts, with everything that they have open",
        build=lambda _v, w: teamrequests.UserActive(names=w, is_active=False),
        least=1,
    ),
    Command(
        name="ls",
        usage="[OPTIONS]",
        about="List accounts",
        build=lambda v, _w: teamrequests.UserList(format=v.get("format", "")),
        flags=(FORMAT,),
        most=0,
    ),
    Command(
        name="remove-factors",
        usage="USER [USER...]",
        about="Take the second factors of people away who have lost them",
        build=lambda _v, w: teamrequests.UserRemoveFactors(names=w),
        least=1,
    ),
    Command(
        name="reset",
        usage="USER [USER...]",
        about="Print links with which people set a password, each once and within a day",
        build=lambda _v, w: teamrequests.UserReset(names=w),
        least=1,
    ),
)
TEAM_BY_VERB = {command.name: command for command in TEAM_COMMANDS}
USER_BY_VERB = {command.name: command for command in USER_COMMANDS}
