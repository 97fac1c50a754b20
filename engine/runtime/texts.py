"""What may stand in the texts of a request, whoever wrote it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
ROWS_MAXIMUM = COLUMNS_MAXIMUM = 1000


def refuse_unfit_texts(words: Iterable[str], env: Iterable[str], plain: str, *, subject: str) -> None:
    """NUL ends a C string: what is checked here would not be what is run. Names of variables and `plain` texts take no
    control characters either; values may hold newlines, as with Docker (nothing of ours writes them into files, RUN-15).

    Raises:
        RequestRefused: one of them does not hold to it.
    """
    entries = tuple(env)
    if any("\0" in text for text in (*words, *entries)) or _CONTROL.search(plain):
        msg = "Arguments, environment and names may not contain control characters."
        raise RequestRefused(msg, subject=subject)
    for entry in entries:
        variable = entry.partition("=")[0]
        if not variable or _CONTROL.search(variable):
            msg = f"invalid environment variable: {entry[:80]!r}"
            raise RequestRefused(msg, subject=subject)


def refuse_unfit_size(rows: int, columns: int, *, subject: str) -> None:
    """Raise RequestRefused for a terminal that nobody can have."""
    if not (0 < rows <= ROWS_MAXIMUM and 0 < columns <= COLUMNS_MAXIMUM):
        msg = f"A terminal of {rows} rows and {columns} columns cannot be made (1 to 1000 each)."
        raise RequestRefused(msg, subject=subject)
