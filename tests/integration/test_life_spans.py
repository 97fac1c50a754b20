"""Life spans on a whole Berth: real containers are warned, put off, stopped, and left alone where they are used (ADR 31)."""

from __future__ import annotations

import json
import time

import pytest

from tests.integration.conftest import make_berth
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
IMAGE = "ubuntu:14.04"
EXPIRED = "It was stopped: its life span has ended."
UNUSED = "It was stopped: nobody has used it for a while."


@pytest.fixture(scope="module")
def berth(registry):
    with make_berth(registry) as server:
        server.ok("pull", "-q", IMAGE)
        yield server


@pytest.fixture(autouse=True)
def empty(berth):
    berth.ok("life", "set", "--warn", "8s", "--extension", "1h", "--extensions", "3")
    yield
    berth.ok("life", "set", "--expire", "never", "--idle-stop", "never")
    berth.remove_all()
    berth.assert_clean()


def life(berth, name: str) -> dict:
    return json.loads(berth.ok("inspect", name))[0].get("LifeSpan", {})


def warned(berth, name: str) -> None:
    until(lambda: f"{name} is warned: {life(berth, name)}", lambda: life(berth, name).get("Warned"), 40)


def test_one_is_stopped_at_its_end_and_one_that_was_extended_goes_on(berth):
    berth.ok("life", "set", "--expire", "14s")
    for name in ("short", "longer"):
        berth.start_long("--name", name, "--restart", "always", IMAGE, "sh", "-c", "trap 'echo asked; exit 7' TERM; while :; do sleep 0.2; done")  # fmt: skip
    warned(berth, "longer")
    warned(berth, "short")
    assert "(stops in " in berth.ok("ps", "--filter", "name=short", "--format", "{{.Status}}")
    assert berth.ok("container", "extend", "longer").endswith("Z\n")
    berth.wait_state("short", "exited", 40)
    state = until("why", lambda: (now := berth.state("short"))["Error"] and now)
    assert (state["ExitCode"], state["Error"]) == (7, EXPIRED)
    assert berth.ok("logs", "short") == "asked\n"
    assert berth.state("longer")["Running"]
    assert life(berth, "longer")["ExtensionsLeft"] == 2
    assert not life(berth, "longer")["Warned"]
    time.sleep(6)
    assert berth.state("short")["Status"] == "exited", "its policy does not bring it back"
    assert "expire" in berth.ok("events", "--since", "2m", "--until", "0s", "--filter", "container=short")


def test_an_idle_one_is_stopped_and_three_that_are_used_are_not(berth):
    berth.ok("life", "set", "--idle-stop", "16s")
    berth.start_long("--name", "idle", IMAGE, "sleep", "1000")
    berth.start_long("--name", "works", IMAGE, "sh", "-c", "while :; do :; done")
    berth.start_long("--name", "speaks", IMAGE, "sh", "-c", "while :; do echo x; sleep 3; done")
    berth.start_long("--name", "kept", "--keep", IMAGE, "sleep", "1000")
    berth.wait_state("idle", "exited", 60)
    until("why", lambda: berth.state("idle")["Error"] == UNUSED)
    assert sorted(berth.ok("ps", "--format", "{{.Names}}").split()) == ["kept", "speaks", "works"]
    assert not any(life(berth, name)["Warned"] for name in ("works", "speaks", "kept"))


@pytest.mark.fault("F13")
def test_a_killed_worker_does_not_forget(berth):
    berth.start_long("--name", "web", "--expire", "20s", IMAGE, "sleep", "1000")
    before = berth.kill_program("engine")
    berth.wait_back("engine", before)
    warned(berth, "web")
    berth.wait_state("web", "exited", 60)
    until("why", lambda: berth.state("web")["Error"] == EXPIRED)
    assert berth.run_command("system", "check").returncode == 0


def test_a_longer_one_than_the_teams_is_refused_and_a_start_begins_anew(berth):
    berth.ok("life", "set", "--expire", "1h")
    assert "at most" in berth.run_command("run", "-d", "--expire", "2h", IMAGE, "true").stderr
    berth.start_long("--name", "web", "--expire", "10s", IMAGE, "sleep", "1000")
    berth.wait_state("web", "exited", 60)
    berth.ok("start", "web")
    assert life(berth, "web")["Extensions"] == 0
    assert berth.state("web")["Running"]
