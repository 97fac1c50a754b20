"""What of the host a container is given beyond its own: devices, namespaces, settings of the kernel, or everything.

All of it is off by default. A host's policy says what may be had (`Policy.privileged`, `host_namespaces`, `devices`,
`sysctls`); here a wish beyond it gets its sentence, and `check_spec` looks again at what came out of it (RUN-07, RUN-11).
Whoever shares a namespace of the host, or is privileged, has no user namespace: the kernel gives a root that is nobody
on the host no rights there, as with Docker's `--userns-remap`.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from engine.errors import RequestRefused
from engine.runtime import confinement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.runtime.policy import Policy

DEV: Final = Path("/dev")
MOST_NODES: Final = 4096
_POLICY_FILE: Final = "/etc/berth/engine.toml"
_SYSCTL = re.compile(r"[a-z0-9_]+(?:[./][A-Za-z0-9_-]+)+\Z")
_ACCESS = re.compile(r"(?!.*(.).*\1)[rwm]{1,3}\Z")
# Not devices of one's own: the host's memory and its ports.
_NEVER = frozenset({(1, 1), (1, 2), (1, 4)})
_SKIPPED = frozenset({"pts", "shm", "mqueue", "fd", "console", "hugepages"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """`namespaces`: of `confinement.HOST_NAMESPACES`. `devices`: (path on the host, path in the container, of "rwm").
    `sysctls`: (name, value).

    Raises:
        RequestRefused: words that no host could make sense of.
    """

    privileged: bool = False
    namespaces: tuple[str, ...] = ()
    devices: tuple[tuple[str, str, str], ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for kind in self.namespaces:
            if kind not in confinement.HOST_NAMESPACES:
                msg = f"'{kind[:40]}' is no namespace of the host that a container could share."
                raise RequestRefused(msg)
        for path, place, access in self.devices:
            for one in (path, place):
                if not one.startswith("/dev/") or posixpath.normpath(one) != one or "\0" in one or len(one) > 4000:
                    msg = f"A device is a path below /dev, not '{one[:80]}'."
                    raise RequestRefused(msg)
            if not _ACCESS.match(access):
                msg = f"invalid device mode: {access[:40]}"
                raise RequestRefused(msg)
        for name, value in self.sysctls:
            if not _SYSCTL.match(name) or "\0" in value or "\n" in value or len(value) > 200:
                msg = f"sysctl '{name[:80]}={value[:80]}' is not a setting of the kernel."
                raise RequestRefused(msg)

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:  # Any: JSON, checked by the constructor
        """From what `dataclasses.asdict` made of one."""
        devices = tuple((str(path), str(place), str(access)) for path, place, access in fields.pop("devices"))
        sysctls = tuple((str(name), str(value)) for name, value in fields.pop("sysctls"))
        namespaces = tuple(map(str, fields.pop("namespaces")))
        return cls(devices=devices, sysctls=sysctls, namespaces=namespaces, **fields)

    @property
    def needs_host_users(self) -> bool:
        return self.privileged or bool(self.namespaces)


def refuse_unfit_access(access: AccessRequest, policy: Policy, *, has_host_users: bool) -> None:
    """Go on only if the policy gives all of it.

    Raises:
        RequestRefused: with the sentence for the person who asked.
    """
    if access.privileged and not policy.privileged:
        msg = (
            "This host does not allow privileged containers (--privileged): one can do everything on the host. Its"
            f" administrator can, in {_POLICY_FILE} (privileged = true)."
        )
        raise RequestRefused(msg)
    for kind in access.namespaces:
        if kind not in policy.host_namespaces:
            msg = (
                f"This host does not let containers into its own {kind} namespace. Its administrator can, in"
                f" {_POLICY_FILE} (host_namespaces)."
            )
            raise RequestRefused(msg)
    refuse_own_users(access, has_host_users=has_host_users)
    for path, _place, _access in access.devices:
        if not access.privileged and path not in policy.devices:
            msg = f"This host does not give {path} to containers. Its administrator can, in {_POLICY_FILE} (devices)."
            raise RequestRefused(msg)
        device_numbers(path)
    for name, _value in access.sysctls:
        _refuse_sysctl(name, access, policy)


def refuse_own_users(access: AccessRequest, *, has_host_users: bool) -> None:
    """What needs the host's users goes with no others, whatever the policy.

    Raises:
        RequestRefused: with the sentence for the person who asked.
    """
    if access.needs_host_users and not has_host_users:
        msg = (
            "A container that is privileged or shares a namespace of the host cannot have a user namespace of its own:"
            " name --userns host, too."
        )
        raise RequestRefused(msg)


def _refuse_sysctl(name: str, access: AccessRequest, policy: Policy) -> None:
    """Only what is of the container's own namespaces, and of these what harms nobody outside."""
    kind = confinement.namespace_of(name)
    if kind is None or (name not in confinement.SAFE_SYSCTLS and name not in policy.sysctls):
        msg = (
            f"sysctl {name} is not one that containers may set here. The host's administrator can allow those of a"
            f" container's own network and IPC, in {_POLICY_FILE} (sysctls)."
        )
        raise RequestRefused(msg)
    if kind in access.namespaces:
        msg = f"sysctl {name} would be the host's own, as the container shares its {kind} namespace."
        raise RequestRefused(msg)


@dataclass(frozen=True, slots=True)
class Device:
    """`kind`: "c" or "b"."""

    kind: str
    major: int
    minor: int
    mode: int = 0o660
    uid: int = 0
    gid: int = 0


def device_numbers(path: str) -> Device:
    """Of a device of this host.

    Raises:
        RequestRefused: there is none at this path, or it is the host's memory.
    """
    try:
        status = Path(path).stat()
    except OSError:
        status = None
    found = None if status is None else _device(status)
    if found is None:
        msg = (
            f'error gathering device information while adding custom device "{path[:200]}": no such device on this host'
        )
        raise RequestRefused(msg)
    if found.kind == "c" and (found.major, found.minor) in _NEVER:
        msg = f"{path} is the host's memory, which no container gets."
        raise RequestRefused(msg)
    return found


def _device(status: os.stat_result) -> Device | None:
    kind = "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else ""
    if not kind:
        return None
    major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return Device(kind, major, minor, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def all_devices(folder: Path = DEV) -> dict[str, Device]:
    """Every device node below /dev, by its path; what is a file system of its own there is left out."""
    found: dict[str, Device] = {}
    for path, status in _nodes(folder):
        device = _device(status)
        if device is not None and len(found) < MOST_NODES:
            found[path] = device
    return found


def _nodes(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            if entry.is_symlink() or (folder == DEV and entry.name in _SKIPPED):
                continue
            if entry.is_dir():
                yield from _nodes(Path(entry.path))
            else:
                yield entry.path, entry.stat(follow_symlinks=False)


def make_node(path: Path, device: Device, *, owner: int) -> None:
    """At this path, in place of what a former start has left there."""
    path.unlink(missing_ok=True)
    os.mknod(
        path, (stat.S_IFCHR if device.kind == "c" else stat.S_IFBLK) | 0o660, os.makedev(device.major, device.minor)
    )
    os.chown(path, owner, owner)
    path.chmod(0o660)  # whatever our umask is


def device_rules(access: AccessRequest) -> list[dict[str, Any]]:  # Any: JSON of the OCI runtime spec
    """`linux.resources.devices`."""
    if access.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules = confinement.device_rules()
    for path, _place, allowed in access.devices:
        one = device_numbers(path)
        rules.append({"allow": True, "type": one.kind, "major": one.major, "minor": one.minor, "access": allowed})
    return rules
