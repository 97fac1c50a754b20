"""Where sessions are kept: Django's table, read with one doubt more."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession
from django.utils import timezone

SLACK = timedelta(minutes=1)


class SessionStore(db.SessionStore):
    """A session that ends later than one that begins now was made while the host's clock was ahead.

    With the clock mended it would live for as long as the clock was wrong, so it is worth nothing (F42).
    """

    def _get_session_from_db(self) -> AbstractBaseSession | None:
        return self._believed(super()._get_session_from_db())  # type: ignore[misc]  # not in the stubs

    async def _aget_session_from_db(self) -> AbstractBaseSession | None:
        return self._believed(await super()._aget_session_from_db())  # type: ignore[misc]  # as above

    def _believed(self, found: AbstractBaseSession | None) -> AbstractBaseSession | None:
        latest = timezone.now() + timedelta(seconds=self.get_session_cookie_age()) + SLACK
        if found is not None and found.expire_date > latest:
            self._session_key = None
            return None
        return found
