"""Starting a container: ordered steps, each with its undo; and taking away what a run has left.

    mount      the root file system, volumes in it  undo: unmount
    network    its namespace, address and ports     undo: detach
    spec       look at the root, write /etc and the checked config.json
    create     conmon and `runc create`             undo: kill both, `runc delete`, its control groups
    start      `runc start`

conmon's launch and the network are begun at once, beside the mounts; their steps wait for them.

Before each step its name is written to the record, so that whoever finds the pieces knows how far it came (F13). Undo
runs in reverse order and goes on past a step that fails. `release` is the same list of undos, for a run that has ended
or was cut off: idempotent, and safe where nothing was done. If you add a step, add its undo there.
"""

from __future__ import annotations

import contextlib
import logging
import signal
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine import rootfs
from engine.containers import hosttools
from engine.containers.execfolder import end_all
from engine.containers.hosttools import Trust
from engine.containers.ids import refuse_hidden, refuse_taken
from engine.containers.mounting import mount_all, mounted_places
from engine.containers.observe import find_exit, living
from engine.containers.record import Record, now, read_record, write_record
from engine.errors import EngineError, HostUnfit, RuntimeFailed
from engine.kernel import cgroups, pidfd
from engine.kernel.namespaces import Isolation, create_isolation, set_domainname
from engine.oci.image_config import ImageConfig
from engine.runtime import confinement, conmon, runc
from engine.runtime.access import all_devices, device_numbers, device_rules, make_node, refuse_unfit_access
from engine.runtime.confinement import INIT_PLACE
from engine.runtime.etcfiles import host_text, hosts_text, refuse_mount_at, write_etc
from engine.runtime.executable import refuse_unfit_executable
from engine.runtime.filecaps import let_ping_run
from engine.runtime.host import host_facts
from engine.runtime.namerequest import HOST_GATEWAY
from engine.runtime.passwd import resolve_user
from engine.runtime.policy import load_policy
from engine.runtime.request import IdMode
from engine.runtime.rootfiles import Maker, make_folder, make_mount_point, opened_root, refuse_disguised_system_folders
from engine.runtime.seccomp import profile_for
from engine.runtime.shares import block_devices
from engine.runtime.spec import Spec, SpecPaths, arguments_of, build_spec, environment_of, held_capabilities
from engine.runtime.specpolicy import Place, check_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from engine.config import EngineConfig
    from engine.containers.folder import ContainerFolder
    from engine.network import Endpoint, Network, Published
    from engine.runtime.passwd import ResolvedUser
    from engine.runtime.policy import Policy
    from engine.runtime.request import ContainerRequest
    from engine.runtime.runc import Runc

logger = logging.getLogger(__name__)
STEPS = ("mount", "network", "spec", "create", "start")
_KILL_S = 10.0


@dataclass(frozen=True, slots=True)
class Started:
    """The container's first process, and when it was let go."""

    pid: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Parts:
    """What a lifecycle works with. `before_step` is told each step's name just before it: tests end the process there."""

    config: EngineConfig
    runc: Runc
    network: Network
    before_step: Callable[[str], None] = lambda _step: None


class Start:
    """One start of one container."""

    def __init__(
        self,
        parts: Parts,
        folder: ContainerFolder,
        request: ContainerRequest,
        *,
        published: Sequence[Published] = (),
        endpoints: Sequence[Endpoint] | None = None,
        within: Policy | None = None,
    ) -> None:
        self._parts = parts
        self._within = within
        self._published = published
        self._where = request.address if endpoints is None else endpoints
        self._config = parts.config
        self._folder = folder
        self._request = request
        self._record = Record(boot_id=pidfd.boot_id())
        self._root: Path | None = None
        self._host_mounts: frozenset[int] = frozenset()
        self._netns: Path | None = None
        self._launching: Future[conmon.Launch] | None = None
        self._attaching: Future[Path | None] | None = None
        self._isolating: Future[Isolation] | None = None
        self._user: ResolvedUser | None = None

    def run(self) -> Started:
        """All steps.

        Raises:
            EngineError: whatever stopped it; everything is undone and the record says nothing of it. What could not be
                undone is in the log, and its record stays for `recover.sweep`.
        """
        # The kernel takes 20 ms to move conmon into its own control groups, and 10 to make a network: meanwhile we mount.
        with ThreadPoolExecutor(3, "start") as pool, contextlib.ExitStack() as stack:
            try:
                self._begin(pool, stack)
                self._take_steps()
            except Exception as error:  # also a mistake of ours must not leave a container half started
                self._give_up()
                if not isinstance(error, OSError):
                    raise
                msg = (
                    f"The container could not be started ({self._record.stage or 'begin'}): {error.strerror or error}."
                )
                raise RuntimeFailed(msg, subject=self._folder.container_id) from error
        if self._record.init is None or self._record.started_at is None:
            msg = "The container was started, but its process is not known."
            raise RuntimeFailed(msg, subject=self._folder.container_id)
        return Started(self._record.init.pid, self._record.started_at)

    def _begin(self, pool: ThreadPoolExecutor, stack: contextlib.ExitStack) -> None:
        self._folder.bundle.forget_run()
        self._folder.make_io(self._request.rows, self._request.columns)
        self._launching = pool.submit(self._launch)
        if (ids := self._request.ids) is not None:
            self._isolating = pool.submit(create_isolation, ids)
            stack.callback(_close, self._isolating)
        self._attaching = pool.submit(self._attach)

    def _take_steps(self) -> None:
        for name in STEPS:
            self._record = self._record.at(name)
            write_record(self._folder.record_file, self._record)
            self._parts.before_step(name)
            getattr(self, f"_{name}")()

    def _launch(self) -> conmon.Launch:
        return conmon.Launch(
            self._config,
            self._folder.bundle,
            container_id=self._folder.container_id,
            tty=self._request.tty,
            open_stdin=self._request.open_stdin,
            runc_root=self._parts.runc.root,
        )

    def _give_up(self) -> None:
        """Undo. Never raises for what cannot be undone: the start's own reason is what people need."""
        if self._launching is not None and self._launching.exception() is None:
            with contextlib.suppress(EngineError, OSError):
                self._launching.result().abort()
        if self._attaching is not None:
            self._attaching.exception()  # nothing is undone while it is being made
        try:
            undo(self._parts, self._folder)
        except EngineError:
            return  # it is in the log
        if self._record.stage:  # else it is still the last run's
            self._folder.record_file.unlink(missing_ok=True)

    def _isolation(self) -> Isolation | None:
        return self._isolating.result() if self._isolating is not None else None

    def _mount(self) -> None:
        request, isolation = self._request, self._isolation()
        owners = rootfs.Owners(request.ids, isolation.user) if request.ids and isolation is not None else None
        self._root = rootfs.mount_rootfs(
            self._config, request.container_id, request.layers, owners, limit_bytes=request.writable_bytes
        )
        policy = self._policy()
        self._host_mounts = mount_all(self._config, self._folder, request, self._root, policy, owners=owners)

    def _policy(self) -> Policy:
        """The host's ceilings, and what the start may have of them."""
        found = load_policy(self._config.policy_file)
        return found if self._within is None else found.within(self._within)

    def _attach(self) -> Path | None:
        if self._request.shares_namespace("network"):
            return None
        isolation = self._isolation()
        namespace = isolation.network if isolation is not None else None
        return self._parts.network.attach(
            self._folder.container_id, self._where, namespace=namespace, published=self._published
        )

    def _network(self) -> None:
        if self._attaching is None:
            msg = "The steps of a start are out of order."
            raise RuntimeFailed(msg)
        self._netns = self._attaching.result()

    def _spec(self) -> None:
        if self._root is None:
            msg = "The steps of a start are out of order."
            raise RuntimeFailed(msg)
        request = self._request
        self._write_etc()
        with opened_root(self._root) as root:
            spec, policy = self._build(root, self._root, self._netns)
        if request.ids is not None:
            refuse_taken(request.ids, request.container_id)
            refuse_hidden(self._folder.path)
        check_spec(spec, policy, self._place(self._root, self._netns, policy))
        self._folder.write_spec(spec)

    def _write_etc(self) -> None:
        request, network = self._request, self._parts.network
        names, hostname = request.names, request.effective_hostname
        if request.shares_namespace("network"):
            self._write_hosts_own_etc()
            return
        places = network.places(self._where)
        gateway = places[0].network.subnet.gateway if places else network.gateway
        more = [(name, gateway if at == HOST_GATEWAY else at) for name, at in names.hosts]
        full_name = f"{hostname}.{names.domain}" if names.domain else hostname
        write_etc(
            self._folder.etc,
            hosts=hosts_text(places[0].addresses if places else (), full_name, more),
            hostname=hostname,
            resolv_conf=network.resolv_conf(places, servers=names.servers, search=names.search, options=names.options),
            owner=self._outside(0),
        )

    def _write_hosts_own_etc(self) -> None:
        """In the host's network its names and name servers hold, with what was asked for beside."""
        names = self._request.names
        more = "".join(f"{'127.0.0.1' if at == HOST_GATEWAY else at}\t{name}\n" for name, at in names.hosts)
        asked = bool(names.servers or names.search or names.options)
        resolv_conf = self._parts.network.resolv_conf(
            (), servers=names.servers, search=names.search, options=names.options
        )
        write_etc(
            self._folder.etc,
            hosts=host_text("hosts") + more,
            hostname=self._request.effective_hostname,
            resolv_conf=resolv_conf if asked else host_text("resolv.conf"),
            owner=0,
        )

    def _outside(self, number: int) -> int:
        """The host's id of one of the container's."""
        return number if self._request.ids is None else self._request.ids.outside(number)

    def _userns(self) -> Path | None:
        isolation = self._isolation()
        return isolation.user_path if isolation is not None else None

    def _place(self, root: Path, netns: Path | None, policy: Policy) -> Place:
        access = self._request.access
        devices = [one for one in access.devices if one[0] in policy.devices and not access.privileged]
        return Place(
            rootfs=root,
            etc=self._folder.etc,
            netns=netns,
            cgroup=f"{self._config.cgroup}/{self._folder.container_id}",
            userns=self._userns(),
            ids=self._request.ids,
            made_before=self._request.id_mode is IdMode.BEFORE,
            init=self._config.init if self._request.init else None,
            hard_limits=host_facts().shares.hard_limits,
            privileged=access.privileged,
            shared=frozenset(access.namespaces),
            nodes={place: self._node(number) for number, (_path, place, _access) in enumerate(devices)},
            device_rules=device_rules(replace(access, devices=tuple(devices)))[len(confinement.device_rules()) :],
        )

    def _node(self, number: int) -> Path:
        return self._folder.etc / f"device-{number}"

    def _make_nodes(self) -> dict[str, Path]:
        """A node for each device, the container's root's own: the host's would be nobody's in a user namespace."""
        found: dict[str, Path] = {}
        for number, (path, place, _access) in enumerate(self._request.access.devices):
            if not self._request.access.privileged:
                make_node(self._node(number), device_numbers(path), owner=self._outside(0))
                found[place] = self._node(number)
        return found

    def _build(self, root: int, root_path: Path, netns: Path | None) -> tuple[Spec, Policy]:
        request = self._request
        image = ImageConfig.parse(self._folder.image_config.read_bytes())
        policy, host = self._policy(), host_facts()
        refuse_unfit_access(request.access, policy, has_host_users=request.ids is None)
        hosttools.refuse_unfit_runtime(self._config)
        _refuse_weak_runtime(self._config, policy)
        refuse_disguised_system_folders(root)
        user = self._user = resolve_user(root, request.user or image.user or "", request.ids, more=request.groups)
        isolation = self._isolation()
        by = Maker(self._outside(0), None if isolation is None else isolation.user, self._host_mounts)
        working_dir = make_folder(root, request.working_dir or image.working_dir or "/", by=by)
        arguments = arguments_of(image, request)
        held = held_capabilities(request, policy, host)
        let_ping_run(root, held)
        refuse_unfit_executable(root, arguments[0], environment_of(image, request, user), working_dir, host.machine)
        etc = self._folder.etc
        paths = SpecPaths(
            rootfs=root_path,
            hosts=etc / "hosts",
            hostname=etc / "hostname",
            resolv_conf=etc / "resolv.conf",
            hosts_at=make_mount_point(root, "/etc/hosts", by=by),
            hostname_at=make_mount_point(root, "/etc/hostname", by=by),
            resolv_conf_at=make_mount_point(root, "/etc/resolv.conf", by=by),
            working_dir=working_dir,
            netns=netns,
            cgroup=f"{self._config.cgroup}/{self._folder.container_id}",
            ids=request.ids,
            userns=self._userns(),
            init=self._config.init if request.init else None,
            init_at=make_mount_point(root, INIT_PLACE, by=by) if request.init else "",
            devices=block_devices(request.shares),
            nodes=self._make_nodes(),
            all_devices=all_devices() if request.access.privileged else {},
        )
        for place, _ in mounted_places(root_path):
            refuse_mount_at(place, (paths.hosts_at, paths.hostname_at, paths.resolv_conf_at, paths.init_at))
        seccomp = profile_for(self._config.seccomp_base, host.machine, host.kernel, held)
        spec = build_spec(
            image=image,
            request=request,
            policy=policy,
            host=host,
            user=user,
            paths=paths,
            limits=self._config.limits,
            seccomp=seccomp,
        )
        return spec, policy

    def _create(self) -> None:
        if self._launching is None:
            msg = "The steps of a start are out of order."
            raise RuntimeFailed(msg)
        created = self._launching.result().create()
        if self._request.names.domain and created.init is not None:
            set_domainname(created.init.pid, self._request.names.domain)
        if self._user is not None and self._request.ids is not None:
            conmon.give_pipes(created.init, self._outside(self._user.uid), self._outside(self._user.gid))
        self._record = replace(self._record, monitor=created.monitor, init=created.init, started_at=now())

    def _start(self) -> None:
        self._parts.runc.start(self._folder.container_id, self._folder.bundle.runc_log)


def _close(isolating: Future[Isolation]) -> None:
    if isolating.exception() is None:
        isolating.result().close()


def _refuse_weak_runtime(config: EngineConfig, policy: Policy) -> None:
    """RUN-01: where the host's policy asks for it, nothing is started with a runc that has known ways out."""
    if not policy.require_patched_runtime:
        return
    found = hosttools.parse_version(f"version {runc.version(config.runc)}")
    if found is None or hosttools.runc_trust(found) is Trust.RED:
        msg = "This host's policy refuses to start containers with a runc that has known holes. Install a newer one."
        raise HostUnfit(msg, subject=str(config.runc))


def undo(parts: Parts, folder: ContainerFolder) -> None:
    """Take away everything that a run needs and nothing that it wrote. Idempotent; goes on past what fails.

    Whatever of it still lives is killed. The writable layer, the log and the record stay.

    Raises:
        EngineError: the first thing that could not be taken away, after all others were tried.
    """
    steps: tuple[Callable[[], None], ...] = (
        lambda: end_all(parts.config, folder.container_id),
        lambda: _undo_create(parts, folder),
        lambda: parts.network.detach(folder.container_id),
        lambda: rootfs.unmount_rootfs(parts.config, folder.container_id),
    )
    failures: list[Exception] = []
    for step in steps:
        try:
            step()
        except Exception as error:  # the others are tried whatever it is
            logger.exception("a part of container %s could not be taken away", folder.container_id[:12])
            failures.append(error)
    if failures:
        first = failures[0]
        if isinstance(first, EngineError):
            raise first
        msg = f"The container could not be cleaned up: {getattr(first, 'strerror', None) or first}."
        raise RuntimeFailed(msg, subject=folder.container_id) from first


def clear_way(parts: Parts, folder: ContainerFolder) -> None:
    """Before a start: take away what an earlier run has left, if there was one that was not released."""
    record = read_record(folder.record_file)
    if record is not None or (parts.runc.root / folder.container_id).exists():
        release(parts, folder)


def _undo_create(parts: Parts, folder: ContainerFolder) -> None:
    record = read_record(folder.record_file)
    alive = living(folder, parts.runc, record)
    left = [alive.init, alive.monitor]
    if record is None or record.monitor is None:  # cut off before we knew who it is
        left += conmon.strays(parts.config, folder.container_id)
    for identity in left:
        process = identity.open() if identity is not None else None
        if process is not None:
            with process:
                process.signal(signal.SIGKILL)
                process.wait(_KILL_S)
    parts.runc.delete(folder.container_id)
    cgroup = f"{parts.config.cgroup}/{folder.container_id}"
    if cgroups.exists(cgroup) and not (cgroups.kill_all(cgroup, timeout_s=_KILL_S) and cgroups.remove(cgroup)):
        msg = "Processes of the container do not end."
        raise RuntimeFailed(msg, subject=folder.container_id)


def release(parts: Parts, folder: ContainerFolder) -> None:
    """After the end of a run (or a start that was cut off): keep how it ended, then `undo`. Idempotent."""
    record = read_record(folder.record_file)
    if record is not None and record.exit is None:
        alive = living(folder, parts.runc, record)
        found = find_exit(parts.config, folder, record, started=alive.started)
        if found is not None:
            write_record(folder.record_file, replace(record, exit=found), durable=True)
        else:
            folder.record_file.unlink(missing_ok=True)
    undo(parts, folder)
    for path in folder.bundle.sockets:  # nobody listens there any more
        path.unlink(missing_ok=True)
