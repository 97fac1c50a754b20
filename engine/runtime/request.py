"""What somebody asked for: one container, as a value that can be written to its folder and read back."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from engine.digest import DiffId, Digest
from engine.errors import ReferenceInvalid, RequestRefused
from engine.ids import HOST_IDS, IdRange
from engine.runtime.access import AccessRequest
from engine.runtime.mountrequest import MountRequest
from engine.runtime.namerequest import NameRequest
from engine.runtime.rights import RightsRequest
from engine.runtime.shares import SharesRequest
from engine.runtime.signals import parse_signal
from engine.runtime.texts import refuse_unfit_size, refuse_unfit_texts

_ID = re.compile(r"[0-9a-f]{64}\Z")
_HOSTNAME = re.compile(r"(?!-)[A-Za-z0-9._-]{1,63}(?<!-)\Z")
SHORT_ID = 12
_PARTS: dict[str, type[NameRequest] | type[RightsRequest] | type[SharesRequest] | type[AccessRequest]] = {
    "access": AccessRequest,
    "names": NameRequest,
    "rights": RightsRequest,
    "shares": SharesRequest,
}


class IdMode(StrEnum):
    """Who a container's users are on the host: somebody of a range of its own, or the same numbers (`--userns host`).

    `BEFORE`: the same numbers, as the container was made before Berth gave out ranges; its files belong to them.
    """

    OWN = "own"
    HOST = "host"
    BEFORE = "before"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRequest:
    """One container to be. Empty text and None mean: what the image or the host's settings say.

    `entrypoint` None keeps the image's; () takes it away, and with it the image's command, as Docker does.
    `address` is its own in the default network, for a start that names no other place; "" where there is always one.
    `env` holds NAME=value, or NAME alone to take a name away. `first_id` is the host's id of its root (`IdMode.OWN`);
    a stored request that says nothing of either is of a container made before there were such.

    Raises:
        RequestRefused: a field that no later step could make sense of (id, host name, NUL bytes, sizes, address).
    """

    container_id: str
    name: str
    image_reference: str
    address: str = ""
    layers: tuple[DiffId, ...]
    config_digest: Digest
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    hostname: str = ""
    tty: bool = False
    open_stdin: bool = False
    memory_bytes: int | None = None
    nano_cpus: int | None = None
    pids: int | None = None
    writable_bytes: int | None = None
    mounts: tuple[MountRequest, ...] = ()
    rows: int = 24
    columns: int = 80
    names: NameRequest = field(default_factory=NameRequest)
    groups: tuple[str, ...] = ()
    init: bool = False
    read_only: bool = False
    shm_bytes: int | None = None
    stop_signal: str = ""
    rights: RightsRequest = field(default_factory=RightsRequest)
    shares: SharesRequest = field(default_factory=SharesRequest)
    access: AccessRequest = field(default_factory=AccessRequest)
    id_mode: IdMode = IdMode.BEFORE
    first_id: int | None = None

    def __post_init__(self) -> None:
        if not _ID.match(self.container_id):
            msg = f"'{self.container_id[:80]}' is not a container id."
            raise RequestRefused(msg)
        if self.hostname and not _HOSTNAME.match(self.hostname):
            msg = f"invalid hostname: '{self.hostname[:80]}'"
            raise RequestRefused(msg, subject=self.container_id)
        self._check_texts()
        self._check_numbers()
        try:
            ipaddress.IPv4Address(self.address or "0.0.0.0")
        except ValueError as error:
            msg = f"'{self.address[:80]}' is not an IPv4 address."
            raise RequestRefused(msg, subject=self.container_id) from error

    def _check_texts(self) -> None:
        words = (*self.command, *(self.entrypoint or ()))
        plain = self.working_dir + self.user + self.name + "".join(self.groups)
        refuse_unfit_texts(words, self.env, plain, subject=self.container_id)
        if self.stop_signal:
            parse_signal(self.stop_signal)

    def _check_numbers(self) -> None:
        refuse_unfit_size(self.rows, self.columns, subject=self.container_id)
        for name in ("memory_bytes", "nano_cpus", "pids", "writable_bytes", "shm_bytes"):
            value: int | None = getattr(self, name)
            if value is not None and value <= 0:
                msg = f"A limit must be more than 0 ({name.replace('_', ' ')})."
                raise RequestRefused(msg, subject=self.container_id)

        has_ids = self.first_id is not None and self.first_id >= HOST_IDS
        if has_ids != (self.id_mode is IdMode.OWN) or (not has_ids and self.first_id is not None):
            msg = "A container has ids of its own, above the host's, or none."
            raise RequestRefused(msg, subject=self.container_id)

    @property
    def ids(self) -> IdRange | None:
        """Its users' ids on the host; None where they are the host's own."""
        return None if self.first_id is None else IdRange(self.first_id)

    def shares_namespace(self, kind: str) -> bool:
        """Whether it has the host's own, of `confinement.HOST_NAMESPACES`."""
        return kind in self.access.namespaces

    @property
    def short_id(self) -> str:
        return self.container_id[:SHORT_ID]

    @property
    def effective_hostname(self) -> str:
        return self.hostname or self.short_id

    def with_size(self, rows: int | None, columns: int | None) -> Self:
        """The same request for a terminal of another size; None keeps what it has."""
        return replace(self, rows=rows or self.rows, columns=columns or self.columns)

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote. Unknown fields are refused, so that nothing slips in unread.

        Raises:
            RequestRefused: not JSON, a field missing, unknown, or of the wrong kind.
        """
        try:
            fields: dict[str, Any] = json.loads(text)  # Any: JSON, checked by the constructors below
            for key in ("command", "entrypoint", "env", "groups"):
                if fields.get(key) is not None:
                    fields[key] = tuple(str(item) for item in fields[key])
            fields["layers"] = tuple(DiffId(Digest(item)) for item in fields["layers"])
            fields["mounts"] = tuple(MountRequest.of(item) for item in fields.get("mounts", ()))
            for key, kind in _PARTS.items():
                fields[key] = kind.of(dict(fields[key])) if key in fields else kind()
            fields["config_digest"] = Digest(fields["config_digest"])
            fields["id_mode"] = IdMode(fields.get("id_mode", IdMode.BEFORE))
            return cls(**fields)
        except (ValueError, TypeError, KeyError, AttributeError, ReferenceInvalid) as error:
            msg = "The stored request of this container cannot be read."
            raise RequestRefused(msg) from error
