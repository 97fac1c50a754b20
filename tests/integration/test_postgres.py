"""The primer's main steps on PostgreSQL: Debian's, in a folder of its own, on a unix socket only."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.integration.conftest import make_berth
from tests.support.server import ROOT
from tests.support.waiting import until

IMAGE = "ubuntu:14.04"
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
pytestmark = [
    pytest.mark.root,
    pytest.mark.services,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not PROGRAMS, reason="needs postgresql"),
]


@pytest.fixture(scope="module")
def database_url():
    """A cluster whose one database belongs to the user that Berth's unprivileged processes run as, and to root."""
    folder = Path(tempfile.mkdtemp(prefix="berth-pg-"))
    owner = pwd.getpwnam("postgres")
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    folder.chmod(0o755)
    as_owner = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]

    def run(program: str, *words: str) -> None:
        argv = [*as_owner, str(PROGRAMS[0] / program), *words]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C")
    argv = [*as_owner, str(PROGRAMS[0] / "postgres"), "-D", str(folder / "data"), "-k", str(folder), "-h", ""]
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen([*argv, "-F"], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        ready = [PROGRAMS[0] / "pg_isready", "-h", folder]
        until(
            lambda: f"PostgreSQL\n{(folder / 'log').read_text()}",
            lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0,
            60,
        )
        run("createuser", "-h", str(folder), "-U", "postgres", "berth")
        run("createdb", "-h", str(folder), "-U", "postgres", "-O", "berth", "berth")
        yield f"postgres://berth@/berth?host={folder}"
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def test_the_primer_on_postgresql(registry, database_url):
    with make_berth(registry, settings={"DATABASE_URL": database_url}) as berth:
        done = berth.run_command("run", "--name", "first", IMAGE, "sh", "-c", "echo hello; echo mine > /mark; exit 3")
        assert (done.stdout, done.returncode) == ("hello\n", 3), done.stderr
        assert "Status: Downloaded newer image for ubuntu:14.04" in done.stderr + done.stdout
        assert "Status: Image is up to date for ubuntu:14.04" in berth.ok("pull", IMAGE)
        assert re.search(r"Exited \(3\)", berth.ok("ps", "-a"))
        assert berth.ok("run", "--rm", "-i", IMAGE, "cat", input="through\n") == "through\n"
        assert berth.run_command("run", "--rm", IMAGE, "ls", "/mark").returncode == 1
        container = berth.start_long("--name", "second", IMAGE, "sleep", "1000")
        assert berth.run_command("rmi", IMAGE).returncode == 1
        berth.wait_back("engine", berth.kill_program("engine"))
        assert berth.state(container)["Running"] is True
        assert not list((berth.data / "db").glob("*.sqlite3"))
        berth.remove_all()
        assert "Untagged: ubuntu:14.04" in berth.ok("rmi", IMAGE)
        berth.assert_clean()
        assert berth.tracebacks() == ""


@pytest.mark.threat("WEB-13")
def test_twenty_runs_at_once_get_what_the_quota_has_and_a_dead_worker_keeps_nothing(registry, database_url):
    """Locks of PostgreSQL are rows, where SQLite has one for all; and the engine dies between reserve and use."""
    with make_berth(registry, settings={"DATABASE_URL": database_url}) as berth:
        berth.ok("pull", "-q", IMAGE)
        berth.ok("quota", "set", "--team", "main", "--memory", "100m")
        words = [berth_command(), "run", "-d", "-m", "16m", "--cpus", "0.1", IMAGE, "sleep", "1000"]
        how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        running = [subprocess.Popen(words, env=berth.environment, **how) for _ in range(20)]
        said = [one.communicate(timeout=180)[1] for one in running]
        assert [one.returncode for one in running].count(0) == 6, said
        assert sum("used up" in text for text in said) == 14, said
        assert len(berth.ok("ps", "-q").split()) == 6
        berth.ok("rm", "-f", *berth.ok("ps", "-aq").split())
        made = berth.ok("create", "-m", "100m", IMAGE, "sleep", "1000").strip()
        starting = subprocess.Popen([berth_command(), "start", made], env=berth.environment, **how)
        berth.wait_back("engine", berth.kill_program("engine"))
        starting.communicate(timeout=120)
        berth.run_command("rm", "-f", made)
        assert re.search(r"main +memory +0b +100m", berth.ok("quota", "show"))


def berth_command() -> str:
    return str(ROOT / "script" / "berth")
