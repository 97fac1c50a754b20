"""Restart policies on a whole Berth: waits, ends, and what comes back after its own restart and the host's."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

from tests.integration.conftest import make_berth
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
IMAGE = "ubuntu:14.04"
COUNTS = "echo x >> /count; wc -l < /count; "


def facts(berth, name: str) -> tuple[str, int]:
    document = json.loads(berth.ok("inspect", name))[0]
    return document["State"]["Status"], document["RestartCount"]


@contextlib.contextmanager
def empty_after(berth):
    yield
    berth.remove_all()
    berth.assert_clean()


def test_it_starts_again_with_what_it_wrote_until_it_has_been_often_enough(berth):
    with empty_after(berth):
        berth.ok("run", "-d", "--name", "fails", "--restart", "on-failure:2", IMAGE, "sh", "-c", f"{COUNTS} exit 3")
        until(lambda: f"its last end: {facts(berth, 'fails')}", lambda: facts(berth, "fails") == ("exited", 2))
        assert berth.ok("logs", "fails") == "1\n2\n3\n"
        assert berth.state("fails")["ExitCode"] == 3
        berth.ok("run", "-d", "--name", "ends-well", "--restart", "on-failure", IMAGE, "true")
        berth.wait_state("ends-well", "exited")
        assert facts(berth, "ends-well") == ("exited", 0)


def test_while_it_waits_it_is_shown_as_docker_does_and_stop_ends_it(berth):
    with empty_after(berth):
        berth.ok("run", "-d", "--name", "loops", "--restart", "always", IMAGE, "sh", "-c", "exit 1")
        until("waits long enough to look at", lambda: facts(berth, "loops")[1] >= 5)
        said = until(
            "Restarting in ps",
            lambda: "Restarting (1) " in (text := berth.ok("ps", "--format", "{{.Status}}")) and text,
        )
        assert said.strip().endswith(" ago")
        done = berth.run_command("rm", "loops")
        assert "container is restarting: stop the container before removing or force remove" in done.stderr
        assert berth.ok("stop", "loops") == "loops\n"
        count = facts(berth, "loops")[1]
        assert facts(berth, "loops") == ("exited", count)
        assert berth.ok("start", "loops") == "loops\n"
        assert berth.ok("rm", "-f", "loops") == "loops\n"


def test_a_run_in_the_foreground_ends_with_its_first_run(berth):
    with empty_after(berth):
        done = berth.run_command(
            "run", "--name", "front", "--restart", "unless-stopped", IMAGE, "sh", "-c", "echo out; exit 7"
        )
        assert (done.stdout.splitlines()[0], done.returncode) == ("out", 7)
        berth.ok("stop", "front")
        assert (
            "cannot specify both --restart and --rm"
            in berth.run_command("run", "--rm", "--restart", "always", IMAGE, "true").stderr
        )


@pytest.mark.fault("F13")
def test_a_wait_outlives_the_engine_worker(berth):
    with empty_after(berth):
        berth.ok("run", "-d", "--name", "loops", "--restart", "always", IMAGE, "sh", "-c", "sleep 0.3; exit 1")
        until("some starts", lambda: facts(berth, "loops")[1] >= 4)
        before = berth.kill_program("engine")
        berth.wait_back("engine", before)
        count = facts(berth, "loops")[1]
        until("one more", lambda: facts(berth, "loops")[1] > count)


def _reboot(berth) -> None:
    """What a host's restart leaves: nothing that runs, another boot id in every record, no state in /run."""
    assert berth.stop() == 0
    for folder in (berth.data / "containers").iterdir():
        for name in ("conmon.pid", "pidfile"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((folder / name).read_text()), signal.SIGKILL)
        record = folder / "state.json"
        if record.exists():
            document = json.loads(record.read_text())
            document["boot_id"] = "00000000-0000-4000-8000-000000000000"
            record.write_text(json.dumps(document))
    until("all have ended", lambda: not _alive(berth.data))


def _alive(data: Path) -> list[str]:
    found = []
    for path in (data / "containers").glob("*/pidfile"):
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{path.read_text().strip()}/stat").read_text()
            found += [status] if status.rpartition(")")[2].split()[0] != "Z" else []
    return found


@pytest.mark.fault("F40")
def test_after_the_hosts_restart_and_after_berths_own(registry):
    with make_berth(registry) as berth:
        berth.ok("pull", "-q", IMAGE)
        for policy in ("no", "always", "unless-stopped", "on-failure"):
            berth.ok("run", "-d", "--name", policy, "--restart", policy, IMAGE, "sh", "-c", f"{COUNTS} exec sleep 1000")
            berth.ok("run", "-d", "--name", f"{policy}-stopped", "--restart", policy, IMAGE, "sleep", "1000")
        berth.ok(
            "stop", "-t", "0", *(f"{policy}-stopped" for policy in ("no", "always", "unless-stopped", "on-failure"))
        )
        _reboot(berth)
        berth.start()
        berth.wait_healthy()
        wanted = {"always": "running", "unless-stopped": "running", "on-failure": "running", "no": "exited",
                  "always-stopped": "running", "unless-stopped-stopped": "exited", "on-failure-stopped": "exited",
                  "no-stopped": "exited"}  # fmt: skip

        def found() -> dict[str, str]:
            return {name: berth.state(name)["Status"] for name in wanted}

        until(lambda: f"all as their policies say: {found()}\n{berth.logs()}", lambda: found() == wanted)
        assert berth.state("no")["Error"] == "The host was restarted."
        for policy in ("always", "unless-stopped", "on-failure"):
            assert berth.ok("logs", policy) == "1\n2\n"
        # Berth alone: what runs goes on untouched
        pids = {name: berth.state(name)["Pid"] for name in ("always", "unless-stopped")}
        berth.ok("stop", "-t", "0", "always-stopped")
        assert berth.stop() == 0
        berth.start()
        berth.wait_healthy()
        until("what always runs", lambda: berth.state("always-stopped")["Status"] == "running")
        assert {name: berth.state(name)["Pid"] for name in pids} == pids
        berth.remove_all()
        berth.assert_clean()
