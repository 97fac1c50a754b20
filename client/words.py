"""What of a command's words says which command it is."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

GLOBAL = ("--team", "--host", "--context")  # the first is the server's to read, the others are ours


def after_global(argv: Sequence[str]) -> list[str]:
    """Without the flags that stand before every command, as `--team NAME`."""
    words = list(argv)
    while words and words[0].partition("=")[0] in GLOBAL:
        del words[: 1 if "=" in words[0] else 2]
    return words
