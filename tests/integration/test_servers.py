"""Servers as teams run them on a whole Berth: a web server and MariaDB, with ports, volumes, a network and restarts."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from tests.support.images import Entry, image, layer, push
from tests.support.ports import free_port
from tests.support.servers import push_server_images
from tests.support.shell_image import PATH, shell_image
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(400)]
DATABASE, WEB = "mariadb:test", "web:test"
SECRETS = ("-e", "MARIADB_ROOT_PASSWORD=it's a \\ secret", "-e", "MARIADB_DATABASE=shop")
USER = ("-e", "MARIADB_USER=app", "-e", "MARIADB_PASSWORD=harbour")
ASKED = ("--health-cmd", "mariadb-admin ping", "--health-interval", "1s", "--health-retries", "60")
LONG_S = 120.0  # a first start writes a whole database, on a machine that does other work too


@pytest.fixture(scope="module")
def servers(berth):
    """The Berth with both images; without them and their networks and volumes at the end."""
    push_server_images(berth.registry.url)
    for name in (DATABASE, WEB):
        berth.ok("pull", "-q", name, timeout_s=300)
    yield berth
    berth.ok("rmi", DATABASE, WEB)


@pytest.fixture(autouse=True)
def nothing_stays(berth):
    yield
    berth.remove_all()
    berth.ok("network", "prune", "-f")
    berth.ok("volume", "prune", "-af")


def page(port: int) -> str:
    def look() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return answer.read().decode().strip()
        except (OSError, http.client.IncompleteRead):  # the file has just become shorter
            return ""

    return until(f"a page on {port}", look)


def database(berth, name: str, volume: str, *flags: str) -> None:
    words = ("--name", name, "-v", f"{volume}:/var/lib/mysql", *SECRETS, *USER, *ASKED, *flags, DATABASE)
    berth.ok("run", "-d", *words)
    wait_healthy(berth, name)


def wait_healthy(berth, name: str) -> None:
    def status() -> str:
        return berth.ok("ps", "-a", "--filter", f"name=^{name}$", "--format", "{{.Status}}").strip()

    until(lambda: f"{name}: {status()}\n{berth.run_command('logs', name)}", lambda: "(healthy)" in status(), LONG_S)


def sql(berth, host: str, statement: str, network: str = "shop") -> str:
    """By the client in a container of its own, which finds the server by its name."""
    client = ("mariadb", "-h", host, "-u", "app", "-pharbour", "-N", "shop", "-e", statement)
    return berth.ok("run", "--rm", "--network", network, DATABASE, *client).strip()


def test_a_web_server_on_port_80_that_is_not_root_answers_and_keeps_its_page(servers):
    port, other = free_port(), free_port()
    for name, number in (("one", port), ("two", other)):
        servers.ok("run", "-d", "--name", name, "-h", name, "-p", f"{number}:80", "-v", f"{name}:/var/www/html", WEB)
    assert [page(port), page(other)] == ["it works: one", "it works: two"]
    assert servers.ok("exec", "one", "id", "-un") == "www-data\n"
    servers.ok("run", "--rm", "-v", "one:/shared", WEB, "sh", "-c", "echo changed > /shared/index.html")
    until("the server notices that its file has changed", lambda: page(port) == "changed")
    servers.ok("rm", "-f", "one")
    servers.ok("run", "-d", "--name", "again", "-p", f"{port}:80", "-v", "one:/var/www/html", WEB)
    assert [page(port), page(other)] == ["changed", "it works: two"]
    assert servers.ok("stop", "again") == "again\n"
    assert servers.state("again")["ExitCode"] == 0


def test_mariadb_keeps_its_data_through_stop_kill_removal_and_a_backup(servers, tmp_path):
    servers.ok("network", "create", "shop")
    port, other = free_port(), free_port()
    database(servers, "db", "data", "--network", "shop", "-p", f"{port}:3306", "--restart", "always")
    database(servers, "second", "data2", "--network", "shop", "-p", f"{other}:3306")
    for name in ("db", "second"):
        sql(servers, name, f"CREATE TABLE t (who TEXT); INSERT INTO t VALUES ('{name}')")
    assert [sql(servers, name, "SELECT who FROM t") for name in ("db", "second")] == ["db", "second"]
    for number in (port, other):
        assert "MariaDB" in greeting(number)
    assert servers.ok("exec", "db", "stat", "-c", "%U", "/proc/1", "/var/lib/mysql/ibdata1").split() == ["mysql"] * 2

    # Killed as by the kernel: its policy brings it back, and InnoDB recovers.
    os.kill(servers.init_pid(servers.ok("ps", "-q", "--filter", "name=^db$").strip()), signal.SIGKILL)
    until("it is back", lambda: "crash recovery" in logs(servers, "db"), LONG_S)
    wait_healthy(servers, "db")
    assert sql(servers, "db", "SELECT who FROM t") == "db"

    # Stopped cleanly, removed, made anew on the same volume: nothing is prepared or recovered again.
    servers.ok("stop", "-t", "60", "db")
    assert servers.state("db")["ExitCode"] == 0
    assert "Shutdown complete" in logs(servers, "db")
    servers.ok("rm", "db")
    kept = tmp_path / "data.tar"
    servers.ok("volume", "backup", "-o", str(kept), "data")
    database(servers, "db", "data", "--network", "shop", "-p", f"{port}:3306")
    assert sql(servers, "db", "SELECT who FROM t") == "db"
    assert "prepared the volume" not in logs(servers, "db")
    assert "crash recovery" not in logs(servers, "db")

    servers.ok("volume", "create", "restored")
    with kept.open("rb") as file:
        servers.ok("volume", "restore", "restored", stdin=file)
    database(servers, "third", "restored", "--network", "shop")
    assert sql(servers, "third", "SELECT who FROM t") == "db"


def test_mariadb_without_a_password_says_so_and_ends(servers):
    done = servers.run_command("run", "--rm", DATABASE)
    assert done.returncode == 1
    assert "Set MARIADB_ROOT_PASSWORD" in done.stderr


@pytest.mark.threat("TAR-16")
@pytest.mark.long  # 40 s
def test_an_image_of_500_layers_is_pulled_and_run_and_501_are_refused_with_a_sentence(servers):
    base = list(shell_image().layers)
    more = [layer([Entry(f"l/{number}", data=b"x"), Entry("top", data=str(number).encode())]) for number in range(499)]
    push(servers.registry.url, "library/deep:500", image(base + more[:498], Env=[PATH]))
    push(servers.registry.url, "library/deep:501", image(base + more, Env=[PATH]))
    servers.ok("pull", "-q", "deep:500", timeout_s=300)
    said = servers.ok(
        "run", "--rm", "deep:500", "sh", "-c", "ls /l | wc -l; cat /top; echo x > /l/new && ls /l | wc -l"
    )
    assert said == "498\n497499\n"
    refused = servers.run_command("pull", "deep:501")
    assert refused.returncode == 1
    assert "more than 500 layers" in refused.stderr
    assert "Traceback" not in refused.stderr
    servers.ok("rmi", "deep:500")


# Writes to the program of every process that is, for a moment, still the runtime in the container.
OVERWRITE = """
echo tried
while :; do
  for process in /proc/[0-9]*; do
    case $(readlink $process/exe) in
      *runc*|*memfd*) (echo ruined > $process/exe) 2>/dev/null && echo wrote $process;;
    esac
  done
done
"""


@pytest.mark.threat("RUN-03")
@pytest.mark.parametrize("start", [("--entrypoint", "/proc/self/exe"), ("--entrypoint", "/evil")])
def test_the_runtime_is_the_same_file_after_containers_that_were_started_through_it(servers, start):
    """CVE-2019-5736: an image whose program is the runtime itself, and one that writes to whatever runs in it.

    A race: nothing here shows that the script caught the runtime in time, only that its file stayed the same.
    """
    write = b"#!/proc/self/exe\n"
    hostile = image([*shell_image().layers, layer([Entry("evil", data=write, mode=0o755)])], Env=[PATH])
    push(servers.registry.url, "library/evil:1", hostile)
    servers.ok("pull", "-q", "evil:1")
    programs = [Path(shutil.which(name)).resolve() for name in ("runc", "conmon")]
    before = [fingerprint(path) for path in programs]
    servers.run_command("run", "--rm", *start, "evil:1")
    victim = servers.start_long("evil:1", "sh", "-c", OVERWRITE)
    for _ in range(5):
        servers.run_command("exec", victim, "/proc/self/exe")
        servers.run_command("exec", victim, "/evil")
    wrote = servers.ok("logs", victim)
    assert "wrote" not in wrote
    assert "tried" in wrote, "the script that writes did not start"
    assert [fingerprint(path) for path in programs] == before
    servers.remove_all()
    servers.ok("rmi", "evil:1")


def fingerprint(path: Path) -> tuple[str, int, int, int]:
    found = path.stat()
    return hashlib.sha256(path.read_bytes()).hexdigest(), found.st_ino, found.st_mtime_ns, found.st_mode


def logs(berth, name: str) -> str:
    done = berth.run_command("logs", name)
    return done.stdout + done.stderr


def greeting(port: int) -> str:
    """What the server says of itself to a client of the host: protocol 10 and its version."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        said = client.recv(200)
    assert said[4] == 10
    return said[5 : said.index(b"\0", 5)].decode()
