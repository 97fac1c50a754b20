"""What quotas count, and in which unit. No database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dashboard.grammar.values import read_cpus, read_int, read_size, write_cpus, write_size

MOST_COUNT: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Kind:
    """`read` and `write`: its numbers as people type and see them. `flag`: as `berth quota set` calls it."""

    flag: str
    words: str | Promise
    read: Callable[[str], int]
    write: Callable[[int], str]


KINDS: Final[dict[str, Kind]] = {
    "containers": Kind("containers", _("Containers, running or not"), read_int, str),
    "nano_cpus": Kind("cpus", _("Processors of running containers"), read_cpus, write_cpus),
    "memory_bytes": Kind("memory", _("Memory of running containers"), read_size, write_size),
    "pids": Kind("pids", _("Processes of running containers"), read_int, str),
    "ports": Kind("ports", _("Published ports"), read_int, str),
    "layer_bytes": Kind("layer-disk", _("Disk of containers’ writable layers"), read_size, write_size),
    "volume_bytes": Kind("volume-disk", _("Disk of volumes"), read_size, write_size),
    "pulls": Kind("pulls", _("Pulls within an hour"), read_int, str),
}
# Of these a container takes its whole share while it runs.
RUNNING: Final = ("nano_cpus", "memory_bytes", "pids", "ports")
