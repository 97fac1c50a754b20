"""Requests to one repository: redirects by hand, credentials to their origin only, tokens as needed, patience.

Rules (REG-05, REG-06, F28):
- at most five redirects, never from https to http; what leaves the origin (scheme, host, port) carries no credentials
  and no cookies are kept at all;
- a 401 of the origin is answered once per request: by a token, or by a fresh one where it had expired;
- what may pass (no connection, time-outs, 429, 5xx) is asked again with back-off, honouring Retry-After up to a cap.
"""

from __future__ import annotations

import http.cookiejar
import logging
import time
from typing import TYPE_CHECKING, Self

import httpx

from engine.errors import EngineError, RegistryError
from engine.registry import tokens
from engine.registry.challenges import Challenge, parse_challenges
from engine.registry.endpoints import PORTS, Endpoint, check_realm, origin
from engine.registry.patience import Patience, retry_after_s
from engine.registry.replies import (
    BUSY,
    PASSING,
    complaint_of,
    is_plain_answer,
    is_untrusted,
    read_bounded,
    unexpected,
    unreachable,
)
from engine.registry.wire import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

REDIRECT_LIMIT = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
WAIT_SLICE_S = 0.2
AGENT = "berth"
logging.getLogger("httpx").setLevel(logging.WARNING)  # its INFO lines have whole URLs in them, signatures too (REG-10)


class Session:
    """Connections to one registry for one repository. Use from one thread at a time; close it.

    Args:
        check: raises to stop whatever is under way; called at least every half second while we wait for bytes.
    """

    def __init__(self, endpoint: Endpoint, repository: str, *, patience: Patience, check: Callable[[], None]) -> None:
        self.endpoint = endpoint
        self.repository = repository
        self.patience = patience
        self._check = check
        self._authorization: str | None = None
        self._client = httpx.Client(
            transport=Transport(patience, check, is_trusted=endpoint.is_trusted),
            trust_env=False,
            follow_redirects=False,
            cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(patience.idle_s, connect=patience.connect_s),
            headers={"User-Agent": AGENT, "Accept-Encoding": "identity"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, headers: dict[str, str]) -> httpx.Response:
        """GET below `/v2/`; the answer with its body unread, whatever its status. The caller closes it.

        Raises:
            RegistryUnreachable, RegistryBusy: after all attempts.
            RegistryDenied, RegistryError: a challenge or a redirect that cannot or may not be followed.
        """
        response, _ = self._attempts(self._below(path), headers, lambda _: b"")
        return response

    def root_status(self) -> int:
        """The status of the registry's own root, `/v2/`, with whatever credentials it asks for: 200 is a way in.

        Raises:
            As `get`; RegistryDenied also where its token server refuses.
        """
        return self._status("GET", self.endpoint.url(""))

    def head_status(self, path: str, headers: dict[str, str]) -> int:
        """As `get`, of HEAD: only whether it is there for us."""
        return self._status("HEAD", self._below(path), headers)

    def _status(self, method: str, url: httpx.URL, headers: dict[str, str] | None = None) -> int:
        response, _ = self._attempts(url, headers or {}, lambda _: b"", method=method)
        response.close()
        return response.status_code

    def _below(self, path: str) -> httpx.URL:
        return self.endpoint.url(f"{self.repository}/{path}")

    def get_whole(self, path: str, headers: dict[str, str], *, limit: int, what: str) -> tuple[httpx.Response, bytes]:
        """As `get`, and the body of a 200 too, which belongs to the attempt: what breaks in the middle is asked for again.

        Raises:
            DocumentInvalid: the body is longer than `limit`.
        """

        def read(response: httpx.Response) -> bytes:
            return read_bounded(response, limit, what) if response.status_code == 200 else b""

        return self._attempts(self._below(path), headers, read)

    def _attempts(
        self, url: httpx.URL, headers: dict[str, str], read: Callable[[httpx.Response], bytes], *, method: str = "GET"
    ) -> tuple[httpx.Response, bytes]:
        started = time.monotonic()
        failures = 0
        while True:
            failures += 1
            try:
                response = self._authorized(url, headers, method)
                body = _read_or_close(response, read)
            except httpx.TransportError as error:
                self._pause_after(error, failures, started)
                continue
            if response.status_code != BUSY and response.status_code not in PASSING:
                return response, body
            self._pause_after_answer(response, failures, started)

    def wait(self, seconds: float) -> None:
        """Sleep, with an ear for cancelling."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._check()
            time.sleep(min(WAIT_SLICE_S, left))

    def _pause_after(self, error: httpx.TransportError, failures: int, started: float) -> None:
        is_connecting = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        attempts = self.patience.connect_attempts if is_connecting else self.patience.attempts
        budget_s = self.patience.unreachable_s if is_connecting else self.patience.total_s
        delay_s = self.patience.delay_s(failures)
        is_late = time.monotonic() - started + delay_s > budget_s
        if failures >= attempts or is_late or is_untrusted(error) or is_plain_answer(error):
            raise unreachable(self.endpoint, error) from error
        self.wait(delay_s)

    def _pause_after_answer(self, response: httpx.Response, failures: int, started: float) -> None:
        """Close the answer and wait as long as it asks for, or raise its sentence."""
        try:
            asked_s = retry_after_s(response.headers.get("Retry-After"), self.patience.retry_after_cap_s)
            delay_s = self.patience.delay_s(failures) if asked_s is None else asked_s
            is_late = time.monotonic() - started + delay_s > self.patience.total_s
            if failures >= self.patience.attempts or is_late:
                raise unexpected(self.endpoint, response.status_code, complaint_of(response))
        finally:
            response.close()
        self.wait(delay_s)

    def _authorized(self, url: httpx.URL, headers: dict[str, str], method: str) -> httpx.Response:
        """One request, and once more with fresh credentials if the registry itself asks for them."""
        authorization = {"Authorization": self._authorization} if self._authorization else {}
        response = self._follow(url, headers | authorization, method=method)
        if response.status_code != 401 or origin(response.url) != origin(url):
            return response
        challenges = parse_challenges(response.headers.get_list("WWW-Authenticate"))
        if not challenges:
            return response
        answer = self._answer(response, challenges)
        if answer is None:
            return response
        response.close()
        self._authorization = answer
        return self._follow(url, headers | {"Authorization": answer}, method=method)

    def _answer(self, response: httpx.Response, challenges: tuple[Challenge, ...]) -> str | None:
        """The header for the second try; None where the same credentials were refused already."""
        try:
            answer = tokens.answer(self.endpoint, self.repository, challenges, self._fetch_token)
        except EngineError:
            response.close()
            raise
        return None if answer == self._authorization and answer.startswith("Basic ") else answer

    def _fetch_token(self, url: httpx.URL, headers: dict[str, str]) -> httpx.Response:
        return self._follow(url, headers, is_token=True)

    def _follow(
        self, url: httpx.URL, headers: dict[str, str], *, method: str = "GET", is_token: bool = False
    ) -> httpx.Response:
        """Send, and follow redirects by the rules above."""
        start = origin(url)
        for _ in range(REDIRECT_LIMIT + 1):
            sent = headers if origin(url) == start else {k: v for k, v in headers.items() if k != "Authorization"}
            response = self._client.send(self._client.build_request(method, url, headers=sent), stream=True)
            if response.status_code not in REDIRECTS:
                return response
            response.close()
            url = self._target(url, response.headers.get("Location", ""))
            if is_token:
                check_realm(self.endpoint, str(url))
        msg = f"The registry {self.endpoint.label} sends us in circles: more than {REDIRECT_LIMIT} redirects."
        raise RegistryError(msg, subject=self.endpoint.registry)

    def _target(self, url: httpx.URL, location: str) -> httpx.URL:
        """Where a redirect leads, if we may go there."""
        try:
            target = url.join(location)
        except (httpx.InvalidURL, ValueError):
            target = httpx.URL("")
        is_downgrade = url.scheme == "https" and target.scheme != "https"
        if not location or target.scheme not in PORTS or not target.host or is_downgrade or target.userinfo:
            msg = f"The registry {self.endpoint.label} redirects to an address that is not safe to follow."
            raise RegistryError(msg, subject=self.endpoint.registry)
        return target


def _read_or_close(response: httpx.Response, read: Callable[[httpx.Response], bytes]) -> bytes:
    try:
        return read(response)
    except BaseException:
        response.close()
        raise
