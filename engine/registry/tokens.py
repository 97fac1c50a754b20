"""The answer to a challenge: a bearer token from the registry's token server, or the name and password themselves.

Source: distribution, docs/spec/auth/token.md.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from engine.errors import DocumentInvalid, RegistryDenied
from engine.oci.strict_json import Reader, load
from engine.registry.endpoints import Credentials, Endpoint, check_realm
from engine.registry.replies import complaint_of, read_bounded, unexpected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx

    from engine.registry.challenges import Challenge

TOKEN_LIMIT_BYTES = 64 * 1024


def basic(credentials: Credentials) -> str:
    """The header value for basic authentication (RFC 7617)."""
    pair = f"{credentials.username}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def answer(
    endpoint: Endpoint,
    repository: str,
    challenges: Sequence[Challenge],
    fetch: Callable[[httpx.URL, dict[str, str]], httpx.Response],
) -> str:
    """The Authorization header that answers the first challenge we can answer.

    Args:
        endpoint: the registry that asked.
        challenges: what it would take, in its order.
        repository: the scope asked for is pulling from it, whatever scope the challenge names; "" asks for none.
        fetch: a GET with headers that follows redirects by our rules; we close what it returns.

    Raises:
        RegistryDenied: no way in, or the token server refuses.
        RegistryError: the token server is somewhere it may not be (REG-05).
        DocumentInvalid: its reply is no token.
    """
    for challenge in challenges:
        if challenge.scheme == "bearer" and "realm" in challenge.parameters:
            return f"Bearer {_token(endpoint, repository, challenge, fetch)}"
        if challenge.scheme == "basic" and endpoint.credentials is not None:
            return basic(endpoint.credentials)
    what = f" for '{repository}'" if repository else ""
    msg = (
        f"The registry {endpoint.label} wants a name and a password{what}, and none are set. Log in to it: berth login."
    )
    raise RegistryDenied(msg, subject=endpoint.registry)


def _token(
    endpoint: Endpoint,
    repository: str,
    challenge: Challenge,
    fetch: Callable[[httpx.URL, dict[str, str]], httpx.Response],
) -> str:
    url = check_realm(endpoint, challenge.parameters["realm"])
    if repository:
        url = url.copy_merge_params({"scope": f"repository:{repository}:pull"})
    if service := challenge.parameters.get("service"):
        url = url.copy_merge_params({"service": service})
    headers = {"Authorization": basic(endpoint.credentials)} if endpoint.credentials else {}
    response = fetch(url, headers)
    try:
        if response.status_code != 200:
            raise unexpected(endpoint, response.status_code, complaint_of(response))
        body = read_bounded(response, TOKEN_LIMIT_BYTES, "the token")
    finally:
        response.close()
    return _parse(body)


def _parse(body: bytes) -> str:
    reader = Reader(load(body, "the registry's token"), "the registry's token")
    token = reader.text("token") or reader.text("access_token")
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        msg = "The registry's token server sent no usable token."
        raise DocumentInvalid(msg)
    return token
