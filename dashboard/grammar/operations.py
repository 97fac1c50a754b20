"""Commands about containers that are there, beside those of their life and their images (`commands`)."""

from __future__ import annotations

from dataclasses import replace

from dashboard.grammar import commands, requests
from dashboard.grammar.commands import FILTER, Command, switch

OPERATIONS: tuple[Command, ...] = (
    Command(
        name="pause",
        usage="CONTAINER [CONTAINER...]",
        about="Pause all processes within one or more containers",
        build=lambda _v, w: requests.Pause(names=w),
        least=1,
    ),
    Command(
        name="rename",
        usage="CONTAINER NEW_NAME",
        about="Rename a container",
        build=lambda _v, w: requests.Rename(name=w[0], new_name=w[1]),
        least=2,
        most=2,
    ),
    Command(
        name="unpause",
        usage="CONTAINER [CONTAINER...]",
        about="Unpause all processes within one or more containers",
        build=lambda _v, w: requests.Unpause(names=w),
        least=1,
    ),
)
PRUNE = Command(
    name="prune",
    usage="[OPTIONS]",
    about="Remove all stopped containers",
    build=lambda v, _w: requests.ContainerPrune(force=v.get("force", False), filters=v.get("filter", ())),
    flags=(
        replace(FILTER, short=""),  # -f is --force here
        switch("force", "f", "Do not prompt for confirmation"),
    ),
    most=0,
)
COMMANDS = tuple(sorted((*commands.COMMANDS, *OPERATIONS), key=lambda command: command.name))
BY_NAME = {command.name: command for command in COMMANDS}
