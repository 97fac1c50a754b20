"""Trying credentials, where the network is reached from: an `images` worker."""

from __future__ import annotations

from dashboard import gateway
from dashboard.core.gate import Permission
from dashboard.jobs.registry import JobContext, handler
from dashboard.registries import services, vault
from dashboard.registries.models import Credential


@handler(services.LOGIN, queue="images", permission=Permission.IMAGE_PULL, retries=0)
def registry_login(context: JobContext) -> object:
    """Keep them, or have them gone: a row that was not taken is not left over."""
    row = Credential.objects.filter(pk=context.params["row"], checked_at=None).first()
    if row is None:
        return {}
    try:
        origin = gateway.registry_origin(row.registry)
        credentials = gateway.Credentials(row.username, vault.decrypt(row.secret, row.registry))
        gateway.check_login(row.registry, credentials, cancelled=context.cancelled)
    except BaseException:
        Credential.objects.filter(pk=row.pk, checked_at=None).delete()
        raise
    services.keep(row.pk, origin)
    return {}
