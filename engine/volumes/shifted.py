"""From the host's ids of a container's files to the container's own, which is what a volume keeps.

Source: linux/capability.h (vfs_ns_cap_data), linux/posix_acl_xattr.h.
"""

from __future__ import annotations

import struct

from engine.ids import NOBODY, RANGE_IDS

CAPABILITY = "security.capability"
ACL = "system.posix_acl_"
_VERSION_2, _VERSION_3, _VERSION_MASK = 0x02000000, 0x03000000, 0xFF000000
_VERSION_3_BYTES = 24
_NAMED = (0x02, 0x08)  # ACL_USER, ACL_GROUP: the only entries with an id of their own


def inside(number: int, first_id: int) -> int:
    """The container's number of a host's id; who is not the container's is nobody there, as the kernel shows it."""
    if not first_id:
        return number
    own = number - first_id
    return own if 0 <= own < RANGE_IDS else NOBODY


def attribute_inside(name: str, value: bytes, first_id: int) -> bytes:
    """An extended attribute with ids of the host in it, as the container would write it; any other as it is."""
    if not first_id:
        return value
    if name == CAPABILITY:
        return _capability(value, first_id)
    return _acl(value, first_id) if name.startswith(ACL) else value


def _capability(value: bytes, first_id: int) -> bytes:
    """Capabilities that count for this container's root only: to its own eyes they are plain ones."""
    if len(value) != _VERSION_3_BYTES:
        return value
    magic, root = struct.unpack_from("<I", value)[0], struct.unpack_from("<I", value, 20)[0]
    if magic & _VERSION_MASK != _VERSION_3 or root != first_id:
        return value
    return struct.pack("<I", magic & ~_VERSION_MASK | _VERSION_2) + value[4:20]


def _acl(value: bytes, first_id: int) -> bytes:
    entries = (struct.unpack_from("<HHI", value, at) for at in range(4, len(value) - 7, 8))
    moved = (
        struct.pack("<HHI", tag, rights, inside(number, first_id) if tag in _NAMED else number)
        for tag, rights, number in entries
    )
    return value[:4] + b"".join(moved)
