"""`berth …`: from the words of the shell to an exit code. Little is imported before it is known to be needed."""

from __future__ import annotations

import os

from client.kept import contexts_file
from client.words import GLOBAL, after_global

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION_FLAGS = ("-v", "--version")
RUNS = (["run"], ["create"])
BROKEN_PIPE = 141


def _may_be_elsewhere(argv: Sequence[str]) -> bool:
    """Whether another machine's Berth is asked for. What is for this one does not pay for finding that out."""
    named = any(word.partition("=")[0] in GLOBAL[1:] for word in argv[:4])
    return (
        named
        or bool(os.environ.get("BERTH_HOST") or os.environ.get("BERTH_CONTEXT"))
        or os.path.exists(contexts_file())  # noqa: PTH110 - no pathlib for that
    )


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code: the container's own, 125 ours, 1 for other failures."""
    if argv and argv[0] in VERSION_FLAGS:
        from client.version import version_line

        os.write(1, f"{version_line()}\n".encode())
        return 0
    from client.errors import Failed

    try:
        from client.output import open_missing

        open_missing()
        if argv and argv[0] == "context":
            from client.contexts import run

            return run(argv[1:])
        from client.locate import locate, locate_other
        from client.session import Session

        place, words = locate_other(argv) if _may_be_elsewhere(argv) else (locate(), argv)
        return Session(place).run(words)
    except Failed as error:
        os.write(2, f"{error}\n".encode())
        return 125 if after_global(argv)[:1] in RUNS else error.exit_code
    except BrokenPipeError:
        return BROKEN_PIPE
