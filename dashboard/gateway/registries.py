"""Credentials at registries; loads the HTTP library, so it is for workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboard.gateway.config import engine_config
from engine.images.resolve import checker
from engine.registry import login

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.registry.endpoints import Credentials


def registry_origin(registry: str) -> str:
    """Where credentials for this registry go: `https://ghcr.io:443`. Raises RegistryError: its mirror is no URL."""
    return login.origin_of(engine_config(), registry)


def check_login(registry: str, credentials: Credentials, *, cancelled: Callable[[], bool]) -> None:
    """Go on only if the registry takes them.

    Raises:
        RegistryDenied: they are wrong.
        RegistryError (its other kinds), Cancelled.
    """
    check = checker(cancelled, "The log-in was cancelled.")
    login.check_login(engine_config(), registry, credentials, check=check)
