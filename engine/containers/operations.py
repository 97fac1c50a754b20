"""What is done to containers that are there, beside their life: `engine.operations`."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine import rootfs
from engine.containers.observe import observe
from engine.containers.states import Action, State, require
from engine.errors import EngineError, RuntimeFailed, WrongState
from engine.kernel import cgroups
from engine.kernel.files import write_atomic
from engine.kernel.procfs import ProcessFacts, process_facts
from engine.rootfs.places import is_container_id
from engine.runtime.access import device_rules
from engine.runtime.host import host_facts
from engine.runtime.passwd import user_names
from engine.runtime.policy import load_policy
from engine.runtime.rootfiles import opened_root_of
from engine.runtime.shares import SharesRequest, block_devices, refuse_unfit_shares, with_shares
from engine.runtime.spec import Spec, resources
from engine.runtime.specpolicy import check_resources
from engine.stats import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.containers.folder import ContainerFolder
    from engine.containers.lifecycle import Parts
    from engine.containers.locks import ContainerLocks
    from engine.ids import IdRange
    from engine.rootfs import Change
    from engine.runtime.request import ContainerRequest
    from engine.stats import Figures

_USUAL_SHARES = 1024  # the kernel's, of a container that names none


@dataclass(frozen=True, slots=True)
class Process:
    """`facts` with the uid that it has in the container, and that user's name there."""

    facts: ProcessFacts
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsWanted:
    """Of `ContainerRequest`, by the same names. None: the host's default."""

    memory_bytes: int | None = None
    nano_cpus: int | None = None
    pids: int | None = None
    shares: SharesRequest = field(default_factory=SharesRequest)


class Operations:
    """One container is worked on by one thread at a time."""

    def __init__(self, parts: Parts, locks: ContainerLocks, open_folder: Callable[[str], ContainerFolder]) -> None:
        self._parts = parts
        self._locks = locks
        self._container = open_folder
        self._sampler = Sampler()

    def close(self) -> None:
        self._sampler.close()

    def pause(self, container_id: str) -> None:
        """Hold all its processes, those of further commands too.

        Raises:
            WrongState: it does not run, or is paused already.
        """
        with self._locks.hold(container_id):
            folder = self._running(container_id)
            if self._parts.runc.is_paused(container_id):
                msg = f"Container {container_id} is already paused"
                raise WrongState(msg, subject=container_id)
            self._parts.runc.pause(container_id, folder.bundle.runc_log)

    def unpause(self, container_id: str) -> None:
        """Let them go on.

        Raises:
            WrongState: it does not run, or is not paused.
        """
        with self._locks.hold(container_id):
            folder = self._running(container_id)
            if not self._parts.runc.is_paused(container_id):
                msg = f"Container {container_id} is not paused"
                raise WrongState(msg, subject=container_id)
            self._parts.runc.resume(container_id, folder.bundle.runc_log)

    def update(self, container_id: str, wanted: LimitsWanted) -> None:
        """Other limits, at once if it runs, and for its next starts. One that was never started gets them there.

        Raises:
            RequestRefused: out of range, or above the host's ceiling; nothing is changed.
            RuntimeFailed: the kernel refuses one; the next start has the old ones, and so has this run, as far as it can.
        """
        with self._locks.hold(container_id):
            folder = self._container(container_id)
            if not folder.is_there():
                return
            before = folder.request()
            request = replace(
                before,
                memory_bytes=wanted.memory_bytes,
                nano_cpus=wanted.nano_cpus,
                pids=wanted.pids,
                shares=wanted.shares,
            )
            given = self._resources(request)
            if observe(self._parts.config, folder, self._parts.runc).state is State.RUNNING:
                try:
                    self._apply(folder, given)
                except RuntimeFailed:
                    with contextlib.suppress(EngineError):
                        self._apply(folder, self._resources(before))
                    raise
            folder.replace_request(request)

    def _resources(self, request: ContainerRequest) -> Spec:
        """Raises RequestRefused: what this host does not give."""
        config, policy, host = self._parts.config, load_policy(self._parts.config.policy_file), host_facts()
        refuse_unfit_shares(request.shares, request.memory_bytes, policy, host.shares, config.limits)
        plain = resources(request, policy, host, config.limits)
        given = with_shares(plain, request.shares, host.shares, block_devices(request.shares))
        check_resources(given, policy, device_rules(request.access))
        return given

    def _apply(self, folder: ContainerFolder, given: Spec) -> None:
        """Rates of devices stay: runc changes none."""
        kept = {name: given[name] for name in ("memory", "pids")} | {"cpu": {"shares": _USUAL_SHARES} | given["cpu"]}
        write_atomic(folder.resources_file, json.dumps(kept).encode(), mode=0o600)
        try:
            self._parts.runc.update(folder.container_id, folder.resources_file, folder.bundle.runc_log)
        finally:
            folder.resources_file.unlink(missing_ok=True)

    def processes(self, container_id: str) -> list[Process]:
        """All its processes, those of further commands too, in the order of their numbers.

        Raises:
            WrongState: it does not run.
        """
        folder = self._running(container_id)
        cgroup = f"{self._parts.config.cgroup}/{container_id}"
        found = [process_facts(pid) for pid in sorted(cgroups.pids(cgroup))]
        there = cgroups.pids(cgroup)  # a number that has gone to somebody else meanwhile is not in it
        ids, names = folder.request().ids, self._names(folder)
        own = [_inside(facts, ids) for facts in found if facts is not None and facts.pid in there]
        return [Process(facts, names.get(facts.uid, str(facts.uid))) for facts in own]

    def _names(self, folder: ContainerFolder) -> dict[int, str]:
        """Names of users as the container's own file has them."""
        pid = observe(self._parts.config, folder, self._parts.runc).pid
        with contextlib.suppress(EngineError, OSError):
            if pid is not None:
                with opened_root_of(pid) as root:
                    return user_names(root)
        return {}

    def changes(self, container_id: str, *, is_cancelled: Callable[[], bool] = lambda: False) -> list[Change]:
        """What it has changed in its root, whether it runs or not.

        Raises:
            WrongState: there is no such container.
            StoreError: there are too many changes, or they cannot be read.
            Cancelled: `is_cancelled` said so.
        """
        request = self._container(container_id).request()
        layers, ids = request.layers, request.ids
        return rootfs.list_changes(self._parts.config, container_id, layers, ids=ids, is_cancelled=is_cancelled)

    def figures(self) -> dict[str, Figures]:
        """What each container takes now, by id, since the last call: one cheap read of all. For one thread only."""
        top = self._parts.config.cgroup
        found = self._sampler.sample(f"{top}/{name}" for name in cgroups.children(top) if is_container_id(name))
        figures = {path.rpartition("/")[2]: taken for path, taken in found.items()}
        traffic = self._parts.network.traffic(figures)
        return {
            name: replace(taken, received_bytes=traffic[name][0], sent_bytes=traffic[name][1])
            if name in traffic
            else taken
            for name, taken in figures.items()
        }

    def _running(self, container_id: str) -> ContainerFolder:
        folder = self._container(container_id)
        state = observe(self._parts.config, folder, self._parts.runc).state
        if state is State.ABSENT:
            require(Action.STOP, state, container_id)
        if state is not State.RUNNING:
            msg = f"Container {container_id} is not running"
            raise WrongState(msg, subject=container_id)
        return folder


def _inside(facts: ProcessFacts, ids: IdRange | None) -> ProcessFacts:
    return facts if ids is None else replace(facts, uid=facts.uid - ids.first)
