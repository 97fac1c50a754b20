"""Jobs in words."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dashboard.catalog.listing import PullCard, pull_card
from dashboard.containers.models import Container
from dashboard.jobs.models import LIVE_STATES, Job, JobState

KINDS: dict[str, tuple[str, str | Promise]] = {
    "pull_image": ("download", _("Pull image")),
    "extract_layer": ("layers", _("Write layer")),
    "adopt_layer": ("layers", _("Take over layer")),
    "remove_layers": ("layers", _("Remove layers")),
    "start_container": ("play", _("Start container")),
    "stop_container": ("square", _("Stop container")),
    "kill_container": ("zap", _("Kill container")),
    "restart_container": ("rotate-ccw", _("Restart container")),
    "remove_container": ("trash-2", _("Remove container")),
    "measure_containers": ("hard-drive", _("Measure containers")),
    "remove_volume": ("trash-2", _("Remove volume")),
    "measure_volumes": ("hard-drive", _("Measure volumes")),
    "remove_network": ("trash-2", _("Remove network")),
    "connect_network": ("network", _("Connect to network")),
    "disconnect_network": ("unplug", _("Disconnect from network")),
    "start_exec": ("square-terminal", _("Run command")),
    "end_exec": ("square", _("End command")),
}
UNASKED = ("measure_volumes",)  # what pages have done by the way
SHOWN = 200


@dataclass(frozen=True, slots=True)
class JobRow:
    job: Job
    icon: str
    label: str | Promise
    subject: str
    container_id: str  # "" when it is not about a container that still exists
    card: PullCard | None


def listed(state: str) -> QuerySet[Job]:
    """What people asked for, newest first; parts of a pull stand on the pull's own page."""
    asked = Job.objects.filter(parent=None).exclude(kind__in=UNASKED)
    rows = asked.select_related("requester").order_by("-created_at")
    if state == "live":
        rows = rows.filter(state__in=LIVE_STATES)
    elif state == "failed":
        rows = rows.filter(state=JobState.FAILED)
    return rows[:SHOWN]


def rows(jobs: QuerySet[Job]) -> list[JobRow]:
    found = list(jobs)
    ids = {container_of(job) for job in found} - {""}
    names = dict(Container.objects.filter(container_id__in=ids).values_list("container_id", "name"))
    return [row(job, names) for job in found]


def container_of(job: Job) -> str:
    return str(job.params.get("container_id") or job.params.get("container") or "")


def row(job: Job, names: dict[str, str]) -> JobRow:
    symbol, label = KINDS.get(job.kind, ("activity", job.kind))
    container_id = container_of(job)
    subject = names.get(container_id) or str(
        job.params.get("reference") or job.params.get("volume") or container_id[:12] or _layer_of(job)
    )
    card = pull_card(job) if job.kind == "pull_image" else None
    return JobRow(job, symbol, label, subject, container_id if container_id in names else "", card)


def _layer_of(job: Job) -> str:
    return str(job.params.get("diff_id") or "").removeprefix("sha256:")[:12]
