"""runc by its command line. What it knows about a container is read from its own state folder, not asked of it:
`runc state` takes 10 ms, a file none.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.errors import HostUnfit, RuntimeFailed
from engine.kernel import cgroups
from engine.kernel.files import ensure_folder, remove_tree
from engine.kernel.pidfd import ProcessIdentity, boot_id
from engine.kernel.process import ProcessFailed, run, stamp_of
from engine.runtime.messages import error_of, last_error_of_log

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config import EngineConfig

_START_S, _DELETE_S, _VERSION_S, _PAUSE_S, _UPDATE_S = 30.0, 30.0, 10.0, 30.0, 30.0
_STATE_LIMIT_BYTES = 4 * 1024 * 1024
_VERSION = re.compile(r"^runc version (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RuncState:
    """`init` is the container's first process; `started` is False between create and start."""

    init: ProcessIdentity
    started: bool


class Runc:
    """runc with this engine's own state folder."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self.root = config.run / "runc"
        self._inits: dict[str, tuple[tuple[int, int, int], tuple[int, int]]] = {}  # by container, of which file

    def prepare(self) -> None:
        ensure_folder(self.root, 0o700)

    def start(self, container_id: str, log: Path) -> None:
        """Let the created container's command run.

        Raises:
            EngineError: the one of `messages.error_of`; the container is still created, or has ended.
        """
        try:
            self._run("start", container_id, log=log, timeout_s=_START_S)
        except ProcessFailed as error:
            raise error_of(_said(error, log), container_id=container_id) from error

    def pause(self, container_id: str, log: Path) -> None:
        """Hold all its processes.

        Raises:
            RuntimeFailed: it does not run, or its processes could not be held: then they go on.
        """
        try:
            self._run("pause", container_id, log=log, timeout_s=_PAUSE_S)
        except ProcessFailed as error:
            msg = f"The container could not be paused: {_said(error, log)}"
            raise RuntimeFailed(msg, subject=container_id) from error

    def resume(self, container_id: str, log: Path) -> None:
        """Let them go on.

        Raises:
            RuntimeFailed: it is not paused.
        """
        try:
            self._run("resume", container_id, log=log, timeout_s=_PAUSE_S)
        except ProcessFailed as error:
            msg = f"The container could not go on: {_said(error, log)}"
            raise RuntimeFailed(msg, subject=container_id) from error

    def update(self, container_id: str, resources: Path, log: Path) -> None:
        """Give a running container other limits: the OCI resources in that file; what is not in it stays.

        Raises:
            RuntimeFailed: the kernel refuses one (less memory than is in use); some may have been changed.
        """
        try:
            self._run("update", "--resources", str(resources), container_id, log=log, timeout_s=_UPDATE_S)
        except ProcessFailed as error:
            msg = f"The container's limits could not be changed: {_said(error, log)}"
            raise RuntimeFailed(msg, subject=container_id) from error

    def is_paused(self, container_id: str) -> bool:
        """Asked of the kernel, so true whoever did it."""
        return cgroups.is_frozen(f"{self._config.cgroup}/{container_id}")

    def delete(self, container_id: str) -> None:
        """Kill what is left of it and forget it: processes, control groups, state. Idempotent.

        A state folder that runc itself cannot read (it died while writing it, F20) is removed.

        Raises:
            RuntimeFailed: processes of it could not be killed.
        """
        folder = self.root / container_id
        if not folder.is_dir():
            return
        completed = run(
            [str(self._config.runc), "--root", str(self.root), "delete", "--force", container_id],
            timeout_s=_DELETE_S,
            check=False,
        )
        if not folder.is_dir():
            return
        if self.state(container_id) is not None and _is_alive(self.state(container_id)):
            msg = f"The container cannot be taken down: {completed.stderr_text.strip()}"
            raise RuntimeFailed(msg, subject=container_id)
        remove_tree(folder)

    def state(self, container_id: str) -> RuncState | None:
        """What runc has written down; None when it knows no such container or was cut off while creating it."""
        folder = self.root / container_id
        try:
            pid, start = self._init_in(folder / "state.json", container_id)
        except (OSError, ValueError, KeyError, TypeError):
            self._inits.pop(container_id, None)
            return None
        return RuncState(ProcessIdentity(boot_id(), pid, start), started=not (folder / "exec.fifo").exists())

    def _init_in(self, path: Path, container_id: str) -> tuple[int, int]:
        """Its number and start time. The file holds the whole spec, so it is parsed once: runc never writes into it, but puts another in its place."""
        found = path.stat()
        is_same_file = (found.st_ino, found.st_ctime_ns, found.st_size)
        known = self._inits.get(container_id)
        if known is not None and known[0] == is_same_file:
            return known[1]
        with open(path, "rb") as file:
            document = json.loads(file.read(_STATE_LIMIT_BYTES))
        init = int(document["init_process_pid"]), int(document["init_process_start"])
        self._inits[container_id] = (is_same_file, init)
        return init

    def known(self) -> set[str]:
        with contextlib.suppress(FileNotFoundError):
            return {entry.name for entry in self.root.iterdir() if entry.is_dir()}
        return set()

    def _run(self, *words: str, log: Path, timeout_s: float) -> None:
        argv = [str(self._config.runc), "--root", str(self.root), "--log", str(log), "--log-format", "json"]
        run([*argv, *words], timeout_s=timeout_s)


def _is_alive(state: RuncState | None) -> bool:
    return state is not None and state.init.is_alive()


def _said(error: ProcessFailed, log: Path) -> str:
    return "" if error.timed_out else last_error_of_log(_tail(log)) or error.stderr


def _tail(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 64 * 1024))
            return file.read()
    except FileNotFoundError:
        return b""


def version(program: Path) -> str:
    """As runc says it.

    Raises:
        HostUnfit: it is not installed, or is no runc.
    """
    return _version(program, stamp_of(program))


@lru_cache(maxsize=4)
def _version(program: Path, _stamp: tuple[int, ...]) -> str:
    try:
        completed = run([str(program), "--version"], timeout_s=_VERSION_S)
    except (ProcessFailed, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"{program} does not run: {reason}"
        raise HostUnfit(msg, subject=str(program)) from error
    found = _VERSION.search(completed.stdout.decode("utf-8", "replace"))
    if found is None:
        msg = f"{program} is not runc."
        raise HostUnfit(msg, subject=str(program))
    return found[1]
