"""What quotas count, and in which unit. No database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dashboard.grammar.quotas import LIMITS
from dashboard.grammar.values import write_cpus, write_hours, write_size

MOST_COUNT: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Kind:
    """`read` and `write`: its numbers as people type and see them. `flag`: as `berth quota set` calls it."""

    flag: str
    words: str | Promise
    read: Callable[[str], int]
    write: Callable[[int], str]


_SHOWN: Final[dict[str, tuple[str | Promise, Callable[[int], str]]]] = {
    "containers": (_("Containers, running or not"), str),
    "nano_cpus": (_("Processors of running containers"), write_cpus),
    "memory_bytes": (_("Memory of running containers"), write_size),
    "pids": (_("Processes of running containers"), str),
    "ports": (_("Published ports"), str),
    "layer_bytes": (_("Disk of containers’ writable layers"), write_size),
    "volume_bytes": (_("Disk of volumes"), write_size),
    "image_bytes": (_("Disk of images"), write_size),
    "pulls": (_("Pulls within an hour"), str),
    "running_seconds": (_("Hours of running within 30 days"), write_hours),
}
KINDS: Final[dict[str, Kind]] = {
    name: Kind(flag, words, read, write)
    for flag, (name, read, _help) in LIMITS.items()
    for words, write in [_SHOWN[name]]
}
# Of these a container takes its whole share while it runs.
RUNNING: Final = ("nano_cpus", "memory_bytes", "pids", "ports")
