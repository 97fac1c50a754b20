"""Asking containers how they are: probes are commands in them, without a row, and listed to nobody.

Theory. The clock looks once a second: which probes are due, which have taken too long. Starting one and reading what it
said is done by a few threads of our own; waiting for its end is the engine's watcher's, so a probe that hangs holds up no
other. A container has at most one probe at a time, and the next interval begins when it has ended: nothing piles up. Its
log is rotated like any other, and 4 KiB of what it said are kept.

A worker that comes back finds probes in rows that it does not know (`exec_id`): it ends them and asks anew. So it does
with those that it could not deal with.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache

from django.db import close_old_connections
from django.utils import timezone

from dashboard import gateway
from dashboard.containers import health, states
from dashboard.containers.creation import new_id
from dashboard.containers.healthcheck import HealthCheck
from dashboard.containers.models import ContainerState, Health
from dashboard.core import clock

log = logging.getLogger(__name__)
TICK = "health"
BATCH = 50
THREADS = 4
OUTPUT_BYTES = 4096
NOT_RUN = -1


@dataclass(frozen=True, slots=True)
class Probe:
    """One that is on its way. `deadline` on the monotonic clock, None unless it runs."""

    container_id: str
    deadline: float | None = None
    has_timed_out: bool = False


_probes: dict[str, Probe] = {}  # by exec id, of this process


@lru_cache(maxsize=2)
def _pool(name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, name)


def submit(work: Callable[[], None]) -> None:
    """Do it soon, in a thread whose database connection is looked at first."""
    _pool("health").submit(_safely, work)


def submit_end(work: Callable[[], None]) -> None:
    """As `submit`, of what may wait for seconds: programs that do not heed TERM hold up no other's probe."""
    _pool("health-end").submit(_safely, work)


def _safely(work: Callable[[], None]) -> None:
    close_old_connections()
    try:
        work()
    except Exception:  # a thread's edge: the next look asks again
        log.exception("a probe could not be dealt with")
    finally:
        close_old_connections()


@clock.on_jump
def move_along(by: timedelta) -> None:
    clock.move_along(Health.objects.all(), "next_at", by=by)


@clock.every(1.0, name=TICK)
def look() -> None:
    _end_overdue()
    _forget_unknown()
    due = Health.objects.filter(container__state=ContainerState.RUNNING, exec_id="", next_at__lte=timezone.now())
    for row in due.order_by("next_at")[:BATCH]:
        exec_id = new_id()
        claimed = Health.objects.filter(pk=row.pk, exec_id="", next_at=row.next_at)
        if claimed.update(exec_id=exec_id, probe_at=timezone.now(), next_at=None):
            _probes[exec_id] = Probe(row.container.container_id)
            submit(lambda exec_id=exec_id: _or_given_up(exec_id, lambda: _start(exec_id)))  # type: ignore[misc]  # bound at once


def _or_given_up(exec_id: str, work: Callable[[], None]) -> None:
    """What fails with a mistake of ours, or of the database, leaves no probe that is waited for until the worker ends:
    the next look finds one that it does not know.
    """
    try:
        work()
    except BaseException:
        _probes.pop(exec_id, None)
        raise


def _row(exec_id: str) -> Health | None:
    return Health.objects.select_related("container__image").filter(exec_id=exec_id).first()


def _start(exec_id: str) -> None:
    row = _row(exec_id)
    found = health.check(row.container) if row is not None else None
    if row is None or found is None:
        _probes.pop(exec_id, None)
        return
    container_id, execs = row.container.container_id, gateway.engine().execs
    try:
        execs.start(container_id, gateway.ExecRequest(exec_id=exec_id, command=found.command))
    except gateway.EngineError as error:
        _finish(exec_id, NOT_RUN, str(error))
        return
    deadline = time.monotonic() + found.timeout_ms / 1000
    _probes[exec_id] = Probe(container_id, deadline)
    clock.hasten(TICK, found.timeout_ms / 1000)
    execs.watch(container_id, exec_id, lambda ended: _hear(exec_id, ended.code))


def _hear(exec_id: str, code: int | None) -> None:
    """It took no longer than this, however long it takes until a thread reads what it said."""
    probe = _probes.get(exec_id)
    if probe is not None and not probe.has_timed_out:
        _probes[exec_id] = replace(probe, deadline=None)
    submit(lambda: _or_given_up(exec_id, lambda: _ended(exec_id, code)))


def _ended(exec_id: str, code: int | None) -> None:
    probe = _probes.get(exec_id)
    if probe is None:
        return
    said = gateway.engine().execs.read_output(probe.container_id, exec_id, limit_bytes=OUTPUT_BYTES)
    _finish(exec_id, NOT_RUN if code is None else code, said.decode("utf-8", "replace").replace("\0", "\ufffd"))


def _finish(exec_id: str, code: int, output: str) -> None:
    probe = _probes.get(exec_id)
    row = _row(exec_id)
    found = health.check(row.container) if row is not None else None
    if row is not None and found is not None:
        if probe is not None and probe.has_timed_out:
            code, output = NOT_RUN, f"Health check exceeded timeout ({_seconds(found)}): {output}"
        if health.note(row, found, exit_code=code, output=output[:OUTPUT_BYTES]):
            states.announce(row.container)
    _probes.pop(exec_id, None)  # the row comes first: an id in a row that is not here is of a dead worker
    if probe is not None:
        gateway.engine().execs.remove(probe.container_id, exec_id)


def _seconds(found: HealthCheck) -> str:
    return f"{found.timeout_ms / 1000:g}s"


def _end_overdue() -> None:
    now = time.monotonic()
    for exec_id, probe in list(_probes.items()):
        if probe.deadline is None:
            continue
        if now >= probe.deadline and not probe.has_timed_out:
            _probes[exec_id] = replace(probe, has_timed_out=True)
            submit_end(lambda c=probe.container_id, e=exec_id: gateway.engine().execs.end(c, e))  # type: ignore[misc]  # as above
        else:
            _rotate(probe.container_id, exec_id)


def _rotate(container_id: str, exec_id: str) -> None:
    try:
        gateway.engine().execs.rotate_logs(container_id, exec_id)
    except (gateway.EngineError, OSError) as error:
        log.debug("the log of a probe in %s was not looked at: %s", container_id[:12], error)


def _forget_unknown() -> None:
    """Probes of a worker that died: ended, taken away, and asked anew."""
    for row in (
        Health.objects.exclude(exec_id="").exclude(exec_id__in=list(_probes)).select_related("container")[:BATCH]
    ):
        exec_id, container_id = row.exec_id, row.container.container_id
        Health.objects.filter(pk=row.pk, exec_id=exec_id).update(exec_id="", next_at=timezone.now())
        submit_end(lambda c=container_id, e=exec_id: _take_away(c, e))  # type: ignore[misc]  # as above


def _take_away(container_id: str, exec_id: str) -> None:
    gateway.engine().execs.end(container_id, exec_id)
    gateway.engine().execs.remove(container_id, exec_id)
