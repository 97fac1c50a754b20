"""Connections below HTTP: checked addresses, bounded waiting, a minimum rate, and an ear for cancelling.

The rate and the idle time are counted only while we wait in `read`: a slow consumer of ours never counts against the
registry. Everything that arrives counts, so a trickle of header bytes is as much too slow as a trickle of a layer.
"""

from __future__ import annotations

import functools
import re
import ssl
import time
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies_environment, proxy_bypass

import certifi
import httpcore
import httpx

from engine.errors import RegistryError
from engine.registry import addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.registry.patience import Patience

SLICE_S = 0.5
_LOOPBACK = re.compile(r"(?:localhost|127\.[0-9.]+|::1)\Z", re.IGNORECASE)


class PacedStream(httpcore.NetworkStream):
    """A connection that gives up on a peer that is silent too long or too slow over a whole window."""

    def __init__(self, stream: httpcore.NetworkStream, patience: Patience, check: Callable[[], None]) -> None:
        self._stream = stream
        self._patience = patience
        self._check = check
        self._waited_s = 0.0
        self._bytes = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        idle_s = self._patience.idle_s if timeout is None else timeout
        waited_s = 0.0
        while True:
            self._check()
            started = time.monotonic()
            try:
                data = self._stream.read(max_bytes, min(SLICE_S, max(idle_s - waited_s, 0.01)))
            except httpcore.ReadTimeout:
                waited_s += time.monotonic() - started
                self._count(time.monotonic() - started, 0)
                if waited_s >= idle_s:
                    raise
                continue
            self._count(time.monotonic() - started, len(data))
            return data

    def _count(self, seconds: float, size: int) -> None:
        self._waited_s += seconds
        self._bytes += size
        if self._waited_s < self._patience.rate_window_s:
            return
        if self._bytes < self._waited_s * self._patience.rate_bytes_s:
            msg = f"less than {self._patience.rate_bytes_s} bytes a second"
            raise httpcore.ReadTimeout(msg)
        self._waited_s, self._bytes = 0.0, 0

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._check()
        self._waited_s, self._bytes = 0.0, 0
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._stream.start_tls(ssl_context, server_hostname, timeout)
        return PacedStream(inner, self._patience, self._check)

    def get_extra_info(self, info: str) -> Any:  # Any: httpcore's interface
        return self._stream.get_extra_info(info)


class PacedBackend(httpcore.NetworkBackend):
    """Opens paced connections. With `is_trusted` None addresses are not checked: the peer is the administrator's proxy."""

    def __init__(self, patience: Patience, check: Callable[[], None], *, is_trusted: bool | None) -> None:
        self._backend = httpcore.SyncBackend()
        self._patience = patience
        self._check = check
        self._is_trusted = is_trusted

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,  # Any: httpcore's interface
    ) -> httpcore.NetworkStream:
        self._check()
        targets = [host] if self._is_trusted is None else self._resolve(host, port)
        deadline = time.monotonic() + (timeout or self._patience.connect_s)
        failure: Exception = httpcore.ConnectError("no address")
        for target in targets:
            left_s = max(deadline - time.monotonic(), 0.5)
            try:
                stream = self._backend.connect_tcp(target, port, left_s, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            return PacedStream(stream, self._patience, self._check)
        raise failure

    def _resolve(self, host: str, port: int) -> list[str]:
        try:
            return addresses.resolve(host, port, is_trusted=bool(self._is_trusted))
        except OSError as error:
            msg = "the name is not known"
            raise httpcore.ConnectError(msg) from error


@functools.cache
def trusted_authorities() -> ssl.SSLContext:
    """The host's certificate authorities, and Mozilla's for a host that has none."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class Transport(httpx.BaseTransport):
    """HTTP/1.1 straight to the registry, or by the proxy that the environment names for its host (also `no_proxy`)."""

    def __init__(self, patience: Patience, check: Callable[[], None], *, is_trusted: bool) -> None:
        self._patience = patience
        self._check = check
        self._context = trusted_authorities()
        self._direct = self._pooled(httpx.HTTPTransport(verify=self._context, trust_env=False), is_trusted=is_trusted)
        self._proxied: dict[str, httpx.HTTPTransport] = {}

    def _pooled(self, transport: httpx.HTTPTransport, *, is_trusted: bool | None) -> httpx.HTTPTransport:
        """Give a transport our connections. httpx has no public way for it; httpx is pinned and REG-05's tests notice."""
        backend = PacedBackend(self._patience, self._check, is_trusted=is_trusted)
        transport._pool._network_backend = backend
        return transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        proxy = proxy_for(request.url)
        if proxy is None:
            return self._direct.handle_request(request)
        if proxy not in self._proxied:
            self._proxied[proxy] = self._by_proxy(proxy)
        return self._proxied[proxy].handle_request(request)

    def _by_proxy(self, proxy: str) -> httpx.HTTPTransport:
        try:
            transport = httpx.HTTPTransport(verify=self._context, trust_env=False, proxy=proxy)
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            msg = (
                "The proxy that the environment names cannot be used. Only http:// and https:// proxies are supported."
            )
            raise RegistryError(msg) from error
        return self._pooled(transport, is_trusted=None)

    def close(self) -> None:
        for transport in (self._direct, *self._proxied.values()):
            transport.close()


def proxy_for(url: httpx.URL) -> str | None:
    """The proxy of the environment for this URL: `<scheme>_proxy` or `all_proxy`, unless `no_proxy` names the host.

    This host itself is never asked for through a proxy (as in Go's clients).
    """
    proxies = getproxies_environment()
    if (
        not proxies
        or _LOOPBACK.match(url.host)
        or proxy_bypass(f"{url.host}:{url.port}" if url.port else url.host, proxies)
    ):
        return None
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
