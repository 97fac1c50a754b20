"""The rival: a Docker Engine of its own (Debian's docker.io) with its own folders and socket, ended by process id."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

CLIENT = "/usr/bin/docker"  # Debian's, not another one that may come first in the PATH


class DockerEngine:
    def __init__(self, root: Path | None = None, *, has_bridge: bool = True) -> None:
        self._has_bridge = has_bridge  # without: it leaves the host's network and firewall alone
        self.root = root or Path(tempfile.mkdtemp(prefix="bench-docker-", dir="/var/lib"))
        self.root.mkdir(exist_ok=True)
        self.socket = self.root / "docker.sock"
        self.data = self.root / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._firewall = b""

    def __enter__(self) -> Self:
        self._firewall = subprocess.run(["iptables-save"], check=True, capture_output=True).stdout
        argv = [
            "/usr/sbin/dockerd",
            f"--host=unix://{self.socket}",
            f"--data-root={self.data}",
            f"--exec-root={self.root}/exec",
            f"--pidfile={self.root}/pid",
            "--storage-driver=overlay2",
            *([] if self._has_bridge else ["--bridge=none", "--iptables=false"]),
        ]
        with (self.root / "log").open("wb") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while self.run("version", check=False).returncode != 0:
            if time.monotonic() > deadline or self._process.poll() is not None:
                said = (self.root / "log").read_text()[-2000:]
                self.__exit__()
                raise RuntimeError(f"dockerd did not start: {said}")
            time.sleep(0.3)
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._process is not None:
            self._end(self._process)
        if self._has_bridge:
            subprocess.run(["iptables-restore"], input=self._firewall, check=False)
            subprocess.run(["ip", "link", "delete", "docker0"], check=False, capture_output=True)
        for path in sorted(self._mounted(), key=len, reverse=True):
            subprocess.run(["umount", path], check=False)
        if not self._mounted():
            shutil.rmtree(self.root, ignore_errors=True)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if containers := self.run("ps", "-aq", check=False).stdout.split():
            self.run("rm", "-f", *containers, check=False)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _mounted(self) -> list[str]:
        points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        return [point for point in points if point.startswith(f"{self.root}/")]

    @property
    def pid(self) -> int:
        return int((self.root / "pid").read_text())

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_CONFIG": str(self.root), "DOCKER_HOST": f"unix://{self.socket}"}

    def argv(self, *words: str) -> list[str]:
        return [CLIENT, *words]

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.argv(*words), check=check, capture_output=True, text=True, env=self.environment)

    @property
    def version(self) -> str:
        return self.run("version", "--format", "{{.Server.Version}}").stdout.strip()
