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
    privileged = false            # true: `--privileged` may be asked for: such a container can do everything on the host
    host_namespaces = ["uts"]     # of pid, ipc, uts, network: `--pid host` …, together with `--userns host`
    devices = ["/dev/fuse"]       # that containers may be given (`--device`), each by its whole path
    sysctls = ["net.core.rmem_max"]  # of a container's own network or IPC that may be set beside the harmless ones
    require_patched_runtime = false  # true: no start with a runc below the floor (RUN-01)
"""

from __future__ import annotations

import os
import posixpath
import stat
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from engine.errors import HostUnfit
from engine.runtime import confinement

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MIB = 1024 * 1024
_FILE_LIMIT_BYTES = 64 * 1024
_SWITCHES = (
    "no_new_privileges",
    "seccomp_unconfined",
    "userns_host",
    "user_namespaces",
    "require_patched_runtime",
    "privileged",
)


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
    privileged: bool = False
    host_namespaces: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    sysctls: frozenset[str] = frozenset()

    def within(self, other: Policy) -> Policy:
        """What both allow."""
        return Policy(
            memory_bytes=_least(self.memory_bytes, other.memory_bytes),
            nano_cpus=_least(self.nano_cpus, other.nano_cpus),
            pids=min(self.pids, other.pids),
            capabilities=self.capabilities & other.capabilities,
            seccomp_unconfined=self.seccomp_unconfined and other.seccomp_unconfined,
            no_new_privileges=self.no_new_privileges or other.no_new_privileges,
            userns_host=self.userns_host and other.userns_host,
            user_namespaces=self.user_namespaces or other.user_namespaces,
            require_patched_runtime=self.require_patched_runtime or other.require_patched_runtime,
            host_paths=_paths_within(self.host_paths, other.host_paths),
            privileged=self.privileged and other.privileged,
            host_namespaces=self.host_namespaces & other.host_namespaces,
            devices=self.devices & other.devices,
            sysctls=self.sysctls,  # no narrower than the host's: they are a container's own
        )

    @classmethod
    def everything(cls) -> Self:
        """Nothing is forbidden that a host's policy could allow: to narrow from."""
        return cls(
            capabilities=confinement.GRANTABLE_CAPABILITIES,
            seccomp_unconfined=True,
            userns_host=True,
            host_paths=("/",),
            privileged=True,
            host_namespaces=frozenset(confinement.HOST_NAMESPACES),
        )

    @property
    def lifted(self) -> tuple[str, ...]:
        """Names of the ceilings that let a container reach the host, as they are written in the file."""
        found = [name for name in ("privileged", "userns_host", "seccomp_unconfined") if getattr(self, name)]
        return (*found, *(name for name in ("host_namespaces", "devices", "host_paths") if getattr(self, name)))


def _least(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)


def _paths_within(some: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    """The inner one of each pair of which one holds the other."""
    found = {one for one in some for other in others if is_below(one, other)}
    return tuple(sorted(found | {other for one in some for other in others if is_below(other, one)}))


def is_below(path: str, folder: str) -> bool:
    """Whether a plain path is that folder or in it."""
    return folder in {"/", path} or path.startswith(f"{folder}/")


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
    if key in _NUMBERS and isinstance(value, _NUMBERS[key][1]) and not isinstance(value, bool) and value > 0:
        field, _kind, factor = _NUMBERS[key]
        return field, int(value * factor)
    if key in _SWITCHES and isinstance(value, bool):
        return key, value
    if key in _LISTS and isinstance(value, list) and all(isinstance(item, str) and _LISTS[key](item) for item in value):
        return key, tuple(value) if key == "host_paths" else frozenset(value)
    msg = f"{source}: '{key}' is not a ceiling, or its value is not allowed."
    raise HostUnfit(msg, subject=source)


# Field, kinds of number, and what one of it is in the field's unit.
_NUMBERS: dict[str, tuple[str, tuple[type[int] | type[float], ...], int]] = {
    "memory_mib": ("memory_bytes", (int,), _MIB),
    "cpus": ("nano_cpus", (int, float), 1_000_000_000),
    "pids": ("pids", (int,), 1),
}
_LISTS: dict[str, Callable[[str], bool]] = {
    "capabilities": lambda item: item in confinement.GRANTABLE_CAPABILITIES,
    "host_paths": _is_plain_path,
    "host_namespaces": lambda item: item in confinement.HOST_NAMESPACES,
    "devices": lambda item: _is_plain_path(item) and item.startswith("/dev/"),
    "sysctls": lambda item: confinement.namespace_of(item) is not None,
}
