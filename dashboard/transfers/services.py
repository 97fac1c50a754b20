"""Beginning, following and ending transfers."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard import gateway
from dashboard.core.errors import DashboardError, NotFound
from dashboard.core.gate import Permission, Requester, offers, require
from dashboard.jobs import services as jobs
from dashboard.jobs.models import Job
from dashboard.transfers.models import Direction, Transfer

MOST_OF_PERSON = 8
ABANDONED_AFTER = timedelta(minutes=2)  # pages in the background say only once a minute that they are still there
LONGEST = timedelta(hours=24)
REMEMBERED_FOR = timedelta(hours=1)
BATCH = 100


class Gone(NotFound):
    def __init__(self) -> None:
        super().__init__(_("The archive is gone: it was sent, cancelled, or nobody asked for it any more."))


def open_transfers() -> QuerySet[Transfer]:
    return Transfer.objects.filter(ended_at=None).select_related("job", "owner")


def begin(
    user: Requester,
    direction: Direction,
    *,
    permission: Permission,
    team_id: int | None,
    subject: str,
    filename: str = "",
) -> Transfer:
    """A row and its key; there is no file yet. The caller has asked the gate about `permission` and the thing itself.

    Raises:
        DashboardError: too many of this person are on their way (429).
    """
    require(user, Permission.TRANSFER)
    if not isinstance(user, AbstractBaseUser):
        raise Gone
    if open_transfers().filter(owner_id=user.pk).count() >= MOST_OF_PERSON:
        msg = _("You have %(count)d archives on their way already. Wait for one, or cancel it.")
        raise DashboardError(msg % {"count": MOST_OF_PERSON}, status=429)
    return Transfer.objects.create(
        key=secrets.token_hex(16),
        direction=direction,
        owner_id=user.pk,
        permission=permission,
        team_id=team_id,
        subject=subject,
        filename=filename,
    )


def attach(transfer: Transfer, job: Job) -> None:
    """The job that writes or reads the file."""
    transfer.job = job
    Transfer.objects.filter(pk=transfer.pk).update(job=job, heartbeat_at=timezone.now())


def known(user: Requester, key: str) -> Transfer | None:
    """One of this person's own, also one that has ended: nobody else's is seen (WS-03)."""
    found = Transfer.objects.select_related("job").filter(key=key, owner_id=getattr(user, "pk", None)).first()
    return found if found is not None and offers(user, Permission(found.permission), found) else None


def find_open(user: Requester, key: str) -> Transfer | None:
    found = known(user, key)
    return found if found is not None and found.ended_at is None else None


def find(user: Requester, key: str) -> Transfer:
    """One of this person's own that has not ended.

    Raises:
        NotFound: 404.
    """
    require(user, Permission.TRANSFER)
    found = find_open(user, key)
    if found is None:
        raise Gone
    return found


def beat(key: str) -> None:
    """Somebody is still there."""
    Transfer.objects.filter(key=key, ended_at=None).update(heartbeat_at=timezone.now())


def arrived(transfer: Transfer, size_bytes: int) -> bool:
    """All of it is here; False when it has ended meanwhile."""
    transfer.size_bytes = size_bytes
    return bool(Transfer.objects.filter(pk=transfer.pk, ended_at=None).update(size_bytes=size_bytes))


def end(key: str) -> None:
    """No file any more, and no job at work for it. Idempotent."""
    transfer = Transfer.objects.select_related("job").filter(key=key).first()
    if transfer is not None and transfer.ended_at is None:
        Transfer.objects.filter(pk=transfer.pk, ended_at=None).update(ended_at=timezone.now())
        if transfer.job is not None and transfer.is_worked_on and transfer.direction == Direction.OUT:
            jobs.request_cancel(transfer.job)
    gateway.discard_transfer(key)


def give_up(key: str) -> None:
    """As `end`, unless a job has it by now: somebody else was faster."""
    if Transfer.objects.filter(key=key, job=None).exists():
        end(key)


def sweep() -> None:
    """End what nobody asks for any more; forget rows an hour after their end, and files that no row knows."""
    now = timezone.now()
    silent = open_transfers().filter(heartbeat_at__lt=now - ABANDONED_AFTER)
    for transfer in [*silent[:BATCH], *open_transfers().filter(created_at__lt=now - LONGEST)[:BATCH]]:
        if transfer.direction == Direction.OUT or not transfer.is_worked_on:
            end(transfer.key)
    Transfer.objects.filter(ended_at__lt=now - REMEMBERED_FOR).delete()
    gateway.sweep_transfers(kept=_open_keys(), older_than_s=ABANDONED_AFTER.total_seconds())


def left_over() -> list[str]:
    """Names of files that should have gone: no row knows them, and `sweep` has been round since."""
    late_s = (ABANDONED_AFTER * 2).total_seconds()
    return [path.name for path in gateway.abandoned_transfers(kept=_open_keys(), older_than_s=late_s)]


def _open_keys() -> set[str]:
    return set(open_transfers().values_list("key", flat=True))
