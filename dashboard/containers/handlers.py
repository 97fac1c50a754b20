"""What the engine worker does with containers. Each handler is idempotent: it may run again after a crash anywhere."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import close_old_connections, transaction
from django.utils import timezone

from dashboard import gateway
from dashboard.containers import (
    enginerequest,
    happenings,
    lifecycle,
    mounting,
    networking,
    ports,
    runrules,
    states,
    trash,
)
from dashboard.containers.ids import give_ids
from dashboard.containers.limits import asked
from dashboard.containers.models import STOP_TIMEOUT_S, Container, ContainerState, IdMode, Trashed
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission
from dashboard.grammar import ContainerOptions
from dashboard.grammar.values import signal_number
from dashboard.jobs.registry import JobContext, handler
from dashboard.runpolicy.services import rules_of
from dashboard.volumes.handlers import remove_now

log = logging.getLogger(__name__)
START_S = 30.0
LONG_WAITS = 8  # of the engine worker's 32 threads (script/supervise.py)
MOST_TRIES = 20  # ports of the host that are tried for one start
_long_waits = threading.BoundedSemaphore(LONG_WAITS)


def _container(context: JobContext) -> Container | None:
    wanted = str(context.params["container_id"])
    return Container.objects.select_related("image").filter(container_id=wanted).first()


def container_of(context: JobContext) -> Container:
    """The container that a job is about.

    Raises:
        WrongState: it is gone.
    """
    container = _container(context)
    if container is None:
        raise _gone(context)
    return container


def _gone(context: JobContext) -> gateway.WrongState:
    return gateway.WrongState(f"No such container: {str(context.params['container_id'])[:12]}")


def request_of(container: Container, *, rows: int, columns: int) -> gateway.ContainerRequest:
    """The engine's request from a row."""
    options = ContainerOptions.from_json(container.options)
    stack = container.image.stack.select_related("layer").order_by("position")
    entrypoint = None if options.entrypoint is None else tuple(filter(None, [options.entrypoint]))
    return gateway.ContainerRequest(
        container_id=container.container_id,
        name=container.name,
        image_reference=container.image_reference,
        command=options.command,
        entrypoint=entrypoint,
        env=options.env,
        working_dir=options.workdir,
        user=options.user,
        hostname=options.hostname,
        tty=container.tty,
        open_stdin=container.open_stdin,
        memory_bytes=asked(options.memory_bytes),
        nano_cpus=asked(options.nano_cpus),
        pids=asked(options.pids_limit),
        writable_bytes=options.storage_bytes,
        mounts=mounting.requests_of(container, options),
        names=enginerequest.names_of(options),
        groups=options.groups,
        init=options.init,
        read_only=options.read_only,
        shm_bytes=options.shm_bytes or None,
        stop_signal=options.stop_signal,
        rights=enginerequest.rights_of(options),
        access=enginerequest.access_of(options),
        shares=enginerequest.shares_of(options),
        layers=tuple(gateway.DiffId(gateway.Digest(link.layer.diff_id)) for link in stack),
        config_digest=gateway.Digest(container.image.image_id),
        rows=rows,
        columns=columns,
        id_mode=gateway.IdMode.OWN if container.id_mode == IdMode.SHARED else gateway.IdMode(container.id_mode),
        first_id=container.first_id,
    )


@handler(lifecycle.START, queue="engine", permission=Permission.CONTAINER_OPERATE, retries=0)
def start_container(context: JobContext) -> object:
    container = container_of(context)
    if container.state == ContainerState.STARTING:
        _start(container, rows=int(context.params.get("rows") or 24), columns=int(context.params.get("columns") or 80))
    elif container.state != ContainerState.RUNNING and container.error:
        raise gateway.RuntimeFailed(container.error)
    return {"state": container.state}


def _start(container: Container, *, rows: int, columns: int) -> None:
    engine = gateway.engine()
    try:
        runrules.refuse_start(container)
        seen = engine.observe(container.container_id)
        if seen.state == gateway.State.ABSENT:
            give_ids(container)
            engine.create(request_of(container, rows=rows, columns=columns))
        if (
            seen.state == gateway.State.RUNNING and seen.pid is not None
        ):  # a worker started it and died before saying so
            started = gateway.Started(seen.pid, seen.started_at or timezone.now())
        else:
            started = _start_on_free_ports(container, rows=rows, columns=columns)
    except (gateway.EngineError, DashboardError) as error:
        states.not_started(container, str(error), exit_code=getattr(error, "exit_code", lifecycle.OURS))
        lifecycle.remove_if_due(container)
        raise
    states.running(container, started)
    watch(container)


def _start_on_free_ports(container: Container, *, rows: int, columns: int) -> gateway.Started:
    """A program of the host may have a port that the database holds for free."""
    tried: set[int] = set()
    within = rules_of(container.team_id).ceilings()
    while True:
        published = ports.published(container)
        try:
            return gateway.engine().start(
                container.container_id,
                rows=rows,
                columns=columns,
                published=published,
                endpoints=networking.places_of(container),
                within=within,
            )
        except gateway.PortTaken as error:
            if len(tried) >= MOST_TRIES or not ports.move(container, error, tried):
                raise error.with_message(ports.sentence(container, str(error))) from error


def watch(container: Container) -> None:
    """Have the end of this run written down. Watching twice is harmless."""
    container_id = container.container_id
    gateway.engine().watch(container_id, lambda ended: in_own_connection(lambda: ended_now(container_id, ended)))


def in_own_connection(work: Callable[[], None]) -> None:
    """The engine's watcher thread lives long: a connection that broke meanwhile is not kept.

    What fails is the watcher's to log; the reconciler then writes the end down.
    """
    close_old_connections()
    try:
        work()
    finally:
        close_old_connections()


def ended_now(container_id: str, ended: gateway.Exit) -> None:
    """A run has ended: the row first, so that who waits is told at once; then mounts and network go."""
    container = Container.objects.filter(container_id=container_id).first()
    if container is not None:
        states.exited(container, ended)
    try:
        gateway.engine().release(container_id)
    except gateway.WrongState:
        log.info("container %s was started again before its last run was released", container_id[:12])
    if container is not None:
        lifecycle.remove_if_due(container)


@handler(lifecycle.STOP, queue="engine", permission=Permission.CONTAINER_OPERATE, retries=0)
def stop_container(context: JobContext) -> object:
    container = container_of(context)
    _stop(container, context)
    if why := context.params.get("why"):  # its end has written that nothing is wrong with it
        Container.objects.filter(pk=container.pk, state__in=states.DOWN).update(error=str(why))
    return {}


@contextmanager
def _room_for(timeout_s: float) -> Iterator[None]:
    """A long wait takes one of few places: all other work with containers shares the engine worker's threads.

    Raises:
        RuntimeFailed: none is free.
    """
    if timeout_s <= STOP_TIMEOUT_S:
        yield
        return
    if not _long_waits.acquire(blocking=False):
        msg = (
            f"{LONG_WAITS} containers are being stopped with a long wait already. "
            f"Stop this one within {STOP_TIMEOUT_S} seconds, or kill it."
        )
        raise gateway.RuntimeFailed(msg)
    try:
        yield
    finally:
        _long_waits.release()


def _stop(container: Container, context: JobContext) -> None:
    signal = str(context.params.get("signal") or "") or None
    timeout_s = float(context.params.get("timeout_s", STOP_TIMEOUT_S))
    _await_start(container)
    try:
        with _room_for(timeout_s):
            _end(container, timeout_s, signal)
    except gateway.EngineError:
        states.change(container, among=[ContainerState.STOPPING], to=ContainerState.RUNNING)
        raise
    write_end(container)


def _end(container: Container, timeout_s: float, signal: str | None) -> None:
    """One that hangs in the kernel goes on, and its row says why, until the end that comes when the kernel lets it go."""
    try:
        gateway.engine().stop(container.container_id, timeout_s, signal)
    except gateway.RuntimeFailed as error:
        Container.objects.filter(pk=container.pk).update(error=str(error))
        raise


def _await_start(container: Container) -> None:
    """A start that is under way cannot be stopped in the middle, and must not come after the stop either."""
    deadline = time.monotonic() + START_S
    while container.state == ContainerState.STARTING and time.monotonic() < deadline:
        time.sleep(lifecycle.POLL_S / 2)
        container.refresh_from_db()
    states.change(container, among=states.STEADY, to=ContainerState.STOPPING)


def write_end(container: Container) -> None:
    """The engine says that it has ended: have the row say so too, without waiting for the watcher."""
    seen = gateway.engine().observe(container.container_id)
    if seen.exit is not None:
        states.exited(container, seen.exit)


@handler(lifecycle.KILL, queue="engine", permission=Permission.CONTAINER_OPERATE, retries=0)
def kill_container(context: JobContext) -> object:
    container = container_of(context)
    signal = str(context.params.get("signal") or "KILL")
    gateway.engine().kill(container.container_id, signal)
    happenings.tell(container, "kill", signal=signal_number(signal) or signal)
    states.change(container, among=[ContainerState.PAUSED], to=ContainerState.RUNNING)
    return {}


@handler(lifecycle.RESTART, queue="engine", permission=Permission.CONTAINER_OPERATE, retries=0)
def restart_container(context: JobContext) -> object:
    container = container_of(context)
    if container.state in states.UP:
        runrules.refuse_start(container)  # what could not start again goes on as it is
        states.change(container, among=states.STEADY, to=ContainerState.STOPPING)
        _stop(container, context)
    with lifecycle.telling_refusal(container):
        begun = lifecycle.begin(container)
    if begun:
        gateway.engine().release(container.container_id)
        _start(container, rows=24, columns=80)
        happenings.tell(container, "restart")
    return {}


def end_and_remove(container: Container) -> None:
    """A start that was under way may succeed in between: then it is ended once more.

    Raises:
        EngineError, OSError: it does not go.
    """
    container_id, engine = container.container_id, gateway.engine()
    for last in (False, False, True):
        if engine.observe(container_id).state in {gateway.State.RUNNING, gateway.State.MONITOR_LOST}:
            engine.stop(container_id, 0, "KILL")
            happenings.died(container, engine.observe(container_id).exit)
        try:
            engine.remove(container_id)
        except gateway.WrongState:
            if last:
                raise
        else:
            return


@handler(lifecycle.REMOVE, queue="engine", permission=Permission.CONTAINER_REMOVE, retries=0)
def remove_container(context: JobContext) -> object:
    container = _container(context)
    if container is None:
        return {}
    if container.state != ContainerState.REMOVING:
        return {}
    if Trashed.objects.filter(container=container).exists():
        _end_into_trash(container)
        return {}
    try:
        end_and_remove(container)
    except (gateway.EngineError, OSError) as error:  # whatever it is: it must be possible to try again
        among = [ContainerState.REMOVING]
        states.change(container, among=among, to=ContainerState.DEAD, error=f"It could not be removed: {error}")
        raise
    forget(container, anonymous=bool(context.params.get("volumes")), action="destroy")
    return {}


def _end_into_trash(container: Container) -> None:
    """It ran when it was removed: what it wrote stays. A start that was under way may succeed in between."""
    container_id, engine = container.container_id, gateway.engine()
    for _again in range(3):
        if engine.observe(container_id).state not in {gateway.State.RUNNING, gateway.State.MONITOR_LOST}:
            break
        engine.stop(container_id, 0, "KILL")
        happenings.died(container, engine.observe(container_id).exit)
    engine.release(container_id)
    ended = engine.observe(container_id).exit
    fields = {} if ended is None else {"exit_code": ended.code, "finished_at": ended.finished_at}
    with transaction.atomic():
        if states.change(
            container, among=[ContainerState.REMOVING], to=ContainerState.TRASHED, pid=None, error="", **fields
        ):
            trash.settle(container)


def forget(container: Container, *, anonymous: bool, action: str) -> None:
    """The engine has nothing of it any more: its row goes, and what was its alone."""
    left = mounting.let_go(container, anonymous=anonymous)
    states.announce(container, state="removed")
    with transaction.atomic():
        happenings.tell(container, action)
        container.delete()
    for volume in left:
        try:
            remove_now(volume)
        except gateway.EngineError as error:  # the container is gone all the same, and so may the next volume be
            log.warning("the volume %s stays: %s", volume.name, error)


@handler(lifecycle.MEASURE, queue="engine", permission=Permission.CONTAINER_VIEW, retries=0)
def measure_containers(context: JobContext) -> object:
    """Bytes that each container wrote, by id; without one that is gone or cannot be counted."""
    sizes: dict[str, int] = {}
    asked_for = [str(container_id) for container_id in context.params["container_ids"]]
    for container in Container.objects.filter(container_id__in=asked_for):
        try:
            sizes[container.container_id] = gateway.engine().writable_bytes(
                container.container_id, is_cancelled=context.cancelled
            )
        except gateway.StoreError as error:
            log.warning("%s", error)
    return {"sizes": sizes}
