"""What ends the client with a sentence."""

from __future__ import annotations


class Failed(Exception):
    """One sentence for the person, and the exit code."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ConnectionLost(Exception):
    """The web process went away while it was talking to us."""
