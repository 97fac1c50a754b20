"""Further commands in running containers: `engine.execs`.

Life of one: `start` → `watch` → (it ends, `on_exit`) → `remove`. It ends by itself, by `end`, or with its container.
After a restart of the worker: `observe`, and `watch` for those that run. One container is worked on by one thread at a
time; a start takes as long as `runc exec`, some 50 ms.
"""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.containers import execfolder, hosttools, observe
from engine.containers.execfolder import ExecFolder, exec_folders, living_exec, observe_exec
from engine.containers.lifecycle import Parts
from engine.containers.record import Exit, Record, now, read_record, write_record
from engine.containers.states import Action, State, require
from engine.errors import RequestRefused, RuntimeFailed, WrongState
from engine.kernel import pidfd
from engine.oci.image_config import ImageConfig
from engine.rootfs.places import is_container_id
from engine.runtime import conmon
from engine.runtime.execrequest import ExecRequest, is_exec_id
from engine.runtime.execspec import Spec, build_process, exec_environment
from engine.runtime.executable import refuse_unfit_executable
from engine.runtime.host import host_facts
from engine.runtime.passwd import resolve_user
from engine.runtime.policy import load_policy
from engine.runtime.rootfiles import find_folder, opened_root_of
from engine.runtime.shells import find_shell
from engine.runtime.specpolicy import check_process
from engine.terminal import rotation
from engine.terminal.log import parse
from engine.terminal.rotation import LogState

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.containers.exits import ExitWatcher
    from engine.containers.folder import ContainerFolder
    from engine.containers.locks import ContainerLocks
    from engine.containers.observe import Observed
    from engine.ids import IdRange
    from engine.kernel.pidfd import ProcessIdentity

END_GRACE_S = 3.0
_LOG_BYTES_EACH = 46  # at most, of the log for each byte that was said
_STAGE = "exec"


@dataclass(frozen=True, slots=True)
class ExecStarted:
    """What runs now, or has ended already; `arguments` tells the shell that was found."""

    arguments: tuple[str, ...]
    started_at: datetime


class Execs:
    """The engine's door to further commands. Ids are 64 hex digits, whatever the database says."""

    def __init__(
        self,
        parts: Parts,
        locks: ContainerLocks,
        watcher: ExitWatcher,
        open_folder: Callable[[str], ContainerFolder],
    ) -> None:
        self._parts = parts
        self._locks = locks
        self._watcher = watcher
        self._container = open_folder

    def start(self, container_id: str, request: ExecRequest) -> ExecStarted:
        """Run a further command in a running container. It may have ended when this returns.

        Raises:
            WrongState: the container does not run, or this command was started already.
            CommandNotFound, ShellNotFound, CommandNotExecutable, UserUnknown, RequestRefused, …: nothing of it runs; its
                folder stays until `remove`, for who reads its log already.
        """
        container = self._container(container_id)
        folder = self._folder(container_id, request.exec_id)
        with self._locks.hold(container_id):
            init = self._init_of(container)
            if self._parts.runc.is_paused(container_id):  # the command would wait, and we for it
                msg = f"Container {container_id} is paused, unpause the container before exec"
                raise WrongState(msg, subject=container_id)
            if observe_exec(folder).state not in (State.ABSENT, State.CREATED):
                msg = "The command was started already."
                raise WrongState(msg, subject=request.exec_id)
            folder.remove()
            try:
                return self._start(container, folder, request, init)
            except Exception as error:  # also a mistake of ours must not leave a command running
                self._give_up(folder)
                if not isinstance(error, OSError):
                    raise
                self._init_of(container)  # it may have ended under our hands: then that is the reason
                msg = f"The command could not be started: {error.strerror or error}."
                raise RuntimeFailed(msg, subject=container_id) from error

    def _start(
        self, container: ContainerFolder, folder: ExecFolder, request: ExecRequest, init: ProcessIdentity
    ) -> ExecStarted:
        folder.make(request.rows, request.columns)
        record = Record(stage=_STAGE, boot_id=pidfd.boot_id())
        write_record(folder.record_file, record)
        hosttools.refuse_unfit_runtime(self._parts.config)
        process = self._process(container, request, init)
        folder.write_process(process)
        self._parts.before_step(_STAGE)
        launch = conmon.Launch(
            self._parts.config,
            folder.bundle,
            container_id=folder.container_id,
            tty=request.tty,
            open_stdin=request.open_stdin,
            runc_root=self._parts.runc.root,
            exec_id=folder.exec_id,
            pipes_owner=_outside(container.request().ids, process),
        )
        started_at = now()
        executed = launch.execute()
        record = replace(record, monitor=executed.monitor, init=executed.init, started_at=started_at)
        write_record(folder.record_file, record)
        return ExecStarted(tuple(process["args"]), started_at)

    def _process(self, container: ContainerFolder, request: ExecRequest, init: ProcessIdentity) -> Spec:
        """Looked up in what the container sees now, mounts and all; a link of it never leads out (RUN-02)."""
        image = ImageConfig.parse(container.image_config.read_bytes())
        own = container.request()
        process: Spec = json.loads(container.bundle.spec.read_bytes())["process"]
        policy = load_policy(self._parts.config.policy_file)
        with opened_root_of(init.pid) as root:
            if not init.is_alive():  # looked at after opening: the root is this container's
                raise _not_running(container.container_id)
            user = resolve_user(root, request.user or own.user or image.user or "", own.ids, more=own.groups)
            working_dir = find_folder(root, request.working_dir or own.working_dir or image.working_dir or "/")
            arguments = request.command or (find_shell(root, user),)
            env = exec_environment(image, own, request, user)
            refuse_unfit_executable(root, arguments[0], env, working_dir, host_facts().machine)
        made = build_process(process, request, user=user, arguments=arguments, env=env, working_dir=working_dir)
        check_process(made, process, policy, is_privileged=own.access.privileged)
        return made

    def _init_of(self, container: ContainerFolder) -> ProcessIdentity:
        alive = observe.living(container, self._parts.runc, read_record(container.record_file))
        if alive.init is None or alive.monitor is None or not alive.started:
            if not container.is_there():
                require(Action.STOP, State.ABSENT, container.container_id)
            raise _not_running(container.container_id)
        return alive.init

    def _give_up(self, folder: ExecFolder) -> None:
        alive = living_exec(folder, read_record(folder.record_file))
        for identity in (alive.init, alive.monitor):
            execfolder.kill(identity)

    def end(self, container_id: str, exec_id: str) -> None:
        """Ask it to end, and kill it after a few seconds. Idempotent. What it left in the background goes on.

        A shell ignores TERM and ends at HUP; other programs take HUP for "read your settings again".

        Raises:
            RuntimeFailed: it does not end.
        """
        folder = self._folder(container_id, exec_id)
        alive = living_exec(folder, read_record(folder.record_file))
        process = alive.init.open() if alive.init is not None else None
        if process is not None:
            with process:
                process.signal(signal.SIGTERM)
                process.signal(signal.SIGHUP)
                process.signal(signal.SIGCONT)
                ended = process.wait(END_GRACE_S) or execfolder.kill(alive.init)
            if not ended:
                msg = "The command does not end, although it was killed."
                raise RuntimeFailed(msg, subject=exec_id)
        execfolder.wait_for_end(alive.monitor, END_GRACE_S)
        self._watcher.wait_until_told(exec_id, END_GRACE_S)

    def observe(self, container_id: str, exec_id: str) -> Observed:
        """What it really is now. Changes nothing."""
        return observe_exec(self._folder(container_id, exec_id))

    def watch(self, container_id: str, exec_id: str, on_exit: Callable[[Exit], None]) -> None:
        """Call `on_exit` once when it has ended, from a thread of the engine's; also if it has already."""
        folder = self._folder(container_id, exec_id)
        alive = living_exec(folder, read_record(folder.record_file))

        def on_end(_exec_id: str) -> None:
            found = observe_exec(folder)
            on_exit(found.exit or Exit(None, oom_killed=False, finished_at=now(), reason=observe.MONITOR_LOST))

        self._watcher.watch(exec_id, monitor=alive.monitor, init=alive.init, on_end=on_end)

    def is_watching(self, exec_id: str) -> bool:
        return self._watcher.is_watching(exec_id)

    def read_output(self, container_id: str, exec_id: str, *, limit_bytes: int) -> bytes:
        """The first bytes of what it has said, on both streams; empty where nothing of it is left."""
        path = self._folder(container_id, exec_id).bundle.io / "ctr.log"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        with os.fdopen(fd, "rb") as file:
            raw = file.read(limit_bytes * _LOG_BYTES_EACH)
        whole = raw[: raw.rfind(b"\n") + 1]
        return b"".join(chunk.payload for chunk in parse(whole, segment=1, offset=0))[:limit_bytes]

    def remove(self, container_id: str, exec_id: str) -> None:
        """Take away the folder of one that has ended, with its log. Idempotent.

        Raises:
            WrongState: it runs.
        """
        folder = self._folder(container_id, exec_id)
        with self._locks.hold(container_id):
            if observe_exec(folder).state in (State.RUNNING, State.MONITOR_LOST):
                msg = "The command is still running."
                raise WrongState(msg, subject=exec_id)
            self._watcher.forget(exec_id)
            folder.remove()

    def on_disk(self, container_id: str) -> set[str]:
        """Ids of all commands of a container that have left anything."""
        return {
            folder.exec_id for folder in exec_folders(self._parts.config, self._container(container_id).container_id)
        }

    def rotate_logs(self, container_id: str, exec_id: str, *, keep_from: int | None = None) -> LogState:
        """As `Engine.rotate_logs`."""
        io, config = self._folder(container_id, exec_id).bundle.io, self._parts.config
        return rotation.rotate(io, config.limits, gid=config.gid, keep_from=keep_from)

    def _folder(self, container_id: str, exec_id: str) -> ExecFolder:
        if not is_container_id(container_id) or not is_exec_id(exec_id):
            msg = f"'{exec_id[:80]}' is not the id of a command in a container."
            raise RequestRefused(msg)
        return ExecFolder(self._parts.config, container_id, exec_id)


def _outside(ids: IdRange | None, process: Spec) -> tuple[int, int] | None:
    """The host's ids of the user of a process; None where they are the host's anyway."""
    user = process["user"]
    return None if ids is None else (ids.outside(user["uid"]), ids.outside(user["gid"]))


def _not_running(container_id: str) -> WrongState:
    msg = f"container {container_id} is not running"
    return WrongState(msg, subject=container_id)
