"""Files into and out of containers: what is asked, checked and handed to the engine worker. The archive is a transfer."""

from __future__ import annotations

from django.db import transaction

from dashboard.containers.lifecycle import QUEUE
from dashboard.containers.models import Container, ContainerState
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, Requester, require
from dashboard.jobs import services as jobs
from dashboard.jobs.models import Job
from dashboard.transfers import services as transfers
from dashboard.transfers.models import Direction, Transfer

OUT, IN = "copy_out", "copy_in"
BUSY = (ContainerState.STARTING,)


def begin_out(container: Container, user: Requester, path: str, *, follow: bool = False) -> Transfer:
    """Have a tar written of what lies at `path`; the transfer's job says when it is ready.

    Raises:
        DashboardError: it is being started or removed (409); too many archives of this person are on their way (429).
    """
    require(user, Permission.CONTAINER_COPY, container)
    with transaction.atomic():
        _refuse_busy(container)
        made = transfers.begin(
            user,
            Direction.OUT,
            permission=Permission.CONTAINER_COPY,
            team_id=container.team_id,
            subject=container.container_id,
            filename=f"{path.rstrip('/').rpartition('/')[2] or container.name}.tar",
        )
        transfers.attach(made, _submit(OUT, container, user, made, path=path, follow=follow))
    return made


def begin_in(container: Container, user: Requester) -> Transfer:
    """A place for an archive to arrive at. Nothing is asked of the engine yet.

    Raises:
        DashboardError: as `begin_out`.
    """
    require(user, Permission.CONTAINER_COPY, container)
    _refuse_busy(container)
    return transfers.begin(
        user,
        Direction.IN,
        permission=Permission.CONTAINER_COPY,
        team_id=container.team_id,
        subject=container.container_id,
    )


def put_in(
    container: Container, user: Requester, arrived: Transfer, path: str, *, keep_owners: bool, is_plain: bool
) -> Job:
    """Put what has arrived at `path` by the rules of `cp`; `engine.copies.copy_in` has them.

    Raises:
        DashboardError: it is being started or removed (409).
    """
    require(user, Permission.CONTAINER_COPY, container)
    with transaction.atomic():
        _refuse_busy(container)
        job = _submit(IN, container, user, arrived, path=path, keep_owners=keep_owners, is_plain=is_plain)
        transfers.attach(arrived, job)
    return job


def cancel_in(arrived: Transfer) -> None:
    """Stop it. Each file is then the old one or the new one."""
    if arrived.job is not None:
        jobs.request_cancel(arrived.job)
        arrived.job.refresh_from_db()
        if not arrived.job.is_live:
            transfers.end(arrived.key)


def _submit(kind: str, container: Container, user: Requester, transfer: Transfer, **params: object) -> Job:
    """Several copies of one container may go on at a time."""
    named = {"container_id": container.container_id, "transfer": transfer.key, **params}
    return jobs.submit(
        kind, named, requester=user, key=f"{kind}:{transfer.key}", queue=QUEUE, team_id=container.team_id
    )


def _refuse_busy(container: Container) -> None:
    found = Container.objects.select_for_update().filter(pk=container.pk).first()
    if found is None or found.state == ContainerState.REMOVING:
        msg = f"No such container: {container.name}"
        raise DashboardError(msg, status=404)
    if found.state in BUSY:
        msg = f"Container {container.container_id} is being started. Try again in a moment."
        raise DashboardError(msg, status=409)
