"""Names of entries: normalised to `a/b/c`, the root being the empty name. Pure; bytes everywhere (TAR-15)."""

from __future__ import annotations

from engine.layers.headers import reject

NAME_LIMIT_BYTES = 4096
PART_LIMIT_BYTES = 255
DEPTH_LIMIT = 256
LINK_LIMIT_BYTES = 4095
WHITEOUT = b".wh."
OPAQUE_MARKER = b".wh..wh..opq"
AUFS_PREFIX = b".wh..wh."


def normalise(name: bytes) -> bytes:
    """The name without leading and doubled slashes, `.` parts and a trailing slash.

    A part `..` is refused even where it would stay inside: readers disagree about what it means (TAR-01).
    """
    if len(name) > NAME_LIMIT_BYTES:
        msg = f"a name is longer than {NAME_LIMIT_BYTES} bytes"
        raise reject(msg, name)
    if not name:
        msg = "an entry has no name"
        raise reject(msg)
    parts = [part for part in name.split(b"/") if part not in {b"", b"."}]
    if len(parts) > DEPTH_LIMIT:
        msg = f"a name is deeper than {DEPTH_LIMIT} folders"
        raise reject(msg, name)
    if b".." in parts:
        msg = "a name contains '..'"
        raise reject(msg, name)
    if len(name) > PART_LIMIT_BYTES and any(len(part) > PART_LIMIT_BYTES for part in parts):
        msg = f"a part of a name is longer than {PART_LIMIT_BYTES} bytes"
        raise reject(msg, name)
    return b"/".join(parts)


def is_normal(name: bytes) -> bool:
    """Whether `name` is surely what `normalise` makes of it and is no whiteout. Cheap; False only costs time."""
    return (
        0 < len(name) <= PART_LIMIT_BYTES
        and b"//" not in name
        and b"/." not in name
        and name[0] not in b"/."
        and name[-1] != 0x2F
        and name.count(b"/") < DEPTH_LIMIT
    )


def split(path: bytes) -> tuple[bytes, bytes]:
    """(parent, last part) of a normalised name."""
    parent, _, last = path.rpartition(b"/")
    return parent, last


def symlink_target(target: bytes, name: bytes) -> bytes:
    """A symbolic link's text, which may be anything that Linux can keep."""
    if not target or len(target) > LINK_LIMIT_BYTES or b"\0" in target:
        msg = "a symbolic link's target is empty or too long"
        raise reject(msg, name)
    return target
