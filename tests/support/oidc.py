"""A real OpenID Connect provider in a process of its own, which asks for nobody's password."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT_S = 30.0


@contextmanager
def running_provider() -> Iterator[str]:
    """Its address."""
    port = free_port()
    words = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), "--host", "127.0.0.1"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with httpx.Client(trust_env=False, timeout=5) as client:
        while time.monotonic() < deadline:
            try:
                client.get(f"{url}/.well-known/openid-configuration").raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.1)
            else:
                return
    raise RuntimeError("the OpenID Connect provider did not start")


def know(url: str, sub: str, **claims: object) -> str:
    """Let the provider know somebody."""
    with httpx.Client(trust_env=False, timeout=10) as client:
        client.put(f"{url}/users/{sub}", json=claims).raise_for_status()
    return sub
