"""What runc and conmon say, turned into one plain sentence and the right error. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from engine.errors import CommandNotExecutable, CommandNotFound, RequestRefused, RuntimeFailed, clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.errors import EngineError

_PREFIX = re.compile(
    r"^(?:(?:runc create failed|exec failed|unable to start container process|container_linux\.go:\d+): )+"
)
_NOT_FOUND = ("executable file not found in $PATH", "no such file or directory")
_NOT_EXECUTABLE = ("permission denied", "is a directory", "exec format error", "not a directory")
_SENTENCE_LIMIT = 2000


def error_of(message: str, *, container_id: str, what: str = "container") -> EngineError:
    """The error that a failed `runc create`, `start` or `exec` means; `what` could not be started.

    A command that is not there is CommandNotFound (127), one that cannot be run CommandNotExecutable (126), as with
    Docker; both keep runc's own words from `exec:` on, which are those that people know.
    """
    text = _PREFIX.sub("", clean_text(message).strip())[:_SENTENCE_LIMIT]
    if "exec:" in text:
        said = text[text.index("exec:") :]
        if any(end in said for end in _NOT_EXECUTABLE):
            return CommandNotExecutable(said, subject=container_id)
        if any(end in said for end in _NOT_FOUND):
            return CommandNotFound(said, subject=container_id)
    if "exec format error" in text:
        return CommandNotExecutable(text, subject=container_id)
    if "chdir to cwd" in text:
        return CommandNotExecutable(text.replace(" set in config.json", ""), subject=container_id)
    if "OOM-killed" in text or "memory limit too low" in text:
        return RequestRefused("The memory limit is too low for the container to start.", subject=container_id)
    return RuntimeFailed(f"The {what} could not be started: {text or 'no reason was given'}", subject=container_id)


def last_error_of_log(content: bytes) -> str:
    """The last error in a log that runc wrote with `--log-format json`; empty when there is none."""
    return next((text for text in _errors(content)), "")


def _errors(content: bytes) -> Iterator[str]:
    for line in reversed(content.splitlines()):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("level") in ("error", "fatal") and entry.get("msg"):
            yield str(entry["msg"])
