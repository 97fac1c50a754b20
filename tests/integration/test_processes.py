"""Every process of ours is killed in turn while a container, a shell and a pull go on; then containers' own processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.conftest import make_berth
from tests.support.server import ROOT
from tests.support.terminal import Person
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(240)]
IMAGE = "ubuntu:14.04"
BERTH = str(ROOT / "script" / "berth")


@pytest.fixture(scope="module")
def berth(registry):
    with make_berth(registry) as server:
        server.ok("pull", "-q", IMAGE)
        yield server
        server.remove_all()
        server.assert_clean()


@pytest.fixture(autouse=True)
def no_container_stays(berth):
    yield
    berth.remove_all()


@pytest.mark.fault("F20")
@pytest.mark.threat("CEL-05")
@pytest.mark.parametrize(
    "program",
    [
        pytest.param("web", marks=pytest.mark.fault("F14")),
        pytest.param("images", marks=pytest.mark.fault("F02")),
        pytest.param("layers", marks=pytest.mark.fault("F03")),
        pytest.param("engine", marks=pytest.mark.fault("F13")),
        pytest.param("redis", marks=pytest.mark.fault("F22")),
    ],
)
def test_a_shell_goes_on_and_a_pull_finishes_when_a_program_is_killed(berth, big_image, program):
    container = berth.start_long("-it", "--name", f"shell-{program}", IMAGE)
    prompt = rf"root@{container[:12]}:/# "
    init, monitor = berth.init_pid(container), berth.monitor_pid(container)
    with Person([BERTH, "attach", container], berth.environment) as person:
        person.expect(prompt)
        person.type("kept=alive\n")
        person.expect(prompt, since=len(person.text))
        pull = subprocess.Popen(
            [BERTH, "pull", "-q", big_image], env=berth.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        until("the pull has begun", lambda: _is_pulling(berth) or pull.poll() is not None)
        berth.wait_back(program, berth.kill_program(program))
        if program == "web":  # what is typed before is refused with a bell
            person.expect("connected again", 60)
        person.type("echo still-$kept\n")
        person.expect("\nstill-alive\n")
        said, _ = pull.communicate(timeout=120)
        if program != "web":  # the command line says that it lost its connection; the pull goes on
            assert pull.returncode == 0, said
        _wait_for_image(berth, big_image)
        assert (berth.init_pid(container), berth.monitor_pid(container)) == (init, monitor)
        assert berth.state(container)["Running"] is True
        person.type("exit 3\n")
        assert person.exit_code() == 3
    assert berth.wait_state(container, "exited")["ExitCode"] == 3
    berth.ok("rm", container)
    berth.ok("rmi", big_image)
    berth.assert_clean()


def _is_pulling(berth) -> bool:
    return any(path.is_file() for name in ("ingest", "incoming") for path in (berth.data / name).iterdir())


def _wait_for_image(berth, name: str) -> None:
    until(lambda: f"the image\n{berth.logs()}", lambda: name.partition(":")[0] in berth.ok("images"), 90)


@pytest.mark.fault("F17")
def test_a_container_killed_from_outside_is_exited_137_within_5_s(berth):
    container = berth.start_long()
    os.kill(berth.init_pid(container), signal.SIGKILL)
    ended = berth.wait_state(container, "exited", within_s=5)
    assert (ended["ExitCode"], ended["OOMKilled"]) == (137, False)
    assert "Exited (137)" in berth.ok("ps", "-a")
    berth.ok("rm", container)
    berth.assert_clean()


@pytest.mark.fault("F16")
def test_a_killed_monitor_ends_its_container_and_is_told_within_5_s(berth):
    container = berth.start_long()
    init = berth.init_pid(container)
    os.kill(berth.monitor_pid(container), signal.SIGKILL)
    ended = berth.wait_state(container, "exited", within_s=5)
    assert ended["ExitCode"] != 0
    assert "monitor" in ended["Error"].lower()
    _wait_dead(init)
    berth.ok("rm", container)
    berth.assert_clean()


def _wait_dead(pid: int) -> None:
    """Gone, or a zombie that its new parent has not yet looked at."""

    def is_dead() -> bool:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
        return True

    until(f"the end of process {pid}", is_dead)


@pytest.mark.fault("F18")
def test_monitor_and_container_killed_together_are_an_end_too(berth):
    container = berth.start_long()
    os.kill(berth.monitor_pid(container), signal.SIGKILL)
    os.kill(berth.init_pid(container), signal.SIGKILL)
    assert berth.wait_state(container, "exited", within_s=5)["ExitCode"] != 0
    berth.ok("rm", container)
    berth.assert_clean()


@pytest.mark.fault("F13")
def test_a_container_that_ends_while_the_engine_is_away_is_true_again_when_it_is_back(berth):
    containers = [berth.start_long(IMAGE, "sh", "-c", f"sleep 1; exit {code}") for code in (4, 5)]
    berth.wait_back("engine", berth.kill_program("engine"))
    for container, code in zip(containers, (4, 5), strict=True):
        assert berth.wait_state(container, "exited")["ExitCode"] == code
    berth.ok("rm", *containers)
    berth.assert_clean()


@pytest.mark.fault("F20")
def test_starts_and_removes_that_the_engine_dies_in_come_to_an_end(berth):
    running = [berth.start_long("--name", f"cut{n}", IMAGE, "sleep", "1000") for n in range(2)]
    made = [berth.ok("create", "--name", f"new{n}", IMAGE, "sleep", "100").strip() for n in range(2)]
    argv = [[BERTH, "rm", "-f", *running], *([BERTH, "start", name] for name in made)]
    commands = [
        subprocess.Popen(words, env=berth.environment, stdin=subprocess.DEVNULL, stdout=-3, stderr=-3) for words in argv
    ]
    time.sleep(0.45)
    berth.wait_back("engine", berth.kill_program("engine"))
    for command in commands:
        command.wait(120)
    until(
        lambda: f"the removal: {berth.ok('ps', '-a')}",
        lambda: berth.ok("ps", "-aq", "--no-trunc").split() == made[::-1],
    )
    for container in made:
        state = berth.state(container)["Status"]
        assert state in {"created", "running", "exited"}
        if state == "running":
            assert os.path.exists(f"/proc/{berth.init_pid(container)}")
        else:
            berth.ok("start", container)
    berth.remove_all()
    berth.assert_clean()


def test_containers_go_on_when_berth_is_stopped_and_started_again(berth):
    container = berth.start_long("-it", "--name", "survivor", IMAGE)
    init = berth.init_pid(container)
    assert berth.stop() == 0
    assert os.path.exists(f"/proc/{init}")
    assert berth.run_command("ps").returncode == 1
    berth.start()
    assert berth.state(container)["Running"] is True
    assert berth.init_pid(container) == init
    with Person([BERTH, "attach", "survivor"], berth.environment) as person:
        person.expect(rf"root@{container[:12]}:/# ")
        person.type("exit 2\n")
        assert person.exit_code() == 2
    assert berth.wait_state(container, "exited")["ExitCode"] == 2
    berth.ok("rm", "survivor")
    berth.assert_clean()


@pytest.mark.fault("F40")
def test_after_a_reboot_everything_that_ran_has_exited_and_starts_again(berth):
    """What a reboot takes away, as far as one machine can show it: processes, mounts, and what is under /run."""
    from tests.support.server import clean_up

    container = berth.start_long("--name", "before", IMAGE, "sleep", "1000")
    assert berth.stop() == 0
    clean_up(berth.data)
    berth.start()
    ended = berth.wait_state(container, "exited")
    assert ended["Running"] is False
    assert ended["ExitCode"] != 0
    berth.ok("start", "before")
    assert berth.wait_state(container, "running")["Running"] is True
    berth.ok("rm", "-f", "before")
    berth.assert_clean()


@pytest.mark.fault("F44")
def test_a_flushed_firewall_and_a_deleted_bridge_come_back_within_5_s(berth):
    bridge, table = f"br-{berth.tag}", f"berth_{berth.tag}"

    def network() -> list[object]:
        lists = [["nft", "-s", "list", "table", family, table] for family in ("inet", "bridge")]
        said = [subprocess.run(words, capture_output=True, text=True, check=False).stdout for words in lists]
        return [*said, sorted(path.name for path in Path(f"/sys/class/net/{bridge}/brif").glob("*"))]

    berth.start_long(IMAGE, "sleep", "300")
    before = network()
    assert all(before)
    subprocess.run(["nft", "delete", "table", "inet", table], check=True)
    subprocess.run(["nft", "flush", "table", "bridge", table], check=True)
    index = Path(f"/sys/class/net/{bridge}/ifindex").read_text()
    subprocess.run(["ip", "link", "delete", bridge], check=True)
    until(lambda: f"the network: {network()}\n{berth.logs()}", lambda: network() == before, within_s=5)
    assert Path(f"/sys/class/net/{bridge}/ifindex").read_text() != index
