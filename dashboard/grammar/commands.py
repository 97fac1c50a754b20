"""The table of commands: usage line, flags, number of arguments, and how words become a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dashboard.grammar import requests
from dashboard.grammar.errors import EXIT_ARGUMENTS, UsageError, ValueRefused
from dashboard.grammar.flags import Flag, Values, number, string, switch
from dashboard.grammar.hostflags import REFUSED_FLAGS
from dashboard.grammar.options import ExecOptions
from dashboard.grammar.ports import read_private
from dashboard.grammar.runflags import CONTAINER_FLAGS, DETACH_KEYS, RUN_FLAGS, build_create, build_run
from dashboard.grammar.values import read_environment

Build = Callable[[Values, tuple[str, ...]], requests.Request]
UNLIMITED = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`least` and `most` bound the number of arguments; `is_shown` keeps a management alias out of the list."""

    name: str
    usage: str
    about: str
    build: Build
    flags: tuple[Flag, ...] = ()
    least: int = 0
    most: int = UNLIMITED
    stops_at_argument: bool = False


def read_filter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        msg = "bad format of filter (expected name=value)"
        raise ValueRefused(msg)
    return name.strip().lower(), value.strip()


FORMAT = string("format", text="Format output with a Go template, 'table TEMPLATE' or 'json'")
INSPECT_FORMAT = string("format", "f", "Format output with a Go template, or 'json'")
NO_TRUNC = switch("no-trunc", text="Don't truncate output")
FILTER = Flag(
    name="filter", short="f", help="Filter output by conditions", kind="filter", read=read_filter, repeats=True
)
STOP_TIME = number("time", "t", "Seconds to wait before killing the container")
STOP_SIGNAL = string("signal", "s", "Signal to send to the container")

EXEC_FLAGS = (
    switch("detach", "d", "Detached mode: run command in the background"),
    DETACH_KEYS,
    Flag(name="env", short="e", read=read_environment, kind="list", repeats=True, help="Set environment variables"),
    Flag(name="env-file", read=str, kind="list", repeats=True, help="Read in a file of environment variables"),
    switch("interactive", "i", "Keep STDIN open even if not attached"),
    Flag(name="privileged", refused="a command has the rights of its container and no more"),
    switch("tty", "t", "Allocate a pseudo-TTY"),
    string("user", "u", "Username or UID (format: <name|uid>[:<group|gid>])"),
    string("workdir", "w", "Working directory inside the container"),
)


def build_exec(values: Values, words: tuple[str, ...]) -> requests.Exec:
    detach = values.get("detach", False)
    options = ExecOptions(
        command=words[1:],
        env=values.get("env", ()),
        workdir=values.get("workdir", ""),
        user=values.get("user", ""),
        interactive=values.get("interactive", False) and not detach,
        tty=values.get("tty", False),
    )
    return requests.Exec(
        name=words[0],
        options=options,
        detach=detach,
        detach_keys=values.get("detach_keys", ""),
        files=requests.ClientFiles(env=values.get("env_file", ())),
    )


def build_ps(values: Values, _words: tuple[str, ...]) -> requests.Ps:
    last = 1 if values.get("latest") else values.get("last", -1)
    return requests.Ps(
        all=values.get("all", False),
        quiet=values.get("quiet", False),
        no_trunc=values.get("no_trunc", False),
        last=last,
        size=values.get("size", False),
        format=values.get("format", ""),
        filters=values.get("filter", ()),
    )


def build_images(values: Values, words: tuple[str, ...]) -> requests.Images:
    return requests.Images(
        all=values.get("all", False),
        quiet=values.get("quiet", False),
        digests=values.get("digests", False),
        no_trunc=values.get("no_trunc", False),
        format=values.get("format", ""),
        filters=values.get("filter", ()),
        repository=words[0] if words else "",
    )


def build_inspect(kind: str) -> Build:
    def build(values: Values, words: tuple[str, ...]) -> requests.Inspect:
        return requests.Inspect(
            names=words,
            format=values.get("format", ""),
            type=kind or values.get("type", ""),
            size=values.get("size", False),
        )

    return build


def build_port(_values: Values, words: tuple[str, ...]) -> requests.Port:
    try:
        private = read_private(words[1]) if len(words) > 1 else None
    except ValueRefused as error:
        msg = f"Error: {error}"
        raise UsageError(msg, exit_code=EXIT_ARGUMENTS) from error
    return requests.Port(name=words[0], private=private)


def read_type(text: str) -> str:
    if text not in {"container", "image", "volume", "network"}:
        msg = "must be container, image, volume or network"
        raise ValueRefused(msg)
    return text


COMMANDS: tuple[Command, ...] = (
    Command(
        name="run",
        usage="[OPTIONS] IMAGE [COMMAND] [ARG...]",
        about="Create and run a new container from an image",
        build=build_run,
        flags=RUN_FLAGS + REFUSED_FLAGS,
        least=1,
        stops_at_argument=True,
    ),
    Command(
        name="ps",
        usage="[OPTIONS]",
        about="List containers",
        build=build_ps,
        flags=(
            switch("all", "a", "Show all containers (default shows just running)"),
            FILTER,
            FORMAT,
            number("last", "n", "Show n last created containers (includes all states)"),
            switch("latest", "l", "Show the latest created container (includes all states)"),
            NO_TRUNC,
            switch("quiet", "q", "Only display container IDs"),
            switch("size", "s", "Display total file sizes"),
        ),
        most=0,
    ),
    Command(
        name="pull",
        usage="[OPTIONS] NAME[:TAG|@DIGEST]",
        about="Download an image from a registry",
        build=lambda v, w: requests.Pull(reference=w[0], quiet=v.get("quiet", False), platform=v.get("platform", "")),
        flags=(
            Flag(name="all-tags", short="a", kind="", refused="name the tags that you want, each by itself"),
            string("platform", text="Set platform if server is multi-platform capable"),
            switch("quiet", "q", "Suppress verbose output"),
        ),
        least=1,
        most=1,
    ),
    Command(
        name="images",
        usage="[OPTIONS] [REPOSITORY[:TAG]]",
        about="List images",
        build=build_images,
        flags=(
            switch("all", "a", "Show all images"),
            switch("digests", text="Show digests"),
            FILTER,
            FORMAT,
            NO_TRUNC,
            switch("quiet", "q", "Only show image IDs"),
        ),
        most=1,
    ),
    Command(
        name="attach",
        usage="[OPTIONS] CONTAINER",
        about="Attach local standard input, output, and error streams to a running container",
        build=lambda v, w: requests.Attach(
            name=w[0],
            no_stdin=v.get("no_stdin", False),
            detach_keys=v.get("detach_keys", ""),
            sig_proxy=v.get("sig_proxy", True),
        ),
        flags=(
            DETACH_KEYS,
            switch("no-stdin", text="Do not attach STDIN"),
            switch("sig-proxy", text="Proxy all received signals to the process (default true)"),
        ),
        least=1,
        most=1,
    ),
    Command(
        name="create",
        usage="[OPTIONS] IMAGE [COMMAND] [ARG...]",
        about="Create a new container",
        build=build_create,
        flags=CONTAINER_FLAGS + REFUSED_FLAGS,
        least=1,
        stops_at_argument=True,
    ),
    Command(
        name="exec",
        usage="[OPTIONS] CONTAINER COMMAND [ARG...]",
        about="Execute a command in a running container",
        build=build_exec,
        flags=EXEC_FLAGS,
        least=2,
        stops_at_argument=True,
    ),
    Command(
        name="info",
        usage="[OPTIONS]",
        about="Display system-wide information",
        build=lambda v, _w: requests.Info(format=v.get("format", "")),
        flags=(INSPECT_FORMAT,),
        most=0,
    ),
    Command(
        name="inspect",
        usage="[OPTIONS] NAME|ID [NAME|ID...]",
        about="Return low-level information on containers, images, volumes and networks",
        build=build_inspect(""),
        flags=(
            INSPECT_FORMAT,
            switch("size", "s", "Display total file sizes if the type is container"),
            Flag(name="type", read=read_type, help="Return JSON for specified type"),
        ),
        least=1,
    ),
    Command(
        name="kill",
        usage="[OPTIONS] CONTAINER [CONTAINER...]",
        about="Kill one or more running containers",
        build=lambda v, w: requests.Kill(names=w, signal=v.get("signal", "") or "KILL"),
        flags=(STOP_SIGNAL,),
        least=1,
    ),
    Command(
        name="port",
        usage="CONTAINER [PRIVATE_PORT[/PROTO]]",
        about="List port mappings or a specific mapping for the container",
        build=build_port,
        least=1,
        most=2,
    ),
    Command(
        name="restart",
        usage="[OPTIONS] CONTAINER [CONTAINER...]",
        about="Restart one or more containers",
        build=lambda v, w: requests.Restart(names=w, timeout_s=v.get("time"), signal=v.get("signal", "")),
        flags=(STOP_SIGNAL, STOP_TIME),
        least=1,
    ),
    Command(
        name="rm",
        usage="[OPTIONS] CONTAINER [CONTAINER...]",
        about="Remove one or more containers",
        build=lambda v, w: requests.Remove(
            names=w, force=v.get("force", False), volumes=v.get("volumes", False), now=v.get("now", False)
        ),
        flags=(
            switch("force", "f", "Force the removal of a running container (uses SIGKILL)"),
            Flag(name="link", short="l", kind="", refused="there are no links; disconnect it from the network"),
            switch("now", text="Remove it for ever, not into the trash (berth trash)"),
            switch("volumes", "v", "Remove anonymous volumes associated with the container"),
        ),
        least=1,
    ),
    Command(
        name="rmi",
        usage="[OPTIONS] IMAGE [IMAGE...]",
        about="Remove one or more images",
        build=lambda v, w: requests.RemoveImages(
            names=w, force=v.get("force", False), no_prune=v.get("no_prune", False)
        ),
        flags=(
            switch("force", "f", "Force removal of the image"),
            switch("no-prune", text="Do not delete untagged parents"),
        ),
        least=1,
    ),
    Command(
        name="start",
        usage="[OPTIONS] CONTAINER [CONTAINER...]",
        about="Start one or more stopped containers",
        build=lambda v, w: requests.Start(
            names=w,
            attach=v.get("attach", False),
            interactive=v.get("interactive", False),
            detach_keys=v.get("detach_keys", ""),
        ),
        flags=(
            switch("attach", "a", "Attach STDOUT/STDERR and forward signals"),
            DETACH_KEYS,
            switch("interactive", "i", "Attach container's STDIN"),
        ),
        least=1,
    ),
    Command(
        name="stop",
        usage="[OPTIONS] CONTAINER [CONTAINER...]",
        about="Stop one or more running containers",
        build=lambda v, w: requests.Stop(names=w, timeout_s=v.get("time"), signal=v.get("signal", "")),
        flags=(STOP_SIGNAL, STOP_TIME),
        least=1,
    ),
    Command(
        name="version",
        usage="[OPTIONS]",
        about="Show the Berth version information",
        build=lambda v, _w: requests.Version(format=v.get("format", "")),
        flags=(INSPECT_FORMAT,),
        most=0,
    ),
    Command(
        name="wait",
        usage="CONTAINER [CONTAINER...]",
        about="Block until one or more containers stop, then print their exit codes",
        build=lambda _v, w: requests.Wait(names=w),
        least=1,
    ),
)
