"""Rows against what the engine says is so, and against each other. Reads only.

A row that a live job is at work on is passed over: in the middle of a start it is not true.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Q, Sum
from django.utils import timezone

from dashboard import gateway
from dashboard.catalog.models import Image, Layer, LayerState
from dashboard.catalog.ticks import left_over
from dashboard.containers import states
from dashboard.containers.models import Container, ContainerState, Exec, ExecState, Health
from dashboard.containers.reconcile import live_keys
from dashboard.jobs.models import LIVE_STATES, Job, JobState
from dashboard.jobs.reconcile import STALE_S
from dashboard.networks.models import Network, NetworkState
from dashboard.transfers.services import left_over as left_over_transfers
from dashboard.volumes.models import Volume, VolumeState

Violation = gateway.Violation
GRACE = timedelta(seconds=30)


def look(own_job: int) -> list[gateway.Violation]:
    """`own_job`: the check's own."""
    rows = list(Container.objects.prefetch_related("ports", "endpoints__network"))
    keys = live_keys()
    quiet = [row for row in rows if not any(row.container_id in key for key in keys)]
    return [
        *_containers(quiet),
        *_trash(),
        *_places(quiet),
        *_ports(quiet),
        *_commands({row.pk for row in quiet}, keys),
        *_volumes(),
        *_networks(),
        *_layers(),
        *_files(),
        *_counts(),
        *_jobs(own_job),
    ]


def _untrue(kind: str, name: str, problem: str, *, container_id: str = "", is_orphan: bool = False) -> Violation:
    return Violation(
        invariant="I4", kind=kind, name=name, problem=problem, container_id=container_id, is_orphan=is_orphan
    )


def _containers(rows: list[Container]) -> Iterator[Violation]:
    for row in rows:
        seen = gateway.engine().observe(row.container_id)
        runs = seen.state == gateway.State.RUNNING
        problem = ""
        if row.state in states.STEADY:
            if not runs:
                problem = f"is {row.state} and does not run"
            elif seen.paused != (row.state == ContainerState.PAUSED):
                problem = f"is {row.state} and is not"
            elif not gateway.engine().is_watching(row.container_id):
                problem = "runs and nobody watches for its end"
        elif row.state in states.DOWN:
            problem = f"is {row.state} and runs" if runs or seen.state == gateway.State.MONITOR_LOST else ""
        else:
            problem = f"is {row.state} and nobody works on it"
        if problem:
            yield _untrue("container", row.short_id, problem, container_id=row.container_id)


def _trash() -> Iterator[Violation]:
    """What is in the trash has its files and nothing else: no program, no mount, no place in a network."""
    for row in Container.with_trash.filter(state=ContainerState.TRASHED).select_related("trashed"):
        seen = gateway.engine().observe(row.container_id)
        problem = ""
        if seen.state in {gateway.State.RUNNING, gateway.State.MONITOR_LOST}:
            problem = "is in the trash and runs"
        elif not hasattr(row, "trashed"):
            problem = "is in the trash and nobody knows until when"
        elif row.endpoints.exists() or row.ports.exists():
            problem = "is in the trash and has an address or a port"
        if problem:
            yield _untrue("container", row.short_id, problem, container_id=row.container_id)


def _places(rows: list[Container]) -> Iterator[Violation]:
    """Whoever runs is in its networks, by its addresses there."""
    found = gateway.engine().networks.whereabouts()
    for row in rows:
        if row.state not in states.STEADY:
            continue
        wanted = {one.network.number: one.address for one in row.endpoints.all() if one.network.number is not None}
        if wanted != found.get(row.container_id, {}):
            yield _untrue(
                "container", row.short_id, "is not in the networks that it should be in", container_id=row.container_id
            )


def _ports(rows: list[Container]) -> Iterator[Violation]:
    for row in rows:
        wanted = {(one.protocol, one.address, one.port, one.container_port) for one in row.ports.all()}
        if row.state in states.STEADY:
            led = gateway.engine().published(row.container_id)
            found = {(one.protocol, one.address, one.port, one.container_port) for one in led}
            if wanted != found and row.endpoints.exclude(network__number=None).exists():
                yield _untrue(
                    "container",
                    row.short_id,
                    "has not the ports of the host that it should have",
                    container_id=row.container_id,
                )
        elif wanted and row.state not in states.UP:
            yield Violation(
                invariant="I7", kind="ports", name=row.short_id, problem="are kept though it does not run",
                container_id=row.container_id,
            )  # fmt: skip


def _commands(quiet: set[int], keys: set[str]) -> Iterator[Violation]:
    for row in Exec.objects.filter(container__in=quiet).select_related("container"):
        if any(row.exec_id in key for key in keys):
            continue
        seen = gateway.engine().execs.observe(row.container.container_id, row.exec_id)
        lives = seen.state in {gateway.State.RUNNING, gateway.State.MONITOR_LOST}
        if lives != (row.state != ExecState.EXITED):
            problem = f"is {row.state} and {'runs' if lives else 'does not run'}"
            yield _untrue("command", row.exec_id[:12], problem, container_id=row.container.container_id)
    for container_id in Container.objects.filter(pk__in=quiet).values_list("container_id", flat=True):
        on_disk = gateway.engine().execs.on_disk(container_id)
        known = set(Exec.objects.filter(exec_id__in=on_disk).values_list("exec_id", flat=True))
        known |= set(Health.objects.filter(exec_id__in=on_disk).values_list("exec_id", flat=True))
        for exec_id in sorted(on_disk - known):
            yield Violation(
                invariant="I3", kind="command", name=exec_id[:12], problem="has a folder and no row",
                container_id=container_id,
            )  # fmt: skip


def _volumes() -> Iterator[Violation]:
    rows = dict(Volume.objects.values_list("key", "state"))
    for name in sorted(gateway.engine().list_volumes() - rows.keys()):
        yield _untrue("volume", name, "has no row; it is left alone", is_orphan=True)
    stuck = Volume.objects.exclude(state=VolumeState.READY).filter(updated_at__lt=timezone.now() - GRACE)
    yield from _stuck("volume", ((row.name, row.state, row.key) for row in stuck))


def _networks() -> Iterator[Violation]:
    rows = set(Network.objects.exclude(number=None).values_list("number", flat=True))
    for number in sorted(gateway.engine().networks.known() - rows):
        yield _untrue("network", str(number), "has no row")
    stuck = Network.objects.filter(state=NetworkState.REMOVING, updated_at__lt=timezone.now() - GRACE)
    yield from _stuck("network", ((row.name, row.state, row.network_id) for row in stuck))


def _stuck(kind: str, rows: Iterator[tuple[str, str, str]]) -> Iterator[Violation]:
    """Something between two states for long, and no live job whose key names it."""
    keys = list(Job.objects.filter(state__in=LIVE_STATES).values_list("key", flat=True))
    for name, state, words in rows:
        if not any(words in key for key in keys):
            yield _untrue(kind, name, f"is {state} and nobody works on it")


def _layers() -> Iterator[Violation]:
    broken = Image.objects.filter(~Q(layers__state=LayerState.READY), layers__isnull=False).distinct()
    for image in broken:
        yield Violation(
            invariant="I1", kind="image", name=str(image), problem="has a layer that is not ready; pull it again"
        )
    between = Layer.objects.filter(state__in=[LayerState.WRITING, LayerState.ADOPTING])
    stuck = between.filter(updated_at__lt=timezone.now() - GRACE)
    yield from _stuck("layer", ((str(row), row.state, row.diff_id) for row in stuck))


def _files() -> Iterator[Violation]:
    """What nobody takes up again any more; the clock takes it away some minutes later."""
    for folder, names in (*left_over().items(), ("transfers", left_over_transfers())):
        for name in sorted(names):
            yield Violation(
                invariant="I6", kind="file", name=f"{folder}/{name}", problem="is older than anybody's lease of it"
            )


def _counts() -> Iterator[Violation]:
    images = Image.objects.annotate(total=Sum("layers__unpacked_bytes"), many=Count("layers"))
    for image in images:
        if image.size_bytes != (image.total or 0):
            yield Violation(
                invariant="I7", kind="image", name=str(image), problem="has another size than its layers together"
            )


def _jobs(own_job: int) -> Iterator[Violation]:
    limit = timezone.now() - timedelta(seconds=STALE_S) - GRACE
    lost = Job.objects.filter(state=JobState.RUNNING, is_parked=False, heartbeat_at__lt=limit).exclude(pk=own_job)
    for job in lost:
        yield _untrue("job", f"{job.pk} ({job.kind})", "is running and its worker is gone")
