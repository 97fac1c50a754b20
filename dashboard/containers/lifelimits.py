"""What life span holds for a container, and when it ends; asking only (ADR 31). What is done about it: `lifespans`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard.containers import liferules, states
from dashboard.containers.models import Container, ContainerState, LifeRules, LifeSpan
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, Requester, require
from dashboard.grammar.spans import write_span
from dashboard.grammar.units import rfc3339


class Cause(StrEnum):
    EXPIRY = "expiry"
    IDLE = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What ends it next. `warned_from`: since when somebody should know."""

    at: datetime
    cause: Cause
    grace: timedelta

    @property
    def warned_from(self) -> datetime:
        return self.at - self.grace


def limits_of(options: dict[str, Any], rules: LifeRules) -> tuple[int | None, int | None]:
    """(seconds from its start, seconds unused) that hold for a container of these options. Any: JSON."""
    idle_s = None if options.get("keep") else _shorter(options.get("idle_stop_s"), rules.idle_s)
    return _shorter(options.get("expire_s"), rules.expiry_s), idle_s


def _shorter(*said: int | None) -> int | None:
    return min((one for one in said if one), default=None)


def refuse_longer(user: Requester, options: dict[str, Any], team_id: int | None) -> None:
    """Before it is made: shorter than the team's is anybody's to say, longer nobody's. Any: JSON.

    Raises:
        DashboardError: 400.
        Denied: it is to be excepted, which `user` may not do.
    """
    if options.get("keep"):
        require(user, Permission.CONTAINER_KEEP)
    rules = liferules.rules_of(team_id)
    for said, most in ((options.get("expire_s"), rules.expiry_s), (options.get("idle_stop_s"), rules.idle_s)):
        if said is not None and (said < 1 or (most is not None and said > most)):
            msg = _("A life span of %(span)s cannot be: this team allows %(most)s at most.")
            raise DashboardError(msg % {"span": write_span(said), "most": "–" if most is None else write_span(most)})


def end_of(container: Container, life: LifeSpan, rules: LifeRules) -> End | None:
    """What ends it next, if anything does. One that is paused is not unused: somebody has put it there."""
    expiry_s, idle_s = limits_of(container.options, rules)
    ends = []
    if expiry_s is not None:
        at = life.began_at + timedelta(seconds=expiry_s + life.prolonged_s)
        ends.append(End(at=at, cause=Cause.EXPIRY, grace=_grace(rules, expiry_s)))
    if idle_s is not None and container.state == ContainerState.RUNNING:
        at = life.used_at + timedelta(seconds=idle_s)
        ends.append(End(at=at, cause=Cause.IDLE, grace=_grace(rules, idle_s)))
    return min(ends, key=lambda one: one.at, default=None)


def _grace(rules: LifeRules, span_s: int) -> timedelta:
    """Who has ten minutes is not warned a quarter of an hour before."""
    return timedelta(seconds=min(rules.warning_s, span_s / 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """For a container's page and `inspect`: all that there is to know of its life span."""

    end: End | None
    life: LifeSpan
    expiry_s: int | None
    idle_s: int | None
    keeps: bool
    extensions_left: int
    extension_s: int

    @property
    def is_warned(self) -> bool:
        return bool(self.life.warned_of)

    @property
    def ends_at(self) -> datetime | None:
        return self.life.ends_at or (None if self.end is None else self.end.at)


def shown(container: Container) -> Shown | None:
    """None where nothing ends it by itself, or it does not run."""
    rules = liferules.rules_of(container.team_id)
    expiry_s, idle_s = limits_of(container.options or {}, rules)
    keeps = bool((container.options or {}).get("keep"))
    if container.state not in states.STEADY or (expiry_s is None and idle_s is None and not keeps):
        return None
    now = timezone.now()
    began = container.started_at or now
    life = getattr(container, "life", None) or LifeSpan(container=container, began_at=began, used_at=now)
    return Shown(
        end=end_of(container, life, rules),
        life=life,
        expiry_s=expiry_s,
        idle_s=idle_s,
        keeps=keeps,
        extensions_left=max(0, rules.extensions - life.extensions) if expiry_s is not None else 0,
        extension_s=rules.extension_s,
    )


def shape(container: Container) -> dict[str, Any]:
    """`LifeSpan` of `inspect`, if there is one. Berth's own. Any: JSON."""
    found = shown(container)
    if found is None:
        return {}
    told = {
        "EndsAt": rfc3339(found.ends_at) if found.ends_at else None,
        "Warned": found.is_warned,
        "ExpireSeconds": found.expiry_s,
        "IdleStopSeconds": found.idle_s,
        "LastUsed": rfc3339(found.life.used_at),
        "Extensions": found.life.extensions,
        "ExtensionsLeft": found.extensions_left,
        "Keep": found.keeps,
    }
    return {"LifeSpan": told}
