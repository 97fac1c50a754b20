"""Layers on their way, redrawn in place as `docker pull` does; elsewhere one line for each thing that is settled.

Source of the layout: docker's pkg/jsonmessage and pkg/progress (a bar of 50, sizes to the right).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

BAR = 50
NARROW_BAR = 20
WIDE = 110
NARROW = 70
MOVING = frozenset({"Downloading", "Extracting", "Verifying", "Waiting"})
MEASURED = frozenset({"Downloading", "Extracting"})  # the others have no bar, as with Docker
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_BASE = 1000.0


def human_size(size_bytes: float) -> str:
    size, unit = float(size_bytes), 0
    while unit < len(_UNITS) - 1 and (size >= _BASE or "e" in f"{size:.4g}"):
        size, unit = size / _BASE, unit + 1
    return f"{size:.4g}{_UNITS[unit]}"


def bar(current: int, total: int, columns: int) -> str:
    """`[=====>    ]  1.2MB/65.7MB`, as wide as there is room for."""
    if total <= 0 or current > total:
        return f"{human_size(current):>8}" if current > 0 else ""
    width = BAR if columns > WIDE else NARROW_BAR if columns > NARROW else 0
    numbers = f"{human_size(current):>8}/{human_size(total)}"
    if not width:
        return numbers
    done = current * width // total
    return f"[{'=' * done}>{' ' * (width - done)}] {numbers}"


@dataclass(slots=True)
class Progress:
    """`write` gets text for standard output; `columns` asks for the terminal's width, None when it is no terminal."""

    write: Callable[[str], None]
    columns: Callable[[], int] | None
    _lines: list[str] = field(default_factory=list)
    _last: dict[str, str] = field(default_factory=dict)

    def show(self, layer: str, status: str, current: int, total: int) -> None:
        if self.columns is None:
            if status not in MOVING and self._last.get(layer) != status:
                self.write(f"{layer}: {status}\n")
            self._last[layer] = status
            return
        columns = self.columns()
        detail = bar(current, total, columns) if status in MEASURED else ""
        line = f"{layer}: {status} {detail}".rstrip()[: max(columns - 1, 1)]
        if layer not in self._lines:
            self._lines.append(layer)
            self._last[layer] = line
            self.write(f"{line}\n")
        elif self._last[layer] != line:
            self._last[layer] = line
            up = len(self._lines) - self._lines.index(layer)
            self.write(f"\x1b[{up}A\x1b[2K\r{line}\x1b[{up}B\r")

    def settle(self) -> None:
        """Other text follows: what stands is never redrawn again."""
        self._lines.clear()
        self._last.clear()
