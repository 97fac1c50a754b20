"""The one door to the engine. Everything here is synchronous; calls take milliseconds but for `start` (about 0.1 s),
`stop` (as long as it is given) and `adopt_layer` (hashes a file). Threads may call it at the same time: one container
is worked on by one thread at a time.

Life of a container: `create` → `start` → `watch` → (it ends, `on_exit`) → `release` → `start` again or `remove`.
After a restart of the worker: `prepare`, then for each container `observe`, and `watch` for those that run; `sweep`
takes away what crashes left. Further commands in a running container are at `engine.execs`; pausing and other things
that are done to a container while it is there, at `engine.operations`.
"""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine import rootfs
from engine.archives import volumes as archives
from engine.config import MIB
from engine.containers import audit, hostcheck, ids, lifecycle, observe, ownfigures, recover, stopping
from engine.containers.copies import Copies
from engine.containers.dismantle import dismantle
from engine.containers.execs import Execs
from engine.containers.exits import ExitWatcher
from engine.containers.folder import ContainerFolder
from engine.containers.lifecycle import Parts, Start, Started
from engine.containers.locks import ContainerLocks
from engine.containers.networks import Networks
from engine.containers.observe import Observed
from engine.containers.operations import Operations
from engine.containers.record import Exit, now, read_record
from engine.containers.states import Action, State, require
from engine.errors import EngineError, HostUnfit, RequestRefused, WrongState
from engine.images.owners import publish_layer_ids
from engine.kernel import cgroups, features
from engine.kernel.files import ensure_folder
from engine.network import Network
from engine.oci.image_config import ImageConfig
from engine.rootfs.places import is_container_id
from engine.runtime import conmon, runc
from engine.runtime.access import refuse_unfit_access
from engine.runtime.etcfiles import refuse_mount_at
from engine.runtime.host import host_facts
from engine.runtime.mountrequest import MountKind
from engine.runtime.policy import Policy, load_policy
from engine.runtime.rights import refuse_unfit_rights
from engine.runtime.runc import Runc
from engine.runtime.shares import refuse_unfit_shares, share_facts
from engine.runtime.signals import parse_signal
from engine.runtime.spec import default_limits, resources
from engine.store import adopt
from engine.store import audit as store_audit
from engine.store.blobs import BlobStore
from engine.terminal import rotation
from engine.terminal.rotation import LogState
from engine.volumes import folders, hostpaths

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from engine.archives.pack import Packed
    from engine.archives.unpack import Unpacked
    from engine.config import EngineConfig
    from engine.containers.audit import Known
    from engine.containers.hostcheck import Finding
    from engine.containers.ids import Given
    from engine.containers.ownfigures import OwnFigures
    from engine.containers.recover import Swept
    from engine.digest import DiffId
    from engine.network import Endpoint, Published
    from engine.runtime.request import ContainerRequest
    from engine.store.audit import StoreRows
    from engine.violation import Violation

__all__ = ["Engine", "Exit", "HostInfo", "Observed", "Started", "State"]
DEFAULT_STOP_SIGNAL = "TERM"
DEFAULT_STOP_S = 10.0
_TELL_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostInfo:
    """What `info` prints. Versions are None where the program does not run; `default_…` are the limits of a container
    that names none, on this host. `lifted`: ceilings that let containers reach the host.
    """

    kernel: str
    operating_system: str
    architecture: str
    cpus: int
    memory_bytes: int
    cgroup_version: int
    runc_version: str | None
    conmon_version: str | None
    seccomp: bool
    apparmor: bool
    user_namespaces: bool
    shared_ids: bool
    userns_host: bool
    lifted: tuple[str, ...]
    data: Path
    data_total_bytes: int
    data_free_bytes: int
    default_memory_bytes: int
    default_nano_cpus: int
    default_pids: int


class Engine:
    """One engine on one data folder. Needs root. Cheap to make; `prepare` before the first container."""

    def __init__(self, config: EngineConfig, *, before_step: Callable[[str], None] = lambda _step: None) -> None:
        self.config = config
        self._runc = Runc(config)
        self._network = Network(config)
        self._parts = Parts(config, self._runc, self._network, before_step)
        self._locks = ContainerLocks()
        self._watcher = ExitWatcher()
        self.execs = Execs(self._parts, self._locks, self._watcher, self._folder)
        self.networks = Networks(self._parts, self._locks, self._folder)
        self.copies = Copies(self._parts, self._locks, self._folder)
        self.operations = Operations(self._parts, self._locks, self._folder)

    def check_host(self) -> tuple[Finding, ...]:
        """What this host has and lacks, and what each finding means."""
        return hostcheck.check_host(self.config)

    def info(self) -> HostInfo:
        facts, found = host_facts(), features.features()
        default = default_limits(self._policy(), facts, self.config.limits)
        disk = shutil.disk_usage(self.config.data)
        return HostInfo(
            kernel=os.uname().release,
            operating_system=platform.freedesktop_os_release().get("PRETTY_NAME", "Linux"),
            architecture=facts.machine,
            cpus=facts.cpus,
            memory_bytes=facts.memory_bytes,
            cgroup_version=facts.cgroup_version,
            runc_version=_version(runc.version, self.config.runc),
            conmon_version=_version(conmon.version, self.config.conmon),
            seccomp=facts.seccomp,
            apparmor=facts.apparmor,
            user_namespaces=found.user_namespaces,
            shared_ids=found.ids_are_known and not found.idmapped_layers,
            userns_host=self._policy().userns_host,
            lifted=self._policy().lifted,
            data=self.config.data,
            data_total_bytes=disk.total,
            data_free_bytes=disk.free,
            default_memory_bytes=default.memory_bytes,
            default_nano_cpus=default.nano_cpus,
            default_pids=default.pids,
        )

    def _policy(self) -> Policy:
        """For looking only: with a file that cannot be read nothing is started, and `check_host` says so."""
        try:
            return load_policy(self.config.policy_file)
        except EngineError:
            return Policy()

    def prepare(self) -> None:
        """Make the folders, control groups, bridge and firewall that everything else needs. Idempotent.

        Raises:
            EngineError: the host lacks something; no container can be started then.
        """
        config = self.config
        config.data.mkdir(mode=0o711, parents=True, exist_ok=True)
        config.run_parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        for folder in (config.containers, config.layers, config.run):
            ensure_folder(folder, 0o711)
        ensure_folder(config.volumes, 0o700)
        for folder in (config.blobs, config.ingest, config.incoming):
            ensure_folder(folder, 0o750, uid=config.uid, gid=config.gid)
        ensure_folder(config.transfers, 0o700, uid=config.uid, gid=config.gid)
        publish_layer_ids(config)
        self._runc.prepare()
        cgroups.create(conmon.monitor_cgroup(config))
        self._network.ensure()

    def adopt_layer(
        self, *, incoming: str, diff_id: DiffId, file_sha256: str, file_bytes: int, first_id: int = 0
    ) -> None:
        """Take a written layer file over from the unprivileged worker; then it may be mounted (settled.md 12)."""
        adopt.adopt_layer(
            self.config,
            incoming=incoming,
            diff_id=diff_id,
            file_sha256=file_sha256,
            file_bytes=file_bytes,
            first_id=first_id,
        )

    def remove_layers(self, diff_ids: Iterable[DiffId]) -> None:
        """Remove layers' files; their space comes back when no container has them mounted. Idempotent."""
        adopt.remove_layers(self.config, diff_ids)

    def create(self, request: ContainerRequest) -> None:
        """Make the container's folder from a request; nothing is mounted and nothing runs.

        The image's config is read from the blob store, which checks its digest, and kept with the container.

        Raises:
            NotStored, DigestMismatch: the image's config.
            RequestRefused: a limit out of range, or above the host's ceiling; ids that are not ours to give.
            WrongState: there is such a container already.
        """
        with self._locks.hold(request.container_id):
            folder = self._folder(request.container_id)
            require(Action.CREATE, self._observe(folder).state, request.container_id)
            content = BlobStore(self.config).get(request.config_digest)
            ids.refuse_new(self.config, request, load_policy(self.config.policy_file))
            self.check_request(request)
            limit_bytes = request.writable_bytes or self.config.limits.writable_bytes or None
            folder.make(replace(request, writable_bytes=limit_bytes), content)

    def check_request(self, request: ContainerRequest) -> None:
        """Refuse early what `start` would refuse: limits and host paths that the host or its policy cannot give."""
        policy = load_policy(self.config.policy_file)
        resources(request, policy, host_facts(), self.config.limits)
        least = self.config.limits.writable_minimum_bytes
        if request.writable_bytes is not None and request.writable_bytes < least:
            msg = f"Minimum size of the writable layer is {least // MIB}MB"
            raise RequestRefused(msg, subject=request.container_id)
        refuse_unfit_access(request.access, policy, has_host_users=request.ids is None)
        if not request.access.privileged:
            refuse_unfit_rights(request.rights, policy)
        facts = share_facts()
        refuse_unfit_shares(request.shares, request.memory_bytes, policy, facts, self.config.limits)
        if request.init and not self.config.init.is_file():
            msg = f"An init in containers is tini ({self.config.init}), which is not installed: apt-get install tini."
            raise HostUnfit(msg, subject=request.container_id)
        for mount in request.mounts:
            refuse_mount_at(mount.target)
            if mount.kind is MountKind.HOST:
                hostpaths.refuse_host_path(self.config, mount.source, policy.host_paths)

    def choose_ids(self, used: Collection[int]) -> Given:
        """Ids of the host for a new container's users: a range that begins with none of `used` and is nobody's here.

        Raises:
            HostUnfit: there is none left.
        """
        return ids.choose(self.config, used)

    def start(
        self,
        container_id: str,
        *,
        rows: int | None = None,
        columns: int | None = None,
        published: Sequence[Published] = (),
        endpoints: Sequence[Endpoint] | None = None,
        within: Policy | None = None,
    ) -> Started:
        """Start a created or ended container. `rows` and `columns`: the terminal's size from its first moment.

        `published`: ports of the host that lead to it during this run; `endpoints`: its networks then, the default one
        if none are named; `within`: what it may have of the host's ceilings. They are not kept with the container.

        Raises:
            WrongState: it runs, or there is none.
            PortTaken: somebody else has a port that it publishes.
            CommandNotFound, CommandNotExecutable, UserUnknown, ImageUnfit, RequestRefused, NotStored, …: everything
                is undone; the container is as it was before.
        """
        with self._locks.hold(container_id):
            folder = self._folder(container_id)
            require(Action.START, self._observe(folder).state, container_id)
            request = folder.request().with_size(rows, columns)
            lifecycle.clear_way(self._parts, folder)
            return Start(self._parts, folder, request, published=published, endpoints=endpoints, within=within).run()

    def published(self, container_id: str) -> tuple[Published, ...]:
        """The ports of the host that lead to it now."""
        return self._network.published(self._folder(container_id).container_id)

    def stop(self, container_id: str, timeout_s: float = DEFAULT_STOP_S, signal: str | int | None = None) -> None:
        """Ask it to end by `signal` (else its own, the image's, or TERM), and kill it after `timeout_s`.

        Waits for the end, and until `on_exit` of `watch` has returned.
        One that has ended is left alone. Does not take the container's lock while it waits, so `kill` works meanwhile.

        Raises:
            WrongState: there is no such container.
            RuntimeFailed: it does not end.
        """
        folder = self._folder(container_id)
        if not folder.is_there():
            require(Action.STOP, State.ABSENT, container_id)
        number = parse_signal(signal if signal is not None else self._stop_signal(folder))
        stopping.stop(folder, self._runc, number=number, timeout_s=timeout_s)
        self._watcher.wait_until_told(container_id, _TELL_S)

    def kill(self, container_id: str, signal: str | int = "KILL") -> None:
        """Send a signal to its first process.

        Raises:
            RequestRefused: no such signal.
            WrongState: it is not running.
        """
        stopping.send_signal(self._folder(container_id), self._runc, parse_signal(signal))

    def release(self, container_id: str) -> None:
        """After its end: keep how it ended, take away mounts, network and runc's state. Idempotent.

        Raises:
            WrongState: it is still running.
        """
        with self._locks.hold(container_id):
            folder = self._folder(container_id)
            require(Action.RELEASE, self._observe(folder).state, container_id)
            lifecycle.release(self._parts, folder)

    def remove(self, container_id: str) -> None:
        """Remove a container that does not run, with its writable layer and log. Idempotent.

        Raises:
            WrongState: it is running.
        """
        with self._locks.hold(container_id):
            folder = self._folder(container_id)
            require(Action.REMOVE, self._observe(folder).state, container_id)
            self._watcher.forget(container_id)
            lifecycle.undo(self._parts, folder)
            rootfs.remove_container_files(self.config, container_id)

    def remove_volume(self, name: str) -> None:
        """Remove a volume with all that is in it. Idempotent.

        Raises:
            WrongState: a container of this host has it, whatever the database says (F25).
            StoreError: the disk refuses.
        """
        self._refuse_users(name)
        folders.remove_volume(self.config, name)

    def backup_volume(
        self, name: str, key: str, *, on_bytes: Callable[[int], None], cancelled: Callable[[], bool]
    ) -> Packed:
        """Write a volume as a tar to `transfers/<key>`; `archives.backup_volume` says more."""
        return archives.backup_volume(self.config, name, key, on_bytes=on_bytes, cancelled=cancelled)

    def restore_volume(
        self, name: str, key: str, *, on_bytes: Callable[[int], None], cancelled: Callable[[], bool]
    ) -> Unpacked:
        """Replace all that is in a volume by the tar `transfers/<key>`; `archives.restore_volume` says more.

        Raises:
            WrongState: a container of this host has it, whatever the database says.
        """
        self._refuse_users(name)
        return archives.restore_volume(self.config, name, key, on_bytes=on_bytes, cancelled=cancelled)

    def _refuse_users(self, name: str) -> None:
        if users := recover.users_of_volume(self.config, name):
            msg = f"volume is in use - [{', '.join(users)}]"
            raise WrongState(msg, subject=name)

    def list_volumes(self) -> set[str]:
        """Names of all volumes that have a folder on this host."""
        return folders.volumes_on_disk(self.config)

    def volume_bytes(self, name: str) -> int | None:
        """Space that it takes on disk; None for one with more files than a minute is enough to count."""
        return folders.volume_bytes(self.config, name)

    def watch(self, container_id: str, on_exit: Callable[[Exit], None]) -> None:
        """Call `on_exit` once when the run that is on now has ended, from a thread of the engine's.

        Also for one that has ended already. `release` is the caller's. Watching a run twice keeps the first callback.
        A run whose container was started again before its end could be told is not told any more.
        """
        folder = self._folder(container_id)
        record = read_record(folder.record_file)
        alive = observe.living(folder, self._runc, record)
        started_at = record.started_at if record is not None else None

        def on_end(_container_id: str) -> None:
            with self._locks.hold(container_id):  # not in the middle of a start
                found = self._observe(folder)
            if found.state is State.RUNNING or found.started_at != started_at:
                return
            on_exit(found.exit or Exit(None, oom_killed=False, finished_at=now(), reason=observe.MONITOR_LOST))

        self._watcher.watch(container_id, monitor=alive.monitor, init=alive.init, on_end=on_end)

    def is_watching(self, container_id: str) -> bool:
        return self._watcher.is_watching(container_id)

    def observe(self, container_id: str) -> Observed:
        """What it really is now. Changes nothing."""
        return self._observe(self._folder(container_id))

    def end_unmonitored(self, container_id: str) -> None:
        """Kill a container whose monitor is lost (F16). Nothing happens to any other."""
        folder = self._folder(container_id)
        if self._observe(folder).state is State.MONITOR_LOST:
            stopping.stop(folder, self._runc, number=parse_signal("KILL"), timeout_s=stopping.KILL_WAIT_S)

    def list_known(self) -> set[str]:
        """Ids of all containers of which anything is left on this host."""
        return recover.list_known(self._parts)

    def sweep(self, known_ids: Collection[str]) -> Swept:
        """Take away what dead runs and cut off starts left; report folders that `known_ids` lacks, and keep them."""
        return recover.sweep(self._parts, known_ids, self._locks)

    def audit(self, known: Known) -> list[Violation]:
        """What is not as it must be at this moment; what is just changing may be among it. Changes nothing."""
        return audit.look(self._parts, self._locks, known)

    def own_figures(self) -> OwnFigures:
        """What this engine has of the host's now, counted."""
        return ownfigures.own_figures(self.config)

    def verify_store(self, rows: StoreRows, *, on_bytes: Callable[[int], None]) -> list[Violation]:
        """Read and hash every layer and blob that rows name (I1); `store.audit.verify` says more."""
        return list(store_audit.verify(self.config, rows, on_bytes=on_bytes))

    def mend_network(self) -> bool:
        """Bring back bridges, rules, names and forwarding if somebody took them away (F44); whether anything was missing.

        Raises:
            NetworkError: it cannot be brought back; the rules that are left stand.
        """
        if self._network.is_intact():
            return False
        self._network.ensure()
        return True

    def rotate_logs(self, container_id: str, *, keep_from: int | None = None) -> LogState:
        """Rotate the container's log if it is due; about once a second for each running one.

        Segments from `keep_from` on stay for a reader that must not lose a byte, as long as the disk allows.
        """
        io, config = self._folder(container_id).bundle.io, self.config
        return rotation.rotate(io, config.limits, gid=config.gid, keep_from=keep_from)

    def writable_bytes(self, container_id: str, *, is_cancelled: Callable[[], bool] = lambda: False) -> int:
        """What the container has written, in bytes. Looks at every file; takes no lock, so it may run all the while.

        Raises:
            StoreError: it cannot be counted.
            Cancelled: `is_cancelled` said so.
        """
        return rootfs.writable_bytes(self.config, self._folder(container_id).container_id, is_cancelled=is_cancelled)

    def container_io(self, container_id: str) -> Path:
        return self._folder(container_id).bundle.io

    def dismantle(self, *, force: bool) -> int:
        """Take everything of this engine off the host, but for its data; `containers.dismantle` says more."""
        return dismantle(self._parts, self._locks, force=force)

    def close(self) -> None:
        """Stop watching. Containers go on."""
        self._watcher.close()
        self.operations.close()

    def _folder(self, container_id: str) -> ContainerFolder:
        """Every way in leads through here: an id becomes part of paths, of a control group's and of runc's too.

        Raises:
            RequestRefused: it is not 64 hex digits, whatever the database says.
        """
        if not is_container_id(container_id):
            msg = f"'{container_id[:80]}' is not the id of a container."
            raise RequestRefused(msg)
        return ContainerFolder(self.config, container_id)

    def _observe(self, folder: ContainerFolder) -> Observed:
        return observe.observe(self.config, folder, self._runc)

    def _stop_signal(self, folder: ContainerFolder) -> str:
        try:
            asked = folder.request().stop_signal
            return asked or ImageConfig.parse(folder.image_config.read_bytes()).stop_signal or DEFAULT_STOP_SIGNAL
        except (OSError, EngineError):
            return DEFAULT_STOP_SIGNAL


def _version(ask: Callable[[Path], str], program: Path) -> str | None:
    try:
        return ask(program)
    except EngineError:
        return None
