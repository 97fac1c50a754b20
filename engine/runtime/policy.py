"""What this host allows at most, whatever the database or a request says (settled.md 7, RUN-07).

The ceilings stand in a root-owned file (`/etc/berth/engine.toml`); without it the defaults below hold, which allow
nothing special. `check_spec` looks at the final OCI spec, right before `runc create`, as if somebody hostile had
written it: it knows nothing of how it was built.

    [ceilings]
    memory_mib = 65536            # at most, for one container
    cpus = 16.0
    pids = 32768
    capabilities = ["CAP_NET_RAW"]   # may be had beside the default ones; without this line, all of Docker's
    seccomp_unconfined = false    # true: containers may go without a filter of system calls
    no_new_privileges = false     # true: setuid programs gain nothing
    userns_host = false           # true: `--userns host` may be asked for: root in such a container is the host's root
    user_namespaces = false       # true: nor are containers started that were made before Berth had user namespaces
    host_paths = ["/srv/shared"]  # folders that containers may be given, with what is in them
    require_patched_runtime = false  # true: no start with a runc below the floor (RUN-01)
"""

from __future__ import annotations

import os
import posixpath
import stat
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import HostUnfit
from engine.runtime import confinement

if TYPE_CHECKING:
    from pathlib import Path

_MIB = 1024 * 1024
_FILE_LIMIT_BYTES = 64 * 1024
_SWITCHES = ("no_new_privileges", "seccomp_unconfined", "userns_host", "user_namespaces", "require_patched_runtime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Ceilings; None: as much as the host has."""

    memory_bytes: int | None = None
    nano_cpus: int | None = None
    pids: int = 32_768
    capabilities: frozenset[str] = confinement.WITHHELD_CAPABILITIES
    seccomp_unconfined: bool = False
    no_new_privileges: bool = False
    userns_host: bool = False
    user_namespaces: bool = False
    require_patched_runtime: bool = False
    host_paths: tuple[str, ...] = ()


def load_policy(path: Path) -> Policy:
    """The ceilings of this host; the safe defaults when there is no file.

    Raises:
        HostUnfit: the file is not root's alone to write, or holds something that cannot be read: nothing is started
            under a policy that may not be the one meant.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return Policy()
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
            msg = f"{path} must be a file that belongs to root and that only root can change."
            raise HostUnfit(msg, subject=str(path))
        content = file.read(_FILE_LIMIT_BYTES + 1)
    return parse_policy(content.decode("utf-8", "replace"), source=str(path))


def parse_policy(text: str, *, source: str = "engine.toml") -> Policy:
    """`load_policy` on the text; unknown keys are refused, so that a typing error cannot lift a ceiling."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{source} cannot be read: {error}."
        raise HostUnfit(msg, subject=source) from error
    ceilings = document.pop("ceilings", {})
    if document or not isinstance(ceilings, dict):
        msg = f"{source}: only the table [ceilings] is known."
        raise HostUnfit(msg, subject=source)
    policy = Policy(**{name: value for key in ceilings for name, value in [_ceiling(key, ceilings[key], source)]})
    if policy.userns_host and policy.user_namespaces:
        msg = f"{source}: 'userns_host' and 'user_namespaces' cannot both be true."
        raise HostUnfit(msg, subject=source)
    return policy


def _is_plain_path(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and posixpath.normpath(value) == value != "/"


def _ceiling(key: str, value: object, source: str) -> tuple[str, Any]:  # Any: the field's own type
    number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    if key == "memory_mib" and number and isinstance(value, int):
        return "memory_bytes", value * _MIB
    if key == "cpus" and isinstance(value, int | float) and number:
        return "nano_cpus", int(value * 1_000_000_000)
    if key == "pids" and number and isinstance(value, int):
        return "pids", value
    if key in _SWITCHES and isinstance(value, bool):
        return key, value
    known = confinement.GRANTABLE_CAPABILITIES
    if key == "capabilities" and isinstance(value, list) and known.issuperset(map(str, value)):
        return "capabilities", frozenset(map(str, value))
    if key == "host_paths" and isinstance(value, list) and all(_is_plain_path(item) for item in value):
        return "host_paths", tuple(value)
    msg = f"{source}: '{key}' is not a ceiling, or its value is not allowed."
    raise HostUnfit(msg, subject=source)
