"""A container's folder: who may see what in it (settled.md 4).

containers/<id>/        0711 root
    request.json        what was asked for                0600
    image.json          the image's config, its own copy  0600
    state.json          record.py                         0600
    config.json         the OCI spec of the last start    0600 (RUN-18)
    resources.json      limits of a running one that are about to change      0600
    pidfile conmon.pid conmon.log runc.log exit oom       of conmon and runc
    etc/                hosts, hostname, resolv.conf      0711
    io/                 0750 root:berth: ctr.log*, attach, ctl, resizes, exit/
    execs/<id>/         of further commands (execfolder.py)
    filled              the first start has filled its volumes
    upper/ rootfs/ layer.img   of engine.rootfs
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from engine.errors import WrongState
from engine.kernel.files import ensure_folder, write_atomic
from engine.runtime.conmon import Bundle
from engine.runtime.request import ContainerRequest
from engine.terminal import rotation
from engine.terminal.resize import Size

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config import EngineConfig

_PRIVATE = 0o600


class ContainerFolder:
    """The paths of one container, and the making of them."""

    def __init__(self, config: EngineConfig, container_id: str) -> None:
        self._config = config
        self.container_id = container_id
        self.path = config.container(container_id)
        self.bundle = Bundle(self.path, config.io(container_id))

    @property
    def etc(self) -> Path:
        return self.path / "etc"

    @property
    def image_config(self) -> Path:
        return self.path / "image.json"

    @property
    def request_file(self) -> Path:
        return self.path / "request.json"

    @property
    def record_file(self) -> Path:
        return self.path / "state.json"

    @property
    def resources_file(self) -> Path:
        return self.path / "resources.json"

    @property
    def filled_marker(self) -> Path:
        return self.path / "filled"

    def is_there(self) -> bool:
        """Whether it was made completely: the request is written last."""
        return self.request_file.is_file()

    def make(self, request: ContainerRequest, image_config: bytes) -> None:
        """Make folder and files. Idempotent; a half-made one is completed."""
        ensure_folder(self.path, 0o711)
        write_atomic(self.image_config, image_config, mode=_PRIVATE)
        self.make_io(request.rows, request.columns)
        self.replace_request(request)

    def replace_request(self, request: ContainerRequest) -> None:
        """Readers see all of the old or all of the new."""
        write_atomic(self.request_file, request.to_json().encode(), mode=_PRIVATE)

    def make_io(self, rows: int, columns: int) -> None:
        """`io/`, the log and its size history, with the right owners before conmon comes: it keeps what it finds."""
        gid = self._config.gid
        ensure_folder(self.bundle.io, 0o750, gid=gid)
        ensure_folder(self.bundle.exits, 0o750, gid=gid)
        rotation.prepare(self.bundle.io, Size.clamped(rows, columns), uid=self._config.uid, gid=gid)

    def write_spec(self, spec: dict[str, Any]) -> None:
        """The OCI spec for runc. It holds the environment, so it is root's alone."""
        path = self.bundle.spec_draft
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(spec, file, ensure_ascii=True)

    def request(self) -> ContainerRequest:
        """What was asked for.

        Raises:
            WrongState: there is no such container.
            RequestRefused: the file cannot be read.
        """
        try:
            return ContainerRequest.from_json(self.request_file.read_bytes())
        except FileNotFoundError as error:
            msg = f"No such container: {self.container_id[:12]}"
            raise WrongState(msg, subject=self.container_id) from error
