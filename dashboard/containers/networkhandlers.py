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
    """What runs is in the networks that its rows name and in no other, and is found there by its names of now (F20)."""
    there = gateway.engine().networks.whereabouts()  # before the rows: what came since is not taken out
    rows = Container.objects.filter(state__in=states.RUNS).prefetch_related("endpoints__network")
    busy = set(Job.objects.filter(queue="engine", state__in=LIVE_STATES).values_list("params__container_id", flat=True))
    for row in rows:
        if row.container_id not in busy:
            try:
                _mend(row, there.get(row.container_id, {}))
            except gateway.EngineError as error:
                log.warning("container %s is not in the networks that it should be in: %s", row.short_id, error)


def _mend(container: Container, there: dict[int, str]) -> None:
    endpoints = [one for one in container.endpoints.all() if one.address]
    if {one.network.number for one in endpoints} != set(there):
        _move(container, there)
    for endpoint in endpoints:
        if endpoint.network.number in there and not endpoint.network.is_predefined:
            gateway.engine().networks.set_names(container.container_id, networking.place_of(container, endpoint))


def _move(container: Container, there: dict[int, str]) -> None:
    """By the rows of now. One that has lost all its interfaces is left alone when it is in the default network only."""
    engine, endpoints = gateway.engine(), [one for one in networking.endpoints_of(container) if one.address]
    for number in there.keys() - {one.network.number for one in endpoints}:
        log.warning("container %s is in a network that it has left; it is taken out", container.short_id)
        engine.networks.disconnect(container.container_id, number, before=networking.places_of(container))
    if len(endpoints) > 1 or any(not one.network.is_predefined for one in endpoints):
        for endpoint in endpoints:
            if endpoint.network.number not in there:
                _bring_in(endpoint)
