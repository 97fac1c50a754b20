"""A text in the place of the one before: what `stats` shows."""

from __future__ import annotations

import os

from client.output import STDOUT, write_text

CLEAR, HOME, REST_OF_LINE, REST_OF_SCREEN = "\033[2J", "\033[H", "\033[K", "\033[J"


class Screen:
    """On a terminal it is redrawn from its top; elsewhere one text comes after another."""

    def __init__(self) -> None:
        self._is_first = True

    def show(self, text: str) -> None:
        if os.isatty(STDOUT):
            lines = "".join(f"{line}{REST_OF_LINE}\n" for line in text.splitlines())
            text = f"{CLEAR if self._is_first else ''}{HOME}{lines}{REST_OF_SCREEN}"
        self._is_first = False
        write_text(STDOUT, text)
