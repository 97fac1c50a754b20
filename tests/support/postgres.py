"""A real PostgreSQL on a unix socket in a folder of its own: no port, nothing shared. As root: it runs as `postgres`."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        raise RuntimeError("PostgreSQL is not installed")
    return found[-1]


@dataclass
class Postgres:
    """`with Postgres() as database:`; `database.url` is what DATABASE_URL takes."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="berth-postgres-")))

    @property
    def url(self) -> str:
        return f"postgres://berth@/berth?host={self.folder}"

    def _run(self, program: str, *words: str) -> None:
        argv = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", str(_programs() / program), *words]
        done = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")

    def __enter__(self) -> Self:
        shutil.chown(self.folder, "postgres", "postgres")
        self.folder.chmod(0o755)
        data = self.folder / "data"
        self._run(
            "initdb", "-D", str(data), "-A", "trust", "-U", "berth", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"
        )
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off"
        self._run("pg_ctl", "-D", str(data), "-w", "-l", str(self.folder / "log"), "-o", options, "start")
        try:
            self._run("createdb", "-h", str(self.folder), "-U", "berth", "berth")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
