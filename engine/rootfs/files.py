"""What a container leaves on disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from engine.errors import Cancelled, HostUnfit, StoreError
from engine.kernel import files
from engine.rootfs import limited, overlay, places

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.config import EngineConfig


def remove_container_files(config: EngineConfig, container_id: str) -> None:
    """Unmount a container's root and remove its folder with the writable layer, logs and all. Idempotent.

    Raises:
        StoreError: something else is mounted inside; nothing behind a mount was touched.
    """
    folder = places.container_folder(config, container_id)
    lock = places.lock(config, container_id)
    with lock:
        overlay.unmount_rootfs_locked(config, container_id)
        try:
            files.remove_tree(folder)
        except files.TreeHasMounts as error:
            msg = f"The files of container {container_id[:12]} were left alone: {error.strerror}."
            raise StoreError(msg, subject=container_id) from error
        lock.path.unlink(missing_ok=True)


def writable_bytes(config: EngineConfig, container_id: str, *, is_cancelled: Callable[[], bool]) -> int:
    """What is in a container's writable layer, counted as Docker does: the sizes of its files. 0 before its first start.

    Raises:
        StoreError: it cannot be counted.
        Cancelled: `is_cancelled` said so.
    """
    try:
        with limited.writable_layer(config, container_id) as upper:
            found = files.tree_bytes(upper, is_cancelled=is_cancelled)
    except FileNotFoundError:
        return 0
    except (HostUnfit, OSError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
        msg = f"The files of container {container_id[:12]} cannot be counted: {said}."
        raise StoreError(msg, subject=container_id) from error
    if found is None:
        msg = "The counting was cancelled."
        raise Cancelled(msg, subject=container_id)
    return found


def containers_on_disk(config: EngineConfig) -> set[str]:
    """Ids of the containers that have a folder."""
    try:
        with os.scandir(config.containers) as entries:
            return {entry.name for entry in entries if places.is_container_id(entry.name)}
    except FileNotFoundError:
        return set()
