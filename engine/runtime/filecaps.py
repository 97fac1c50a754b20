"""Making `ping` run where its file asks for a capability that no container has.

Distributions give ping `cap_net_raw+ep`. The kernel refuses (EPERM) to run a file that is to start with a capability
which the bounding set lacks, although ping needs none here: `net.ipv4.ping_group_range` lets everybody have ICMP
sockets. So the `e` (effective) flag is taken off in the container's own writable layer; the image stays as it is.
Source: linux/capability.h, vfs_cap_data; capabilities(7), "File capabilities".
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
from typing import TYPE_CHECKING

from engine.runtime.rootfiles import is_of_root_itself, opened_path

if TYPE_CHECKING:
    from collections.abc import Collection

_PLACES = tuple(f"{folder}/{name}" for folder in ("/bin", "/usr/bin") for name in ("ping", "ping4", "ping6", "fping"))
_XATTR = "security.capability"
_EFFECTIVE = 0x1
# Without its flag ping would run; a container whose writable layer is full starts without it.
_NO_MATTER = (errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM, errno.ENOSPC, errno.EDQUOT)
_NUMBERS = {"CAP_NET_RAW": 13, "CAP_NET_ADMIN": 12, "CAP_NET_BIND_SERVICE": 10, "CAP_SETUID": 7, "CAP_SETGID": 6}


def let_ping_run(root: int, capabilities: Collection[str]) -> None:
    """Take the effective flag off each ping that could not be run with these capabilities. Never raises for an image.

    One that is mounted there is left alone: it is a volume's, or the host's own.
    """
    held = sum(1 << number for name, number in _NUMBERS.items() if name in capabilities)
    for path in _PLACES:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), opened_path(root, path) as fd:
            if stat.S_ISREG(os.fstat(fd).st_mode) and is_of_root_itself(root, fd):
                _soften(f"/proc/self/fd/{fd}", held)


def _soften(path: str, held: int) -> None:
    try:
        value = os.getxattr(path, _XATTR)
        softened = without_effective(value, held)
        if softened is not None:
            os.setxattr(path, _XATTR, softened)
    except OSError as error:
        if error.errno not in _NO_MATTER:
            raise


def without_effective(value: bytes, held: int) -> bytes | None:
    """The attribute without its effective flag; None where nothing needs to be changed."""
    if len(value) < 8:
        return None
    magic, permitted = struct.unpack_from("<II", value)
    if not magic & _EFFECTIVE or permitted & ~held == 0:
        return None
    return struct.pack("<I", magic & ~_EFFECTIVE) + value[4:]
