"""Which extended attributes of an image reach a mounted layer. Pure.

Allowed: `user.*` and `security.capability`. Never: what overlayfs or the host's security modules would act upon
(TAR-13: an image's own `trusted.overlay.*` is honoured by the kernel). POSIX ACLs cannot be kept: squashfs has no place
for `system.*`. Source of the capability layout: linux/capability.h, struct vfs_ns_cap_data.
"""

from __future__ import annotations

import struct

from engine.layers.headers import reject

COUNT_LIMIT = 64
TOTAL_LIMIT_BYTES = 64 * 1024
NAME_LIMIT_BYTES = 255
OPAQUE = b"trusted.overlay.opaque"
IMPLICIT = b"trusted.berth.implicit"
CAPABILITY = b"security.capability"
_REVISION_MASK = 0xFF000000
_EFFECTIVE = 0x000001
_REVISION_2, _REVISION_3 = 0x02000000, 0x03000000
_SIZES = {0x01000000: 12, _REVISION_2: 20, _REVISION_3: 24}


def allowed(xattrs: dict[bytes, bytes], name: bytes, first_id: int = 0) -> tuple[dict[bytes, bytes], int]:
    """Those that may stay, and how many were dropped. `first_id`: whose root a file's capabilities are to count for.

    Raises:
        LayerRejected: more than 64 or 64 KiB of them, or an impossible name.
    """
    if len(xattrs) > COUNT_LIMIT or sum(len(k) + len(v) for k, v in xattrs.items()) > TOTAL_LIMIT_BYTES:
        msg = "an entry has too many or too large extended attributes"
        raise reject(msg, name)
    kept: dict[bytes, bytes] = {}
    for key, value in xattrs.items():
        if len(key) > NAME_LIMIT_BYTES or b"\0" in key:
            msg = "an extended attribute's name is too long"
            raise reject(msg, name)
        if key.startswith(b"user.") and len(key) > len(b"user.") and not key.startswith(b"user.overlay."):
            kept[key] = value
        elif key == CAPABILITY and (capability := _capability(value, first_id)) is not None:
            kept[key] = capability
    return kept, len(xattrs) - len(kept)


def _capability(value: bytes, first_id: int) -> bytes | None:
    """A file's capabilities without the user namespace they were given in, or in that of `first_id`; None when they
    are malformed.
    """
    if len(value) < 4:
        return None
    (magic,) = struct.unpack_from("<I", value)
    revision, flags = magic & _REVISION_MASK, magic & ~_REVISION_MASK
    if _SIZES.get(revision) != len(value) or flags & ~_EFFECTIVE:
        return None
    if first_id and len(value) >= 20:
        return struct.pack("<I", _REVISION_3 | flags) + value[4:20] + struct.pack("<I", first_id)
    if len(value) <= 20:
        return value
    return struct.pack("<I", _REVISION_2 | flags) + value[4:20]
