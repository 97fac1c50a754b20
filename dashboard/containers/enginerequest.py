"""Parts of the engine's request that come from the options alone, so that what it would refuse is refused at once."""

from __future__ import annotations

from dashboard import gateway
from dashboard.core.errors import DashboardError
from dashboard.grammar import ContainerOptions


def names_of(options: ContainerOptions) -> gateway.NameRequest:
    hosts = (host.partition(":") for host in options.hosts)
    return gateway.NameRequest(
        hosts=tuple((name, address) for name, _sign, address in hosts),
        servers=options.dns,
        search=options.dns_search,
        options=options.dns_options,
        domain=options.domainname,
    )


def refuse_unfit(options: ContainerOptions) -> None:
    """By the engine's own rules, before it is asked.

    Raises:
        DashboardError: 400.
    """
    try:
        names_of(options)
        if options.stop_signal:
            gateway.parse_signal(options.stop_signal)
    except gateway.EngineError as error:
        raise DashboardError(str(error), status=400) from error


def labels_of(image_config: dict[str, object], options: ContainerOptions) -> dict[str, str]:
    """The image's and the container's own, which win."""
    said = image_config.get("config")
    of_image = said.get("Labels") if isinstance(said, dict) else None
    own = (label.partition("=") for label in options.labels)
    return {**(of_image or {}), **{key: value for key, _sign, value in own}}
