"""What a command takes from where it is typed: variables, and files of variables, of labels and for an id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from django.utils.translation import gettext as _

from dashboard.commandline.console import Console
from dashboard.core.errors import DashboardError
from dashboard.grammar import ContainerOptions, ExecOptions, requests
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.runvalues import file_entries, read_label_text

Options = TypeVar("Options", ContainerOptions, ExecOptions)


def with_environment(console: Console, options: Options) -> Options:
    """`-e NAME` takes the caller's own value; a name that the caller lacks is taken away from the image's."""
    filled = (
        f"{item}={console.environment[item]}" if "=" not in item and item in console.environment else item
        for item in options.env
    )
    return replace(options, env=tuple(filled))


async def with_variables(console: Console, options: Options, files: requests.ClientFiles) -> Options:
    """The options with the variables of the caller and of the client's files; those come first, so that a flag has the
    last word.

    Raises:
        DashboardError: a file that cannot be read, or a line of it (400).
    """
    if console.kind != "cli" and files != requests.ClientFiles():
        msg = _(
            "Files are read and written where the command line runs, so --env-file, --label-file and --cidfile work"
            " there only. Here, give each variable with -e and each label with -l."
        )
        raise DashboardError(msg, status=400)
    options = with_environment(console, options)
    first: list[str] = []
    for path in files.env:
        first += await _variables(console, path)
    return replace(options, env=(*first, *options.env))


async def with_files(console: Console, request: requests.Run | requests.Create) -> ContainerOptions:
    """`with_variables`, and the labels of files; the file for the id is made.

    Raises:
        DashboardError: the same, or a file for the id that is there already (400).
    """
    options, files = await with_variables(console, request.options, request.files), request.files
    labels = [item for path in files.labels for item in await _labels(console, path)]
    if files.cid:
        await _asked(console, "reserve", files.cid)
    return replace(options, labels=(*labels, *options.labels))


async def _asked(console: Console, kind: str, path: str) -> dict[str, Any]:  # Any: a frame
    answer = await console.ask_file(kind, path)
    if answer.get("error"):
        raise DashboardError(str(answer["error"])[:500], status=400)
    return answer


async def _variables(console: Console, path: str) -> list[str]:
    """A bare name is passed on from the caller's environment, and left out where that has none, as with Docker."""
    answer = await _asked(console, "read", path)
    known = answer.get("environment")
    known = known if isinstance(known, dict) else {}
    found = _entries(str(answer.get("text", "")), path)
    filled = ((name, known.get(name) if value is None else value) for name, value in found)
    return [f"{name}={value}" for name, value in filled if value is not None]


async def _labels(console: Console, path: str) -> list[str]:
    answer = await _asked(console, "read", path)
    return [
        read_label_text(name if value is None else f"{name}={value}")
        for name, value in _entries(str(answer.get("text", "")), path)
    ]


def _entries(text: str, path: str) -> list[tuple[str, str | None]]:
    if "\0" in text:
        msg = f"invalid env file ({path}): it holds NUL bytes"
        raise DashboardError(msg, status=400)
    try:
        return list(file_entries(text, path))
    except ValueRefused as error:
        raise DashboardError(str(error), status=400) from error
