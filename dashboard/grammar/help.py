"""Help texts and the messages about wrong arguments, in Docker's layout."""

from __future__ import annotations

from collections.abc import Mapping

from dashboard.grammar.commands import Command
from dashboard.grammar.errors import EXIT_ARGUMENTS, PROGRAM, UsageError
from dashboard.grammar.flags import Flag
from dashboard.grammar.operations import BY_NAME, COMMANDS

COMMON = ("run", "exec", "ps", "pull", "images", "version", "info")
FLAG_INDENT = 6


def usage_line(command: Command, spelled: str) -> str:
    return f"Usage:  {PROGRAM} {spelled} {command.usage}"


def _flag_line(flag: Flag, width: int) -> str:
    name = f"-{flag.short}, --{flag.name}" if flag.short else f"    --{flag.name}"
    kind = "" if flag.read is None else f" {flag.kind}"
    return f"  {name + kind:<{width}}   {flag.help}"


def command_help(command: Command, spelled: str) -> str:
    flags = sorted((f for f in command.flags if not (f.refused or f.is_hidden)), key=lambda f: f.name)
    lines = [usage_line(command, spelled), "", command.about]
    if flags:
        width = max(FLAG_INDENT + len(f.name) + (0 if f.read is None else len(f.kind) + 1) for f in flags)
        lines += ["", "Options:", *(_flag_line(flag, width) for flag in flags)]
    return "\n".join(lines)


def _list(names: tuple[str, ...]) -> list[str]:
    return [f"  {name:<10}  {BY_NAME[name].about}" for name in names]


def program_help() -> str:
    others = tuple(command.name for command in COMMANDS if command.name not in COMMON)
    return "\n".join(
        [
            f"Usage:  {PROGRAM} [OPTIONS] COMMAND",
            "",
            "Containers on this machine, in Docker's words",
            "",
            "Common Commands:",
            *_list(COMMON),
            "",
            "Management Commands:",
            "  container   Manage containers",
            "  image       Manage images",
            "  life        Manage how long containers live",
            "  network     Manage networks",
            "  policy      Manage what containers of a team may be",
            "  quota       Manage what teams and people may use",
            "  registry    Manage credentials for registries",
            "  system      Manage Berth",
            "  team        Manage teams",
            "  token       Manage access tokens",
            "  trash       Manage removed containers",
            "  user        Manage users",
            "  volume      Manage volumes",
            "",
            "Commands:",
            *_list(others),
            "",
            "Global Options:",
            "      --host string   Address of a Berth on another machine (an access token: BERTH_TOKEN, or berth context)",
            "      --team string   Team to work in, instead of the current one",
            "  -v, --version   Print version information and quit",
            "",
            f"Run '{PROGRAM} COMMAND --help' for more information on a command.",
        ]
    )


_MANAGED = {
    "system": "Manage Berth",
    "life": "Manage how long containers live",
    "trash": "Manage removed containers, which can be brought back for a while",
}


def group_help(group: str, verbs: Mapping[str, Command]) -> str:
    """Each command once, by its first spelling."""
    shown: list[tuple[str, str]] = []
    known: list[Command] = []
    for verb, command in verbs.items():
        if command not in known:
            known.append(command)
            shown.append((verb, command.about))
    return "\n".join(
        [
            f"Usage:  {PROGRAM} {group} COMMAND",
            "",
            _MANAGED.get(group, f"Manage {group}s"),
            "",
            "Commands:",
            *(f"  {verb:<10}  {about}" for verb, about in sorted(shown)),
            "",
            f"Run '{PROGRAM} {group} COMMAND --help' for more information on a command.",
        ]
    )


def _demand(command: Command) -> str:
    if command.most == 0:
        return "accepts no arguments"
    if command.least == command.most:
        return f"requires exactly {_arguments(command.least)}"
    if command.least:
        return f"requires at least {_arguments(command.least)}"
    return f"requires at most {_arguments(command.most)}"


def _arguments(count: int) -> str:
    return f"{count} argument{'' if count == 1 else 's'}"


def wrong_count(command: Command, spelled: str) -> UsageError:
    text = (
        f"\"{PROGRAM} {spelled}\" {_demand(command)}.\nSee '{PROGRAM} {spelled} --help'.\n\n"
        f"{usage_line(command, spelled)}\n\n{command.about}"
    )
    return UsageError(text, exit_code=EXIT_ARGUMENTS)


def no_such_command(word: str) -> UsageError:
    text = f"{PROGRAM}: '{word}' is not a {PROGRAM} command.\nSee '{PROGRAM} --help'"
    return UsageError(text, exit_code=EXIT_ARGUMENTS)
