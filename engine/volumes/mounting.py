"""Putting volumes, folders of the host and memory file systems into a container's root, by descriptors alone.

Rules: the source is cloned from an open descriptor, so no path is looked up twice; the target is a descriptor too, found
inside the root, so no link that somebody swaps in can lead the mount elsewhere (RUN-05). Attributes, and the translation
of ids once containers have user namespaces, are set before anybody can see the mount (runtime.md 6).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from engine.kernel import mounts
from engine.kernel.mounts import Attribute

_NO_DEVICES = Attribute.NODEV  # as the container's own root: no device node is ever needed


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOptions:
    """A tmpfs as Docker gives it: 1777, and no programs, set-user-id bits or devices unless asked for."""

    size: str = ""
    mode: int = 0o1777
    uid: int = 0
    gid: int = 0
    attributes: Attribute = Attribute.NODEV | Attribute.NOSUID | Attribute.NOEXEC


def mount_folder(source: int, target: int, *, read_only: bool, user_namespace: int | None = None) -> int:
    """Show the folder or file behind `source` at `target`; both are open descriptors (O_PATH is enough).

    This is the one place where such a mount is made. Only the mount that `source` is in comes along, not what is mounted
    below it. With `user_namespace` (an open one) owners on disk are the container's own numbers.

    Returns:
        The mount's id, as `mounts.mount_id` says it of what is opened in it.
    """
    mount = mounts.clone_fd(source)
    try:
        mounts.set_attributes(mount, _NO_DEVICES | Attribute.READ_ONLY if read_only else _NO_DEVICES)
        if user_namespace is not None:
            mounts.idmap(mount, user_namespace)
        mounts.attach_at(mount, target)
        return mounts.mount_id(mount)
    finally:
        os.close(mount)


def mount_memory(target: int, options: MemoryOptions) -> None:
    """A new tmpfs at `target`. What containers write there counts as their memory."""
    settings = {"mode": f"{options.mode:o}", "uid": str(options.uid), "gid": str(options.gid)}
    settings |= {key: value for key, value in (("size", options.size),) if value}
    mount = mounts.mount_memory(settings, options.attributes | _NO_DEVICES)
    try:
        mounts.attach_at(mount, target)
    finally:
        os.close(mount)
