"""What a container runs and in which environment: Docker's rules, pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_TERM = "xterm-256color"
VARIABLES_LIMIT = 4096
ENVIRONMENT_LIMIT_BYTES = 1024 * 1024  # of the kernel's 2 MiB for arguments and environment together


def command_line(
    *,
    image_entrypoint: Sequence[str] | None,
    image_command: Sequence[str] | None,
    entrypoint: Sequence[str] | None,
    command: Sequence[str],
) -> tuple[str, ...]:
    """Entrypoint and command together.

    A command replaces the image's; an entrypoint replaces the image's and drops the image's command as well (also an
    empty one, which is how `--entrypoint ""` takes it away).

    Raises:
        RequestRefused: nothing is left to run.
    """
    if entrypoint is not None:
        line = (*(part for part in entrypoint if part), *command)
    else:
        line = (*(image_entrypoint or ()), *(command or image_command or ()))
    if not line or not line[0]:
        msg = "No command specified."
        raise RequestRefused(msg)
    return tuple(line)


def environment(
    *, image_env: Iterable[str], env: Iterable[str], hostname: str, home: str, tty: bool
) -> tuple[str, ...]:
    """NAME=value entries in Docker's order: PATH, HOSTNAME, TERM, the image's, the request's, HOME.

    A later entry replaces an earlier one in its place. A request's NAME without a value takes the name away; entries
    of an image that are no NAME=value are left out.

    Raises:
        RequestRefused: more variables or bytes than runc starts with in good time (it takes half a minute for 50,000).
    """
    values = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname}
    if tty:
        values["TERM"] = DEFAULT_TERM
    for entry in image_env:
        name, equals, value = entry.partition("=")
        if name and equals and "\0" not in entry:
            values[name] = value
    for entry in env:
        name, equals, value = entry.partition("=")
        if equals:
            values[name] = value
        else:
            values.pop(name, None)
    values.setdefault("HOME", home)
    made = tuple(f"{name}={value}" for name, value in values.items())
    _refuse_too_much(made)
    return made


def _refuse_too_much(entries: Sequence[str]) -> None:
    size = sum(len(entry.encode("utf-8", "surrogatepass")) + 1 for entry in entries)
    if len(entries) > VARIABLES_LIMIT or size > ENVIRONMENT_LIMIT_BYTES:
        msg = (
            f"The environment has {len(entries)} variables in {size} bytes; a container takes at most {VARIABLES_LIMIT}"
            f" in {ENVIRONMENT_LIMIT_BYTES}. The image sets some of them."
        )
        raise RequestRefused(msg)


def search_path(entries: Iterable[str]) -> str:
    """The value of PATH among NAME=value entries, or the default."""
    return next((entry.partition("=")[2] for entry in entries if entry.startswith("PATH=")), DEFAULT_PATH)
