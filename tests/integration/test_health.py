"""Health checks on a whole Berth: the words of `ps` and `inspect`, what a probe sees, ends, and what is left over."""

from __future__ import annotations

import json

import pytest

from tests.support.images import image, push
from tests.support.shell_image import PATH, shell_image
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(240)]
IMAGE = "ubuntu:14.04"


@pytest.fixture(autouse=True)
def no_container_stays(berth):
    yield
    berth.remove_all()


def health(berth, name: str) -> dict:
    return json.loads(berth.ok("inspect", name))[0]["State"]["Health"]


def status(berth, name: str) -> str:
    return berth.ok("ps", "--filter", f"name={name}", "--format", "{{.Status}}").strip()


def exec_folders(berth, container: str) -> set[str]:
    return {path.name for path in (berth.container_folder(container) / "execs").glob("*")}


def test_it_becomes_healthy_and_unhealthy_by_what_its_program_says_inside(berth):
    script = "echo asked-by-$(id -un)-in-$(pwd); test -f /tmp/well"
    flags = ("--health-cmd", script, "--health-interval", "1s", "--health-retries", "2", "-u", "tester", "-w", "/home")
    container = berth.start_long("--name", "asked", *flags, IMAGE, "sleep", "1000")
    assert "(health: starting)" in status(berth, "asked")
    until("unhealthy", lambda: status(berth, "asked").endswith("(unhealthy)"))
    found = health(berth, "asked")
    assert found["FailingStreak"] >= 2
    assert found["Log"][-1]["ExitCode"] == 1
    assert found["Log"][-1]["Output"] == "asked-by-tester-in-/home\n"
    berth.ok("exec", "asked", "touch", "/tmp/well")
    until("healthy", lambda: status(berth, "asked").endswith("(healthy)"))
    assert berth.ok("ps", "-q", "--filter", "health=healthy").strip() == container[:12]
    until("five answers", lambda: len(health(berth, "asked")["Log"]) == 5)
    assert json.loads(berth.ok("inspect", "asked"))[0]["ExecIDs"] is None
    berth.ok("stop", "-t", "0", "asked")
    assert "health" not in berth.ok("ps", "-a", "--format", "{{.Status}}")


def test_a_probe_that_hangs_or_floods_is_ended_and_nothing_piles_up(berth):
    flags = ("--health-interval", "1s", "--health-timeout", "1s", "--health-retries", "1")
    hangs = berth.start_long(
        "--name", "hangs", "--health-cmd", "echo here; exec sleep 600", *flags, IMAGE, "sleep", "1000"
    )
    floods = berth.start_long("--name", "floods", "--health-cmd", "exec yes flood", *flags, IMAGE, "sleep", "1000")
    for name in ("hangs", "floods"):
        until(
            lambda name=name: f"two answers of {name}: {health(berth, name)}",
            lambda name=name: len(health(berth, name)["Log"]) >= 2,
        )
        found = health(berth, name)
        assert found["Status"] == "unhealthy"
        assert found["Log"][-1]["ExitCode"] == -1
        assert found["Log"][-1]["Output"].startswith("Health check exceeded timeout (1s): ")
        assert len(found["Log"][-1]["Output"]) <= 4096
    assert health(berth, "hangs")["Log"][-1]["Output"].endswith("here\n")
    assert len(exec_folders(berth, hangs)) <= 1
    assert len(exec_folders(berth, floods)) <= 1
    assert berth.ok("exec", "hangs", "sh", "-c", "ps -o comm | grep -c sleep").strip() in {"1", "2"}


def test_what_cannot_be_run_is_unhealthy_with_the_reason(berth):
    flags = ("--health-cmd", "x", "--health-interval", "1s", "--health-retries", "1", "--entrypoint", "sleep")
    berth.start_long("--name", "lacks", *flags, IMAGE, "1000")
    until("unhealthy", lambda: status(berth, "lacks").endswith("(unhealthy)"))
    assert health(berth, "lacks")["Log"][-1]["ExitCode"] == 127


def test_the_images_own_check_and_taking_it_away(berth, registry):
    wish = {"Test": ["CMD", "sh", "-c", "echo of the image"], "Interval": 1_000_000_000, "Retries": 1}
    push(registry.url, "library/asks:1", image(shell_image().layers, docker=True, Env=[PATH], Healthcheck=wish))
    berth.start_long("--name", "of-image", "asks:1", "sleep", "1000")
    until("healthy", lambda: status(berth, "of-image").endswith("(healthy)"))
    assert health(berth, "of-image")["Log"][-1]["Output"] == "of the image\n"
    document = json.loads(berth.ok("inspect", "of-image"))[0]
    assert document["Config"]["Healthcheck"]["Test"] == wish["Test"]
    berth.start_long("--name", "not-asked", "--no-healthcheck", "asks:1", "sleep", "1000")
    assert "health" not in status(berth, "not-asked")
    assert "Health" not in json.loads(berth.ok("inspect", "not-asked"))[0]["State"]
    done = berth.run_command("create", "--no-healthcheck", "--health-cmd", "x", IMAGE)
    assert "--no-healthcheck conflicts with --health-* options" in done.stderr
    berth.remove_all()
    berth.ok("rmi", "asks:1")  # the other tests of this folder have this Berth too


@pytest.mark.fault("F13")
def test_asking_goes_on_after_the_engine_worker_comes_back(berth):
    flags = ("--health-cmd", "echo x >> /count; sleep 0.5", "--health-interval", "1s")
    berth.start_long("--name", "counts", *flags, IMAGE, "sleep", "1000")
    until("healthy", lambda: status(berth, "counts").endswith("(healthy)"))
    before = berth.kill_program("engine")
    berth.wait_back("engine", before)

    def asked() -> int:
        return int(berth.ok("exec", "counts", "sh", "-c", "wc -l < /count"))

    count = asked()
    until("asked twice more", lambda: asked() >= count + 2)
    assert status(berth, "counts").endswith("(healthy)")
