"""The one base of every WebSocket consumer: nobody gets in without a right, and nobody stays without it.

Who may open a WebSocket at all is decided before any consumer runs: `asgi` admits exact origins only (WS-01). Then, here:
who is it (the session, or a bearer secret from this same host), may they do this, does the thing exist. All three are
asked again every 5 s for as long as the connection lives, and at once when it is said that this person's have changed, because a socket outlives a logout, a password change and a
lost right (WS-04). A thing that somebody may not see answers exactly as one that does not exist (WS-03).

Sentences are said in the language that the person reads; on the command line in English, as Docker's are.

Close codes: 4401 not signed in, 4403 not allowed, 4404 not there, 4413 message too big, 4429 too many sockets (WS-09: one
person cannot take all of a process's). A browser can only see a code of
a connection that was accepted, so refusals accept first and send nothing else but an error.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from importlib import import_module
from typing import Any, ClassVar

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AbstractBaseUser
from django.db import Error as DatabaseError
from django.http import HttpRequest
from django.utils import timezone, translation

from dashboard.core import events, gate
from dashboard.core.arrival import arrived
from dashboard.core.language import language_for
from dashboard.core.secrets import hashed
from dashboard.core.sentences import translated

UNAUTHENTICATED, DENIED, UNKNOWN, TOO_BIG, TOO_MANY, BROKEN = 4401, 4403, 4404, 4413, 4429, 4500
MESSAGE_LIMIT_BYTES = 64 * 1024
REASON_LIMIT_BYTES = 123
ENGLISH = "en"
MOST_OF_PERSON, MOST_OF_PROCESS = 200, 4000
RECHECK_S = 5.0
USED_AT_MOST_EVERY = timedelta(minutes=1)  # a row is not written at each look
_log = logging.getLogger(__name__)
_open_of: Counter[int] = Counter()  # open connections of this process by person; touched by the event loop only


class GuardedConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Subclasses name a permission and implement `opened`, `text`, `binary` and `closed`; they never accept themselves."""

    permission: ClassVar[gate.Permission]
    message_limit_bytes: ClassVar[int] = MESSAGE_LIMIT_BYTES
    recheck_s: ClassVar[float] = RECHECK_S

    user: AbstractBaseUser
    language = ENGLISH
    target: Any = None  # whatever `find_target` returned: each consumer knows its own type
    _guard: asyncio.Task[None] | None = None
    _counted_for: int | None = None
    _person_topic = ""
    is_open = False

    # What a subclass implements

    def find_target(self) -> Any | None:
        """In a database thread: the object that the address names; None when there is none. Default: no object."""
        return True

    async def opened(self) -> None:
        """Everything was checked, the connection is accepted."""

    async def text(self, text: str) -> None:
        """A text message within the size limit."""

    async def binary(self, data: bytes) -> None:
        """A binary message within the size limit."""

    async def closed(self) -> None:
        """Release everything. Called exactly once for each `opened`, however the connection ended."""

    # The guard

    async def connect(self) -> None:
        code, sentence = await database_sync_to_async(self._greet)()
        if code:
            await self.accept()
            await self.refuse(code, sentence)
            return
        if not self._take_place():
            await self.accept()
            await self.refuse(TOO_MANY, "Too many connections are open. Close some pages or streams first.")
            return
        try:
            await self.accept()
        except BaseException:
            self._give_place_back()
            raise
        self.is_open = True
        self._wake = asyncio.Event()
        self._person_topic = events.topic_of_person(self.user.pk)
        await events.join(self, self._person_topic)
        self._guard = asyncio.create_task(self._recheck())
        await self.opened()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self.is_open:
            return
        size = len(bytes_data) if bytes_data is not None else len(text_data or "")
        if size > self.message_limit_bytes:
            await self.refuse(TOO_BIG, "The message is too big.")
        elif bytes_data is not None:
            await self.binary(bytes_data)
        elif text_data is not None:
            await self.text(text_data)

    async def disconnect(self, code: int) -> None:
        await self._end()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # ASGI's types are dictionaries
        client = scope.get("client")
        with arrived("socket", client[0] if client and client[0] else ""):
            try:
                await super().__call__(scope, receive, send)
            finally:
                await self._end()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """That somebody's rights have changed is for the guard; everything else is the subclass's."""
        if message.get("type") == "topic.event" and message.get("topic") == self._person_topic:
            if message["payload"].get("t") == "rights":
                self._wake.set()
            else:
                await self.told(message["payload"])
            return
        await super().dispatch(message)

    async def refuse(self, code: int, sentence: str) -> None:
        """Say why, and close. Nothing that arrives afterwards is looked at."""
        await self._end()
        await self.send(text_data=json.dumps({"t": "error", "message": self.said(sentence)}))
        await self.close(code=int(code), reason=self._reason(sentence))  # Daphne takes plain numbers only

    async def finish(self, code: int, reason: str = "") -> None:
        """Close because the work is done."""
        await self._end()
        await self.close(code=int(code), reason=self._reason(reason))

    def said(self, sentence: str) -> str:
        """In the language of whoever is at the other end."""
        with translation.override(self.language):
            return translated(sentence)

    def _reason(self, sentence: str) -> str:
        """What fits into a close frame: RFC 6455 leaves 123 bytes, and Hangul takes three for each syllable."""
        return self.said(sentence).encode()[:REASON_LIMIT_BYTES].decode(errors="ignore")

    def allows(self, permission: gate.Permission) -> bool:
        """In a database thread: a further right on the same target."""
        try:
            gate.require(self.user, permission, self.target)
        except gate.Denied:
            return False
        return True

    async def told(self, payload: dict[str, Any]) -> None:  # JSON of whoever published it
        """Something for this person, whatever they are looking at; only pages show it."""

    async def rechecked(self) -> None:
        """The guard has just looked again and found everything in order; subclasses re-read narrower rights."""

    async def _end(self) -> None:
        if self._guard is not None and self._guard is not asyncio.current_task():
            self._guard.cancel()
        self._give_place_back()
        if self.is_open:
            self.is_open = False
            await events.leave(self, self._person_topic)
            await self.closed()

    def _take_place(self) -> bool:
        person = self.user.pk
        if _open_of[person] >= MOST_OF_PERSON or _open_of.total() >= MOST_OF_PROCESS:
            return False
        _open_of[person] += 1
        self._counted_for = person
        return True

    def _give_place_back(self) -> None:
        if self._counted_for is not None:
            _open_of[self._counted_for] -= 1
            if not _open_of[self._counted_for]:
                del _open_of[self._counted_for]
            self._counted_for = None

    async def _recheck(self) -> None:
        while self.is_open:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.recheck_s):
                    await self._wake.wait()
            self._wake.clear()
            try:
                code, sentence = await database_sync_to_async(self._admit)()
                if not code and self.is_open:
                    await self.rechecked()
            except DatabaseError:
                _log.exception("re-checking a connection failed; it ends")
                code, sentence = BROKEN, "Berth could not check your rights."
            if code and self.is_open:
                await self.refuse(code, sentence)
                return

    def _greet(self) -> tuple[int, str]:
        self.language = _language_of(self.scope)
        refusals: list[gate.Denied] = []
        answer = self._admit(refusals)
        for refusal in refusals:
            gate.tell_refused(self.user, refusal)
        return answer

    def _admit(self, refusals: list[gate.Denied] | None = None) -> tuple[int, str]:
        """(0, "") or a close code and a sentence. Reads the database: everything as it is now. A right that is not there
        is added to `refusals`.
        """
        user = _current_user(self.scope)
        if user is None:
            return UNAUTHENTICATED, "Sign in first."
        self.user = user
        target = self.find_target()
        if target is None:
            return UNKNOWN, "There is nothing at this address."
        is_about_object = target is not True
        try:
            gate.require(user, self.permission, target if is_about_object else None)
        except gate.Denied as error:
            if refusals is not None:
                refusals.append(error)
            return (
                (UNKNOWN, "There is nothing at this address.") if is_about_object else (DENIED, "You may not do this.")
            )
        self.target = target if is_about_object else None
        return 0, ""


def _current_user(scope: Any) -> AbstractBaseUser | None:
    """Who this is now: never what was true when the connection was made."""
    secret = _bearer(scope)
    if secret.startswith(gate.PREFIX):
        client = scope.get("client")
        user = _user_of_access(secret, client[0] if client and client[0] else "")
    else:
        user = _user_of_secret(secret) if secret else _user_of_session(scope)
    return user if user is not None and user.is_active else None


def _language_of(scope: Any) -> str:
    """English for who comes with a secret: that is a command line."""
    if _bearer(scope):
        return ENGLISH
    request = HttpRequest()
    headers = {name.lower(): value for name, value in scope.get("headers", ())}
    request.META["HTTP_ACCEPT_LANGUAGE"] = headers.get(b"accept-language", b"").decode("latin-1")
    request.COOKIES = scope.get("cookies") or {}
    return language_for(_user_of_session(scope), request)


def _bearer(scope: Any) -> str:
    """The secret of an Authorization header: an access token from anywhere, the host's own from this host only."""
    client = scope.get("client")
    is_near = not client or not client[0] or _is_loopback(client[0])
    for name, value in scope.get("headers", ()):
        if name.lower() == b"authorization":
            kind, _, secret = value.decode("latin-1").partition(" ")
            secret = secret.strip() if kind.lower() == "bearer" else ""
            return secret if is_near or secret.startswith(gate.PREFIX) else ""
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _user_of_secret(secret: str) -> AbstractBaseUser | None:
    """The host's root, who acts as a site administrator; None for a secret that is unknown or has run out."""
    token = apps.get_model("accounts", "Token").objects.filter(purpose="host", sha256=hashed(secret)).first()
    if token is None:
        return None
    if token.expires_at is not None and token.expires_at <= timezone.now():
        return None
    user: AbstractBaseUser | None = token.user
    return user


def _user_of_access(secret: str, address: str) -> AbstractBaseUser | None:
    """The owner of an access token, with no more rights than it has; None once it is revoked or over."""
    rows = apps.get_model("accounts", "AccessToken").objects
    now = timezone.now()
    alive = rows.filter(sha256=hashed(secret), revoked_at=None, expires_at__gt=now)
    token = alive.select_related("user").first()
    if token is None:
        return None
    if token.last_used_at is None or now - token.last_used_at > USED_AT_MOST_EVERY:
        rows.filter(pk=token.pk).update(last_used_at=now, last_used_from=address[:64])
    return gate.narrow(token.user, None if token.rights is None else frozenset(token.rights))


def _user_of_session(scope: Any) -> AbstractBaseUser | None:
    """Read again from the session store: a logout elsewhere, a new password or an expiry shows at once."""
    key = getattr(scope.get("session"), "session_key", None)
    if not key:
        return None
    store = import_module(settings.SESSION_ENGINE).SessionStore(key)
    request = HttpRequest()  # it reads `session` and nothing else
    request.session = store
    user = get_user(request)
    return user if isinstance(user, AbstractBaseUser) else None
