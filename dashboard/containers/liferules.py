"""A team's rules about how long its containers live and stay in its trash: read, shown and changed (ADR 29)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from dashboard.audit import services as audit
from dashboard.containers.models import LifeRules
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, Requester, require
from dashboard.teams.models import Team

DAY_S: Final = 24 * 3600
# rule → (least, most) seconds; of `extensions` a number
BOUNDS: Final = {
    "expiry_s": (1, 365 * DAY_S),
    "idle_s": (1, 30 * DAY_S),
    "warning_s": (0, DAY_S),
    "extension_s": (0, 30 * DAY_S),
    "extensions": (0, 100),
    "trash_s": (0, 365 * DAY_S),
}
CAN_BE_NONE: Final = frozenset({"expiry_s", "idle_s", "trash_s"})


def rules_of(team_id: int | None) -> LifeRules:
    """As they are now; the defaults where nobody said anything."""
    if team_id is None:
        return LifeRules()
    return LifeRules.objects.filter(team_id=team_id).first() or LifeRules(team_id=team_id)


def trash_s(rules: LifeRules) -> int:
    """How long something stays in the trash; 0: what is removed goes at once."""
    server: int = settings.BERTH_TRASH_HOURS * 3600
    return server if rules.trash_s is None else rules.trash_s


def kept_by_team() -> dict[int, int]:
    """Team → how long its trash keeps, in seconds; 0: not at all."""
    said = Team.objects.values_list("pk", "life_rules__trash_s")
    return {pk: trash_s(LifeRules(trash_s=seconds)) for pk, seconds in said}


def shown(user: Requester, team: Team) -> LifeRules:
    """Everybody in the team may see how long its containers live."""
    require(user, Permission.TEAM_VIEW, team)
    return rules_of(team.pk)


def change(user: Requester, team: Team, changes: Mapping[str, int | None]) -> LifeRules:
    """Set rules; those that are not named stay. They hold at once, for what runs and, but for `trash_s`, not for what is
    in the trash already. Idempotent.

    Raises:
        DashboardError: a number that cannot be (400).
        Denied: `user` may not manage this team.
    """
    require(user, Permission.TEAM_MANAGE, team)
    if unknown := set(changes) - set(BOUNDS):
        msg = f"There is no such rule: {', '.join(sorted(unknown))}."
        raise DashboardError(msg)
    for name, value in changes.items():
        _refuse_number(name, value)
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=team.pk)  # one row each
        row = rules_of(team.pk)
        told = {name: value for name, value in changes.items() if getattr(row, name) != value}
        for name, value in told.items():
            setattr(row, name, value)
        if told:
            row.save()
            audit.record("set-life-rules", user, target=team.slug, team_id=team.pk, parameters=told)
    return row


def _refuse_number(name: str, value: int | None) -> None:
    if value is None and name in CAN_BE_NONE:
        return
    least, most = BOUNDS[name]
    if value is None or not least <= value <= most:
        raise DashboardError(_("That is too short or too long, or missing: %(name)s.") % {"name": words_of(name)})


def words_of(name: str) -> str:
    words = {
        "expiry_s": _("Stopped after"),
        "idle_s": _("Stopped when unused for"),
        "warning_s": _("Warned before"),
        "extension_s": _("Longest extension"),
        "extensions": _("Extensions of one run"),
        "trash_s": _("Kept in the trash for"),
    }
    return words[name]
