"""What the engine worker's clock does about life spans: see who is used, warn, and stop (ADR 31)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from django.utils import timezone

from dashboard import gateway
from dashboard.containers import figures, lifelimits, lifespans, states
from dashboard.containers.execs import UP
from dashboard.containers.lifecycle import STREAM_ALIVE_S
from dashboard.containers.models import Container, ContainerState, LifeRules, LifeSpan
from dashboard.core import clock

log = logging.getLogger(__name__)
LOOK_S: Final = 5.0
BUSY_PERCENT: Final = 2.0  # of one processor; what only waits takes less
_busy: set[str] = set()  # at the last look: one that is so twice in a row is used, a health check is not


@clock.every(LOOK_S, name="life spans")
def look() -> None:
    """One round over all that runs and has an end. An error with one does not keep the others from it."""
    rules = {row.team_id: row for row in LifeRules.objects.all()}
    taken = figures.newest()
    rows = Container.objects.filter(state__in=states.STEADY).select_related("life")
    for container in rows:
        try:
            _look_at(container, rules.get(container.team_id or 0) or LifeRules(), taken)
        except Exception:  # a loop's edge: one row's trouble is not the others'
            log.exception("the life span of container %s could not be looked at", container.short_id)
    _busy.intersection_update(row.container_id for row in rows)


def _look_at(container: Container, rules: LifeRules, taken: dict[str, gateway.Figures]) -> None:
    expiry_s, idle_s = lifelimits.limits_of(container.options, rules)
    if expiry_s is None and idle_s is None:
        if (known := getattr(container, "life", None)) is not None and known.warned_of:
            lifespans.calm(container, known)
        return
    life = lifespans.life_of(container)
    if idle_s is not None:
        _note_use(container, life, taken.get(container.container_id))
    end, now = lifelimits.end_of(container, life, rules), timezone.now()
    if end is None or now < end.warned_from:
        lifespans.calm(container, life)
    elif life.warned_of != end.cause:
        lifespans.warn(container, life, end)
    elif life.ends_at is not None and now >= life.ends_at:
        lifespans.finish(container, life, end.cause)


def _note_use(container: Container, life: LifeSpan, figure: gateway.Figures | None) -> None:
    """A use is: output, also of what was typed; a processor at work; a viewer who is attached; a command that begins."""
    now = timezone.now()
    used_at = now if _is_used_now(container, figure) else _newest_output(container, since=life.used_at, now=now)
    begun = container.execs.filter(created_at__gt=life.used_at).values_list("created_at", flat=True).last()
    used_at = max(filter(None, (used_at, begun)), default=None)
    if used_at is not None and used_at > life.used_at:
        LifeSpan.objects.filter(pk=life.pk, used_at__lt=used_at).update(used_at=used_at)
        life.used_at = used_at


def _is_used_now(container: Container, figure: gateway.Figures | None) -> bool:
    if container.state == ContainerState.PAUSED:
        return True
    is_busy = figure is not None and figure.cpu_percent >= BUSY_PERCENT
    was_busy = container.container_id in _busy
    (_busy.add if is_busy else _busy.discard)(container.container_id)
    if is_busy and was_busy:
        return True
    fresh = timezone.now() - timedelta(seconds=STREAM_ALIVE_S)
    viewers = container.streams.filter(mode="attach", is_announced=False, ended_at=None, heartbeat_at__gte=fresh)
    return bool(viewers.exists())


def _newest_output(container: Container, *, since: datetime, now: datetime) -> datetime | None:
    """When its log, or that of a command in it, last grew. A time that is still to come is of another clock."""
    config = gateway.engine_config()
    folders: list[Path] = [config.io(container.container_id)]
    running = container.execs.filter(state__in=UP).values_list("exec_id", flat=True)
    folders += [config.exec_folder(container.container_id, exec_id) / "io" for exec_id in running]
    found = [written for folder in folders if (written := _written(folder / "ctr.log")) is not None]
    return max((one for one in found if since < one <= now), default=None)


def _written(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


@clock.on_jump
def move_along(by: timedelta) -> None:
    clock.move_along(LifeSpan.objects.all(), "began_at", "used_at", "warned_at", "ends_at", by=by)
