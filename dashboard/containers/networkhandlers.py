"""What the engine worker does with containers in networks. Idempotent, like all handlers.

Rows say which networks a container is to be in. Coming in begins with the row, which holds the address; going out ends
with it. So what a crash leaves is a row without an interface, and `reconcile` brings that in again.
"""

from __future__ import annotations

import logging

from dashboard import gateway
from dashboard.containers import networking, ports, states
from dashboard.containers.models import Container, Endpoint
from dashboard.core import clock
from dashboard.core.gate import Permission
from dashboard.jobs.models import LIVE_STATES, Job
from dashboard.jobs.registry import JobContext, handler

log = logging.getLogger(__name__)


def _endpoint(context: JobContext) -> Endpoint | None:
    rows = Endpoint.objects.select_related("container", "network")
    return rows.filter(
        container__container_id=str(context.params["container_id"]),
        network__network_id=str(context.params["network"]),
    ).first()


@handler(networking.CONNECT, queue="engine", permission=Permission.CONTAINER_OPERATE, retries=0)
def connect(context: JobContext) -> object:
    endpoint = _endpoint(context)
    if endpoint is None:
        return {}
    try:
        _bring_in(endpoint)
    except gateway.WrongState:
        if endpoint.container.state in states.RUNS:  # it is about to be known that it has ended: next time, then
            return {}
        raise
    except gateway.EngineError:
        networking.leave(endpoint.container, endpoint)
        raise
    return {}


def _bring_in(endpoint: Endpoint) -> None:
    container = endpoint.container
    before = [
        networking.place_of(container, one)
        for one in networking.endpoints_of(container)
        if one.address and one.pk != endpoint.pk
    ]
    gateway.engine().networks.connect(
        container.container_id,
        networking.place_of(container, endpoint),
        before=before,
        published=ports.published(container),
    )


@handler(networking.DISCONNECT, queue="engine", permission=Permission.CONTAINER_OPERATE, retries=0)
def disconnect(context: JobContext) -> object:
    endpoint = _endpoint(context)
    if endpoint is None:
        return {}
    container = endpoint.container
    try:
        gateway.engine().networks.disconnect(
            container.container_id, endpoint.network.number or 0, before=networking.places_of(container)
        )
    except gateway.WrongState:
        log.info("container %s has ended while it was taken out of a network", container.short_id)
    networking.leave(container, endpoint)
    return {}


@clock.every(5.0, name="containers in networks")
def reconcile() -> None:
    """What runs is in the networks that its rows name, and is found there by its names of now (F20, `rename`)."""
    rows = (
        Container.objects.filter(state__in=states.RUNS).exclude(endpoints=None).prefetch_related("endpoints__network")
    )
    busy = set(Job.objects.filter(queue="engine", state__in=LIVE_STATES).values_list("params__container_id", flat=True))
    for row in rows:
        own = [one for one in row.endpoints.all() if not one.network.is_predefined]
        if (own or row.endpoints.count() > 1) and row.container_id not in busy:
            try:
                _mend(row)
            except gateway.EngineError as error:
                log.warning("container %s is not in the networks that it should be in: %s", row.short_id, error)


def _mend(container: Container) -> None:
    engine = gateway.engine()
    there = engine.networks.of(container.container_id)
    for endpoint in networking.endpoints_of(container):
        if endpoint.address and endpoint.network.number not in there:
            _bring_in(endpoint)
        elif endpoint.address and not endpoint.network.is_predefined:
            engine.networks.set_names(container.container_id, networking.place_of(container, endpoint))
