"""The setting of one OpenID Connect provider, from the environment. Imports nothing of Django's that settings would not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

_HERE: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def provider(environment: Mapping[str, str], url: str, name: str) -> dict[str, Any]:
    """What allauth's SOCIALACCOUNT_PROVIDERS is to be; empty without an address.

    Raises:
        ImproperlyConfigured: the address is not safe, or the secret's file cannot be read.
    """
    if not url:
        return {}
    place = urlsplit(url)
    if not place.hostname or (place.scheme != "https" and not (place.scheme == "http" and place.hostname in _HERE)):
        msg = "BERTH_OIDC_URL must begin with https:// (http:// only for this machine itself): passwords are at stake."
        raise ImproperlyConfigured(msg)
    app = {
        "provider_id": "sso",
        "name": name,
        "client_id": environment.get("BERTH_OIDC_CLIENT", "").strip() or "berth",
        "secret": _secret(environment.get("BERTH_OIDC_SECRET_FILE", "")),
        "settings": {"server_url": url},
    }
    return {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}


def origins(url: str) -> list[str]:
    """Of the provider, for the content security policy; none without one."""
    place = urlsplit(url)
    return [f"{place.scheme}://{place.netloc.rpartition('@')[2]}"] if url else []


def _secret(path: str) -> str:
    try:
        return Path(path).read_text().strip() if path else ""
    except OSError as error:
        msg = f"BERTH_OIDC_SECRET_FILE cannot be read: {error.strerror} ({path})."
        raise ImproperlyConfigured(msg) from error
