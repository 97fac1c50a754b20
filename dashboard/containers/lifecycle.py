"""Starting, stopping, killing, restarting, removing: what is asked, checked and handed to the engine worker."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from signal import SIGKILL, SIGTERM

from django.db import transaction
from django.utils import timezone

from dashboard.containers import ports, restarts, states, trash, usage
from dashboard.containers.models import Container, ContainerState, Trashed
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, Requester, require
from dashboard.grammar.values import signal_number
from dashboard.jobs import services as jobs
from dashboard.jobs.models import Job
from dashboard.quotas.services import QuotaRefused

START, STOP, KILL, RESTART, REMOVE, MEASURE = (
    *("start_container", "stop_container", "kill_container"),
    *("restart_container", "remove_container", "measure_containers"),
)
STOP_TIMEOUT_MAX_S = 24 * 3600
POLL_S = 0.1
STREAM_ALIVE_S = 15
QUEUE = "engine"
OURS = 125


def key_of(kind: str, container: Container) -> str:
    """One job of a kind for each container at a time; signals are not joined."""
    return "" if kind == KILL else f"{kind}:{container.container_id}"


def _submit(kind: str, container: Container, user: Requester, **params: object) -> Job:
    key = key_of(kind, container)
    named = {"container_id": container.container_id, **params}
    return jobs.submit(kind, named, requester=user, key=key, queue=QUEUE, team_id=container.team_id)


def _refuse_state(container: Container) -> DashboardError:
    words = {
        ContainerState.TRASHED: f"No such container: {container.name}",
        ContainerState.REMOVING: f"removal of container {container.name} is already in progress",
        ContainerState.DEAD: f"container {container.name} is dead and can only be removed",
        ContainerState.STOPPING: f"container {container.name} is being stopped",
        ContainerState.STARTING: f"container {container.name} is being started",
        ContainerState.PAUSED: "cannot start a paused container, try unpause instead",
    }
    sentence = words.get(ContainerState(container.state), f"Container {container.container_id} is not running")
    return DashboardError(sentence, status=409)


def start(container: Container, user: Requester, rows: int = 24, columns: int = 80) -> Job | None:
    """Start it; None when it runs already, which is no error.

    Raises:
        DashboardError: it is being removed or is dead, or a port that it publishes is another's (409).
    """
    require(user, Permission.CONTAINER_OPERATE, container)
    with telling_refusal(container), transaction.atomic():  # the reconciler never sees a STARTING row without its job
        if begin(container):
            return _submit(START, container, user, rows=rows, columns=columns)
    if container.state == ContainerState.RUNNING:
        return None
    if container.state == ContainerState.STARTING:
        return _submit(START, container, user, rows=rows, columns=columns)
    raise _refuse_state(container)


BY_HAND = {"stopped_by_hand": False, "restart_count": 0, "restart_wait_ms": 0}


def start_again(container: Container) -> None:
    """By its restart policy, and if nobody was faster. The order stands, so Berth itself asks: no job of a person.

    Raises:
        PortRefused: another container has one of its ports; nothing is changed.
    """
    waits = Container.objects.filter(pk=container.pk, state=ContainerState.EXITED, stopped_by_hand=False)
    claimed = waits.filter(restart_at=container.restart_at).update(restart_at=None)
    if claimed and begin(container, by_hand=False):
        _submit(START, container, None)


def begin(container: Container, *, by_hand: bool = True) -> bool:
    """Make it STARTING with its ports; False when its state does not allow it.

    Raises:
        PortRefused: another container has one of its ports; nothing is changed.
        QuotaRefused: it would be more than somebody may have; nothing is changed.
    """
    among = [ContainerState.CREATED, ContainerState.EXITED]
    with transaction.atomic():
        told = BY_HAND if by_hand else {}
        if not states.change(container, among=among, to=ContainerState.STARTING, error="", restart_at=None, **told):
            return False
        ports.reserve(container)
        usage.hold_start(container)
    return True


@contextmanager
def telling_refusal(container: Container) -> Iterator[None]:
    """A start that is refused for a port or a quota leaves the reason in the row, as one does that the engine refuses."""
    try:
        yield
    except (ports.PortRefused, QuotaRefused) as error:
        states.refused_to_start(container, str(error), exit_code=OURS)
        remove_if_due(container)
        raise


def _signal(text: str) -> str:
    if text and signal_number(text) is None:
        msg = f"Invalid signal: {text}"
        raise DashboardError(msg, status=400)
    return text


def _seconds(container: Container, timeout_s: int | None) -> int:
    """-1 is "as long as it takes", as in Docker."""
    timeout_s = container.stop_timeout_s if timeout_s is None else timeout_s
    return STOP_TIMEOUT_MAX_S if timeout_s < 0 else min(timeout_s, STOP_TIMEOUT_MAX_S)


def stop(container: Container, user: Requester, timeout_s: int | None = None, signal: str = "") -> Job | None:
    """Ask it to end, and kill it after `timeout_s`; None when it does not run, which is no error."""
    require(user, Permission.CONTAINER_OPERATE, container)
    _signal(signal)
    _stop_by_hand(container)
    if container.state in states.DOWN:
        return None
    with transaction.atomic():
        if (
            not states.change(container, among=states.STEADY, to=ContainerState.STOPPING)
            and container.state not in states.UP
        ):
            raise _refuse_state(container)
        return _submit(STOP, container, user, timeout_s=_seconds(container, timeout_s), signal=signal)


def stop_by_berth(container: Container, why: str) -> bool:
    """No person asks for it: a quota or a life span has run out. It stays stopped until somebody starts it; its row says why."""
    restarts.stop_by_hand(container)
    with transaction.atomic():
        if states.change(container, among=states.STEADY, to=ContainerState.STOPPING):
            _submit(STOP, container, None, timeout_s=_seconds(container, None), signal="", why=why)
            return True
    return False


def _stop_by_hand(container: Container) -> bool:
    """Nothing starts it again but a person; says whether it waited for that."""
    waited = restarts.stop_by_hand(container)
    if waited:
        states.announce(container)
    return waited


def _ends(container: Container, signal: str) -> bool:
    """Whether a signal is meant to end a container: KILL, TERM, or what it is stopped with."""
    own = signal_number(str(container.options.get("stop_signal") or "TERM"))
    return signal_number(signal) in {int(SIGKILL), int(SIGTERM), own}


def kill(container: Container, user: Requester, signal: str = "KILL") -> Job | None:
    """Send a signal to its first process; None when that ended a wait for its next start. A paused one goes on with it,
    as in Docker.

    Raises:
        DashboardError: no such signal (400); it does not run (409).
    """
    require(user, Permission.CONTAINER_OPERATE, container)
    _signal(signal)
    container.refresh_from_db()
    lives = container.state in states.RUNS or container.restart_at is not None
    if lives and _ends(container, signal) and _stop_by_hand(container):
        return None  # it waited to be started again, and does not any more
    if container.is_restarting:
        _stop_by_hand(container)
        return _submit(STOP, container, user, timeout_s=0, signal=signal)
    if container.state not in states.RUNS:
        msg = f"cannot kill container: {container.name}: Container {container.container_id} is not running"
        raise DashboardError(msg, status=409)
    return _submit(KILL, container, user, signal=signal)


def restart(container: Container, user: Requester, timeout_s: int | None = None, signal: str = "") -> Job:
    """Stop it if it runs, and start it."""
    require(user, Permission.CONTAINER_OPERATE, container)
    _signal(signal)
    container.refresh_from_db()
    if container.state in {ContainerState.REMOVING, ContainerState.DEAD, ContainerState.TRASHED}:
        raise _refuse_state(container)
    _stop_by_hand(container)
    return _submit(RESTART, container, user, timeout_s=_seconds(container, timeout_s), signal=signal)


def remove(
    container: Container, user: Requester, force: bool = False, volumes: bool = False, *, now: bool = False
) -> Job | None:
    """Remove it with its writable layer and its log; with `force` also while it runs; with `volumes` also its anonymous
    volumes. Into the trash, from which it can come back, unless `now` or where the team keeps none; None: it is there.

    Raises:
        DashboardError: it runs and `force` is not set, or its removal is under way (409).
    """
    require(user, Permission.CONTAINER_REMOVE, container)
    waits = Container.objects.filter(pk=container.pk, state=ContainerState.EXITED).exclude(restart_at=None)
    if not force and waits.exists():
        msg = (
            f'cannot remove container "/{container.name}": container is restarting: '
            "stop the container before removing or force remove"
        )
        raise DashboardError(msg, status=409)
    with transaction.atomic():
        Container.objects.select_for_update().filter(pk=container.pk).first()  # one state until the end of this
        kept_s = 0 if now else trash.seconds_for(container)
        if kept_s and states.change(container, among=trash.KEPT, to=ContainerState.TRASHED, restart_at=None):
            trash.enter(container, user, seconds=kept_s, volumes=volumes)
            return None
        among = [*states.DOWN, *(states.UP if force else ())]
        is_up = container.state in states.UP
        if states.change(container, among=among, to=ContainerState.REMOVING, restart_at=None):
            if kept_s and is_up:
                trash.enter(container, user, seconds=kept_s, volumes=volumes)
            return _submit(REMOVE, container, user, volumes=volumes)
    if container.state == ContainerState.PAUSED:
        msg = f'cannot remove container "/{container.name}": container is paused and must be unpaused first'
        raise DashboardError(msg, status=409)
    if container.state in states.UP:
        msg = (
            f'cannot remove container "/{container.name}": container is running: '
            "stop the container before removing or force remove"
        )
        raise DashboardError(msg, status=409)
    raise _refuse_state(container)


def measure(containers: Sequence[Container], user: Requester) -> Job:
    """Have the engine count what they wrote: `sizes` of the job's result, by id. The files are root's alone to see."""
    for container in containers:
        require(user, Permission.CONTAINER_VIEW, container)
    ids = [container.container_id for container in containers]
    team_id = containers[0].team_id if containers else None
    return jobs.submit(MEASURE, {"container_ids": ids}, requester=user, queue=QUEUE, team_id=team_id)


def is_watched(container: Container) -> bool:
    """Whether a foreground stream still has output to read, or was announced and is about to come.

    A stream whose heartbeat is old is gone: its web process was killed.
    """
    fresh = timezone.now() - timedelta(seconds=STREAM_ALIVE_S)
    reading = container.streams.filter(mode="attach", drained=False, ended_at=None)
    return reading.filter(heartbeat_at__gte=fresh).exists()


def remove_if_due(container: Container) -> Job | None:
    """The second half of `--rm`. Safe to call often and from several processes at once."""
    fresh = Container.objects.filter(pk=container.pk, auto_remove=True).first()
    if fresh is None or is_watched(fresh):
        return None
    never_ran = fresh.state == ContainerState.CREATED and fresh.error != ""
    if fresh.state not in {ContainerState.EXITED, ContainerState.DEAD} and not never_ran:
        return None
    with transaction.atomic():
        if not states.change(fresh, among=[fresh.state], to=ContainerState.REMOVING):
            return None
        return _submit(REMOVE, fresh, fresh.owner, volumes=True)


def resubmit_removal(container: Container) -> Job:
    """Its job was lost; the key keeps two from running."""
    kept = Trashed.objects.filter(container=container).select_related("remover").first()
    asker = container.owner if kept is None else kept.remover
    return _submit(REMOVE, container, asker, volumes=container.auto_remove)


def wait_exit(container: Container, timeout_s: float | None = None) -> Container | None:
    """Block until it does not run. For workers and tests; consumers wait for its topic instead.

    Returns:
        The row as it is then; None when it was removed, or on time-out.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        row = Container.objects.filter(pk=container.pk).first()
        if row is None or row.state in states.DOWN:
            return row
        if deadline is not None and time.monotonic() > deadline:
            return None
        time.sleep(POLL_S)
