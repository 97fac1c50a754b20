"""Secrets that let somebody in. The database keeps sha256 of them: 256 random bits need no slow hash (WEB-09, WEB-11)."""

from __future__ import annotations

import hashlib
import secrets

_BYTES = 32


def new_secret() -> str:
    return secrets.token_urlsafe(_BYTES)


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
