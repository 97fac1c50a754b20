"""Starting other programs: never through a shell, never with descriptors or an environment they were not given.

`run` waits for the direct child only: its input and output are memory files, so neither a full pipe nor a daemon that
the child leaves behind can make it hang. `Process` is for programs that are fed while they run.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Literal, NamedTuple, Self

from engine.errors import HostUnfit, RuntimeFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

MINIMAL_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
OUTPUT_LIMIT_BYTES = 16 * 1024 * 1024
STDERR_TAIL_BYTES = 64 * 1024
_PRLIMIT = "/usr/bin/prlimit"


class ProcessFailed(RuntimeFailed):
    """A program ended with another status than 0, or was killed after its time (`timed_out`)."""

    code = "process-failed"

    def __init__(self, argv: Sequence[str], returncode: int, stderr: str, *, timed_out: bool = False) -> None:
        program = os.path.basename(argv[0])  # noqa: PTH119 - argv is text
        how = "did not end in time" if timed_out else f"ended with status {returncode}"
        super().__init__(f"{program} {how}: {stderr.strip()}" if stderr.strip() else f"{program} {how}.")
        self.argv = tuple(argv)
        self.returncode = returncode
        self.stderr = stderr
        self.timed_out = timed_out


def stamp_of(program: Path) -> tuple[int, ...]:
    """What is another one once the program was replaced, or may be run by others; () when it is not there."""
    try:
        found = program.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_ctime_ns


class User(NamedTuple):
    """Whom a program runs as; supplementary groups are dropped."""

    uid: int
    gid: int


class Rlimits(NamedTuple):
    """Hard and soft limits of a program; None leaves the inherited one. Clamped to what the caller itself may have."""

    cpu_s: int | None = None
    address_space_bytes: int | None = None
    file_bytes: int | None = None
    open_files: int | None = None
    core_bytes: int | None = 0
    processes: int | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def stderr_text(self) -> str:
        return self.stderr.decode("utf-8", "replace")


_LIMIT_OPTIONS = (
    ("cpu_s", "cpu", resource.RLIMIT_CPU),
    ("address_space_bytes", "as", resource.RLIMIT_AS),
    ("file_bytes", "fsize", resource.RLIMIT_FSIZE),
    ("open_files", "nofile", resource.RLIMIT_NOFILE),
    ("core_bytes", "core", resource.RLIMIT_CORE),
    ("processes", "nproc", resource.RLIMIT_NPROC),
)


def _limited(argv: Sequence[str], rlimits: Rlimits | None) -> list[str]:
    """`argv` behind prlimit(1): a hook before exec is not safe in threads, and prlimit(2) on another user's process
    needs CAP_SYS_RESOURCE.
    """
    if rlimits is None:
        return list(argv)
    options = []
    for field, option, number in _LIMIT_OPTIONS:
        wanted: int | None = getattr(rlimits, field)
        if wanted is None:
            continue
        hard = resource.getrlimit(number)[1]
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        options.append(f"--{option}={limit}:{limit}")
    return [_PRLIMIT, *options, "--", *argv] if options else list(argv)


def _popen(  # noqa: PLR0913 - the one place where all of it meets
    argv: Sequence[str],
    *,
    stdin: int | IO[bytes],
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
    env: Mapping[str, str] | None,
    cwd: Path | None,
    pass_fds: Sequence[int],
    rlimits: Rlimits | None,
    user: User | None,
) -> subprocess.Popen[bytes]:
    if not argv:
        msg = "There is no program to run."
        raise ValueError(msg)
    try:
        return subprocess.Popen(
            _limited(argv, rlimits),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=dict(MINIMAL_ENVIRONMENT if env is None else env),
            cwd=cwd,
            pass_fds=tuple(pass_fds),
            close_fds=True,
            start_new_session=True,
            bufsize=0,
            user=None if user is None else user.uid,
            group=None if user is None else user.gid,
            extra_groups=None if user is None else [],
        )
    except FileNotFoundError as error:
        msg = f"The program '{argv[0]}' is not installed on this host."
        raise HostUnfit(msg, subject=argv[0]) from error


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the session that the child leads, unless it was reaped already (its number may be another's by now)."""
    if process.returncode is not None:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
    except PermissionError:  # a child of another user, and we are not root
        process.kill()


def _memory_file(name: str, content: bytes = b"") -> IO[bytes]:
    file = os.fdopen(os.memfd_create(name), "r+b", buffering=0)
    view = memoryview(content)
    while view:
        view = view[file.write(view) or 0 :]
    file.seek(0)
    return file


def _read_limited(file: IO[bytes]) -> bytes:
    file.seek(0)
    parts, left = [], OUTPUT_LIMIT_BYTES
    while left > 0 and (part := file.read(min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def run(  # noqa: PLR0913 - options of one call
    argv: Sequence[str],
    *,
    input: bytes | None = None,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    rlimits: Rlimits | None = None,
    user: User | None = None,
    check: bool = True,
) -> Completed:
    """Run a program to its end.

    `input` is its standard input (None: /dev/null), `env` its whole environment (None: `MINIMAL_ENVIRONMENT`, never
    our own), `user` whom it runs as (needs root), `check` whether a status other than 0 raises.

    Returns:
        Completed; `returncode` is negative for a signal. Each output stops at 16 MiB.

    Raises:
        HostUnfit: the program is not installed.
        ProcessFailed: status not 0 with `check`, or out of time (the child's whole session was killed and reaped).
    """
    with (
        _memory_file("stdout") as stdout,
        _memory_file("stderr") as stderr,
        _memory_file("stdin", input or b"") as stdin,
    ):
        process = _popen(
            argv,
            stdin=subprocess.DEVNULL if input is None else stdin,
            stdout=stdout,
            stderr=stderr,
            env=env,
            cwd=cwd,
            pass_fds=pass_fds,
            rlimits=rlimits,
            user=user,
        )
        timed_out = False
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            if process.returncode is None:
                _kill_group(process)
                process.wait()
        completed = Completed(process.returncode, _read_limited(stdout), _read_limited(stderr))
    if timed_out or (check and completed.returncode != 0):
        raise ProcessFailed(argv, completed.returncode, completed.stderr_text, timed_out=timed_out)
    return completed


class Process:
    """A running program. Leaving its `with` block kills what still runs of its session and reaps it.

    `stdin`/`stdout`: "pipe" (then `.stdin`/`.stdout` are unbuffered files), an open descriptor, or None for /dev/null.
    `stderr`: "tail" keeps the last 64 KiB for `stderr_tail()`, or a descriptor, or None.
    The daemon that a double-forking program leaves behind is in another session and is not killed.
    """

    def __init__(  # noqa: PLR0913 - options of one call
        self,
        argv: Sequence[str],
        *,
        stdin: Literal["pipe"] | int | None = None,
        stdout: Literal["pipe"] | int | None = None,
        stderr: Literal["tail"] | int | None = "tail",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
        rlimits: Rlimits | None = None,
        user: User | None = None,
    ) -> None:
        self.argv = tuple(argv)
        self._popen = _popen(
            argv,
            stdin=_target(stdin),
            stdout=_target(stdout),
            stderr=_target(stderr),
            env=env,
            cwd=cwd,
            pass_fds=pass_fds,
            rlimits=rlimits,
            user=user,
        )
        self._tail = bytearray()
        self._drain: threading.Thread | None = None
        if self._popen.stderr is not None:
            self._drain = threading.Thread(target=self._keep_tail, args=(self._popen.stderr,), daemon=True)
            self._drain.start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def stdin(self) -> IO[bytes]:
        if self._popen.stdin is None:
            msg = "This process was started without a pipe to its standard input."
            raise ValueError(msg)
        return self._popen.stdin

    @property
    def stdout(self) -> IO[bytes]:
        if self._popen.stdout is None:
            msg = "This process was started without a pipe from its standard output."
            raise ValueError(msg)
        return self._popen.stdout

    def write(self, data: bytes | memoryview) -> None:
        """All of `data` to its standard input.

        Raises:
            BrokenPipeError: it reads no more; `wait()` and `stderr_tail()` say why.
        """
        view = memoryview(data)
        while view:
            view = view[self.stdin.write(view) or 0 :]

    def poll(self) -> int | None:
        return self._popen.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """Its status (negative: the signal).

        Raises:
            ProcessFailed: with `timed_out`; the process still runs.
        """
        try:
            status = self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ProcessFailed(self.argv, -1, self.stderr_tail(), timed_out=True) from error
        if self._drain is not None:
            self._drain.join(1.0)  # a child of its own may keep the pipe open: the tail is then what came so far
        return status

    def check(self, timeout_s: float | None = None) -> None:
        """Wait, and raise ProcessFailed unless the status is 0."""
        status = self.wait(timeout_s)
        if status != 0:
            raise ProcessFailed(self.argv, status, self.stderr_tail())

    def kill(self) -> None:
        """SIGKILL to its session; harmless when it has ended. `wait()` still has to be called."""
        _kill_group(self._popen)

    def terminate(self) -> None:
        if self._popen.poll() is None:
            self._popen.terminate()

    def stderr_tail(self) -> str:
        return bytes(self._tail).decode("utf-8", "replace")

    def _keep_tail(self, stream: IO[bytes]) -> None:
        while part := stream.read(8192):
            self._tail += part
            del self._tail[:-STDERR_TAIL_BYTES]
        stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        if self._popen.poll() is None:
            if kind is None:
                self._grace()
            _kill_group(self._popen)
        self._popen.wait()
        if self._drain is not None:
            self._drain.join(1.0)

    def _grace(self) -> None:
        """A program whose input was just closed may be about to end by itself."""
        try:
            self._popen.wait(1.0)
        except subprocess.TimeoutExpired:
            return


def _target(spec: Literal["pipe", "tail"] | int | None) -> int:
    if spec is None:
        return subprocess.DEVNULL
    return subprocess.PIPE if isinstance(spec, str) else spec
