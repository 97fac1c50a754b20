"""Words to a request, and a pasted line to words."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from dashboard.grammar import (
    life,
    networks,
    policies,
    quotas,
    registries,
    requests,
    system,
    teams,
    tokens,
    trash,
    volumes,
)
from dashboard.grammar.commands import Command
from dashboard.grammar.errors import EXIT_ARGUMENTS, PROGRAM, UsageError
from dashboard.grammar.flags import FlagSet
from dashboard.grammar.help import command_help, group_help, no_such_command, program_help, wrong_count
from dashboard.grammar.operations import BY_NAME, PRUNE

PROMPTS = ("$", "#")
PROGRAMS = (PROGRAM, "docker", "script/berth", "./script/berth")
VERSION_FLAGS = ("-v", "--version")
HELP_FLAGS = ("-h", "--help")

_SAME = (
    *("attach", "cp", "create", "diff", "exec", "inspect", "kill", "logs", "pause", "port", "rename", "restart", "rm"),
    *("run", "start", "stats", "stop", "top", "unpause", "update", "wait"),
)
GROUPS: dict[str, dict[str, str]] = {
    "container": {name: name for name in _SAME} | {"ls": "ps", "list": "ps", "ps": "ps", "remove": "rm"},
    "image": {"ls": "images", "list": "images", "rm": "rmi", "remove": "rmi", "pull": "pull", "inspect": "inspect"},
}
VERBS: dict[str, dict[str, Command]] = {
    "container": {verb: BY_NAME[name] for verb, name in GROUPS["container"].items()}
    | {"prune": PRUNE}
    | life.CONTAINER_VERBS,
    "image": {verb: BY_NAME[name] for verb, name in GROUPS["image"].items()} | registries.SHARE_BY_VERB,
    "volume": volumes.BY_VERB,
    "network": networks.BY_VERB,
    "system": system.BY_VERB,
    "life": life.LIFE_BY_VERB,
    "trash": trash.TRASH_BY_VERB,
    "policy": policies.POLICY_BY_VERB,
    "quota": quotas.QUOTA_BY_VERB,
    "registry": registries.BY_VERB,
    "team": teams.TEAM_BY_VERB,
    "token": tokens.TOKEN_BY_VERB,
    "user": teams.USER_BY_VERB,
}


def split_line(text: str) -> list[str]:
    """The words after the program's name of a line as people paste it: `$ sudo docker run -i -t ubuntu:14.04`.

    A prompt, `sudo` and the program's name may each be missing. Quotes work as in a shell; nothing is expanded.

    Raises:
        UsageError: a quote is not closed.
    """
    try:
        words = shlex.split(text.strip())
    except ValueError as error:
        msg = f"{PROGRAM}: the line cannot be read: {str(error).lower()}"
        raise UsageError(msg, exit_code=EXIT_ARGUMENTS) from error
    return without_program(words)


def without_program(words: Sequence[str]) -> list[str]:
    """The words without a pasted prompt, `sudo` and the program's name before them, each of which may be missing."""
    left = list(words)
    for known in (PROMPTS, ("sudo",), PROGRAMS):
        if left and left[0] in known:
            del left[0]
    return left


def parse(argv: Sequence[str]) -> requests.Request:
    """The request that the words after the program's name ask for.

    Raises:
        UsageError: no such command, unknown flag, bad value, wrong number of arguments.
    """
    if not argv:
        return requests.Help(text=program_help())
    word, rest = argv[0], list(argv[1:])
    if word in VERSION_FLAGS:
        return requests.VersionLine()
    if word in HELP_FLAGS:
        return requests.Help(text=program_help())
    if word == "help":
        return _help(rest)
    if word.startswith("-"):
        msg = f"unknown flag: {word}\nSee '{PROGRAM} --help'."
        raise UsageError(msg)
    if word in VERBS:
        return _grouped(word, rest)
    if word not in BY_NAME:
        raise no_such_command(word)
    return _command(BY_NAME[word], word, rest)


def _help(words: list[str]) -> requests.Request:
    if not words:
        return requests.Help(text=program_help())
    if words[0] in VERBS:
        return _grouped(words[0], [*words[1:2], "--help"])
    if words[0] not in BY_NAME:
        raise no_such_command(words[0])
    return requests.Help(text=command_help(BY_NAME[words[0]], words[0]))


def _grouped(group: str, words: list[str]) -> requests.Request:
    if not words or words[0] in HELP_FLAGS:
        return requests.Help(text=group_help(group, VERBS[group]))
    command = VERBS[group].get(words[0])
    if command is None:
        msg = f"{group} {words[0]}"
        raise no_such_command(msg)
    request = _command(command, f"{group} {words[0]}", words[1:])
    if isinstance(request, requests.Inspect):
        return requests.Inspect(names=request.names, format=request.format, size=request.size, type=group)
    return request


def _command(command: Command, spelled: str, words: list[str]) -> requests.Request:
    flags = FlagSet(f"{PROGRAM} {spelled}", command.flags, stops_at_argument=command.stops_at_argument)
    values, arguments = flags.parse(words)
    if values.get("help"):
        return requests.Help(text=command_help(command, spelled))
    if not command.least <= len(arguments) <= command.most:
        raise wrong_count(command, spelled)
    return command.build(values, tuple(arguments))
