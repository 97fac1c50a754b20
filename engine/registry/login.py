"""Trying a name and a password at a registry, before anything is kept.

Source: distribution, docs/spec/api.md, "API version check"; docs/spec/auth/token.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import RegistryDenied
from engine.registry.endpoints import Credentials, endpoint_for, origin
from engine.registry.patience import PATIENCE, Patience
from engine.registry.replies import DENIALS, Complaint, unexpected
from engine.registry.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.config import EngineConfig
    from engine.registry.endpoints import Endpoint

ACCEPTED = 200


def origin_of(config: EngineConfig, registry: str) -> str:
    """Where this registry is really spoken to: `https://registry-1.docker.io:443`. Credentials belong to this and to
    nothing else: an administrator who sets another mirror does not send people's passwords there (REG-06, REG-10).

    Raises:
        RegistryError: the mirror setting for this registry is not a URL.
    """
    scheme, host, port = origin(endpoint_for(config, registry).base)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def check_login(
    config: EngineConfig,
    registry: str,
    credentials: Credentials,
    *,
    check: Callable[[], None],
    patience: Patience = PATIENCE,
) -> None:
    """Go on only if the registry takes this name and password.

    Args:
        config: the engine's.
        registry: as references name it.
        credentials: sent to the registry, and to its token server if that is its owner's (REG-05).
        check: raises to stop.
        patience: when to give up.

    Raises:
        RegistryDenied: they are wrong.
        RegistryError (its other kinds): it cannot be asked.
    """
    endpoint = endpoint_for(config, registry, credentials)
    with Session(endpoint, "", patience=patience, check=check) as session:
        try:
            status = session.root_status()
        except RegistryDenied as error:
            raise _denied(endpoint) from error
    if status in DENIALS:
        raise _denied(endpoint)
    if status != ACCEPTED:
        raise unexpected(endpoint, status, Complaint())


def _denied(endpoint: Endpoint) -> RegistryDenied:
    msg = f"The registry {endpoint.label} does not take this name and password: incorrect username or password."
    return RegistryDenied(msg, subject=endpoint.registry)
