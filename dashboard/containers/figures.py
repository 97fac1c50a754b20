"""What containers take, read by the engine worker's clock every second and told in `stats.json` of the run folder.

A file, and not the channel layer: whoever shows figures reads the newest when it wants, without anybody telling anybody.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path

from django.conf import settings

from dashboard import gateway
from dashboard.core import clock

EVERY_S = 1.0
STALE_S = 10.0  # older ones are nobody's figures any more: the engine worker does not run


def _path() -> Path:
    return Path(settings.BERTH_RUN) / "stats.json"


@clock.every(EVERY_S, name="stats")
def write_figures() -> None:
    """Replaced in one step; for root and the unprivileged processes only."""
    found = gateway.engine().operations.figures()
    document = {"at": time.time(), "containers": {name: dataclasses.asdict(one) for name, one in found.items()}}
    path = _path()
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(document, file)
        os.fchown(fd, -1, settings.BERTH_GID)
        os.fchmod(fd, 0o640)
    fresh.replace(path)


def newest() -> dict[str, gateway.Figures]:
    """By container's id; empty when the engine worker has not said anything for a while."""
    try:
        document = json.loads(_path().read_text())
        if time.time() - document["at"] > STALE_S:
            return {}
        return {name: gateway.Figures(**one) for name, one in document["containers"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none yet, or of another version
        return {}
