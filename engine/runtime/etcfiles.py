"""The files of /etc that we make for a container; they are mounted over its own, never written into it (RUN-15)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import RequestRefused
from engine.kernel.files import ensure_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

PLACES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")

_MOST_HOST_TEXT = 256 * 1024

HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def refuse_mount_at(place: str, ours: Collection[str] = PLACES) -> None:
    """Something mounted where one of our files goes would lie below it, and nobody would ever see it.

    `ours`: where the files really go, once the container's root is there to resolve its links.

    Raises:
        RequestRefused: it is such a place.
    """
    if place in ours:
        msg = f"Nothing can be mounted at {place}: Berth writes this file anew for each container."
        raise RequestRefused(msg)


def hosts_text(addresses: Iterable[str], hostname: str, more: Iterable[tuple[str, str]] = ()) -> str:
    """As Docker's. A dotted host name gets its first part as a second name. `more`: (name, address) each.

    Without a network it has no line of its own.
    """
    short = hostname.partition(".")[0]
    names = hostname if short in ("", hostname) else f"{hostname} {short}"
    extra = "".join(f"{at}\t{name}\n" for name, at in more)
    own = "".join(f"{address}\t{names}\n" for address in addresses)
    return f"{HOSTS}{extra}{own}"


def host_text(name: str) -> str:
    """The host's own file of that name; "" where it has none."""
    try:
        return (Path("/etc") / name).read_text("utf-8", "replace")[:_MOST_HOST_TEXT]
    except OSError:
        return ""


def write_etc(folder: Path, *, hosts: str, hostname: str, resolv_conf: str, owner: int = 0) -> None:
    """Write hosts, hostname and resolv.conf anew. The folder is root's; the files are the container's root's (`owner`)."""
    ensure_folder(folder, 0o711)
    texts = {"hosts": hosts, "hostname": f"{hostname}\n", "resolv.conf": resolv_conf}
    for name, text in texts.items():
        path = folder / name
        path.unlink(missing_ok=True)  # a restart: the container may have written into the old one
        path.write_text(text, "utf-8")
        os.chown(path, owner, owner, follow_symlinks=False)
        path.chmod(0o644)
