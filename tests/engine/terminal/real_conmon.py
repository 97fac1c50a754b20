"""A real conmon with a real runc container made of this machine's own /usr, for tests of logs and terminals."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

from engine.terminal import resize, rotation
from tests.support.waiting import WAIT_S, until

DEVICES = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)]


class RealContainer:
    """`with RealContainer(["sh"], tty=True) as c:` — created, not started; `c.start()` starts it; leaving removes all."""

    def __init__(self, args, *, tty=True, stdin=True, rows=24, columns=80, io=None, env=(), log_size_max=268435456):
        self.id = uuid.uuid4().hex + uuid.uuid4().hex
        self.folder = Path(tempfile.mkdtemp(prefix="berth-test-conmon-"))
        self.folder.chmod(0o711)
        self.io = Path(io) if io else self.folder / "io"
        self.io.mkdir(exist_ok=True, mode=0o750)
        (self.io / "exit").mkdir(exist_ok=True)
        self.tty, self.stdin, self.log_size_max = tty, stdin, log_size_max
        self._spec(list(args), rows, columns, list(env))
        rotation.prepare(self.io, resize.Size(rows, columns), uid=0, gid=0)
        self.conmon_pid = self.pid = 0

    def _spec(self, args, rows, columns, env):
        root = self.folder / "rootfs"
        root.mkdir()
        for name in ("usr", "proc", "dev", "tmp", "root", "etc"):
            (root / name).mkdir()
        for name in ("bin", "lib", "lib64", "sbin"):
            (root / name).symlink_to(f"usr/{name}")
        (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
        rules = [{"allow": False, "access": "rwm"}]
        rules += [{"allow": True, "type": "c", "major": a, "minor": b, "access": "rwm"} for a, b in DEVICES]
        rules += [{"allow": True, "type": "c", "major": 136, "access": "rwm"}]
        pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        spec = {
            "ociVersion": "1.0.2",
            "process": {
                "terminal": self.tty,
                "user": {"uid": 0, "gid": 0},
                "args": args,
                "cwd": "/",
                "env": ["PATH=/usr/bin:/bin:/usr/sbin", "HOME=/root", "TERM=xterm-256color", "PS1=# ", *env],
                "capabilities": {k: ["CAP_KILL"] for k in ("bounding", "effective", "permitted")},
            },
            "root": {"path": str(root), "readonly": False},
            "hostname": self.id[:12],
            "mounts": [
                {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]},
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": pts},
            ],
            "linux": {
                "cgroupsPath": f"/berth-test/{self.id}",
                "namespaces": [{"type": t} for t in ("pid", "ipc", "uts", "mount", "network")],
                "resources": {"devices": rules},
            },
        }
        if self.tty:
            spec["process"]["consoleSize"] = {"height": rows, "width": columns}
        (self.folder / "config.json").write_text(json.dumps(spec))

    def __enter__(self):
        try:
            return self._create()
        except BaseException:
            self.__exit__()
            raise

    def _create(self):
        sync_read, sync_write = os.pipe()
        start_read, start_write = os.pipe()
        io, b = self.io, self.folder
        argv = ["conmon", "--api-version", "1", "-c", self.id, "-u", self.id, "-n", "test", "-r", "/usr/sbin/runc"]
        argv += ["-b", str(io), "-p", f"{b}/pidfile", "-P", f"{b}/conmon.pid", "--exit-dir", f"{io}/exit"]
        argv += ["--persist-dir", str(b), "--full-attach", "--log-level", "warn"]
        argv += ["-l", f"k8s-file:{io}/ctr.log", "--log-size-max", str(self.log_size_max)]
        argv += ["-t"] if self.tty else (["-i"] if self.stdin else [])
        for word in ("--root", str(b / "runc"), "--log", f"{b}/runc.log", "--log-format", "json"):
            argv += ["--runtime-arg", word]
        for word in ("--bundle", str(b)):  # as engine.runtime.conmon does
            argv += ["--runtime-opt", word]
        env = {"PATH": "/usr/sbin:/usr/bin", "_OCI_SYNCPIPE": str(sync_write), "_OCI_STARTPIPE": str(start_read)}
        with open(b / "conmon.err", "wb") as err:
            child = subprocess.Popen(
                argv, pass_fds=(sync_write, start_read), env=env, cwd=b,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err,
            )  # fmt: skip
        os.close(sync_write)
        os.close(start_read)
        os.write(start_write, b"\0")
        os.close(start_write)
        with os.fdopen(sync_read, "rb") as file:
            line = file.readline()
        child.wait(60)
        answer = json.loads(line or b'{"data": -1, "message": "no answer"}')
        if answer["data"] < 0:
            raise RuntimeError(answer)
        self.pid = answer["data"]
        self.conmon_pid = int((b / "conmon.pid").read_text())
        return self

    def start(self):
        self.runc("start", self.id, check=True)
        return self

    def runc(self, *args, **kw):
        return subprocess.run(  # noqa: PLW1510 - callers choose
            ["runc", "--root", str(self.folder / "runc"), *args], stdin=subprocess.DEVNULL, timeout=120, **kw
        )

    def conmon_lives(self) -> bool:
        """Not counting one that has ended and that nobody has reaped."""
        try:
            stat = Path(f"/proc/{self.conmon_pid}/stat").read_text()
        except OSError:
            return False
        return "conmon" in stat and stat.rpartition(")")[2].split()[0] != "Z"

    def kill(self):
        self.runc("kill", self.id, "KILL", stderr=subprocess.DEVNULL)

    def wait_exit(self) -> int:
        path = self.io / "exit" / self.id
        wait_for(path.exists)
        return int(path.read_text())

    def __exit__(self, *_):
        self.runc("delete", "-f", self.id, stderr=subprocess.DEVNULL)
        if self.conmon_pid:
            deadline = time.monotonic() + 30
            while self.conmon_lives() and time.monotonic() < deadline:
                time.sleep(0.01)
            if self.conmon_lives():
                os.kill(self.conmon_pid, signal.SIGKILL)
        assert str(self.folder) not in Path("/proc/self/mountinfo").read_text()
        shutil.rmtree(self.folder)
        for cgroup in Path("/sys/fs/cgroup").glob(f"*/berth-test/{self.id}"):
            cgroup.rmdir()
        for parent in Path("/sys/fs/cgroup").glob("*/berth-test"):
            with contextlib.suppress(OSError):  # another test's container is still in it
                parent.rmdir()


def wait_for(condition, timeout_s=WAIT_S):
    return until("it happens", condition, timeout_s, every_s=0.005)
