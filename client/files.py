"""Files that a command names and that lie here: read for `--env-file` and `--label-file`, written for `--cidfile`.

The server asks for them by path, and gets only those that stand among the words behind such a flag: whoever answers at
the other end cannot ask for anything else.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from client.connection import Frame

READ = ("--env-file", "--label-file")
WRITTEN = ("--cidfile",)
LIMIT_BYTES = 1024 * 1024


def _named(argv: Sequence[str], flags: Sequence[str]) -> Iterator[str]:
    for index, word in enumerate(argv):
        flag, equals, path = word.partition("=")
        if flag in flags and equals:
            yield path
        elif word in flags and index + 1 < len(argv):
            yield argv[index + 1]


class Files:
    """Those of one command."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self._reserved = ""

    def answer(self, frame: Frame) -> Frame | None:
        """The answer to a frame about files; None where there is none to give."""
        kind, path = frame.get("t"), str(frame.get("path", ""))
        if kind == "read-file":
            return {"t": "file", **self._read(path)}
        if kind == "reserve-file":
            return {"t": "file", **self._reserve(path)}
        if kind == "write-file" and self._reserved:
            with open(self._reserved, "w", encoding="ascii") as file:
                file.write(str(frame.get("text", "")))
            self._reserved = ""
        return None

    def _read(self, path: str) -> Frame:
        if path not in _named(self._argv, READ):
            return {"error": f"{path} is not a file of this command"}
        try:
            with open(path, "rb") as file:
                content = file.read(LIMIT_BYTES + 1)
        except OSError as error:
            return {"error": f"open {path}: {(error.strerror or str(error)).lower()}"}
        if len(content) > LIMIT_BYTES:
            return {"error": f"{path} is larger than 1 MiB"}
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return {"error": f"invalid env file ({path}): it is not UTF-8 text"}
        names = {line.strip() for line in text.splitlines() if "=" not in line}
        return {"text": text, "environment": {name: os.environ[name] for name in names if name in os.environ}}

    def _reserve(self, path: str) -> Frame:
        """Make the file now, so that a container is never made whose id cannot be written."""
        if path not in _named(self._argv, WRITTEN):
            return {"error": f"{path} is not a file of this command"}
        try:
            with open(path, "x", encoding="ascii"):
                self._reserved = path
        except FileExistsError:
            return {"error": f"container ID file found, make sure the other container isn't running or delete {path}"}
        except OSError as error:
            return {"error": f"failed to create the container ID file: open {path}: {(error.strerror or '').lower()}"}
        return {}

    def close(self) -> None:
        """A file that got no id goes again."""
        if self._reserved:
            with contextlib.suppress(OSError):
                Path(self._reserved).unlink()
