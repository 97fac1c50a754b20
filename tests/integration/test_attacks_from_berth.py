"""The unprivileged user has been taken over: what it owns (database, Redis, its folders) must not make it root (settled.md 7)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from tests.integration.conftest import make_berth
from tests.support.images import Entry, image, layer, push

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(180)]
IMAGE = "ubuntu:14.04"


@pytest.fixture(scope="module")
def taken(registry):
    """A Berth of its own: what is done to it here leaves tracebacks and rows that no other test should see."""
    with make_berth(registry) as server:
        server.ok("pull", "-q", IMAGE)
        yield server


@pytest.fixture
def place():
    """A folder that anybody may write to."""
    with tempfile.TemporaryDirectory(prefix="berth-attack-") as name:
        Path(name).chmod(0o777)
        yield Path(name)


AS_BERTH = {"user": "berth", "group": "berth", "extra_groups": [], "cwd": "/", "text": True}


def _argv(script: str, *words: str | Path) -> list[str]:
    return [sys.executable, "-c", script, *map(str, words)]


def as_berth(script: str, *words: str | Path) -> str:
    return subprocess.run(_argv(script, *words), **AS_BERTH, check=True, capture_output=True).stdout


def sql(berth, statement: str, *values: str) -> None:
    script = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1], timeout=20) as db:
    db.execute(sys.argv[2], sys.argv[3:])
"""
    as_berth(script, berth.data / "db/berth.sqlite3", statement, *values)


PICKLES = """
import os, pickle, select, sys, redis
class Evil:
    def __reduce__(self):
        return (os.system, (f"id -u > {sys.argv[3]}/ran-$(id -u)",))
client = redis.Redis(unix_socket_path=sys.argv[1])
prefix = sys.argv[2]
value = pickle.dumps(Evil())
while True:
    client.mset({f"{prefix}:1:layer-progress:{n}": value for n in range(1, 60)})
    print("flooding", flush=True)
    if sys.stdin in select.select([sys.stdin], [], [], 0)[0]:
        break
"""


@pytest.mark.threat("CEL-01")
def test_a_pickle_in_redis_is_never_run_by_any_worker(taken, registry, place):
    push(registry.url, "library/bait:1", image([layer([Entry("bait", data=os.urandom(200_000))])], Cmd=["/bait"]))
    words = (taken.run / "redis/redis.sock", f"berth-{taken.tag}", place)
    with subprocess.Popen(_argv(PICKLES, *words), **AS_BERTH, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as flood:
        assert flood.stdout.readline() == "flooding\n"
        drain = threading.Thread(target=flood.stdout.read)
        drain.start()
        taken.ok("pull", "-q", "bait:1")
        flood.stdin.write("enough\n")
        flood.stdin.close()
        drain.join()
        assert flood.wait(60) == 0
    assert list(place.iterdir()) == []


@pytest.mark.threat("CEL-06")
def test_a_link_in_place_of_the_engines_ready_mark_is_not_written_through(taken, place):
    victim = place / "victim"
    victim.write_text("root's own\n")
    victim.chmod(0o600)
    as_berth(
        "import os, sys; os.unlink(sys.argv[1]); os.symlink(sys.argv[2], sys.argv[1])",
        taken.run / "state/engine.ready",
        victim,
    )
    taken.wait_back("engine", taken.kill_program("engine"))
    assert victim.read_text() == "root's own\n"


TRAP = """
import json, os, sys
folder, init = sys.argv[1:]
os.makedirs(folder + "/io")
open(folder + "/request.json", "w").write("{}")
record = {"stage": "start", "boot_id": init.split()[0], "monitor": None, "init": init, "started_at": None, "exit": None}
open(folder + "/state.json", "w").write(json.dumps(record))
"""


@pytest.mark.threat("RUN-06")
def test_a_row_whose_id_leads_elsewhere_kills_and_removes_nothing(taken):
    """`../incoming/x` is a folder of the attacker's; what its files say would be believed and acted on by root."""
    from engine.kernel.pidfd import ProcessIdentity

    name = taken.ok("create", IMAGE, "true").strip()
    with subprocess.Popen(["sleep", "1000"]) as victim:
        try:
            folder = taken.data / "incoming/trap"
            as_berth(TRAP, folder, ProcessIdentity.of(victim.pid).to_text())
            statement = "UPDATE containers_container SET container_id = '../incoming/trap', state = 'running' WHERE container_id = ?"
            sql(taken, statement, name)
            time.sleep(6)
            assert victim.poll() is None, "root killed a process that a file of the attacker's named"
            assert sorted(path.name for path in (folder / "io").iterdir()) == []
        finally:
            victim.kill()
            sql(taken, "DELETE FROM containers_container WHERE container_id = '../incoming/trap'")


@pytest.mark.threat("RUN-19")
@pytest.mark.parametrize("ids", ["id_mode = 'host'", "id_mode = 'before'", "id_mode = 'own', first_id = 0"])
def test_a_row_that_asks_for_the_hosts_root_does_not_get_it(taken, ids):
    """Before its first start it gets ids of its own or is refused; afterwards the engine goes by what it wrote itself."""
    name = taken.ok("create", IMAGE, "cat", "/proc/self/uid_map").strip()
    change = f"UPDATE containers_container SET {ids} WHERE container_id = ?"
    sql(taken, change, name)
    first = taken.run_command("start", "-a", name)
    said = first.stdout.split()
    if first.returncode == 0:
        assert int(said[1]) >= 1_879_048_192
        sql(taken, change, name)
        assert taken.ok("start", "-a", name).split() == said
    else:
        assert "--userns host" in first.stdout + first.stderr
        assert said == []
    taken.ok("rm", name)


@pytest.mark.threat("CEL-06")
@pytest.mark.parametrize("what", ["fifo", "endless", "secret"])
def test_a_trap_in_place_of_a_blob_neither_hangs_nor_fills_nor_shows(taken, what):
    import json

    (found,) = json.loads(taken.ok("inspect", IMAGE))
    blob = taken.data / "blobs" / found["Id"].replace(":", "/")
    script = """
import os, sys
what, path = sys.argv[1:]
os.rename(path, path + ".kept")
if what == "fifo":
    os.mkfifo(path)
else:
    os.symlink({"endless": "/dev/zero", "secret": "/etc/shadow"}[what], path)
"""
    as_berth(script, what, blob)
    try:
        done = taken.run_command("run", "--rm", IMAGE, "true", timeout_s=60)  # a hang would be for ever
        assert done.returncode == 125, done
        assert "Traceback" not in done.stderr
    finally:
        as_berth("import os, sys; os.rename(sys.argv[1] + '.kept', sys.argv[1])", blob)
    taken.ok("run", "--rm", IMAGE, "true")
