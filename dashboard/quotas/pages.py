"""What the page and `berth quota show` tell of a team's quotas."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.core.gate import Permission, Requester, allows, require
from dashboard.quotas.models import Quota
from dashboard.quotas.services import Bar, bars, name_of, quota_of
from dashboard.teams.models import Team


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The quota of a team, or of a member in it, with what is used. `username` "" is the team."""

    name: str
    username: str
    quota: Quota | None
    bars: list[Bar]

    @property
    def is_whole_team(self) -> bool:
        return not self.username

    @property
    def port_range(self) -> str:
        found = None if self.quota is None else self.quota.port_range
        return "" if found is None else f"{found[0]}-{found[1]}"


def seen(user: Requester, team: Team) -> list[Told]:
    """The team's, and each member's; who does not manage it sees their own only.

    Raises:
        Denied: `user` may not see who is in it.
    """
    require(user, Permission.TEAM_VIEW, team)
    found = [
        Told(name=team.slug, username="", quota=quota_of(team, None), bars=bars(quota_of(team, None), team.pk, None))
    ]
    members = team.memberships.select_related("person").order_by("person__username")
    if not allows(user, Permission.TEAM_MANAGE, team):
        members = members.filter(person_id=getattr(user, "pk", None))
    for member in members:
        own = quota_of(team, member.person)
        found.append(
            Told(
                name=name_of(team, member.person),
                username=member.person.username,
                quota=own,
                bars=bars(own, team.pk, member.person_id),
            )
        )
    return found
