"""A real docker-registry on a loopback port of its own, with a folder of its own. Usable in and outside pytest."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx

from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0

CONFIG = """\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: "{folder}/data"}}
  delete: {{enabled: true}}
  cache: {{blobdescriptor: inmemory}}
http: {{addr: "127.0.0.1:{port}"}}
{auth}
"""
AUTH = 'auth: {{htpasswd: {{realm: "test registry", path: "{folder}/htpasswd"}}}}'


@dataclass
class Registry:
    """`with Registry() as registry:` starts one; `registry.url` is what a mirror setting takes.

    With `user` and `password` it wants basic authentication. `pause()` stops it and keeps its images; `resume()` starts
    it again on the same port.
    """

    user: str = ""
    password: str = ""
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="berth-registry-")))
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """`127.0.0.1:<port>`: the first part of a reference."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def auth(self) -> tuple[str, str] | None:
        return (self.user, self.password) if self.user else None

    def __enter__(self) -> Self:
        self.resume()
        return self

    def __exit__(self, *_: object) -> None:
        self.pause()
        shutil.rmtree(self.folder, ignore_errors=True)

    def resume(self) -> None:
        """Start it and wait until it answers."""
        self.port = self.port or free_port()
        self._write_config()
        argv = ["docker-registry", "serve", str(self.folder / "config.yml")]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait()

    def pause(self) -> None:
        """Stop it by its own process, keep its files."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def delete_blob_file(self, digest: str) -> None:
        """Damage the registry: the blob is gone from its disk."""
        self.blob_file(digest).unlink()

    def blob_file(self, digest: str) -> Path:
        algorithm, _, hexadecimal = digest.partition(":")
        return self.folder / "data/docker/registry/v2/blobs" / algorithm / hexadecimal[:2] / hexadecimal / "data"

    def _write_config(self) -> None:
        auth = AUTH.format(folder=self.folder) if self.user else ""
        if self.user:
            (self.folder / "htpasswd").write_text(_htpasswd(self.user, self.password))
        (self.folder / "config.yml").write_text(CONFIG.format(folder=self.folder, port=self.port, auth=auth))

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                if httpx.get(f"{self.url}/v2/", auth=self.auth, trust_env=False, timeout=10).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.02)
        raise RuntimeError(f"docker-registry did not start: {(self.folder / 'log').read_text()[-2000:]}")


def _htpasswd(user: str, password: str) -> str:
    """One htpasswd line; the registry knows bcrypt only. Cost 4, so that tests do not wait for it."""
    argv = ["htpasswd", "-niB", "-C", "4", user]
    if shutil.which("htpasswd"):
        return subprocess.run(argv, input=password, capture_output=True, text=True, check=True).stdout
    salt = "$2b$04$" + "berthtestsaltberthtes"[:21] + "."
    script = "import crypt,sys; print(crypt.crypt(sys.argv[1], sys.argv[2]))"
    hashed = subprocess.run(
        ["/usr/bin/python3", "-W", "ignore", "-c", script, password, salt], capture_output=True, text=True, check=True
    ).stdout.strip()
    return f"{user}:{hashed}\n"


@contextmanager
def running_registry(*, user: str = "", password: str = "") -> Iterator[Registry]:
    with Registry(user=user, password=password) as registry:
        yield registry
