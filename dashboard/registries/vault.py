"""Encrypting what must be read again: MultiFernet, with keys in a file outside the database.

`credentials-key` in the data folder has a key on each line, the newest first: what is written is encrypted with that one,
and what any of them encrypted can be read. `script/server` makes it (root's, readable for Berth's user). Who has a copy of
the database alone reads nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.translation import gettext as _

from dashboard.core.errors import DashboardError

_FOR_TESTS: Final = "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk="


class Unreadable(DashboardError):
    """The key that encrypted it is not here."""

    def __init__(self, what: str) -> None:
        msg = _("The password for %(what)s cannot be read with this installation's key. Log in again.")
        super().__init__(msg % {"what": what}, status=409)


def key_file() -> Path:
    return Path(settings.BERTH_DATA) / "credentials-key"


def _keys() -> MultiFernet:
    """Read at each use: a rotated key holds without a restart."""
    path = key_file()
    if path.is_file():
        lines = path.read_text().split()
    elif settings.TESTING:
        lines = [_FOR_TESTS]
    else:
        lines = []
    if not lines:
        raise DashboardError(
            _("Passwords of registries cannot be kept: the file credentials-key is missing in the data folder."),
            status=503,
        )
    try:
        return MultiFernet([Fernet(line) for line in lines])
    except ValueError as error:
        msg = _(
            "Passwords of registries cannot be kept or read: the file credentials-key in the data folder is damaged."
        )
        raise DashboardError(msg, status=503) from error


def encrypt(text: str) -> str:
    return _keys().encrypt(text.encode()).decode()


def decrypt(token: str, what: str) -> str:
    """Raises Unreadable; `what` is for its sentence."""
    try:
        return _keys().decrypt(token).decode()
    except InvalidToken as error:
        raise Unreadable(what) from error


def anew(token: str, what: str) -> str:
    """The same, encrypted with the newest key. Raises Unreadable."""
    try:
        return _keys().rotate(token).decode()
    except InvalidToken as error:
        raise Unreadable(what) from error
