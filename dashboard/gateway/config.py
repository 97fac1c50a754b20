"""The engine of this process, made from the settings."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

from django.conf import settings

from engine.config import EngineConfig, Limits
from engine.ids import IdPool

if TYPE_CHECKING:
    from ipaddress import IPv4Network

    from engine.api import Engine
    from engine.network.addresses6 import Subnet6
    from engine.runtime.access import AccessRequest
    from engine.runtime.rights import RightsRequest
    from engine.runtime.shares import SharesRequest

_lock = threading.Lock()
_engines: dict[str, Engine] = {}


@functools.cache
def _config(key: str) -> EngineConfig:
    return EngineConfig(
        data=settings.BERTH_DATA,
        uid=settings.BERTH_UID,
        gid=settings.BERTH_GID,
        subnet=settings.BERTH_SUBNET,
        mirrors=settings.BERTH_MIRRORS,
        plain_http=settings.BERTH_PLAIN_HTTP,
        runc=settings.BERTH_RUNC,
        conmon=settings.BERTH_CONMON,
        aardvark=settings.BERTH_AARDVARK,
        policy_file=settings.BERTH_POLICY,
        ids=IdPool(base=settings.BERTH_ID_BASE, ranges=settings.BERTH_ID_RANGES),
        limits=Limits(**settings.BERTH_LIMITS),
        pull_parallel=settings.BERTH_PULL_PARALLEL,
    )


def engine_config() -> EngineConfig:
    """The engine's settings; the same object until the data folder or the registries change."""
    registries = (sorted(settings.BERTH_MIRRORS.items()), sorted(settings.BERTH_PLAIN_HTTP))
    return _config(f"{settings.BERTH_DATA} {settings.BERTH_UID} {registries} {settings.BERTH_LIMITS}")


def engine() -> Engine:
    """The one engine of this process, made at first use. Only the engine worker has the rights to use it."""
    from engine.api import Engine

    config = engine_config()
    with _lock:
        if str(config.data) not in _engines:
            _engines[str(config.data)] = Engine(config)
        return _engines[str(config.data)]


def routed_networks() -> list[IPv4Network]:
    """Networks that this host has a route to, without Berth's own. Needs no rights."""
    from engine.network.definition import bridge_prefix
    from engine.network.routes import routed_networks as routed

    return [network for network, _interface in routed(but=bridge_prefix(engine_config().tag))]


def has_route6(subnet6: Subnet6) -> bool:
    """Whether this host has a route that overlaps it, without Berth's own. Needs no rights."""
    from engine.network.definition import bridge_prefix
    from engine.network.routes import overlapping6

    return bool(overlapping6(subnet6.network, but=bridge_prefix(engine_config().tag)))


def refuse_no_ipv6() -> None:
    """Needs no rights.

    Raises:
        NetworkError: this host has no IPv6.
    """
    from engine.network.addresses6 import refuse_missing

    refuse_missing()


def refuse_subnet(network: IPv4Network) -> None:
    """Refuse early what the engine would refuse: addresses of others whom this host may call. Needs no rights.

    Raises:
        NetworkError: with whose they are.
    """
    from engine.network.foreign import refuse_foreign

    refuse_foreign(network)


def refuse_host_path(path: str) -> None:
    """Refuse early what the engine would refuse. Needs no rights; a policy that only root may read is left to the engine.

    Raises:
        RequestRefused: the host's policy does not allow this path in containers.
    """
    from engine.runtime.policy import load_policy
    from engine.volumes.hostpaths import refuse_host_path as refuse

    config = engine_config()
    try:
        allowed = load_policy(config.policy_file).host_paths
    except PermissionError:
        return
    refuse(config, path, allowed)


def refuse_wishes(
    rights: RightsRequest,
    shares: SharesRequest,
    access: AccessRequest,
    *,
    memory_bytes: int | None,
    has_host_users: bool,
) -> None:
    """As `refuse_host_path`, of rights, shares and access to the host.

    Raises:
        RequestRefused: the host's policy or its kernel does not give them.
    """
    from engine.runtime.access import refuse_own_users, refuse_unfit_access
    from engine.runtime.policy import Policy, load_policy
    from engine.runtime.rights import refuse_unfit_rights
    from engine.runtime.shares import refuse_unfit_shares, share_facts

    config = engine_config()
    try:
        policy = load_policy(config.policy_file)
        refuse_unfit_access(access, policy, has_host_users=has_host_users)
        if not access.privileged:
            refuse_unfit_rights(rights, policy)
    except PermissionError:  # the engine will look; what no policy changes is said now
        policy = Policy()
        refuse_own_users(access, has_host_users=has_host_users)
    refuse_unfit_shares(shares, memory_bytes, policy, share_facts(), config.limits)


def reset_engine() -> None:
    """Close what `engine` made; containers go on. For the end of a worker and for tests."""
    with _lock:
        for made in _engines.values():
            made.close()
        _engines.clear()
