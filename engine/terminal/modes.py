"""Which modes a terminal is in after some output; pure.

A replay that starts in the middle of a log starts with a terminal that knows nothing of what came before: whether the
alternate screen is on, the cursor hidden, the mouse reported, which colours are set. `TerminalModes` reads output
and can say all that again as one short `preamble`. It does not know the screen: that is the emulator's work.

Source: xterm's ctlseqs (DECSET/DECRST, SGR, DECSTBM, SCS, DECKPAM); ECMA-48.
"""

from __future__ import annotations

import re
from typing import Final

_CSI = rb"\x1b\[(?P<private>[?>=!]?)(?P<numbers>[0-9:;]{0,64})(?P<between>[ $]?)(?P<final>[hlmrqp])"
_SEQUENCE = re.compile(_CSI + rb"|\x1b(?P<short>c|=|>|[()][0AB])|(?P<shift>[\x0e\x0f])")
_UNFINISHED = re.compile(rb"\x1b(?:\[[?>=!]?[0-9:;]{0,64}[ $]?|[()])?\Z")
_ALTERNATE: Final = frozenset({b"47", b"1047", b"1049"})
_MAXIMUM_STYLES = 64
_KEPT_BYTES = 80


class TerminalModes:
    """Feed it output in order, cut anywhere."""

    def __init__(self) -> None:
        self._rest = b""
        self._reset()

    def _reset(self) -> None:
        self._private: dict[bytes, bool] = {}
        self._modes: dict[bytes, bool] = {}
        self._styles: list[bytes] = []
        self._others: dict[str, bytes] = {}

    @property
    def is_alternate(self) -> bool:
        """A full-screen program has the alternate screen on."""
        return any(self._private.get(number, False) for number in _ALTERNATE)

    def feed(self, data: bytes) -> None:
        if not self._rest and b"\x1b" not in data and b"\x0e" not in data and b"\x0f" not in data:
            return
        data = self._rest + data
        for found in _SEQUENCE.finditer(data):
            self._take(found)
        unfinished = _UNFINISHED.search(data, max(0, len(data) - _KEPT_BYTES))
        self._rest = unfinished[0] if unfinished else b""

    def preamble(self) -> bytes:
        """What brings a fresh terminal into these modes. The alternate screen first, so that the rest is set in it."""
        parts = [b"\x1b[?%sh" % n for n, is_on in self._private.items() if is_on and n in _ALTERNATE]
        parts += [b"\x1b[?%s%s" % (n, b"h" if on else b"l") for n, on in self._private.items() if n not in _ALTERNATE]
        parts += [b"\x1b[%s%s" % (n, b"h" if on else b"l") for n, on in self._modes.items()]
        parts += [*self._others.values(), *self._styles]
        return b"".join(parts)

    def _take(self, found: re.Match[bytes]) -> None:
        if found["final"] is None:
            self._take_short(found[0])
            return
        final, private = found["final"], found["private"]
        if final in b"hl" and not found["between"] and private in {b"?", b""}:
            modes = self._private if private else self._modes
            for number in found["numbers"].split(b";"):
                modes.pop(number, None)  # the order in which they were set last is kept
                modes[number] = final == b"h"
        elif final == b"m" and not private:
            self._take_style(found[0], found["numbers"])
        elif final == b"r" and not private:
            self._others["region"] = found[0]
        elif final == b"q" and found["between"] == b" ":
            self._others["cursor"] = found[0]
        elif final == b"p" and private == b"!":
            self._reset()

    def _take_style(self, sequence: bytes, numbers: bytes) -> None:
        if numbers.rpartition(b";")[2] in {b"", b"0"}:
            self._styles.clear()
        else:
            self._styles.append(sequence)
            del self._styles[:-_MAXIMUM_STYLES]

    def _take_short(self, sequence: bytes) -> None:
        if sequence == b"\x1bc":
            self._reset()
        elif sequence in {b"\x1b=", b"\x1b>"}:
            self._others["keypad"] = sequence
        elif sequence in {b"\x0e", b"\x0f"}:
            self._others["shift"] = sequence
        else:
            self._others[f"set {sequence[1:2]!r}"] = sequence
