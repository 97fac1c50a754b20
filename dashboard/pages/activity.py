"""Jobs in words."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dashboard.catalog.listing import PullCard, pull_card
from dashboard.catalog.models import PullLayer
from dashboard.containers.models import Container
from dashboard.core.gate import Requester
from dashboard.jobs.models import LIVE_STATES, Job, JobState
from dashboard.teams import scope
from dashboard.volumes.models import shown_name

KINDS: dict[str, tuple[str, str | Promise]] = {
    "pull_image": ("download", _("Pull image")),
    "extract_layer": ("layers", _("Write layer")),
    "adopt_layer": ("layers", _("Take over layer")),
    "prove_layer": ("layers", _("Verify layer")),
    "registry_login": ("key-round", _("Log in to registry")),
    "remove_layers": ("layers", _("Remove layers")),
    "start_container": ("play", _("Start container")),
    "stop_container": ("square", _("Stop container")),
    "kill_container": ("zap", _("Kill container")),
    "restart_container": ("rotate-ccw", _("Restart container")),
    "pause_container": ("pause", _("Pause container")),
    "unpause_container": ("play", _("Unpause container")),
    "update_container": ("cpu", _("Change limits")),
    "list_processes": ("activity", _("List processes")),
    "list_changes": ("list", _("List changed files")),
    "copy_out": ("download", _("Copy files out")),
    "copy_in": ("upload", _("Copy files in")),
    "remove_container": ("trash-2", _("Remove container")),
    "end_trashed": ("trash-2", _("Remove container for ever")),
    "weigh_trashed": ("hard-drive", _("Measure container in the trash")),
    "measure_containers": ("hard-drive", _("Measure containers")),
    "remove_volume": ("trash-2", _("Remove volume")),
    "backup_volume": ("download", _("Back up volume")),
    "restore_volume": ("upload", _("Restore volume")),
    "measure_volumes": ("hard-drive", _("Measure volumes")),
    "remove_network": ("trash-2", _("Remove network")),
    "connect_network": ("network", _("Connect to network")),
    "disconnect_network": ("unplug", _("Disconnect from network")),
    "start_exec": ("square-terminal", _("Run command")),
    "end_exec": ("square", _("End command")),
    "check_system": ("list-checks", _("Check system")),
}
# What pages and `ps --size` have done by the way: about nothing that one could name.
UNASKED = ("measure_volumes", "measure_containers", "list_processes", "list_changes")
SHOWN = 200


@dataclass(frozen=True, slots=True)
class JobRow:
    job: Job
    icon: str
    label: str | Promise
    subject: str
    container_id: str  # "" when it is not about a container that still exists
    card: PullCard | None


def of_team(jobs: QuerySet[Job], user: Requester) -> QuerySet[Job]:
    """What is no team's is the site administrators' to see."""
    return scope.here(user, jobs, shared=scope.is_site_admin(user))


def listed(state: str, user: Requester) -> QuerySet[Job]:
    """What people of the current team asked for, newest first; parts of a pull stand on the pull's own page."""
    asked = of_team(Job.objects.filter(parent=None), user).exclude(kind__in=UNASKED)
    rows = asked.select_related("requester").order_by("-created_at")
    if state == "live":
        rows = rows.filter(state__in=LIVE_STATES)
    elif state == "failed":
        rows = rows.filter(state=JobState.FAILED)
    return rows[:SHOWN]


def rows(jobs: QuerySet[Job]) -> list[JobRow]:
    found = list(jobs)
    ids = {container_of(job) for job in found} - {""}
    names = dict(Container.with_trash.filter(container_id__in=ids).values_list("container_id", "name"))
    return [row(job, names, _layers_of(found)) for job in found]


def _layers_of(parts: list[Job]) -> dict[int, str]:
    """Layers of pulls, by the digests that the pulls show them by."""
    wanted = {job.params["layer"] for job in parts if job.parent_id and "layer" in job.params}
    pulls = {job.parent_id for job in parts}
    rows = PullLayer.objects.filter(job__in=pulls, layer__in=wanted) if wanted else PullLayer.objects.none()
    return {pk: digest.removeprefix("sha256:")[:12] for pk, digest in rows.values_list("layer_id", "digest")}


def container_of(job: Job) -> str:
    return str(job.params.get("container_id") or job.params.get("container") or "")


def row(job: Job, names: dict[str, str], layers: dict[int, str] | None = None) -> JobRow:
    symbol, label = KINDS.get(job.kind, ("activity", job.kind))
    container_id = container_of(job)
    subject = names.get(container_id) or str(
        job.params.get("reference")
        or _volume_of(job)
        or job.params.get("name")
        or container_id[:12]
        or (layers or {}).get(job.params.get("layer"), "")
    )
    card = pull_card(job) if job.kind == "pull_image" else None
    return JobRow(job, symbol, label, subject, container_id if container_id in names else "", card)


def _volume_of(job: Job) -> str:
    return shown_name(str(job.params.get("volume") or ""))
