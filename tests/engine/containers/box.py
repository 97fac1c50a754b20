"""A running container and short words for what is run in it."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import socket
import time
from pathlib import Path

from engine.containers.execfolder import ExecFolder
from engine.containers.states import State
from engine.kernel import cgroups
from engine.runtime.conmon import monitor_cgroup
from engine.runtime.execrequest import ExecRequest

numbers = itertools.count(1)


def new_id() -> str:
    return hashlib.sha256(f"exec {os.getpid()} {next(numbers)}".encode()).hexdigest()


class Box:
    def __init__(self, lab, container_id: str) -> None:
        self.lab = lab
        self.container_id = container_id
        self.execs = lab.engine.execs

    def start(self, *command: str, **options) -> str:
        exec_id = new_id()
        self.execs.start(self.container_id, ExecRequest(exec_id=exec_id, command=command, **options))
        return exec_id

    def observe(self, exec_id: str):
        return self.execs.observe(self.container_id, exec_id)

    def wait(self, exec_id: str, timeout_s: float = 15.0):
        deadline = time.monotonic() + timeout_s
        while (found := self.observe(exec_id)).state is not State.EXITED:
            assert time.monotonic() < deadline, f"still {found}"
            time.sleep(0.005)
        return found.exit

    def io(self, exec_id: str) -> Path:
        return ExecFolder(self.lab.config, self.container_id, exec_id).bundle.io

    def output(self, exec_id: str) -> tuple[str, str]:
        streams = {b"stdout": b"", b"stderr": b""}
        for line in (self.io(exec_id) / "ctr.log").read_bytes().split(b"\n"):
            _, stream, kind, said = (*line.split(b" ", 3), b"", b"", b"")[:4]
            if stream in streams:
                streams[stream] += said + (b"\n" if kind == b"F" else b"")
        return streams[b"stdout"].decode(), streams[b"stderr"].decode()

    def run(self, *command: str, **options) -> tuple[int | None, str, str]:
        exec_id = self.start(*command, **options)
        code = self.wait(exec_id).code
        out, err = self.output(exec_id)
        self.execs.remove(self.container_id, exec_id)
        return code, out, err

    def out(self, *command: str, **options) -> str:
        code, out, err = self.run(*command, **options)
        assert code == 0, err
        return out

    def wait_for(self, exec_id: str, wanted: str, timeout_s: float = 10.0) -> None:
        deadline = time.monotonic() + timeout_s
        while wanted not in (found := self.output(exec_id)[0]):
            assert time.monotonic() < deadline, f"no {wanted!r} in {found!r}"
            time.sleep(0.005)

    def attach(self, exec_id: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fd = os.open(self.io(exec_id), os.O_PATH)
        sock.connect(f"/proc/self/fd/{fd}/attach")
        os.close(fd)
        sock.shutdown(socket.SHUT_RD)
        return sock


@contextlib.contextmanager
def running(lab, *command, **options):
    with lab.started(*(command or ("/bin/sleep", "600")), **options) as container_id:
        yield Box(lab, container_id)


def monitors(lab, *exec_ids: str) -> set[int]:
    """Monitors that live, of these commands or of all."""
    found = set()
    for pid in cgroups.pids(monitor_cgroup(lab.config)):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"-e" in words and (not exec_ids or any(exec_id.encode() in words for exec_id in exec_ids)):
                found.add(pid)
    return found
