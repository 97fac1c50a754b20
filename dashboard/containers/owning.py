"""What somebody leaves behind in a team, given to somebody else in it."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from dashboard.audit import services as audit
from dashboard.containers.models import Container
from dashboard.core.errors import DashboardError
from dashboard.core.events import rights_changed
from dashboard.core.gate import Permission, Requester, require
from dashboard.networks.models import Network
from dashboard.quotas import services as quotas
from dashboard.quotas.kinds import KINDS as QUOTAS
from dashboard.teams.models import Team
from dashboard.volumes.models import Volume

KINDS = (("containers", Container.with_trash), ("volumes", Volume.objects), ("networks", Network.objects))


def transfer(user: Requester, team: Team, giver: User, taker: User) -> dict[str, int]:
    """All that is `giver`'s in a team is `taker`'s from now on, all or nothing; how many of each kind that was. Idempotent.

    Raises:
        DashboardError: `taker` is not in the team (400).
        QuotaRefused: it would be more than `taker` may have.
        Denied: `user` may not manage this team.
    """
    require(user, Permission.TEAM_MANAGE, team)
    if not team.memberships.filter(person=taker).exists():
        raise DashboardError(_("%(name)s is not in the team %(team)s.") % {"name": taker.username, "team": team.slug})
    with transaction.atomic():
        moved = {
            name: rows.filter(team=team, owner=giver).update(owner=taker) if giver.pk != taker.pk else 0
            for name, rows in KINDS
        }
        if any(moved.values()):
            quotas.hold(team.pk, taker.pk, dict.fromkeys(QUOTAS, 0))
            told = {"to": taker.username, **moved}
            audit.record("transfer-things", user, target=giver.username, team_id=team.pk, parameters=told)
    rights_changed([giver.pk, taker.pk])  # whose a terminal is may decide who sees it
    return moved
