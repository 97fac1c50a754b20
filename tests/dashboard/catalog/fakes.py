"""A registry and an engine that keep what they are told, and a queue that is worked off when a test says so."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace

from dashboard import gateway
from dashboard.jobs import runner
from engine.digest import Digest
from engine.errors import (
    Cancelled,
    DigestMismatch,
    ImageUnknown,
    PortTaken,
    RegistryDenied,
    RegistryUnreachable,
    StoreError,
    WrongState,
)
from engine.kernel.procfs import process_facts
from engine.store.blobs import BlobStore


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@dataclass
class Registry:
    """Images by familiar name: their layers' texts. `broken` layers fail, `during` is called while one is fetched."""

    images: dict[str, list[str]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    fetched: list[str] = field(default_factory=list)
    during: object = None
    ids: object = None
    written_for: list[object] = field(default_factory=list)
    platforms: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, tuple[str, str]] = field(
        default_factory=dict
    )  # name → (username, password) without which it is denied
    file_bytes: int = 10
    proved: list[str] = field(default_factory=list)
    lies: set[str] = field(default_factory=set)  # "name layer": the blob there holds something else

    def let_in(self, name, credentials):
        """Raises RegistryDenied as the real one does; says whether it takes anybody."""
        wanted = self.wanted.get(name)
        if wanted and (credentials is None or (credentials.username, credentials.password) != wanted):
            msg = f"pull access denied for {name}, repository does not exist or may require 'docker login': denied"
            raise RegistryDenied(msg)
        return wanted is None

    def prove(self, config, reference, layer, *, progress, cancelled, credentials=None):
        self.let_in(reference.familiar, credentials)
        text = next(t for texts in self.images.values() for t in texts if digest(t) == layer.diff_id)
        self.proved.append(text)
        if f"{reference.familiar} {text}" in self.lies:
            msg = "The registry has no layer with the content that the image's config names."
            raise DigestMismatch(msg)

    def resolve(self, config, reference, *, platform=None, cancelled, credentials=None):
        name = reference.familiar
        if name not in self.images:
            msg = f"manifest for {name} not found: manifest unknown"
            raise ImageUnknown(msg)
        is_public = self.let_in(name, credentials)
        texts = self.images[name]
        document = {
            "architecture": self.platforms.get(name, "amd64"),
            "os": "linux",
            "created": "2014-04-16T22:30:17Z",
            "config": {"Cmd": ["/bin/bash"], "Env": ["PATH=/bin"], "Labels": {"made": name}},
            "rootfs": {"type": "layers", "diff_ids": [digest(text) for text in texts]},
        }
        raw = json.dumps(document).encode()
        config_digest = Digest.of(raw)
        BlobStore(config).put(raw, expected=config_digest)
        layers = tuple(
            gateway.ResolvedLayer(
                digest=Digest(digest("gzip " + text)),
                media_type="application/vnd.oci.image.layer.v1.tar+gzip",
                size_bytes=1000,
                diff_id=gateway.DiffId(Digest(digest(text))),
            )
            for text in texts
        )
        return SimpleNamespace(
            reference=reference,
            digest=Digest(digest("index " + " ".join(texts))),
            manifest_digest=Digest(digest("manifest")),
            config_digest=config_digest,
            config=None,
            layers=layers,
            is_public=is_public,
        )

    def extract(self, config, reference, layer, *, incoming, progress, cancelled, ids, credentials=None):
        self.let_in(reference.familiar, credentials)
        self.written_for.append(ids)
        text = next(t for texts in self.images.values() for t in texts if digest(t) == layer.diff_id)
        for current in (0, 500, 1000):
            progress(SimpleNamespace(status="Downloading", current_bytes=current, total_bytes=1000))
        if self.during is not None:
            self.during(text)
        if cancelled():
            raise Cancelled("cancelled")
        if text in self.broken or f"{reference.familiar} {text}" in self.broken:
            raise RegistryUnreachable("The registry does not answer.")
        self.fetched.append(text)
        return SimpleNamespace(
            diff_id=layer.diff_id,
            file_sha256="f" * 64,
            file_bytes=self.file_bytes,
            unpacked_bytes=1_000_000,
            entries=3,
            warnings=(),
        )


class Networks:
    """What the engine knows of networks: numbers, and where each running container is."""

    def __init__(self, engine) -> None:
        self.engine = engine
        self.bridges: set[int] = set()
        self.fails = None

    def connect(self, container_id, endpoint, before, published=()):
        self.engine.calls.append(("connect", container_id, endpoint, list(before)))
        if self.fails:
            raise self.fails
        self.engine.places[container_id] += (endpoint,)

    def disconnect(self, container_id, number, before):
        self.engine.calls.append(("disconnect", container_id, number, list(before)))
        kept = (one for one in self.engine.places[container_id] if one.network.number != number)
        self.engine.places[container_id] = tuple(kept)

    def whereabouts(self):
        return {
            name: {one.network.number: one.address for one in places} for name, places in self.engine.places.items()
        }

    def set_names(self, container_id, endpoint):
        places = self.engine.places[container_id]
        self.engine.places[container_id] = tuple(
            endpoint if one.network.number == endpoint.network.number else one for one in places
        )
        return True

    def known(self):
        return set(self.bridges)

    def remove(self, number):
        self.engine.calls.append(("remove_network", number))
        if self.fails:
            raise self.fails
        self.bridges.discard(number)


class Engine:
    """Containers by id, as the real engine would see them. `fails` is raised by the next start."""

    def __init__(self) -> None:
        self.layers: set[str] = set()
        self.seen: dict[str, gateway.Observed] = {}
        self.requests: dict[str, object] = {}
        self.within: dict[str, object] = {}
        self.calls: list[tuple] = []
        self.watched: dict[str, object] = {}
        self.fails = None
        self.adopt_fails = None
        self.ignores_stop = False
        self.written: dict[str, int] = {}
        self.shares_ids = False
        self.host_ports: set[tuple[str, int]] = set()  # of programs of the host
        self.ports: dict[str, tuple] = {}
        self.volumes: dict[str, int] = {}
        self.remove_volume_fails = None
        self.archives: dict[str, bytes] = {}  # what volumes hold, as a tar
        self.archive_fails = None
        self.during_archive = None
        self.execs = Execs()
        self.networks = Networks(self)
        self.places: dict[str, tuple] = {}
        self.operations = Operations(self)

    def backup_volume(self, name, key, *, on_bytes, cancelled):
        if self.archive_fails:
            raise self.archive_fails
        if self.during_archive:
            self.during_archive(name)
        if cancelled():
            raise Cancelled("cancelled")
        on_bytes(1_500_000)
        (gateway.engine_config().transfers / key).write_bytes(self.archives.get(name, b"tar of " + name.encode()))
        return SimpleNamespace(entries=3, left_out=0, changed=0)

    def restore_volume(self, name, key, *, on_bytes, cancelled):
        if self.archive_fails:
            raise self.archive_fails
        if self.during_archive:
            self.during_archive(name)
        if cancelled():
            raise Cancelled("cancelled")
        self.archives[name] = (gateway.engine_config().transfers / key).read_bytes()
        return SimpleNamespace(entries=3, dropped=0)

    def adopt_layer(self, *, incoming, diff_id, file_sha256, file_bytes, first_id):
        if self.adopt_fails:
            raise self.adopt_fails
        self.layers.add(str(diff_id))

    def remove_layers(self, diff_ids):
        self.layers -= {str(diff_id) for diff_id in diff_ids}

    def choose_ids(self, used):
        if self.shares_ids:
            return SimpleNamespace(first_id=1 << 20, is_shared=True)
        first_id = next(number << 16 for number in range(32, 1000) if number << 16 not in used)
        return SimpleNamespace(first_id=first_id, is_shared=False)

    def create(self, request):
        self.requests[request.container_id] = request
        self.seen[request.container_id] = gateway.Observed(gateway.State.CREATED)

    def start(self, container_id, *, rows, columns, published=(), endpoints=(), within=None):
        self.within[container_id] = within
        self.calls.append(("start", container_id, rows, columns))
        for one in published:
            if (one.protocol, one.port) in self.host_ports:
                msg = f"failed to bind host port {one.address}:{one.port}/{one.protocol}: address already in use"
                raise PortTaken(msg, protocol=one.protocol, address=one.address, port=one.port)
        self.ports[container_id] = tuple(published)
        self.places[container_id] = tuple(endpoints)
        if self.fails is not None:
            error, self.fails = self.fails, None
            raise error
        now = datetime.now(UTC)
        self.seen[container_id] = gateway.Observed(gateway.State.RUNNING, 4321, None, now)
        return gateway.Started(4321, now)

    def end(self, container_id, code=0, *, tells=True, reason=""):
        ended = gateway.Exit(code, False, datetime.now(UTC), reason)
        self.seen[container_id] = gateway.Observed(gateway.State.EXITED, None, ended)
        on_exit = self.watched.pop(container_id, None)
        if tells and on_exit:
            on_exit(ended)

    def stop(self, container_id, timeout_s=10, signal=None):
        self.calls.append(("stop", container_id, timeout_s, signal))
        self.end(container_id, 137 if signal == "KILL" else 143)

    def kill(self, container_id, signal="KILL"):
        if self.observe(container_id).state != gateway.State.RUNNING:
            raise WrongState("is not running")
        self.calls.append(("kill", container_id, signal))
        self.seen[container_id] = replace(self.observe(container_id), paused=False)  # as the engine does
        if signal in {"KILL", "9", "TERM", "15"}:
            self.end(container_id, 137)

    def release(self, container_id):
        self.calls.append(("release", container_id))

    def remove(self, container_id):
        self.calls.append(("remove", container_id))
        self.seen.pop(container_id, None)

    def writable_bytes(self, container_id, *, is_cancelled):
        if container_id not in self.written:
            raise StoreError("cannot be counted")
        return self.written[container_id]

    def list_volumes(self):
        return set(self.volumes)

    def volume_bytes(self, name):
        return self.volumes.get(name, 0)

    def remove_volume(self, name):
        self.calls.append(("remove_volume", name))
        if self.remove_volume_fails:
            raise self.remove_volume_fails
        self.volumes.pop(name, None)

    def watch(self, container_id, on_exit):
        self.watched.setdefault(container_id, on_exit)

    def is_watching(self, container_id):
        return container_id in self.watched

    def observe(self, container_id):
        return self.seen.get(container_id) or gateway.Observed(gateway.State.ABSENT)

    def end_unmonitored(self, container_id):
        self.calls.append(("end_unmonitored", container_id))
        self.seen[container_id] = gateway.Observed(gateway.State.EXITED)

    def published(self, container_id):
        return self.ports.get(container_id, ())

    def list_known(self):
        return set(self.seen)

    def sweep(self, known):
        self.calls.append(("sweep",))


class Operations:
    """What is done to containers that are there."""

    def __init__(self, engine) -> None:
        self._engine = engine
        self.taken = {}
        self.update_fails = None

    def update(self, container_id, wanted):
        if self.update_fails:
            raise self.update_fails
        self._engine.calls.append(("update", container_id, wanted))

    def figures(self):
        return self.taken

    def pause(self, container_id):
        self._hold(container_id, "pause", paused=True)

    def unpause(self, container_id):
        self._hold(container_id, "unpause", paused=False)

    def processes(self, container_id):
        facts = process_facts(os.getpid())
        return [SimpleNamespace(facts=facts, user="root")]

    def changes(self, container_id, *, is_cancelled):
        return [SimpleNamespace(kind="C", path="/etc"), SimpleNamespace(kind="A", path="/etc/new")]

    def _hold(self, container_id, verb, *, paused):
        self._engine.calls.append((verb, container_id))
        seen = self._engine.observe(container_id)
        if seen.state != gateway.State.RUNNING:
            raise WrongState("is not running")
        self._engine.seen[container_id] = replace(seen, paused=paused)


class Execs:
    """Further commands by id. `fails` is raised by the next start."""

    def __init__(self) -> None:
        self.seen: dict[str, gateway.Observed] = {}
        self.requests: dict[str, object] = {}
        self.watched: dict[str, object] = {}
        self.ended: list[str] = []
        self.removed: list[str] = []
        self.strays: set[str] = set()
        self.fails = None
        self.outputs: dict[str, bytes] = {}

    def start(self, container_id, request):
        self.requests[request.exec_id] = request
        if self.fails is not None:
            error, self.fails = self.fails, None
            raise error
        now = datetime.now(UTC)
        self.seen[request.exec_id] = gateway.Observed(gateway.State.RUNNING, 5432, None, now)
        return gateway.ExecStarted(request.command or ("/bin/bash",), now)

    def finish(self, exec_id, code=0, *, tells=True, reason=""):
        ended = gateway.Exit(code, False, datetime.now(UTC), reason)
        self.seen[exec_id] = gateway.Observed(gateway.State.EXITED, None, ended)
        on_exit = self.watched.pop(exec_id, None)
        if tells and on_exit:
            on_exit(ended)

    def end(self, container_id, exec_id):
        self.ended.append(exec_id)
        self.finish(exec_id, 129)

    def observe(self, container_id, exec_id):
        return self.seen.get(exec_id) or gateway.Observed(gateway.State.ABSENT)

    def watch(self, container_id, exec_id, on_exit):
        self.watched.setdefault(exec_id, on_exit)

    def is_watching(self, exec_id):
        return exec_id in self.watched

    def remove(self, container_id, exec_id):
        self.removed.append(exec_id)
        self.seen.pop(exec_id, None)

    def read_output(self, container_id, exec_id, *, limit_bytes):
        return self.outputs.get(exec_id, b"")[:limit_bytes]

    def rotate_logs(self, container_id, exec_id, *, keep_from=None):
        return None

    def on_disk(self, container_id):
        return set(self.seen) | self.strays


@dataclass
class Queue:
    """Jobs in the order in which they were asked for. `run` does them, and what they ask for, until none is left."""

    waiting: deque[int] = field(default_factory=deque)
    done: list[str] = field(default_factory=list)

    def enqueue(self, job) -> bool:
        self.waiting.append(job.pk)
        return True

    def run(self, limit: int = 100) -> None:
        while self.waiting and limit:
            limit -= 1
            runner.run(self.waiting.popleft())
