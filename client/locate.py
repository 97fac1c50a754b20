"""Where the running Berth is, and the secret that lets the host's root in.

The same variables as the server's: BERTH_DATA names the run folder (first 8 hex digits of the sha256 of its path),
BERTH_LISTEN the address, BERTH_PUBLIC_URL the origin. A `.env` beside the code fills in what the environment leaves out.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from client.errors import Failed
from client.version import ROOT

RUN_PARENT = Path("/run")
DEFAULT_LISTEN = "127.0.0.1:8000"
PORT_MAX = 65_535
DEFAULT_DATA = "/var/lib/berth"
NOT_RUNNING = "Berth is not running here. Start it with script/server."
LOOPBACK = ("127.", "[::1]", "localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`address` is `ws://127.0.0.1:8000`; `origin` what the server's origin check wants to see."""

    address: str
    origin: str
    token_file: Path
    access: str = ""  # an access token, for a Berth elsewhere; then there is no file, and no origin is said
    name: str = ""  # what people call that one

    @property
    def not_there(self) -> str:
        return f"Nobody answers at {self.name}." if self.access else NOT_RUNNING

    def token(self) -> str:
        """The secret as it stands now: each start of the server makes a new one.

        Raises:
            Failed: no server has made one, or this user may not read it.
        """
        if self.access:
            return self.access
        try:
            return self.token_file.read_text(encoding="ascii").strip()
        except FileNotFoundError as error:
            raise Failed(NOT_RUNNING) from error
        except PermissionError as error:
            msg = "Only the host's root may use berth on the command line. Try it with sudo."
            raise Failed(msg) from error


def settings(root: str = ROOT) -> dict[str, str]:
    """The environment, with `.env` beneath it."""
    found: dict[str, str] = {}
    try:
        lines = Path(root, ".env").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            found[name.strip()] = _unquoted(value.strip())
    return found | dict(os.environ)


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value.partition(" #")[0].rstrip()


def _reachable(listen: str) -> str:
    """An address to connect to: a server that listens everywhere is met on loopback.

    Raises:
        Failed: it is none; the server would not start with it either.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) <= PORT_MAX:
        msg = f"BERTH_LISTEN must be address:port, for example {DEFAULT_LISTEN}, not '{listen}'."
        raise Failed(msg)
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "*": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    return f"{host}:{port}"


def _is_loopback(url: str) -> bool:
    import ipaddress

    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def locate_other(argv: Sequence[str]) -> tuple[Place, list[str]]:
    """The Berth that flags, variables or the chosen context name, or this machine's; and the words that are left.

    Raises:
        Failed: as of `contexts.choose`; or the token would go over a network where everybody can read it.
    """
    from client import contexts

    host, name, words = contexts.take_flags(argv)
    chosen = contexts.choose(host, name, os.environ)
    if chosen is None:
        return locate(), words
    scheme, _sign, address = chosen.host.partition("://")
    if scheme == "http" and not _is_loopback(chosen.host) and os.environ.get("BERTH_INSECURE") != "1":
        msg = (
            f"{chosen.host} is not encrypted: everybody on the way could read the access token, and be you. Use https, or set"
            " BERTH_INSECURE=1 where you trust the network."
        )
        raise Failed(msg)
    made = Place(
        address=f"{'wss' if scheme == 'https' else 'ws'}://{address}",
        origin="",
        token_file=Path("/nonexistent"),
        access=chosen.token,
        name=chosen.name,
    )
    return made, words


def locate(values: dict[str, str] | None = None) -> Place:
    """The Berth that the settings name, whether it runs or not.

    Raises:
        Failed: BERTH_LISTEN is no address, or one outside of this host's loopback: the secret is never sent there.
    """
    values = settings() if values is None else values
    data = Path(values.get("BERTH_DATA") or DEFAULT_DATA)
    tag = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:8]
    listen = _reachable(values.get("BERTH_LISTEN") or DEFAULT_LISTEN)
    if not listen.startswith(LOOPBACK):
        msg = f"Berth listens on {listen}. The command line speaks only to loopback: use 0.0.0.0 or 127.0.0.1."
        raise Failed(msg)
    public = urlsplit(
        (values.get("BERTH_PUBLIC_URL") or "").rstrip("/") or f"http://{values.get('BERTH_LISTEN') or DEFAULT_LISTEN}"
    )
    return Place(
        address=f"ws://{listen}",
        origin=f"{public.scheme}://{public.netloc}",
        token_file=RUN_PARENT / f"berth-{tag}" / "admin-token",
    )
