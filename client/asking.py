"""What a command asks of the person: a name, a password that is not shown, or one from standard input.

Only a command that logs in is answered: whoever is at the other end of any other gets nothing typed.
"""

from __future__ import annotations

import os
import signal

from client.keyboard import Silent
from client.output import STDERR, STDIN, write_said, write_text
from client.words import after_global

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.connection import Frame

LIMIT_BYTES = 64 * 1024
ASKS = (["login"], ["registry", "login"])
NO_TERMINAL = "Error: Cannot perform an interactive login from a non TTY device"


INTERRUPTED = 130
_silent = Silent(STDIN)


def stop(number: int) -> None:
    """Ctrl-C while we wait for an answer, in the signals' thread: nothing has been done yet, so leave."""
    if number in {signal.SIGWINCH, signal.SIGCONT}:
        return
    _silent.restore()
    write_text(STDERR, "\n")
    os._exit(INTERRUPTED)


def answer(frame: Frame, argv: Sequence[str]) -> Frame:
    """The frame that answers. Waits for the person."""
    words = after_global(argv)
    if not any(words[: len(one)] == one for one in ASKS):
        return {"t": "answer", "error": "Error: this command asks for nothing"}
    if frame.get("stdin"):
        return {"t": "answer", "text": _all_input()}
    if not os.isatty(STDIN):
        return {"t": "answer", "error": NO_TERMINAL}
    prompt = str(frame.get("prompt", ""))[:200]
    return {"t": "answer", "text": _hidden_line(prompt) if frame.get("secret") else _shown_line(prompt)}


def _all_input() -> str:
    """Without the line feed that `echo` adds, as Docker."""
    found = bytearray()
    while len(found) <= LIMIT_BYTES and (piece := os.read(STDIN, LIMIT_BYTES)):
        found += piece
    return found.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")


def _line() -> str:
    """A terminal gives a line at a time."""
    return os.read(STDIN, LIMIT_BYTES).decode("utf-8", "replace").removesuffix("\n")


def _shown_line(prompt: str) -> str:
    write_said(STDERR, prompt)
    return _line()


def _hidden_line(prompt: str) -> str:
    """Nothing is asked before nothing is shown."""
    with _silent:
        write_said(STDERR, prompt)
        line = _line()
    write_text(STDERR, "\n")
    return line
