"""Commands about containers that are there, beside those of their life and their images (`commands`)."""

from __future__ import annotations

from dataclasses import replace

from dashboard.grammar import commands, registries, requests
from dashboard.grammar.commands import FILTER, FORMAT, NO_TRUNC, Command
from dashboard.grammar.errors import EXIT_ARGUMENTS, PROGRAM, UsageError
from dashboard.grammar.flags import Flag, Values, string, switch
from dashboard.grammar.hostflags import REFUSED_VALUES
from dashboard.grammar.processes import read_ps
from dashboard.grammar.runflags import CONTAINER_FLAGS
from dashboard.grammar.values import read_tail

SINCE = string("since", text='Show {} since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m")')
UNTIL = string("until", text='Show {} before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m")')


def about_times(what: str) -> tuple[Flag, Flag]:
    return replace(SINCE, help=SINCE.help.format(what)), replace(UNTIL, help=UNTIL.help.format(what))


def _build_logs(values: Values, words: tuple[str, ...]) -> requests.Logs:
    return requests.Logs(
        name=words[0],
        follow=values.get("follow", False),
        tail=values.get("tail"),
        timestamps=values.get("timestamps", False),
        since=values.get("since", ""),
        until=values.get("until", ""),
    )


_UPDATED = {
    "memory": "memory_bytes",
    "cpus": "nano_cpus",
    "pids_limit": "pids_limit",
    "restart": "restart",
    "memory_swap": "memory_swap_bytes",
    "memory_reservation": "memory_reservation_bytes",
    "cpu_shares": "cpu_shares",
    "cpuset_cpus": "cpuset_cpus",
}
_FROM_THE_START = "it is said when a container is made"
_NOT_LATER = {
    **{name: REFUSED_VALUES[name] for name in ("blkio-weight", "cpu-rt-period", "cpu-rt-runtime", "kernel-memory")},
    **dict.fromkeys(("cpu-period", "cpuset-mems"), _FROM_THE_START),
    "cpu-quota": "say it as a number of processors (--cpus)",
}


def _build_update(values: Values, words: tuple[str, ...]) -> requests.Update:
    changes = tuple((field, values[name]) for name, field in _UPDATED.items() if name in values)
    if not changes:
        msg = "you must provide one or more flags when using this command"
        raise UsageError(msg, exit_code=EXIT_ARGUMENTS)
    return requests.Update(names=words, changes=changes)


def _split_place(word: str) -> tuple[str, str]:
    """Container and path; an empty container for a path of the caller's. `./a:b` and `/a:b` are such paths."""
    if word.startswith(("/", ".")) or ":" not in word:
        return "", word
    name, _, path = word.partition(":")
    return name, path


def _build_copy(values: Values, words: tuple[str, ...]) -> requests.CopyIn | requests.CopyOut:
    (source, source_path), (target, target_path) = map(_split_place, words)
    how = {name: values.get(long, False) for name, long in _COPY_SWITCHES.items()}
    if source and target:
        msg = "copying between containers is not supported"
        raise UsageError(msg, exit_code=EXIT_ARGUMENTS)
    if not source and not target:
        msg = "must specify at least one container source"
        raise UsageError(msg, exit_code=EXIT_ARGUMENTS)
    if not (source_path and target_path):
        msg = "a path is missing: CONTAINER:PATH"
        raise UsageError(msg, exit_code=EXIT_ARGUMENTS)
    if source:
        return requests.CopyOut(name=source, path=source_path, local=target_path, **how)
    return requests.CopyIn(name=target, path=target_path, local=source_path, **how)


_COPY_SWITCHES = {"follow": "follow_link", "archive": "archive", "quiet": "quiet"}

OPERATIONS: tuple[Command, ...] = (
    Command(
        name="cp",
        usage=f"[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\t{PROGRAM} cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
        about="Copy files/folders between a container and the local filesystem",
        build=_build_copy,
        flags=(
            switch("archive", "a", "Archive mode (copy all uid/gid information)"),
            switch("follow-link", "L", "Always follow symbol link in SRC_PATH"),
            switch("quiet", "q", "Suppress progress output during copy"),
        ),
        least=2,
        most=2,
    ),
    Command(
        name="logs",
        usage="[OPTIONS] CONTAINER",
        about="Fetch the logs of a container",
        build=_build_logs,
        flags=(
            Flag(name="details", refused="a log keeps lines and their time only"),
            switch("follow", "f", "Follow log output"),
            *about_times("logs"),
            Flag(name="tail", short="n", read=read_tail, help='Number of lines to show from the end (default "all")'),
            switch("timestamps", "t", "Show timestamps"),
        ),
        least=1,
        most=1,
    ),
    Command(
        name="diff",
        usage="CONTAINER",
        about="Inspect changes to files or directories on a container's filesystem",
        build=lambda _v, w: requests.Diff(name=w[0]),
        least=1,
        most=1,
    ),
    Command(
        name="events",
        usage="[OPTIONS]",
        about="Get real time events from the server",
        build=lambda v, _w: requests.Events(
            since=v.get("since", ""),
            until=v.get("until", ""),
            format=v.get("format", ""),
            filters=v.get("filter", ()),
        ),
        flags=(FILTER, FORMAT, *about_times("events")),
        most=0,
    ),
    Command(
        name="stats",
        usage="[OPTIONS] [CONTAINER...]",
        about="Display a live stream of container(s) resource usage statistics",
        build=lambda v, w: requests.Stats(
            names=w,
            all=v.get("all", False),
            no_stream=v.get("no_stream", False),
            no_trunc=v.get("no_trunc", False),
            format=v.get("format", ""),
        ),
        flags=(
            switch("all", "a", "Show all containers (default shows just running)"),
            FORMAT,
            switch("no-stream", text="Disable streaming stats and only pull the first result"),
            NO_TRUNC,
        ),
    ),
    Command(
        name="top",
        usage="CONTAINER [ps OPTIONS]",
        about="Display the running processes of a container",
        build=lambda _v, w: requests.Top(name=w[0], columns=read_ps(w[1:])),
        least=1,
        stops_at_argument=True,
    ),
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
        name="update",
        usage="[OPTIONS] CONTAINER [CONTAINER...]",
        about="Update configuration of one or more containers",
        build=_build_update,
        flags=(
            *(flag for flag in CONTAINER_FLAGS if flag.name.replace("-", "_") in _UPDATED),
            *(Flag(name=name, read=str, refused=reason) for name, reason in _NOT_LATER.items()),
        ),
        least=1,
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
COMMANDS = tuple(
    sorted((*commands.COMMANDS, *OPERATIONS, *registries.LOGIN_COMMANDS), key=lambda command: command.name)
)
BY_NAME = {command.name: command for command in COMMANDS}
