"""A container against its team's run policy: when it is made, at each start, and when it comes into a network."""

from __future__ import annotations

from collections.abc import Iterable

from dashboard.containers import enginerequest, mounting
from dashboard.containers.models import Container
from dashboard.core.gate import Requester
from dashboard.grammar import ContainerOptions
from dashboard.grammar.hostflags import HOST
from dashboard.grammar.options import networks_of
from dashboard.networks import services as networks
from dashboard.runpolicy import services
from dashboard.runpolicy.rules import Wish


def wish_of(options: ContainerOptions, network_names: Iterable[str]) -> Wish:
    access, rights = enginerequest.access_of(options), enginerequest.rights_of(options)
    return Wish(
        privileged=access.privileged,
        userns_host=enginerequest.has_host_users(options),
        unconfined=rights.unconfined,
        namespaces=frozenset(access.namespaces),
        devices=frozenset(path for path, _place, _access in access.devices),
        capabilities=frozenset(rights.cap_add) - {"ALL"},
        host_paths=frozenset(mount.source for mount in mounting.wanted(options) if mount.kind == "bind"),
        networks=frozenset(network_names) - {HOST},  # that one is a namespace
        no_new_privileges=rights.no_new_privileges,
        labels=frozenset(label.partition("=")[0] for label in options.labels),
    )


def refuse(options: ContainerOptions, user: Requester, team_id: int) -> None:
    """Before it is made.

    Raises:
        DashboardError: 403, a rule is against it; 404, there is no such network.
    """
    named = [] if enginerequest.has_host_network(options) else networks_of(options)
    services.refuse(team_id, wish_of(options, [networks.find(one.name, user).name for one in named]))


def refuse_start(container: Container) -> None:
    """Rules may be narrower than when it was made, and its row is not what decides.

    Raises:
        DashboardError: 403.
    """
    names = container.endpoints.values_list("network__name", flat=True)
    services.refuse(container.team_id, wish_of(ContainerOptions.from_json(container.options), names))


def refuse_network(container: Container, name: str) -> None:
    """Before it comes into one more.

    Raises:
        DashboardError: 403.
    """
    rules = services.rules_of(container.team_id)
    services.refuse(container.team_id, Wish(networks=frozenset({name}), no_new_privileges=True, labels=rules.labels))
