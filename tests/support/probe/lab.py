"""A real engine with a small real image, shared by the tests of a module, and short words for what tests do with it."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.api import Engine, Exit
from engine.config import EngineConfig
from engine.containers.states import State
from engine.digest import DiffId, Digest
from engine.runtime.request import ContainerRequest, IdMode
from engine.store.blobs import BlobStore
from tests.support import shell_image
from tests.support.engines import temporary_engine
from tests.support.images import Entry, folder, program, tar_of
from tests.support.layer_files import write_squashfs
from tests.support.waiting import until

PERL = Path("/usr/bin/perl")
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Result:
    """A run to its end: exit code, what it wrote."""

    code: int | None
    out: str
    err: str
    exit: Exit

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass
class Lab:
    config: EngineConfig
    engine: Engine
    layers: tuple[DiffId, ...]
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self._given: set[int] = set()
        self._addresses = self.engine._network.addresses()
        self.default_config = self.image(Cmd=["/bin/sh"], Env=[DEFAULT_PATH])

    def layer(self, entries: Sequence[Entry]) -> DiffId:
        return store_tar(self.config, tar_of(entries))

    def image(self, **wishes) -> Digest:
        """A config blob; the layers of a container are named in its request."""
        document = {
            "architecture": "amd64",
            "os": "linux",
            "config": wishes,
            "rootfs": {"type": "layers", "diff_ids": [str(layer) for layer in self.layers]},
        }
        return BlobStore(self.config).put(json.dumps(document).encode())

    def request(self, *command: str, extra_layers: Sequence[DiffId] = (), **options) -> ContainerRequest:
        number = next(self.numbers)
        fields = {
            "id_mode": IdMode.OWN,
            "container_id": hashlib.sha256(f"{self.config.tag}{number}".encode()).hexdigest(),
            "name": f"box-{number}",
            "image_reference": "box:latest",
            "address": next(self._addresses),
            "layers": (*self.layers, *extra_layers),
            "config_digest": self.default_config,
            "command": command,
        }
        fields |= options
        if fields["id_mode"] is IdMode.OWN:
            fields.setdefault("first_id", self._new_ids())
        return ContainerRequest(**fields)

    def _new_ids(self) -> int:
        given = self.engine.choose_ids(self._given)
        if not given.is_shared:
            self._given.add(given.first_id)
        return given.first_id

    def create(self, *command: str, **options) -> str:
        request = self.request(*command, **options)
        self.engine.create(request)
        return request.container_id

    @contextlib.contextmanager
    def started(self, *command: str, **options) -> Iterator[str]:
        """A running container; killed and removed afterwards."""
        container_id = self.create(*command, **options)
        try:
            self.engine.start(container_id)
            yield container_id
        finally:
            self.take_away(container_id)

    def take_away(self, container_id: str) -> None:
        if self.engine.observe(container_id).state is not State.ABSENT:
            self.engine.stop(container_id, 0, "KILL")
        self.engine.remove(container_id)

    def run(self, *command: str, **options) -> Result:
        """Start, wait for the end, and take away."""
        with self.started(*command, **options) as container_id:
            return self.result(container_id)

    def script(self, text: str, **options) -> Result:
        return self.run("/bin/sh", "-c", text, **options)

    def perl(self, text: str, **options) -> Result:
        return self.run("/usr/bin/perl", "-e", text, **options)

    def result(self, container_id: str) -> Result:
        found = self.wait_for(container_id, State.EXITED)
        out, err = self.output(container_id)
        assert found.exit is not None
        return Result(found.exit.code, out, err, found.exit)

    def wait_for(self, container_id: str, state: State):
        def look():
            found = self.engine.observe(container_id)
            return found if found.state is state else None

        return until(lambda: f"{state}: {self.engine.observe(container_id)}, {self.output(container_id)}", look)

    def output(self, container_id: str) -> tuple[str, str]:
        """(stdout, stderr) of a container so far, from its log."""
        streams = {b"stdout": b"", b"stderr": b""}
        log = self.config.io(container_id) / "ctr.log"
        for line in log.read_bytes().split(b"\n") if log.exists() else []:
            _, stream, kind, text = (*line.split(b" ", 3), b"", b"", b"", b"")[:4]
            if stream in streams:
                streams[stream] += text + (b"\n" if kind == b"F" else b"")
        return streams[b"stdout"].decode("utf-8", "replace"), streams[b"stderr"].decode("utf-8", "replace")

    def wait_for_output(self, container_id: str, text: str) -> str:
        return until(
            lambda: f"{text!r} in {self.output(container_id)}",
            lambda: text in (found := self.output(container_id)[0]) and found,
        )

    def root(self, container_id: str) -> Path:
        return self.config.container(container_id) / "rootfs" / "merged"


def store_tar(config: EngineConfig, tar: bytes) -> DiffId:
    diff_id = DiffId(Digest.of(tar))
    path = config.layer_file(diff_id.hex)
    if not path.exists():
        write_squashfs(tar, path)
        path.chmod(0o440)
    return diff_id


def _perl_layer() -> bytes:
    """perl with its libraries: `syscall` asks the kernel anything."""
    entries = [program("usr/bin/perl", PERL.read_bytes())]
    seen: set[str] = set()
    for library in shell_image._libraries(PERL):
        parents = [str(parent).lstrip("/") for parent in reversed(library.parents[:-1])]
        entries += [folder(f"{name}/") for name in parents if name not in seen]
        seen.update(parents)
        entries.append(program(str(library).lstrip("/"), library.read_bytes()))
    return tar_of(entries)


@contextlib.contextmanager
def open_lab(**settings) -> Iterator[Lab]:
    with temporary_engine(**settings) as config:
        engine = Engine(config)
        engine.prepare()
        try:
            tars = [layer.tar for layer in shell_image.shell_image().layers]
            layers = tuple(store_tar(config, tar) for tar in [*tars, _perl_layer()])
            yield Lab(config, engine, layers)
        finally:
            engine.close()
            engine._network.remove()
