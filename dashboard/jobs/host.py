"""What the engine worker finds out about this host, for the unprivileged processes: `findings.json` in the run folder."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path

from django.conf import settings

from dashboard import gateway
from dashboard.core import clock

EVERY_S = 30.0
POLICY_EVERY_S = 2.0
WARNS = ("warning", "error")


@dataclasses.dataclass(slots=True)
class _Seen:
    """When the host's policy was changed last, and its size; None: not looked at yet."""

    seen: tuple[int, int] | None = None


_policy = _Seen()


@clock.at_start
@clock.every(EVERY_S, name="host checks")
def write_findings() -> None:
    """Readable by everybody; replaced in one step. `at`: seconds since 1970, so that a reader sees a dead engine."""
    engine = gateway.engine()
    findings = [dataclasses.asdict(finding) for finding in engine.check_host()]
    info = {key: _plain(value) for key, value in dataclasses.asdict(engine.info()).items()}
    path = Path(settings.BERTH_RUN) / "findings.json"
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"at": time.time(), "findings": findings, "info": info}))
    fresh.chmod(0o644)
    fresh.replace(path)


def _plain(value: object) -> object:
    """For JSON."""
    if value is None or isinstance(value, int | bool):
        return value
    return list(value) if isinstance(value, tuple) else str(value)


@clock.every(POLICY_EVERY_S, name="host policy")
def look_at_policy() -> None:
    """A ceiling that the host's administrator lifts or lowers is known to pages at once."""
    path = Path(settings.BERTH_POLICY)
    now = (path.stat().st_mtime_ns, path.stat().st_size) if path.exists() else (0, 0)
    if now != _policy.seen:
        is_first, _policy.seen = _policy.seen is None, now
        if not is_first:
            write_findings()


def told() -> dict[str, object]:
    """The whole document; empty when the engine has not said anything yet."""
    try:
        document = json.loads((Path(settings.BERTH_RUN) / "findings.json").read_text())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def host_info() -> dict[str, object]:
    """What the engine worker said last (`HostInfo`'s fields); empty when it has not yet."""
    info = told().get("info")
    return info if isinstance(info, dict) else {}


def host_memory() -> int:
    """Bytes of memory that this host has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def findings() -> list[dict[str, object]]:
    """`Finding`'s fields, each."""
    found = told().get("findings")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def host_warnings() -> list[str]:
    """What is not as it should be on this host, in a sentence each (the system page has all findings)."""
    return [f"{one.get('summary')}: {one.get('meaning')}" for one in findings() if one.get("level") in WARNS]
