"""A Berth that another version started: what its people had is there after the new one's first start, running or not."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.integration.conftest import Berth
from tests.support.ports import free_port
from tests.support.server import ROOT
from tests.support.terminal import Person
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.long, pytest.mark.timeout(900)]
OLD = (
    "74245117b0b9213ba00624ab783aa8253ed33acf",  # 26 November 2026: before teams, `cp` and the audit log
    "7856c859a41c1b239252ccc0cfc7ed3d775fa898",  # 27 November 2026: before quotas and policies
)
IMAGE = "ubuntu:14.04"
PAGE = "while :; do echo hello | nc -l -p 80; done"
COUNT = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.2; done"


@pytest.fixture(params=OLD, ids=lambda commit: commit[:7])
def old_tree(request):
    """A clean clone of an old commit, in a folder that `berth` can enter."""
    known = subprocess.run(
        ["git", "-C", ROOT, "cat-file", "-e", f"{request.param}^{{commit}}"], check=False, capture_output=True
    )
    if known.returncode:
        pytest.skip(f"this clone's history does not go back to {request.param[:7]}")
    folder = Path(tempfile.mkdtemp(prefix="berth-old-"))
    folder.chmod(0o755)
    try:
        subprocess.run(["git", "clone", "-q", "--no-checkout", ROOT, folder / "berth"], check=True)
        subprocess.run(["git", "-C", folder / "berth", "checkout", "-q", request.param], check=True)
        yield folder / "berth"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_containers_shells_and_logs_go_on_through_an_upgrade(registry, old_tree):
    port = free_port()
    with Berth(mirrors={"docker.io": registry.url}, tree=old_tree) as berth:
        berth.ok("pull", IMAGE)
        berth.ok("network", "create", "shop")
        berth.ok("run", "--rm", "-v", "data:/data", IMAGE, "sh", "-c", "echo kept > /data/file")
        shell = berth.start_long("-it", "--name", "shell", "--restart", "always", "-v", "data:/data", IMAGE)
        flags = ("--network", "shop", "-p", f"127.0.0.1:{port}:80", "--memory", "64m")
        web = berth.start_long("--name", "web", *flags, IMAGE, "sh", "-c", PAGE)
        counts = berth.start_long("--name", "counts", IMAGE, "sh", "-c", COUNT)
        _ended(berth, "run", "--name", "ended", IMAGE, "sh", "-c", "echo from before; echo more > /made; exit 3")
        prompt = rf"root@{shell[:12]}:/# "
        with Person([str(old_tree / "script" / "berth"), "attach", "shell"], berth.environment) as person:
            person.expect(prompt)
            person.type("kept=alive\n")
            person.expect(prompt, since=len(person.text))
        running = {name: (berth.init_pid(name), berth.monitor_pid(name)) for name in (shell, web, counts)}
        images, before = berth.ok("images"), berth.state("ended")
        assert berth.stop() == 0
        berth.tree = ROOT
        berth.start()
        assert {name: (berth.init_pid(name), berth.monitor_pid(name)) for name in running} == running
        assert berth.ok("images").split() == images.split()
        assert berth.state("ended") | {"Error": ""} == before | {"Error": ""}
        assert "from before\n" in berth.ok("logs", "ended")
        lines = berth.ok("logs", "counts").split()
        assert lines == [str(number) for number in range(len(lines))]
        until("more is counted", lambda: len(berth.ok("logs", "counts").split()) > len(lines))
        until("the page is served", lambda: _page(port) == b"hello\n")
        with Person([str(ROOT / "script" / "berth"), "attach", "shell"], berth.environment) as person:
            person.expect(prompt)
            person.type("echo still-$kept; cat /data/file\n")
            person.expect("\nstill-alive\nkept\n")
        assert berth.ok("exec", "shell", "cat", "/data/file") == "kept\n"
        _use_as_new(berth, web, port)
        with berth.browser() as person:
            assert "shell" in person.get("/containers/").text
        berth.ok("rm", "-f", "shell", "web", "counts", "ended")
        berth.ok("network", "rm", "shop")
        berth.ok("volume", "rm", "data")
        assert berth.wrong_at_end() == []
        assert berth.tracebacks() == ""


def _use_as_new(berth: Berth, web: str, port: int) -> None:
    """What the old one made can be done with as with what is new."""
    assert berth.ok("exec", "web", "hostname").strip() == web[:12]
    berth.ok("update", "--memory", "96m", "web")
    berth.ok("restart", "-t", "0", "web")
    until("the page is served again", lambda: _page(port) == b"hello\n")
    assert _ended(berth, "start", "-a", "ended").startswith("from before")
    assert berth.ok("run", "--rm", "--network", "shop", IMAGE, "sh", "-c", "nc web 80 < /dev/null") == "hello\n"
    assert berth.ok("diff", "ended") == "A /made\n"


def _ended(berth: Berth, *words: str) -> str:
    """Output of a command whose container exits with 3."""
    done = berth.run_command(*words)
    assert done.returncode == 3, done
    return done.stdout


def _page(port: int) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            return connection.recv(100)
    except OSError:
        return b""
