"""Backing volumes up into a tar and restoring them from one: what is asked, checked and handed to the engine worker."""

from __future__ import annotations

from django.db import transaction

from dashboard.core.gate import Permission, Requester, require
from dashboard.jobs import services as jobs
from dashboard.jobs.models import Job
from dashboard.transfers import services as transfers
from dashboard.transfers.models import Direction, Transfer
from dashboard.volumes import services
from dashboard.volumes.models import Volume, VolumeState


def begin_backup(volume: Volume, user: Requester) -> Transfer:
    """Have an archive of the volume written; the transfer's job says when it is ready. Containers may go on writing.

    Raises:
        VolumeBusy: it is being removed or restored (409).
        DashboardError: too many archives of this person are on their way (429).
    """
    require(user, Permission.VOLUME_BACKUP, volume)
    with transaction.atomic():
        found = services.locked(volume)
        if found.state != VolumeState.READY:
            raise services.VolumeBusy(found)
        made = transfers.begin(
            user,
            Direction.OUT,
            permission=Permission.VOLUME_BACKUP,
            team_id=volume.team_id,
            subject=volume.key,
            filename=f"{volume.name}.tar",
        )
        key = f"{services.key_of(volume, services.BACKUP)}:{made.key}"
        transfers.attach(made, services.submit(services.BACKUP, volume, user, key=key, transfer=made.key))
    return made


def begin_restore(volume: Volume, user: Requester) -> Transfer:
    """A place for an archive to arrive at. Nothing is asked of the engine yet.

    Raises:
        VolumeInUse: containers have it; they are named (409).
        VolumeBusy: it is being removed, restored or backed up (409).
        DashboardError: too many archives of this person are on their way (429).
    """
    require(user, Permission.VOLUME_RESTORE, volume)
    with transaction.atomic():
        _refuse(services.locked(volume))
    return transfers.begin(
        user, Direction.IN, permission=Permission.VOLUME_RESTORE, team_id=volume.team_id, subject=volume.key
    )


def restore(volume: Volume, user: Requester, arrived: Transfer) -> Job:
    """Replace everything in the volume by what has arrived. Until the job's end it is the volume that it was.

    Raises:
        VolumeInUse, VolumeBusy: as `begin_restore`.
    """
    require(user, Permission.VOLUME_RESTORE, volume)
    with transaction.atomic():
        found = services.locked(volume)
        _refuse(found)
        services.mark(found, VolumeState.RESTORING)
        key = services.key_of(volume, services.RESTORE)
        job = services.submit(services.RESTORE, volume, user, key=key, transfer=arrived.key)
        transfers.attach(arrived, job)
    return job


def cancel_restore(arrived: Transfer) -> None:
    """Stop it, if it has not come to its end: the volume is then the one that it was."""
    job = arrived.job
    if job is None or not jobs.request_cancel(job):
        return
    job.refresh_from_db()
    if not job.is_live:  # nobody had begun with it, so nobody else gives the volume back
        for volume in Volume.objects.filter(key=arrived.subject, state=VolumeState.RESTORING):
            services.mark(volume, VolumeState.READY)
        transfers.end(arrived.key)


def _refuse(volume: Volume) -> None:
    if users := services.users_of(volume):
        raise services.VolumeInUse(volume.name, users, "restore")
    services.refuse_busy(volume)
