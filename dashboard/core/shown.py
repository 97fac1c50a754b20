"""Settings as people may see them."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings


def shown_mirrors() -> dict[str, str]:
    """Mirrors by registry, without the name and password that an address may hold (WEB-10)."""
    return {registry: without_password(address) for registry, address in settings.BERTH_MIRRORS.items()}


def without_password(address: str) -> str:
    """An address whose user part, if it has one, is `***`."""
    place = urlsplit(address).netloc
    user, at, host = place.rpartition("@")
    return address.replace(f"{user}@{host}", f"***@{host}", 1) if at else address
