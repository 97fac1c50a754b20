"""How a container is: what its probes have said, in a row beside its own.

    (it starts) ─▶ starting ─▶ healthy ◀─▶ unhealthy        a probe that ends with 0; `retries` in a row that do not
                      └── failures within the start period do not count

As in Docker, one that does not run is called unhealthy where anybody asks at all (`inspect`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from dashboard.containers import happenings
from dashboard.containers.healthcheck import HealthCheck, check_of
from dashboard.containers.models import Container, Health, HealthStatus
from dashboard.grammar import ContainerOptions
from dashboard.grammar.units import rfc3339

KEPT = 5


def check(container: Container) -> HealthCheck | None:
    return check_of(container.image.config, ContainerOptions.from_json(container.options))


def of(container: Container) -> Health | None:
    """None for one that is asked nothing, or was never started."""
    return getattr(container, "health", None)


def begin(container: Container) -> None:
    """It runs now: the first probe comes after one interval."""
    found = check(container)
    if found is None:
        Health.objects.filter(container_id=container.pk).delete()
        return
    due = timezone.now() + timedelta(milliseconds=found.interval_ms)
    fresh = {"status": HealthStatus.STARTING, "failing_streak": 0, "next_at": due, "exec_id": "", "probe_at": None}
    Health.objects.update_or_create(container_id=container.pk, defaults=fresh)


def end(container: Container) -> None:
    """It does not run any more; what a probe that was on its way says is not heard."""
    over = {"status": HealthStatus.UNHEALTHY, "next_at": None, "exec_id": ""}
    Health.objects.filter(container_id=container.pk).update(**over)


def note(row: Health, found: HealthCheck, *, exit_code: int, output: str) -> bool:
    """Write down what a probe said, if it is still the one that is waited for; whether the status is another now."""
    now = timezone.now()
    entry = {"Start": rfc3339(row.probe_at), "End": rfc3339(now), "ExitCode": exit_code, "Output": output}
    status, streak = _judged(row, found, exit_code)
    with transaction.atomic():
        changed = Health.objects.filter(pk=row.pk, exec_id=row.exec_id).update(
            status=status,
            failing_streak=streak,
            log=[*row.log, entry][-KEPT:],
            next_at=now + timedelta(milliseconds=found.interval_ms),
            exec_id="",
            probe_at=None,
        )
        is_news = bool(changed) and status != row.status
        if is_news:
            happenings.tell(row.container, f"health_status: {status}")
    return is_news


def _judged(row: Health, found: HealthCheck, exit_code: int) -> tuple[str, int]:
    if exit_code == 0:
        return HealthStatus.HEALTHY, 0
    if row.status == HealthStatus.STARTING and _is_starting(row, found):
        return row.status, row.failing_streak
    streak = row.failing_streak + 1
    return (HealthStatus.UNHEALTHY if streak >= found.retries else row.status), streak


def _is_starting(row: Health, found: HealthCheck) -> bool:
    began = row.container.started_at
    if began is None or row.probe_at is None:
        return False
    return row.probe_at < began + timedelta(milliseconds=found.start_period_ms)


def entries(container: Container) -> list[dict[str, Any]]:
    """What the last probes said, for a page: `ended_at`, `exit_code`, `output` each."""
    row = of(container)
    found = row.log if row is not None else []
    return [
        {"ended_at": datetime.fromisoformat(one["End"]), "exit_code": one["ExitCode"], "output": one["Output"]}
        for one in found
    ]


def shape(container: Container) -> dict[str, Any]:
    """`State.Health` of `inspect`, if there is one."""
    row = of(container)
    if row is None:
        return {}
    return {"Health": {"Status": row.status, "FailingStreak": row.failing_streak, "Log": row.log}}
