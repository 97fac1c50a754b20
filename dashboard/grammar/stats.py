"""`stats`: from plain values to the table that Docker prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.grammar.requests import Stats
from dashboard.grammar.tables import Row, render_table
from dashboard.grammar.units import binary_size, human_size

SHORT = 12
UNKNOWN = "--"
HEADERS = {
    "BlockIO": "BLOCK I/O",
    "CPUPerc": "CPU %",
    "Container": "CONTAINER",
    "ID": "CONTAINER ID",
    "MemPerc": "MEM %",
    "MemUsage": "MEM USAGE / LIMIT",
    "Name": "NAME",
    "NetIO": "NET I/O",
    "PIDs": "PIDS",
}
COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a container takes; all 0 for one that does not run."""

    cpu_percent: float = 0.0
    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    processes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsLine:
    """`taken` None: it runs, and nobody has looked yet."""

    container_id: str
    name: str
    taken: Taken | None


def memory_percent(taken: Taken) -> float:
    return 100 * taken.memory_bytes / taken.memory_limit_bytes if taken.memory_limit_bytes else 0.0


def _figures(taken: Taken | None) -> dict[str, str]:
    if taken is None:
        pair = f"{UNKNOWN} / {UNKNOWN}"
        return {
            "CPUPerc": UNKNOWN,
            "MemPerc": UNKNOWN,
            "PIDs": UNKNOWN,
            "MemUsage": pair,
            "NetIO": pair,
            "BlockIO": pair,
        }
    return {
        "CPUPerc": f"{taken.cpu_percent:.2f}%",
        "MemPerc": f"{memory_percent(taken):.2f}%",
        "MemUsage": f"{binary_size(taken.memory_bytes)} / {binary_size(taken.memory_limit_bytes)}",
        "NetIO": f"{human_size(taken.received_bytes)} / {human_size(taken.sent_bytes)}",
        "BlockIO": f"{human_size(taken.read_bytes)} / {human_size(taken.written_bytes)}",
        "PIDs": str(taken.processes),
    }


def stats_row(line: StatsLine, *, no_trunc: bool) -> Row:
    shown = line.container_id if no_trunc else line.container_id[:SHORT]
    said = {"ID": shown, "Container": shown, "Name": line.name, **_figures(line.taken)}
    return {key: said[key] for key in HEADERS}


def render_stats(request: Stats, lines: Sequence[StatsLine]) -> str:
    """The text of one look, without a last newline."""
    rows = [stats_row(line, no_trunc=request.no_trunc) for line in lines]
    return render_table(rows, headers=HEADERS, columns=COLUMNS, format_text=request.format)
