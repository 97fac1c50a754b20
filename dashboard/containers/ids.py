"""Giving a container its ids on the host, at its first start: the engine worker knows what this kernel can do."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from dashboard import gateway
from dashboard.containers.models import Container, IdMode

ATTEMPTS = 20


def give_ids(container: Container) -> None:
    """Ids that no other container has, written down before the engine makes anything. Safe to repeat until then.

    Raises:
        HostUnfit: none are left.
        RuntimeFailed: each that was chosen had gone to another container meanwhile.
    """
    if container.id_mode == IdMode.HOST:
        return
    others = Container.with_trash.exclude(pk=container.pk).values_list("first_id", flat=True)
    for _attempt in range(ATTEMPTS):
        given = gateway.engine().choose_ids({first_id for first_id in others.all() if first_id is not None})
        mode = IdMode.SHARED if given.is_shared else IdMode.OWN
        try:
            with transaction.atomic():
                Container.objects.filter(pk=container.pk).update(id_mode=mode, first_id=given.first_id)
        except IntegrityError:  # another thread has just given it away
            continue
        container.id_mode, container.first_id = mode, given.first_id
        return
    msg = "Other containers took the ids that were chosen for this one. Start it again."
    raise gateway.RuntimeFailed(msg, subject=container.container_id)
