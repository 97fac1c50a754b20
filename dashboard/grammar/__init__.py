"""Docker's command grammar, pure: text to request, request to text, and the shapes of what Docker prints.

One parser serves the browser's command bar and `script/berth`; `to_line` prints the "same as" line under a form, so
`parse(split_line(to_line(options)))` gives `Run(options)` back. Imports nothing of Django or of the other apps.
"""

from __future__ import annotations

from dashboard.grammar.errors import UsageError
from dashboard.grammar.options import ContainerOptions, ExecOptions, to_line
from dashboard.grammar.parse import parse, split_line, without_program
from dashboard.grammar.requests import Request
from dashboard.grammar.tables import render_table
from dashboard.grammar.teams import split_team
from dashboard.grammar.units import binary_size, human_duration, human_size

HumanSize = human_size
HumanDuration = human_duration

__all__ = [
    "ContainerOptions",
    "ExecOptions",
    "HumanDuration",
    "HumanSize",
    "Request",
    "UsageError",
    "binary_size",
    "human_duration",
    "human_size",
    "parse",
    "render_table",
    "split_line",
    "split_team",
    "to_line",
    "without_program",
]
