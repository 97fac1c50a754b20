"""Folders and files of the host inside containers: only what an administrator's allow-list names (RUN-06, RUN-07).

Whatever the list says, never a place of the system, of another engine or of Berth itself, and nothing that contains one.
"""

from __future__ import annotations

import os
import posixpath
import stat
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from engine.errors import RequestRefused
from engine.kernel import openat2

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.config import EngineConfig

SYSTEM = (
    *(
        "/proc",
        "/sys",
        "/dev",
        "/run",
        "/var/run",
        "/boot",
        "/etc",
        "/usr",
        "/bin",
        "/sbin",
        "/lib",
        "/lib32",
        "/lib64",
    ),
    *("/root", "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/kubelet", "/var/spool/cron"),
)


def refuse_host_path(config: EngineConfig, path: str, allowed: Collection[str]) -> None:
    """Pure: go on only if the list allows this path.

    Raises:
        RequestRefused: with the sentence for the person who asked.
    """
    if posixpath.normpath(path) != path or not path.startswith("/") or path.startswith("//"):
        msg = f"The host path '{path[:200]}' must be absolute and without '.', '..' or doubled slashes."
        raise RequestRefused(msg)
    if system := _system_place(config, path):
        msg = f"The host path {path} is never given to a container: {system} belongs to the system or to Berth."
        raise RequestRefused(msg)
    if not any(PurePosixPath(path).is_relative_to(entry) for entry in allowed):
        msg = (
            f"This host's policy does not allow the host path {path} in containers. Use a volume (-v name:/path), "
            "or have an administrator add it to host_paths in /etc/berth/engine.toml."
        )
        raise RequestRefused(msg)


def _system_place(config: EngineConfig, path: str) -> str:
    wanted = PurePosixPath(path)
    ours = (config.data, config.data.resolve(), config.run_parent, config.policy_file.parent)
    for place in (*SYSTEM, *map(str, ours)):
        if wanted.is_relative_to(place) or PurePosixPath(place).is_relative_to(wanted):
            return place
    return ""


def open_host_path(config: EngineConfig, path: str, allowed: Collection[str]) -> int:
    """The folder or regular file at an allowed path, as a descriptor (O_PATH). No part of the path may be a link.

    Raises:
        RequestRefused: not allowed, not there, a link on the way, or a socket, device or pipe.
    """
    refuse_host_path(config, path, allowed)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = openat2.openat2(
            root, path.lstrip("/"), os.O_PATH, resolve=openat2.NO_SYMLINKS | openat2.NO_MAGICLINKS | openat2.BENEATH
        )
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            msg = f"bind source path does not exist: {path}"
        else:
            msg = f"The host path {path} cannot be used: there is a link on the way, or {error.strerror}."
        raise RequestRefused(msg) from error
    finally:
        os.close(root)
    mode = os.fstat(found).st_mode
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        os.close(found)
        msg = f"The host path {path} is neither a folder nor a regular file; sockets and devices are never given."
        raise RequestRefused(msg)
    return found
