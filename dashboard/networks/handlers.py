"""What the engine worker does with networks. Each handler is idempotent: it may run again after a crash anywhere."""

from __future__ import annotations

from django.db import transaction

from dashboard import gateway
from dashboard.core.gate import Permission
from dashboard.jobs.registry import JobContext, handler
from dashboard.networks import services
from dashboard.networks.models import Network, NetworkState


@handler(services.REMOVE, queue="engine", permission=Permission.NETWORK_REMOVE, retries=0)
def remove_network(context: JobContext) -> object:
    """The bridge, then the row: its number and its addresses are only then another's."""
    wanted = str(context.params["network"])
    network = Network.objects.filter(network_id=wanted, state=NetworkState.REMOVING).first()
    if network is None or network.number is None:
        return {}
    try:
        gateway.engine().networks.remove(network.number)
    except gateway.EngineError:
        services.mark(network, NetworkState.READY)
        raise
    with transaction.atomic():
        services.tell(network, "destroy")
        network.delete()
    services.announce(network)
    return {}
