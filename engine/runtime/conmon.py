"""conmon: the small program that holds a container's terminal or pipes, its log and its exit code.

It runs `runc create`, then stays, in no process of ours: containers outlive every restart of Berth. Tried on 2.1.6
(runtime.md 2); each trap there has its cure here:

* Its bundle (`-b`) is the container's `io/`, which is where it puts `attach` and `ctl`; runc is given the real bundle
  by a later `--bundle`. So the sockets lie in a folder that the unprivileged user may enter, and config.json does not.
* A terminal gets `-t` and never `-i` (its stdin would close for ever with the first client). Pipes get `-i` if stdin
  is wanted: then a client's SHUT_WR is end-of-file.
* It is born in our control groups, and stopping us would kill it: it is moved into its own before the byte on the
  start pipe lets it go on.
* It makes its log 0600 root: made before with the right mode, it keeps it. Its own rotation is a backstop only.
* It writes a second `oom` file into its working folder: that is the container's folder.
* It must get no descriptor and no environment of ours but the two pipes (RUN-02, RUN-18).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import stat
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import HostUnfit, RuntimeFailed
from engine.kernel import cgroups
from engine.kernel.pidfd import ProcessIdentity, parent_of
from engine.kernel.process import MINIMAL_ENVIRONMENT, Process, ProcessFailed, run, stamp_of
from engine.runtime.messages import error_of

if TYPE_CHECKING:
    from engine.config import EngineConfig

# conmon 2.1.6 counts what it has written since its *own* last rotation: ours, asked for by `2 0 0`, does not reset that
# count. At any limit within reach it would so throw a segment away that readers still need [M: 300 MB through a pipe].
LOG_BACKSTOP_BYTES = 1 << 50
# In place of runc, and becomes it: a further command runs at once, so nobody could give it its pipes afterwards.
_GIVE_PIPES = 'chown "$1" {fds} && shift && exec "$0" "$@"'
_CREATE_S, _FORK_S = 60.0, 5.0
_MESSAGE_LIMIT_BYTES = 256 * 1024
_VERSION = re.compile(r"conmon version (\S+)")


@dataclass(frozen=True, slots=True)
class Bundle:
    """The places of one container, or of one further command in it, that conmon and runc write to; all below its folder."""

    folder: Path
    io: Path
    spec_name: str = "config.json"

    @property
    def spec(self) -> Path:
        return self.folder / self.spec_name

    @property
    def spec_draft(self) -> Path:
        """Becomes `spec` right before conmon is let go: one that goes on without us must not find it."""
        return self.folder / f"{self.spec_name}.next"

    @property
    def runc_log(self) -> Path:
        return self.folder / "runc.log"

    @property
    def monitor_log(self) -> Path:
        return self.folder / "conmon.log"

    @property
    def pid_file(self) -> Path:
        return self.folder / "pidfile"

    @property
    def monitor_pid_file(self) -> Path:
        return self.folder / "conmon.pid"

    @property
    def oom_file(self) -> Path:
        return self.folder / "oom"

    @property
    def exits(self) -> Path:
        return self.io / "exit"

    @property
    def sockets(self) -> tuple[Path, Path, Path]:
        return self.io / "attach", self.io / "ctl", self.io / "winsz"

    @property
    def log(self) -> Path:
        return self.io / "ctr.log"

    def forget_run(self) -> None:
        """Take away what an earlier run left, so that nothing of it can be read as the next one's."""
        leftovers = (
            self.spec,
            self.pid_file,
            self.monitor_pid_file,
            self.oom_file,
            self.folder / "exit",
            self.runc_log,
        )
        for path in (*leftovers, *self.sockets, *self.exits.glob("*")):
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Created:
    """A container that waits for `runc start`, and who watches it."""

    monitor: ProcessIdentity
    init: ProcessIdentity


@dataclass(frozen=True, slots=True)
class Executed:
    """A further command that was let go. A quick one has ended already, and its monitor perhaps too: then None."""

    monitor: ProcessIdentity | None
    init: ProcessIdentity | None


def monitor_cgroup(config: EngineConfig) -> str:
    return f"{config.cgroup}/conmon"


class Launch:
    """One conmon: started and put into its own control groups by `__init__`, let go by `create`.

    Until then it waits, and costs nothing to give up. If we die before, it goes on by itself at the end of the pipe and
    finds no config.json (`Bundle.forget_run`), so runc creates nothing. With `exec_id` it runs a further command in the
    container: `execute` instead of `create`. `pipes_owner` is for those: the host's uid and gid that its pipes shall
    belong to, as `give_pipes` does for a created container.
    """

    def __init__(
        self,
        config: EngineConfig,
        bundle: Bundle,
        *,
        container_id: str,
        tty: bool,
        open_stdin: bool,
        runc_root: Path,
        exec_id: str = "",
        pipes_owner: tuple[int, int] | None = None,
    ) -> None:
        self._config = config
        self._bundle = bundle
        self._container_id = container_id
        self._what = "command" if exec_id else "container"
        argv = _arguments(config, bundle, container_id=container_id, exec_id=exec_id)
        argv += _streams(tty=tty, open_stdin=open_stdin)
        argv += _runtime(config, None if tty else pipes_owner, open_stdin=open_stdin)
        argv += _runtime_arguments(bundle, runc_root, exec_id=exec_id)
        cgroups.create(monitor_cgroup(config))
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as its:
            log = os.open(bundle.monitor_log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            its.callback(os.close, log)
            self._sync, sync_write = os.pipe()
            ours.callback(os.close, self._sync)
            its.callback(os.close, sync_write)
            start_read, self._go = os.pipe()
            ours.callback(os.close, self._go)
            its.callback(os.close, start_read)
            environment = MINIMAL_ENVIRONMENT | {"_OCI_SYNCPIPE": str(sync_write), "_OCI_STARTPIPE": str(start_read)}
            self._child = Process(
                argv, stderr=log, env=environment, cwd=bundle.folder, pass_fds=(sync_write, start_read)
            )
            ours.callback(_kill, self._child)
            with contextlib.suppress(ProcessLookupError):  # it failed at once; `create` says why
                cgroups.move(self._child.pid, monitor_cgroup(config))
            ours.pop_all()  # all went well: they are `abort`'s

    def create(self) -> Created:
        """Have it create the container.

        The sockets then belong to root and the unprivileged group, 0660, before anything of the container has run.

        Raises:
            EngineError: by `messages.error_of`; conmon has ended, runc may still know the container (`Runc.delete`).
        """
        init_pid = self._let_go()
        monitor = ProcessIdentity.of(_read_pid(self._bundle.monitor_pid_file, self._container_id))
        init = ProcessIdentity.of(init_pid)
        if monitor is None or init is None:
            msg = "The container or its monitor ended before it was started."
            raise RuntimeFailed(msg, subject=self._container_id)
        _open_to_group(self._bundle, self._config.gid)
        return Created(monitor, init)

    def execute(self) -> Executed:
        """Have it run the command. Errors and sockets are as for `create`, but the command runs already."""
        init_pid = self._let_go()
        with contextlib.suppress(FileNotFoundError):  # it has ended, and its monitor has taken them away
            _open_to_group(self._bundle, self._config.gid)
        monitor = find_monitor(self._bundle, self._container_id)
        return Executed(monitor, None if monitor is None else _child_of(monitor, init_pid))

    def _let_go(self) -> int:
        """The number of the process that runc has started."""
        try:
            self._bundle.spec_draft.rename(self._bundle.spec)
            with contextlib.suppress(BrokenPipeError):
                os.write(self._go, b"\0")
            answer = _read_line(self._sync, time.monotonic() + _CREATE_S)
            if answer:
                with contextlib.suppress(ProcessFailed):
                    self._child.wait(_FORK_S)
        finally:
            self.abort()
        return _pid_in(answer, self._bundle, self._container_id, self._what)

    def abort(self) -> None:
        """Give it up if it still waits. Idempotent; the conmon of a created container is in another session."""
        _kill(self._child)
        self._close()

    def _close(self) -> None:
        for fd in (self._sync, self._go):
            if fd >= 0:
                os.close(fd)
        self._sync = self._go = -1


def _kill(child: Process) -> None:
    if child.poll() is None:
        child.kill()
    child.wait()


def _arguments(config: EngineConfig, bundle: Bundle, *, container_id: str, exec_id: str) -> list[str]:
    argv = [str(config.conmon), "--api-version", "1", "-c", container_id, "-u", exec_id or container_id]
    argv += ["-n", container_id[:12]]
    argv += ["-b", str(bundle.io), "--full-attach"]
    argv += ["-p", str(bundle.pid_file), "-P", str(bundle.monitor_pid_file)]
    argv += ["--exit-dir", str(bundle.exits), "--persist-dir", str(bundle.folder), "--log-level", "warn"]
    argv += ["-l", f"k8s-file:{bundle.log}", "--log-size-max", str(LOG_BACKSTOP_BYTES)]
    return [*argv, "-e", "--exec-process-spec", str(bundle.spec)] if exec_id else argv


def _streams(*, tty: bool, open_stdin: bool) -> list[str]:
    if tty:
        return ["-t"]
    return ["-i"] if open_stdin else []


def _runtime(config: EngineConfig, pipes_owner: tuple[int, int] | None, *, open_stdin: bool) -> list[str]:
    if pipes_owner is None:
        return ["-r", str(config.runc)]
    fds = " ".join(f"/proc/self/fd/{number}" for number in range(0 if open_stdin else 1, 3))
    argv = ["-r", "/bin/sh"]
    for word in ("-c", _GIVE_PIPES.format(fds=fds), str(config.runc), "{}:{}".format(*pipes_owner)):
        argv += ["--runtime-arg", word]
    return argv


def _runtime_arguments(bundle: Bundle, runc_root: Path, *, exec_id: str) -> list[str]:
    argv = []
    for word in ("--root", str(runc_root), "--log", str(bundle.runc_log), "--log-format", "json"):
        argv += ["--runtime-arg", word]
    if not exec_id:
        for word in ("--bundle", str(bundle.folder)):  # the last --bundle is the one that runc takes
            argv += ["--runtime-opt", word]
    return argv


def _read_line(fd: int, deadline: float) -> bytes | None:
    """One line; what came before the end; None when the time is over."""
    line = b""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    while not line.endswith(b"\n") and len(line) < _MESSAGE_LIMIT_BYTES:
        left = deadline - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            return None
        part = os.read(fd, 65_536)
        if not part:
            break
        line += part
    return line


def _pid_in(answer: bytes | None, bundle: Bundle, container_id: str, what: str) -> int:
    try:  # the exit code of a quick command may stand behind it
        document = json.loads((answer or b"").partition(b"\n")[0])
        pid = int(document.get("data", -1))
    except (ValueError, TypeError, AttributeError) as error:
        with open(bundle.monitor_log, "rb") as file:
            said = file.read(4096).decode("utf-8", "replace").strip()
        msg = f"The container's monitor gave no answer: {said}" if said else "The container's monitor gave no answer."
        raise RuntimeFailed(msg, subject=container_id) from error
    if pid <= 0:
        raise error_of(str(document.get("message", "")), container_id=container_id, what=what)
    return pid


def _read_pid(path: Path, container_id: str) -> int:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError) as error:
        msg = "The container's monitor left no process number."
        raise RuntimeFailed(msg, subject=container_id) from error


def _child_of(monitor: ProcessIdentity, pid: int) -> ProcessIdentity | None:
    """The process of that number, if it is still the monitor's child: a quick command's number may be another's by now."""
    found = ProcessIdentity.of(pid)
    return found if found is not None and parent_of(pid) == monitor.pid and found.is_alive() else None


def _open_to_group(bundle: Bundle, gid: int) -> None:
    """Owner before mode. `winsz` stays root's: sizes go through `ctl`."""
    for name in ("attach", "ctl"):
        path = bundle.io / name
        os.chown(path, 0, gid, follow_symlinks=False)
        path.chmod(0o660)
    (bundle.io / "winsz").chmod(0o600)


def give_pipes(init: ProcessIdentity, uid: int, gid: int) -> None:
    """Let a created container's user open its own pipes by name (/dev/stdout, as web servers' logs do).

    runc gives them to that user, but cannot where root in the container is nobody here: they belong to the host's root.
    """
    for number in range(3):
        path = f"/proc/{init.pid}/fd/{number}"
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISFIFO(os.stat(path).st_mode):  # noqa: PTH116 - the link of a descriptor
                os.chown(path, uid, gid)


def strays(config: EngineConfig, container_id: str) -> list[ProcessIdentity]:
    """Every conmon of this container and the runc that one has just started, also before any pid file (F20)."""
    found = []
    for pid in cgroups.pids(monitor_cgroup(config)):
        identity = ProcessIdentity.of(pid)
        with contextlib.suppress(OSError):
            if identity is not None and container_id.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                found.append(identity)
    return found


@dataclass(frozen=True, slots=True)
class Monitor:
    """A conmon of this engine that is alive. `unit`: the id of what it watches, a container's or a command's."""

    pid: int
    container_id: str
    unit: str
    is_in_group: bool


def monitors(config: EngineConfig) -> list[Monitor]:
    """All of them, wherever they are; by their command lines, as only root starts any in this data folder."""
    ours = cgroups.pids(monitor_cgroup(config))
    prefix = os.fsencode(config.containers)
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            if (path / "comm").read_bytes() != b"conmon\n":
                continue
            words = (path / "cmdline").read_bytes().split(b"\0")
            if not words[words.index(b"-b") + 1].startswith(prefix):
                continue
            container_id, unit = (words[words.index(flag) + 1].decode("ascii") for flag in (b"-c", b"-u"))
            found.append(Monitor(int(path.name), container_id, unit, int(path.name) in ours))
    return found


def find_monitor(bundle: Bundle, container_id: str) -> ProcessIdentity | None:
    """The conmon of this container that is alive, found by its own pid file and proved by its command line (F13, F41)."""
    try:
        pid = int(bundle.monitor_pid_file.read_text("ascii"))
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    found = ProcessIdentity.of(pid)
    return found if container_id.encode() in words and str(bundle.io).encode() in words else None


def find_init(bundle: Bundle, monitor: ProcessIdentity) -> ProcessIdentity | None:
    """The process that runc wrote into the pid file, if it is alive and this monitor's child."""
    try:
        return _child_of(monitor, int(bundle.pid_file.read_text("ascii")))
    except (OSError, ValueError):
        return None


def read_exit_code(bundle: Bundle, container_id: str) -> int | None:
    try:
        return int((bundle.exits / container_id).read_text("ascii"))
    except (OSError, ValueError):
        return None


def version(program: Path) -> str:
    """As conmon says it.

    Raises:
        HostUnfit: it is not installed, or is no conmon.
    """
    return _version(program, stamp_of(program))


@lru_cache(maxsize=4)
def _version(program: Path, _stamp: tuple[int, ...]) -> str:
    try:
        completed = run([str(program), "--version"], timeout_s=10.0)
    except (ProcessFailed, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"{program} does not run: {reason}"
        raise HostUnfit(msg, subject=str(program)) from error
    found = _VERSION.search(completed.stdout.decode("utf-8", "replace"))
    if found is None:
        msg = f"{program} is not conmon."
        raise HostUnfit(msg, subject=str(program))
    return found[1]
