"""Detach keys, pure: Ctrl-P Ctrl-Q leaves a terminal, and Ctrl-P alone still reaches the shell.

Docker holds the first key back until another one follows (moby#12510), so Ctrl-P in a shell's history seems dead. Here
a key that may begin the sequence is held 400 ms at most and then sent; the sequence is still recognised when its next
key is the very next one typed, within 3 s of the one before.

Rules: bytes come out in the order they went in, each exactly once; only the keys that complete a detach are
swallowed, as far as they were still held.
"""

from __future__ import annotations

import re

DEFAULT_KEYS = "ctrl-p,ctrl-q"
HOLD_S = 0.4
NEXT_KEY_S = 3.0
MAXIMUM_KEYS = 16
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}
_NAME = re.compile(r"ctrl-([a-z@\[\\\]^_])\Z")


def parse_keys(text: str) -> bytes:
    r"""Docker's `--detach-keys`: comma-separated single characters, `ctrl-<a-z>`, `ctrl-@ [ \ ] ^ _`, `DEL`.

    Empty text is the default.

    Raises:
        ValueError: a sentence for the person.
    """
    names = (text or DEFAULT_KEYS).split(",")
    if len(names) > MAXIMUM_KEYS:
        msg = f"The detach keys are at most {MAXIMUM_KEYS}."
        raise ValueError(msg)
    return bytes(_key(name) for name in names)


def _key(name: str) -> int:
    if len(name) == 1 and name.isascii():
        return ord(name)
    if name.upper() == "DEL":
        return 127
    match = _NAME.match(name.lower())
    if match is None:
        msg = f"Unknown character: '{name[:20]}'. Detach keys are like ctrl-p,ctrl-q."
        raise ValueError(msg)
    letter = match[1]
    return _CONTROL[letter] if letter in _CONTROL else ord(letter) - ord("a") + 1


class DetachKeys:
    """Feed what is typed; send on what comes out. Times are seconds of one monotonic clock."""

    def __init__(self, keys: str = DEFAULT_KEYS) -> None:
        self._keys = parse_keys(keys)
        self._matched = 0
        self._held = bytearray()
        self._last_s = 0.0

    def feed(self, data: bytes, now_s: float) -> tuple[bytes, bool]:
        """(bytes to send, whether the sequence is complete). What follows a complete sequence is dropped."""
        if not self._matched and not any(key in data for key in self._keys[:1]):
            return data, False
        out = bytearray()
        if self._matched and now_s - self._last_s > NEXT_KEY_S:
            self._matched = 0
        if not self._matched or now_s >= self._last_s + HOLD_S:
            out += self._take_held()
        for byte in data:
            if self._step(byte, out):
                return bytes(out), True
        self._last_s = now_s
        return bytes(out), False

    def due(self, now_s: float) -> bytes:
        """Held bytes whose time is up; call it when `due_at` has come."""
        if self._held and now_s >= self._last_s + HOLD_S:
            return self._take_held()
        return b""

    @property
    def due_at(self) -> float | None:
        return self._last_s + HOLD_S if self._held else None

    def _take_held(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        return held

    def _step(self, byte: int, out: bytearray) -> bool:
        self._held.append(byte)
        typed = self._keys[: self._matched] + bytes([byte])
        # The longest end of what was typed that begins the sequence: "a,a,b" typed "aaab" detaches.
        self._matched = next(n for n in range(len(typed), -1, -1) if typed[len(typed) - n :] == self._keys[:n])
        if self._matched == len(self._keys):
            self._matched = 0
            self._held.clear()
            return True
        free = len(self._held) - self._matched
        if free > 0:
            out += self._held[:free]
            del self._held[:free]
        return False
