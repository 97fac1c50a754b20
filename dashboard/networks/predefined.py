"""The networks that are always there: `bridge`, the default one, and `none`. Used by migrations too: plain fields only."""

from __future__ import annotations

import secrets
from typing import Any

BRIDGE, NONE, HOST = "bridge", "none", "host"
PREDEFINED = (BRIDGE, NONE)


def make_predefined(networks: Any) -> None:  # a manager of the app's model, or of a migration's
    """Idempotent."""
    everybodys = {"team": None} if hasattr(networks.model, "team") else {}  # a migration's model may be older
    for name, number in ((BRIDGE, 0), (NONE, None)):
        fields = {"network_id": secrets.token_hex(32), "number": number, **everybodys}
        networks.get_or_create(name=name, defaults=fields)
