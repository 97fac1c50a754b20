"""Where a registry is really spoken to, and what is allowed there: mirrors, plain HTTP, addresses inside our network.

Only an administrator's settings widen anything: a mirror replaces the registry that it stands for (there is no silent
way back to the original), a mirror written as `http://` and a registry in `plain_http` may be spoken to in plain HTTP,
and only those two kinds may live at, point to or redirect to a private or loopback address (REG-05, REG-13).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

import httpx

from engine.errors import RegistryError
from engine.reference import DEFAULT_REGISTRY

if TYPE_CHECKING:
    from engine.config import EngineConfig

HUB = "registry-1.docker.io"
PORTS = {"http": 80, "https": 443}
_SHARED_SECOND_LEVELS = frozenset({"co", "com", "org", "net", "ac", "edu", "gov", "or", "ne", "go", "gob", "govt"})
_SHARED_DOMAINS = frozenset(
    {
        "amazonaws.com",
        "azurecr.io",
        "github.io",
        "pkg.dev",
        "run.app",
        "appspot.com",
        "herokuapp.com",
        "nip.io",
        "sslip.io",
    }
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """For one registry. Never in a message, a log or a repr."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`base` ends without a slash: `https://registry-1.docker.io`. `registry` is the name in references."""

    registry: str
    base: httpx.URL
    credentials: Credentials | None
    is_trusted: bool

    @property
    def is_plain(self) -> bool:
        return self.base.scheme == "http"

    @property
    def label(self) -> str:
        """For people: the registry and, where it is another, the host that answers for it."""
        host = self.base.netloc.decode()
        return self.registry if host in (self.registry, HUB) else f"{self.registry} (by {host})"

    def url(self, path: str) -> httpx.URL:
        return self.base.copy_with(path=f"{self.base.path.rstrip('/')}/v2/{path}")


def endpoint_for(config: EngineConfig, registry: str, credentials: Credentials | None = None) -> Endpoint:
    """Where and how to ask for images of `registry`.

    Credentials in a mirror's URL are used unless others are given.

    Raises:
        RegistryError: the mirror setting for this registry is not a URL.
    """
    mirror = config.mirrors.get(registry)
    if mirror is not None:
        return _mirror(registry, mirror, credentials)
    is_plain = registry in config.plain_http
    host = HUB if registry == DEFAULT_REGISTRY else registry
    base = httpx.URL(f"{'http' if is_plain else 'https'}://{host}")
    return Endpoint(registry, base, credentials, is_trusted=is_plain)


def _mirror(registry: str, mirror: str, credentials: Credentials | None) -> Endpoint:
    try:
        url = httpx.URL(mirror)
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL("")
    if url.scheme not in PORTS or not url.host or url.query or url.fragment:
        msg = f"The mirror set for {registry} is not a URL like http://127.0.0.1:5000. An administrator can correct it."
        raise RegistryError(msg, subject=registry)
    if credentials is None and url.username:
        credentials = Credentials(unquote(url.username), unquote(url.password))
    base = httpx.URL(scheme=url.scheme, host=url.host, port=url.port, path=url.path)
    return Endpoint(registry, base, credentials, is_trusted=True)


def origin(url: httpx.URL) -> tuple[str, str, int]:
    """Scheme, host and port: credentials never leave it (REG-06)."""
    return url.scheme, url.host.lower(), url.port or PORTS.get(url.scheme, 0)


def _registrable(host: str) -> str:
    """The part of a host name that one owner has, without the public suffix list: near enough for a refusal."""
    labels = host.rstrip(".").lower().split(".")
    last_two = ".".join(labels[-2:])
    shared = last_two in _SHARED_DOMAINS or (
        len(labels[-1]) == 2 and labels[-2:-1] and labels[-2] in _SHARED_SECOND_LEVELS
    )
    return ".".join(labels[-3:]) if shared else last_two


def is_same_owner(one: str, other: str) -> bool:
    """Whether two hosts seem to belong together: the same, or names under one domain. Addresses only if the same."""
    if one.lower() == other.lower():
        return True
    is_address = any(":" in host or host.replace(".", "").isdigit() or "." not in host for host in (one, other))
    return not is_address and _registrable(one) == _registrable(other)


def check_realm(endpoint: Endpoint, text: str) -> httpx.URL:
    """Where a registry wants us to fetch a token, if we may (REG-05).

    https only, unless the registry itself is spoken to in plain HTTP; on a host that belongs with the registry. What the
    host's name resolves to is checked when it is connected to.

    Raises:
        RegistryError: with the reason.
    """
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL("")
    allowed = ("https", "http") if endpoint.is_plain else ("https",)
    shown = text[:200]
    if url.scheme not in allowed or not url.host or url.userinfo:
        msg = f"The registry {endpoint.label} sends us to '{shown}' for a token, which is not a safe address."
        raise RegistryError(msg, subject=endpoint.registry)
    if not is_same_owner(url.host, endpoint.base.host):
        msg = f"The registry {endpoint.label} sends us to another owner's host, '{url.host[:200]}', for a token. That is refused."
        raise RegistryError(msg, subject=endpoint.registry)
    return url
