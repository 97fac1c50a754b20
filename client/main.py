"""`berth …`: from the words of the shell to an exit code. Little is imported before it is known to be needed."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION_FLAGS = ("-v", "--version")
RUNS = ("run", "create")
TEAM = "--team"  # the server reads it; here only what stands behind it is wanted
BROKEN_PIPE = 141


def _verb(argv: Sequence[str]) -> str:
    words = list(argv)
    if words and words[0].partition("=")[0] == TEAM:
        del words[: 1 if "=" in words[0] else 2]
    return words[0] if words else ""


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code: the container's own, 125 ours, 1 for other failures."""
    if argv and argv[0] in VERSION_FLAGS:
        from client.version import version_line

        os.write(1, f"{version_line()}\n".encode())
        return 0
    from client.errors import Failed

    try:
        from client.locate import locate
        from client.output import open_missing
        from client.session import Session

        open_missing()
        return Session(locate()).run(argv)
    except Failed as error:
        os.write(2, f"{error}\n".encode())
        return 125 if _verb(argv) in RUNS else error.exit_code
    except BrokenPipeError:
        return BROKEN_PIPE
