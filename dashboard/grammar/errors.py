"""What a person wrote cannot be understood."""

from __future__ import annotations

PROGRAM = "berth"
EXIT_USAGE = 125
EXIT_ARGUMENTS = 1


class UsageError(Exception):
    """`message` is ready to print (several lines, Docker's words); `exit_code` is Docker's for that mistake.

    125: a flag is unknown or has a bad value. 1: the number of arguments is wrong, or there is no such command.
    """

    def __init__(self, message: str, *, exit_code: int = EXIT_USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


class ValueRefused(ValueError):
    """A flag's value breaks its grammar. The parser adds which flag it was."""
