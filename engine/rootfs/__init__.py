"""Root file systems of containers: shared read-only layers below, one writable layer on top.

`overlay` mounts and unmounts them, `lower` opens layer files as detached mounts, `files` removes what a container
leaves. May import `engine.kernel`, `engine.config`, `engine.digest`, `engine.errors`.
"""

from engine.rootfs.changes import Change, list_changes
from engine.rootfs.files import containers_on_disk, remove_container_files, writable_bytes
from engine.rootfs.lower import Owners
from engine.rootfs.overlay import containers_mounted, is_rootfs_mounted, mount_rootfs, rootfs_path, unmount_rootfs

__all__ = [
    "Change",
    "Owners",
    "containers_mounted",
    "containers_on_disk",
    "is_rootfs_mounted",
    "list_changes",
    "mount_rootfs",
    "remove_container_files",
    "rootfs_path",
    "unmount_rootfs",
    "writable_bytes",
]
