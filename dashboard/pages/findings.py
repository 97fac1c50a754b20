"""What the engine found on this host. The web process is unprivileged: the engine worker looks, this reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dashboard.jobs import host

STALE_AFTER = timedelta(seconds=90)
_ORDER = {"error": 0, "warning": 1, "ok": 2}


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    level: str  # "ok", "warning" or "error"
    summary: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Report:
    findings: tuple[Finding, ...]
    at: datetime | None
    info: dict[str, Any]  # `HostInfo` of the engine, as JSON

    @property
    def is_fresh(self) -> bool:
        return self.at is not None and datetime.now(UTC) - self.at < STALE_AFTER


def _finding(item: dict[str, Any]) -> Finding:
    return Finding(*(str(item.get(key, "")) for key in ("name", "level", "summary", "meaning")))


def report() -> Report:
    """The latest findings, the worst first; none and no time when the engine has never answered."""
    told = host.told()
    found = sorted((_finding(item) for item in host.findings()), key=lambda x: _ORDER.get(x.level, 0))
    at = told.get("at")
    moment = datetime.fromtimestamp(at, UTC) if isinstance(at, int | float) else None
    return Report(tuple(found), moment, host.host_info())
