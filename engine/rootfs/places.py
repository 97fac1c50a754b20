"""Where the parts of a container's root file system are, and the lock that guards them.

    containers/<id>/          0711 root
        upper/diff            the writable layer; its mode is that of the container's `/`
        upper/work            overlayfs's own
        layer.img             of a container with a limit: the file system that is mounted at `upper`
        rootfs/merged         what the container sees

`upper` and `rootfs` are 0700: the trees inside hold set-user-id programs of images, and no user of the host may
reach them (TAR-12). `rootfs` belongs to the container's root, who must pass through it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.errors import RequestRefused
from engine.kernel import files

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config import EngineConfig

_ID = re.compile(r"[0-9a-f]{64}\Z")


def is_container_id(text: str) -> bool:
    return _ID.match(text) is not None


def container_folder(config: EngineConfig, container_id: str) -> Path:
    """The container's folder; refuses what is not an id, as it becomes part of a path."""
    if not is_container_id(container_id):
        msg = f"'{container_id[:80]}' is not the id of a container."
        raise RequestRefused(msg)
    return config.container(container_id)


def upper(config: EngineConfig, container_id: str) -> Path:
    return container_folder(config, container_id) / "upper" / "diff"


def work(config: EngineConfig, container_id: str) -> Path:
    return container_folder(config, container_id) / "upper" / "work"


def merged(config: EngineConfig, container_id: str) -> Path:
    return container_folder(config, container_id) / "rootfs" / "merged"


def lock(config: EngineConfig, container_id: str) -> files.FileLock:
    """Whoever mounts, unmounts or removes holds it, so that one writable layer is never mounted twice."""
    folder = container_folder(config, container_id)
    config.run.mkdir(mode=0o755, parents=True, exist_ok=True)
    locks = config.run / "rootfs-locks"
    files.ensure_folder(locks, 0o700)
    return files.FileLock(locks / folder.name)
