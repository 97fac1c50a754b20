"""Life spans: a container is stopped some time after its start, or when nobody has used it for a while (ADR 31).

    it runs ─▶ warned (`warned_of`, `ends_at`) ─▶ stopped by Berth (`is_over`), with the reason in its row
                 └─ extend, or a sign of use: no longer warned

What holds is the shorter of what the container itself says and what its team says. Nothing is stopped unwarned, also after
Berth was down for long. Starts by a restart policy go on with the span of the start by hand.
"""

from __future__ import annotations

from typing import Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard.audit import services as audit
from dashboard.containers import happenings, lifecycle, liferules, states
from dashboard.containers.lifelimits import Cause, End, limits_of
from dashboard.containers.models import Container, LifeRules, LifeSpan
from dashboard.core.errors import DashboardError
from dashboard.core.events import tell
from dashboard.core.gate import Permission, Requester, require
from dashboard.grammar.spans import write_span
from dashboard.grammar.units import rfc3339

EXPIRED: Final = "It was stopped: its life span has ended."
UNUSED: Final = "It was stopped: nobody has used it for a while."
WHY: Final = {Cause.EXPIRY: EXPIRED, Cause.IDLE: UNUSED}
EVENTS: Final = {Cause.EXPIRY: "expire", Cause.IDLE: "idle_stop"}


def life_of(container: Container) -> LifeSpan:
    """Of what runs; one that was started before there were life spans begins its own now."""
    found: LifeSpan | None = LifeSpan.objects.filter(container=container).first()
    if found is not None:
        return found
    began = timezone.now()
    return LifeSpan.objects.get_or_create(container=container, defaults={"began_at": began, "used_at": began})[0]


def warn(container: Container, life: LifeSpan, end: End) -> None:
    """Say so once, and until when: on its page, in its terminals, in lists, and to its owner wherever they are."""
    now = timezone.now()
    ends_at = max(end.at, now + end.grace)
    with transaction.atomic():
        told = LifeSpan.objects.filter(pk=life.pk).exclude(warned_of=end.cause)
        if not told.update(warned_at=now, warned_of=end.cause, ends_at=ends_at):
            return
        happenings.tell(container, "life_warning", cause=str(end.cause), until=rfc3339(ends_at))
    states.announce(container)
    if container.owner_id is not None:
        said = {"id": container.container_id, "name": container.name, "cause": str(end.cause)}
        tell(container.owner_id, {"t": "life", "ends_at": ends_at.isoformat(), **said})


def calm(container: Container, life: LifeSpan) -> None:
    """It is not near its end any more."""
    if LifeSpan.objects.filter(pk=life.pk).exclude(warned_of="").update(warned_at=None, warned_of="", ends_at=None):
        states.announce(container)


def finish(container: Container, life: LifeSpan, cause: Cause) -> None:
    """Stop it as by hand. Idempotent: what is stopping or was warned of something else meanwhile is left alone."""
    with transaction.atomic():
        Container.objects.select_for_update().filter(pk=container.pk).first()
        due = LifeSpan.objects.filter(pk=life.pk, warned_of=cause, ends_at=life.ends_at)
        if not due.exists() or not lifecycle.stop_by_berth(container, WHY[cause]):
            return
        due.update(is_over=True, warned_at=None, warned_of="", ends_at=None)
        happenings.tell(container, EVENTS[cause])
        target = f"{container.name} ({container.short_id})"
        told = {"cause": str(cause)}
        audit.record("end-life-span", None, target=target, team_id=container.team_id, parameters=told)


def extend(container: Container, user: Requester, seconds: int | None = None) -> LifeSpan:
    """Put its end off: by `seconds`, or as far as the team allows at once. It also counts as a use; where it was only
    warned of being unused, and no length is said, that is all.

    Raises:
        DashboardError: it does not run, nothing ends it, or it has been extended often enough (409); too long (400).
        Denied: `user` may not.
    """
    require(user, Permission.CONTAINER_OPERATE, container)
    with transaction.atomic():
        row = Container.objects.select_for_update().filter(pk=container.pk).first()
        if row is None or row.state not in states.STEADY:
            msg = f"Container {container.container_id} is not running"
            raise DashboardError(msg, status=409)
        life, rules = life_of(row), liferules.rules_of(row.team_id)
        expiry_s, idle_s = limits_of(row.options, rules)
        if expiry_s is None and idle_s is None:
            msg = _("Nothing stops %(name)s by itself, so there is nothing to extend.")
            raise DashboardError(msg % {"name": row.name}, status=409)
        more_s = 0
        if expiry_s is not None and (seconds is not None or life.warned_of != Cause.IDLE):
            more_s = _checked(row, life, rules, seconds)
        LifeSpan.objects.filter(pk=life.pk).update(
            prolonged_s=F("prolonged_s") + more_s,
            extensions=F("extensions") + bool(more_s),
            used_at=timezone.now(),
            warned_at=None,
            warned_of="",
            ends_at=None,
        )
        happenings.tell(row, "extend", seconds=more_s)
        target = f"{row.name} ({row.short_id})"
        audit.record("extend-container", user, target=target, team_id=row.team_id, parameters={"seconds": more_s})
    states.announce(row)
    life.refresh_from_db()
    return life


def _checked(row: Container, life: LifeSpan, rules: LifeRules, seconds: int | None) -> int:
    if life.extensions >= rules.extensions:
        msg = _(
            "%(name)s has been extended %(n)d times, which is all that the team allows. Start it again after its end."
        )
        raise DashboardError(msg % {"name": row.name, "n": life.extensions}, status=409)
    more_s = rules.extension_s if seconds is None else seconds
    if not 1 <= more_s <= rules.extension_s:
        msg = _("One extension is at most %(most)s here.") % {"most": write_span(rules.extension_s)}
        raise DashboardError(msg)
    return more_s


def keep(container: Container, user: Requester, *, keeps: bool) -> None:
    """Except it from being stopped when nobody uses it, or not any more. Idempotent.

    Raises:
        DashboardError: it is gone (404).
        Denied: `user` may not.
    """
    require(user, Permission.CONTAINER_KEEP, container)
    with transaction.atomic():
        row = Container.objects.select_for_update().filter(pk=container.pk).first()
        if row is None:
            msg = f"No such container: {container.name}"
            raise DashboardError(msg, status=404)
        if bool(row.options.get("keep")) == keeps:
            return
        row.options = row.options | {"keep": keeps}
        row.updated_at = timezone.now()
        row.save(update_fields=["options", "updated_at"])
        LifeSpan.objects.filter(container=row).update(used_at=timezone.now())
        target = f"{row.name} ({row.short_id})"
        audit.record("keep-container", user, target=target, team_id=row.team_id, parameters={"keep": keeps})
    states.announce(row)
