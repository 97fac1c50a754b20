"""Versions of the programs that Berth starts, and how far they can be trusted.

Source of the floors: threats.md 4.5. runc 1.1 and everything below 1.2.8 has known ways out of a container
(CVE-2025-31133, 52565, 52881); 1.2.8+, 1.3.3 to 1.3.5 and 1.4.0 to 1.4.2 have one minor hole (CVE-2026-41579).
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

from engine.errors import HostUnfit
from engine.kernel.process import ProcessFailed, run
from engine.runtime import conmon, runc

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config import EngineConfig

Version = tuple[int, int, int]
_VERSION = re.compile(r"\bversion:? v?(\d+)\.(\d+)(?:\.(\d+))?(-rc)?")
_TIMEOUT_S = 10.0
GREEN_FLOORS: tuple[Version, ...] = ((1, 3, 6), (1, 4, 3), (1, 5, 0))
AMBER_FLOORS: tuple[Version, ...] = ((1, 2, 8), (1, 3, 3), (1, 4, 0))
CONMON_FLOOR: Version = (2, 1, 0)


def refuse_unfit_runtime(config: EngineConfig) -> None:
    """Go on only if runc and conmon are there, now, and new enough. Costs two looks at files unless one was changed.

    Raises:
        HostUnfit: with what to install.
    """
    runc.version(config.runc)
    found = conmon.version(config.conmon)
    if (version := parse_version(f"version {found}")) is None or version < CONMON_FLOOR:
        msg = f"{config.conmon} has the version {found[:40]}, which is too old. Install conmon 2.1 or later."
        raise HostUnfit(msg, subject=str(config.conmon))


class Trust(Enum):
    GREEN = "green"
    AMBER = "amber"
    RED = "red"


def parse_version(text: str) -> Version | None:
    """The version that `--version` printed; one of a release candidate counts below its release."""
    match = _VERSION.search(text)
    if match is None:
        return None
    version = int(match[1]), int(match[2]), int(match[3] or 0)
    return (version[0], version[1], version[2] - 1) if match[4] else version


def runc_trust(version: Version) -> Trust:
    if _reaches(version, GREEN_FLOORS):
        return Trust.GREEN
    return Trust.AMBER if _reaches(version, AMBER_FLOORS) else Trust.RED


def _reaches(version: Version, floors: tuple[Version, ...]) -> bool:
    """At or above the floor of its own series, or of a series after the last one listed."""
    if version[:2] > floors[-1][:2]:
        return True
    return any(version[:2] == floor[:2] and version >= floor for floor in floors)


def first_line(program: Path, *arguments: str) -> str | None:
    """What a program prints first, or None when it is missing or fails."""
    try:
        done = run([str(program), *arguments], timeout_s=_TIMEOUT_S)
    except (HostUnfit, ProcessFailed, PermissionError):
        return None
    return (done.stdout or done.stderr).decode("utf-8", "replace").partition("\n")[0].strip()
