"""The engine's terminal parts, for `dashboard.terminals`: logs, input, sizes, detach keys."""

from __future__ import annotations

from engine.errors import EngineError, WrongState
from engine.terminal.boundary import Boundary, Snapshot, log_end, replay_start, since, tail_lines
from engine.terminal.detach import DetachKeys
from engine.terminal.input import INTERRUPT, InputAttach
from engine.terminal.log import Chunk, Parser, Position, TimesInFront, parse
from engine.terminal.modes import TerminalModes
from engine.terminal.queries import without_queries
from engine.terminal.replay import Replay
from engine.terminal.resize import Resizer, Size, current
from engine.terminal.tail import LogGone, LogTail
from engine.terminal.watch import LogWatch

__all__ = [
    "INTERRUPT",
    "Boundary",
    "Chunk",
    "DetachKeys",
    "EngineError",
    "InputAttach",
    "LogGone",
    "LogTail",
    "LogWatch",
    "Parser",
    "Position",
    "Replay",
    "Resizer",
    "Size",
    "Snapshot",
    "TerminalModes",
    "TimesInFront",
    "WrongState",
    "current",
    "log_end",
    "parse",
    "replay_start",
    "since",
    "tail_lines",
    "without_queries",
]
