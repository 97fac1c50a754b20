"""What volumes do for pages, the command door and containers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard import gateway
from dashboard.core.errors import DashboardError
from dashboard.core.events import publish
from dashboard.core.filters import anything, refuse_unknown
from dashboard.core.gate import Permission, Requester, require
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.mounts import refuse_volume_name
from dashboard.grammar.requests import Filters
from dashboard.grammar.units import rfc3339
from dashboard.grammar.volumes import VolumeLine
from dashboard.history.models import EventType
from dashboard.history.services import record
from dashboard.jobs import services as jobs
from dashboard.jobs.models import LIVE_STATES, Job
from dashboard.quotas import services as quotas
from dashboard.teams import scope
from dashboard.volumes.models import Volume, VolumeState

REMOVE, MEASURE, BACKUP, RESTORE = "remove_volume", "measure_volumes", "backup_volume", "restore_volume"
ANONYMOUS = "com.docker.volume.anonymous"
MOST_LABELS = 100
MEASURED_FOR = timedelta(minutes=1)
MOST_MEASURED = 100


class NoSuchVolume(DashboardError):
    def __init__(self, name: str) -> None:
        super().__init__(f"get {name}: no such volume", status=404)


class VolumeInUse(DashboardError):
    def __init__(self, name: str, users: Iterable[str], what: str = "remove") -> None:
        super().__init__(f"{what} {name}: volume is in use - [{', '.join(users)}]", status=409)


class VolumeBusy(DashboardError):
    """Something is done with the whole volume that excludes everything else."""

    def __init__(self, volume: Volume) -> None:
        words = {
            VolumeState.REMOVING: _("The volume %(name)s is being removed just now. Try again in a moment."),
            VolumeState.RESTORING: _("The volume %(name)s is being restored just now. Try again in a moment."),
            VolumeState.READY: _("The volume %(name)s is being backed up just now. Try again in a moment."),
        }
        super().__init__(words[VolumeState(volume.state)] % {"name": volume.name}, status=409)


def key_of(volume: Volume, what: str = REMOVE) -> str:
    return f"{what}:{volume.key}"


def mountpoint(volume: Volume) -> str:
    return str(gateway.engine_config().volumes / volume.key / "_data")


def volumes_for(user: Requester) -> QuerySet[Volume]:
    """The current team's volumes, with the number of containers that have each."""
    require(user, Permission.VOLUME_VIEW)
    rows = scope.here(user, Volume.objects.select_related("owner"))
    return rows.annotate(users=Count("uses__container", distinct=True)).order_by("name")


def find(name: str, user: Requester) -> Volume:
    """The current team's volume of that name.

    Raises:
        NoSuchVolume: 404.
    """
    found = scope.here(user, Volume.objects.select_related("owner").filter(name=name)).order_by("pk").first()
    if found is None:
        raise NoSuchVolume(name)
    return found


def create(user: Requester, name: str = "", *, driver: str = "local", labels: Filters = ()) -> Volume:
    """Make a volume, or give back the one of that name, as Docker does. Without a name it is anonymous.

    Raises:
        DashboardError: another driver, or a name that cannot be (400); it is being removed (409).
        Denied: `user` may not.
    """
    require(user, Permission.VOLUME_CREATE)
    if driver not in {"", "local"}:
        msg = f'create {name or "volume"}: error looking up volume plugin {driver}: plugin "{driver}" not found'
        raise DashboardError(msg, status=404)
    if len(labels) > MOST_LABELS:
        msg = f"A volume has at most {MOST_LABELS} labels."
        raise DashboardError(msg)
    team_id = scope.owning(user)
    with transaction.atomic():
        made = claim(user, name, team_id=team_id, labels=dict(labels))
        quotas.hold(team_id, getattr(user, "pk", None), {"volume_bytes": 0})
    return made


def claim(user: Requester, name: str = "", *, team_id: int | None, labels: dict[str, str] | None = None) -> Volume:
    """The team's volume for a container that is being made; a new one if there is none. Call it inside a transaction:
    until that ends, nobody removes the volume.

    Raises:
        DashboardError: a name that cannot be (400); it is being removed (409).
    """
    if not name:
        return _insert(user, secrets.token_hex(32), labels or {}, team_id=team_id, is_anonymous=True)
    try:
        refuse_volume_name(name)
    except ValueRefused as error:
        raise DashboardError(str(error)) from error
    found = _locked(name=name, team_id=team_id)
    if found is None:
        try:
            with transaction.atomic():
                return _insert(user, name, labels or {}, team_id=team_id, is_anonymous=False)
        except IntegrityError:
            found = _locked(name=name, team_id=team_id)
    if found is None:  # it went between our two looks
        raise VolumeBusy(Volume(name=name, state=VolumeState.REMOVING))
    if found.state != VolumeState.READY:
        raise VolumeBusy(found)
    return found


def _locked(**which: Any) -> Volume | None:  # Any: fields that name one row
    return Volume.objects.select_for_update().filter(**which).first()


def locked(volume: Volume) -> Volume:
    """The row, ours until the transaction ends.

    Raises:
        NoSuchVolume: 404.
    """
    found = _locked(pk=volume.pk)
    if found is None:
        raise NoSuchVolume(volume.name)
    return found


def _insert(user: Requester, name: str, labels: dict[str, str], *, team_id: int | None, is_anonymous: bool) -> Volume:
    if is_anonymous:
        labels = {**labels, ANONYMOUS: ""}
    owner_id = getattr(user, "pk", None)
    made = Volume.objects.create(
        name=name, team_id=team_id, labels=labels, is_anonymous=is_anonymous, owner_id=owner_id
    )
    record(EventType.VOLUME, "create", name, team_id=team_id, driver="local")
    announce(made)
    return made


def announce(volume: Volume) -> None:
    publish("volumes", {"t": "volume", "team": volume.team_id, "name": volume.name, "state": volume.state})


def users_of(volume: Volume) -> list[str]:
    """Ids of the containers that have it, whether they run or not; those in the trash may come back and have it then."""
    uses = volume.uses.order_by("container__pk").values_list("container__container_id", "container__state").distinct()
    return [f"{container_id} (in the trash)" if state == "trashed" else container_id for container_id, state in uses]


def remove(volume: Volume, user: Requester) -> Job:
    """Remove it with everything in it.

    Raises:
        VolumeInUse: containers have it; they are named (409).
        VolumeBusy: it is being restored or backed up (409). One that is being removed already is no error.
    """
    require(user, Permission.VOLUME_REMOVE, volume)
    with transaction.atomic():
        found = locked(volume)
        if users := users_of(found):
            raise VolumeInUse(volume.name, users)
        refuse_busy(found, but=VolumeState.REMOVING)
        return submit_removal(found, user)


def refuse_busy(volume: Volume, *, but: VolumeState = VolumeState.READY) -> None:
    """Of a locked row: nobody replaces or removes its files, and nobody reads them for a backup."""
    is_read = Job.objects.filter(kind=BACKUP, state__in=LIVE_STATES, key__startswith=f"{key_of(volume, BACKUP)}:")
    if volume.state not in {VolumeState.READY, but} or is_read.exists():
        raise VolumeBusy(volume)


def mark(volume: Volume, state: VolumeState) -> None:
    Volume.objects.filter(pk=volume.pk).update(state=state, updated_at=timezone.now())
    volume.state = state
    announce(volume)


def submit_removal(volume: Volume, user: Requester) -> Job:
    """REMOVING and its job, together. The caller has made sure that nobody uses it."""
    mark(volume, VolumeState.REMOVING)
    return submit(REMOVE, volume, user, key=key_of(volume))


def submit(kind: str, volume: Volume, user: Requester, *, key: str, **params: object) -> Job:
    """`volume` of its parameters is for people, `key` for the engine."""
    named = {"volume": volume.name, "key": volume.key, **params}
    return jobs.submit(kind, named, requester=user, key=key, queue="engine", team_id=volume.team_id)


def let_go(volumes: Iterable[Volume]) -> list[Volume]:
    """Of these, mark the anonymous ones that no container has any more as REMOVING, and say which (`rm -v`, `--rm`)."""
    marked = []
    with transaction.atomic():
        for volume in volumes:
            found = _locked(pk=volume.pk)
            if found is not None and found.is_anonymous and found.state == VolumeState.READY and not users_of(found):
                mark(found, VolumeState.REMOVING)
                marked.append(found)
    return marked


def measure_stale(user: Requester) -> None:
    """Have the current team's volumes measured whose size is older than a minute. For pages: the new size is told to who watches."""
    stale = timezone.now() - MEASURED_FOR
    rows = Volume.objects.filter(Q(measured_at=None) | Q(measured_at__lt=stale), state=VolumeState.READY)
    rows = scope.here(user, rows).order_by(F("measured_at").asc(nulls_first=True))
    if keys := list(rows.values_list("key", flat=True)[:MOST_MEASURED]):
        here = scope.current(user)
        team_id = None if here is None else here.pk
        one = MEASURE if team_id is None else f"{MEASURE}:{team_id}"
        jobs.submit(MEASURE, {"volumes": keys}, requester=user, key=one, queue="engine", team_id=team_id)


def prunable(user: Requester, *, everything: bool, filters: Filters = ()) -> list[Volume]:
    """Volumes without a container: the anonymous ones, or all.

    Raises:
        DashboardError: a filter that `prune` does not know.
    """
    require(user, Permission.VOLUME_REMOVE)
    rows = volumes_for(user).filter(uses=None, state=VolumeState.READY)
    if not everything:
        rows = rows.filter(is_anonymous=True)
    return _chosen(rows, filters, known={"label", "label!"})


def _has_label(volume: Volume, wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in volume.labels and (not equals or volume.labels[key] == value)


def _is_unused(volume: Volume, values: list[str]) -> bool:
    return bool({"true", "1"} & set(values)) is (getattr(volume, "users", 0) == 0)


def _is_boolean(value: str) -> bool:
    return value in {"true", "false", "1", "0"}


_FILTERS: dict[str, Callable[[Volume, list[str]], bool]] = {
    "name": lambda volume, values: any(value in volume.name for value in values),
    "driver": lambda _volume, values: "local" in values,
    "label": lambda volume, values: all(_has_label(volume, value) for value in values),
    "label!": lambda volume, values: not any(_has_label(volume, value) for value in values),
    "dangling": _is_unused,
}


def _chosen(rows: Iterable[Volume], filters: Filters, known: Collection[str]) -> list[Volume]:
    refuse_unknown(filters, {name: _is_boolean if name == "dangling" else anything for name in known})
    wanted: dict[str, list[str]] = {}
    for name, value in filters:
        wanted.setdefault(name, []).append(value)
    return [row for row in rows if all(_FILTERS[name](row, values) for name, values in wanted.items())]


def volume_lines(rows: Iterable[Volume], filters: Filters = ()) -> list[VolumeLine]:
    """The lines of `volume ls`, as its filters choose.

    Raises:
        DashboardError: a filter that it does not know.
    """
    return [
        VolumeLine(
            name=row.name,
            mountpoint=mountpoint(row),
            labels=row.labels,
            users=getattr(row, "users", 0),
            size_bytes=row.size_bytes,
        )
        for row in _chosen(rows, filters, known={"name", "driver", "label", "dangling"})
    ]


def inspect(volume: Volume) -> dict[str, Any]:
    """One element of what `volume inspect` prints."""
    return {
        "CreatedAt": rfc3339(volume.created_at),
        "Driver": "local",
        "Labels": volume.labels or None,
        "Mountpoint": mountpoint(volume),
        "Name": volume.name,
        "Options": None,
        "Scope": "local",
    }
