"""The trash on a whole Berth: files come back, names and addresses are free meanwhile, and the end is an end (ADR 29)."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.conftest import make_berth
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
IMAGE = "ubuntu:14.04"


@pytest.fixture(scope="module")
def berth(registry):
    with make_berth(registry) as server:
        server.ok("pull", "-q", IMAGE)
        server.ok("life", "set", "--trash", "1h")
        yield server


@pytest.fixture(autouse=True)
def empty(berth):
    yield
    berth.remove_all()
    berth.ok("trash", "empty", "--force")
    berth.assert_clean()


def check(berth) -> None:
    done = berth.run_command("system", "check", "--deep")
    assert (done.returncode, done.stdout) == (0, "Everything is as it must be.\n")


def trashed(berth) -> list[str]:
    return berth.ok("trash", "ls", "--format", "{{.Name}}").split()


def test_a_file_is_there_again_after_rm_and_restore(berth):
    berth.ok("run", "--name", "web", IMAGE, "sh", "-c", "echo harbour > /note; cat /note")
    folder = berth.container_folder(json.loads(berth.ok("inspect", "web"))[0]["Id"])
    assert berth.ok("rm", "web") == "web\n"
    assert berth.ok("ps", "-aq") == ""
    assert "No such container" in berth.run_command("inspect", "--type", "container", "web").stderr
    assert "No such container" in berth.run_command("start", "web").stderr
    until("its size", lambda: re.search(r"\bweb\b.*\d+(\.\d+)?k?B", berth.ok("trash", "ls")))
    assert folder.is_dir()
    check(berth)
    refused = berth.run_command("rmi", IMAGE)
    assert "(web, in the trash) is using" in refused.stderr
    assert berth.ok("trash", "restore", "web") == "web\n"
    assert trashed(berth) == []
    assert berth.ok("start", "-a", "web") == "harbour\n"
    assert berth.state("web")["ExitCode"] == 0
    check(berth)


def test_one_that_runs_is_ended_and_its_name_port_and_address_are_anothers(berth):
    first = berth.start_long("--name", "web", "-p", "18099:80", IMAGE, "sh", "-c", "echo first > /note; sleep 1000")
    until("written", lambda: "first" in berth.run_command("exec", "web", "cat", "/note").stdout)
    address = json.loads(berth.ok("inspect", "web"))[0]["NetworkSettings"]["IPAddress"]
    berth.ok("rm", "-f", "web")
    second = berth.start_long("--name", "web", "-p", "18099:80", IMAGE, "sleep", "1000")
    assert json.loads(berth.ok("inspect", "web"))[0]["NetworkSettings"]["IPAddress"] == address
    assert not list(Path("/sys/fs/cgroup").glob(f"*/berth-{berth.tag}/{first}"))
    check(berth)
    done = berth.run_command("trash", "restore", first[:12])
    assert (done.stdout, done.returncode) == ("web-2\n", 0)
    assert "The name web is taken by now" in done.stderr
    taken = berth.run_command("start", "web-2")
    assert "port is already allocated" in taken.stderr
    berth.ok("rm", "-f", "--now", second)
    berth.ok("start", "web-2")
    assert berth.ok("exec", "web-2", "cat", "/note") == "first\n"


@pytest.mark.fault("F20")
def test_a_worker_that_is_killed_on_the_way_leaves_something_to_undo(berth):
    berth.start_long("--name", "web", IMAGE, "sh", "-c", "echo kept > /note; sleep 1000")
    until("written", lambda: "kept" in berth.run_command("exec", "web", "cat", "/note").stdout)
    before = berth.kill_program("engine")
    with ThreadPoolExecutor() as pool:
        removing = pool.submit(berth.run_command, "rm", "-f", "web")
        berth.wait_back("engine", before)
        assert removing.result().returncode == 0
    until("in the trash", lambda: trashed(berth) == ["web"])
    check(berth)
    berth.ok("trash", "restore", "web", "--name", "again")
    berth.ok("start", "again")
    assert berth.ok("exec", "again", "cat", "/note") == "kept\n"


def test_what_goes_at_once_and_what_the_end_takes(berth):
    berth.ok("run", "--rm", "--name", "gone", IMAGE, "true")
    berth.ok("run", "--name", "pruned", IMAGE, "true")
    assert "Total reclaimed space" in berth.ok("container", "prune", "--force")
    berth.ok("run", "--name", "now", IMAGE, "true")
    berth.ok("rm", "--now", "now")
    assert trashed(berth) == []
    berth.ok("run", "--name", "web", "-v", "/data", "-v", "cargo:/cargo", IMAGE, "touch", "/data/a")
    folder = berth.container_folder(json.loads(berth.ok("inspect", "web"))[0]["Id"])
    berth.ok("rm", "-v", "web")
    assert len(berth.ok("volume", "ls", "-q").split()) == 2
    assert "(in the trash)" in berth.run_command("volume", "rm", "cargo").stderr
    assert berth.ok("trash", "rm", "web") == "web\n"
    assert not folder.exists()
    assert berth.ok("volume", "ls", "-q") == "cargo\n"
    berth.ok("volume", "rm", "cargo")


def test_the_clock_ends_what_is_due(berth):
    berth.ok("life", "set", "--trash", "2s")
    try:
        berth.ok("run", "--name", "web", IMAGE, "true")
        berth.ok("rm", "web")
        assert trashed(berth) == ["web"]
        until("gone for ever", lambda: trashed(berth) == [], 40)
        until("its folder", lambda: not [one for one in (berth.data / "containers").iterdir() if one.name[0] != "."])
    finally:
        berth.ok("life", "set", "--trash", "1h")


def test_of_fifty_at_once_one_is_heard(berth):
    berth.ok("run", "--name", "web", IMAGE, "true")
    berth.ok("rm", "web")

    def ask(number: int) -> int:
        return berth.run_command("trash", "restore" if number % 2 else "rm", "web").returncode

    with ThreadPoolExecutor(10) as pool:
        codes = list(pool.map(ask, range(50)))
    back = berth.ok("ps", "-a", "--format", "{{.Names}}").split() == ["web"]
    assert trashed(berth) == []
    restored = [number for number, code in enumerate(codes) if code == 0 and number % 2]
    assert len(restored) == (1 if back else 0)
    check(berth)
