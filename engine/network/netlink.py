"""What both families of addresses need of the kernel: errors that are none, and values of interfaces. Source: ip-sysctl.rst."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from pyroute2.netlink.exceptions import NetlinkError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def tolerating(*numbers: int) -> Iterator[None]:
    """Go on past these errors of netlink: what was asked for is so already."""
    try:
        yield
    except NetlinkError as error:
        if error.code not in numbers:
            raise


def set_value(interface: str, name: str, value: int, *, family: str = "ipv4") -> None:
    """`conf/<interface>/<name>`, if it is there and not so already; in the calling thread's network namespace."""
    path = Path(f"/proc/sys/net/{family}/conf/{interface}/{name}")
    if path.exists() and path.read_text("ascii").strip() != str(value):
        path.write_text(str(value), "ascii")
