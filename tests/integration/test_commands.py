"""Every command and flag of the command line on a whole Berth: columns, units, exit codes and words as Docker's."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from datetime import UTC, datetime

import pytest

from tests.support.server import ROOT
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(180)]
IMAGE = "ubuntu:14.04"
HEX64, HEX12 = "[0-9a-f]{64}", "[0-9a-f]{12}"
AGE = r"(Less than a second|\d+ seconds?|About a minute|\d+ minutes)"


@pytest.fixture(autouse=True)
def no_container_stays(berth):
    yield
    berth.remove_all()


def test_the_life_of_a_container_with_each_command(berth):
    made = berth.ok("create", "--name", "life", "-i", IMAGE, "sh", "-c", "cat; exit 4").strip()
    assert re.fullmatch(HEX64, made)
    row = next(x for x in berth.ok("ps", "-a").splitlines() if "life" in x)
    assert re.match(rf'{made[:12]} +ubuntu:14.04 +"sh -c \'cat; exit 4\'" +{AGE} ago +Created +life$', row), row
    attached = berth.run_command("start", "-a", "-i", "life", input="typed\n")
    assert (attached.stdout, attached.returncode) == ("typed\n", 4)
    assert berth.ok("ps", "-q") == ""
    assert re.search(rf"Exited \(4\) {AGE} ago", berth.ok("ps", "-a"))
    assert berth.ok("wait", "life") == "4\n"
    assert berth.ok("logs", "life") == "typed\n"
    assert berth.ok("start", "life") == "life\n"
    assert berth.ok("ps", "-q").strip() == made[:12]
    assert re.search(rf"Up {AGE} ", berth.ok("ps"))
    assert berth.ok("kill", "life") == "life\n"
    assert berth.ok("wait", "life") == "137\n"
    assert berth.ok("restart", "life") == "life\n"
    assert berth.state("life")["Running"] is True
    assert berth.ok("stop", "-t", "1", "life") == "life\n"
    assert berth.state("life")["ExitCode"] == 137
    assert berth.ok("rm", "life") == "life\n"
    assert berth.ok("ps", "-a").splitlines()[0].split() == [
        "CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES",
    ]  # fmt: skip


def test_flags_of_run_are_what_the_program_sees(berth):
    said = _run_with_environment(berth)
    lines = said.splitlines()
    assert lines[:5] == ["value with spaces outside", "/tmp", "tester", "quay", "/home/tester"]
    assert lines[5] == str(128 * 1024 * 1024)
    assert lines[6] == "64"
    assert lines[7].split()[0] == "50000"


def _run_with_environment(berth) -> str:
    script = (
        "echo $NAME $FROM_HERE; pwd; id -un; hostname; echo $HOME; "
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; "
        "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; "
        "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null; true"
    )
    flags = ["-e", "FROM_HERE", "-w", "/tmp", "-u", "tester", "-h", "quay", "--entrypoint", "/bin/sh"]
    flags += ["-m", "128m", "--cpus", "0.5", "--pids-limit", "64"]
    argv = [str(ROOT / "script/berth"), "run", "--rm", "-e", "NAME=value with spaces", *flags, IMAGE, "-c", script]
    done = subprocess.run(
        argv, env=berth.environment | {"FROM_HERE": "outside"}, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("signal", "code"), [("TERM", 143), ("SIGINT", 130), ("9", 137)])
def test_kill_sends_the_signal_that_is_asked_for(berth, signal, code):
    script = "trap 'exit 143' TERM; trap 'exit 130' INT; echo ready; while true; do sleep 0.1; done"
    berth.start_long("--name", "trap", IMAGE, "sh", "-c", script)
    berth.wait_output("trap", "ready")
    berth.ok("kill", "-s", signal, "trap")
    assert berth.ok("wait", "trap") == f"{code}\n"


def test_stop_asks_first_and_kills_after_its_time(berth):
    for name, action in (("polite", "exit 0"), ("deaf", "")):
        script = f"trap '{action}' TERM; echo ready; while true; do sleep 0.1; done"
        berth.start_long("--name", name, IMAGE, "sh", "-c", script)
        berth.wait_output(name, "ready")
    began = datetime.now(UTC)
    assert berth.ok("stop", "-t", "2", "polite", "deaf") == "polite\ndeaf\n"
    polite, deaf = berth.state("polite"), berth.state("deaf")
    assert (polite["ExitCode"], deaf["ExitCode"]) == (0, 137)
    # By the containers' own ends: neither is asked before `began`, and "polite" ends as soon as it is asked.
    assert (_finished(deaf) - began).total_seconds() >= 2
    assert (_finished(deaf) - _finished(polite)).total_seconds() < 10


def _finished(state: dict) -> datetime:
    return datetime.fromisoformat(state["FinishedAt"])


def test_wait_returns_when_the_container_ends(berth):
    container = berth.start_long(IMAGE, "sh", "-c", "sleep 1.5; exit 7")
    said = []
    waiting = threading.Thread(target=lambda: said.append(berth.ok("wait", container)))
    waiting.start()
    waiting.join()
    assert said == ["7\n"]


def test_several_names_at_once_and_one_that_is_not_there(berth):
    for name in ("one", "two"):
        berth.ok("create", "--name", name, IMAGE)
    done = berth.run_command("rm", "one", "nobody", "two")
    assert done.stdout == "one\ntwo\n"
    assert "No such container: nobody" in done.stderr
    assert done.returncode == 1


def test_a_container_is_found_by_a_prefix_of_its_id(berth):
    made = berth.ok("create", IMAGE).strip()
    assert berth.ok("rm", made[:6]) == f"{made[:6]}\n"


def test_inspect_is_dockers_document(berth):
    made = berth.ok("create", "--name", "looked-at", "-e", "A=1", "-m", "64m", IMAGE, "true").strip()
    (document,) = json.loads(berth.ok("inspect", "looked-at"))
    assert document["Id"] == made
    assert document["Name"] == "/looked-at"
    assert document["Config"]["Image"] == IMAGE
    assert "A=1" in document["Config"]["Env"]
    assert document["HostConfig"]["Memory"] == 64 * 1024 * 1024
    assert document["State"]["Status"] == "created"
    (about_image,) = json.loads(berth.ok("inspect", IMAGE))
    assert IMAGE in about_image["RepoTags"]
    assert berth.ok("inspect", "-f", "{{.State.Status}}", "looked-at") == "created\n"


def test_the_size_of_what_a_container_wrote(berth):
    berth.start_long("--name", "writer", IMAGE, "sh", "-c", "head -c 3000 /dev/zero >/written; sleep 1000")

    def row() -> str:
        return berth.ok("ps", "-s", "-f", "name=writer").splitlines()[1]

    until("what it wrote is counted", lambda: not row().split("   ")[-1].startswith("0B"))
    assert re.search(r" 3kB \(virtual [\d.]+MB\)$", row())
    whole = int(berth.ok("inspect", "-f", "{{.Size}}", IMAGE)) + 3000
    assert berth.ok("inspect", "-s", "-f", "{{.SizeRw}} {{.SizeRootFs}}", "writer") == f"3000 {whole}\n"


def test_images_in_every_form(berth):
    table = berth.ok("images").splitlines()
    assert table[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    row = next(line for line in table if line.startswith("ubuntu"))
    assert re.fullmatch(rf"ubuntu +14\.04 +{HEX12} +\d+ years ago +[\d.]+MB", row)
    assert re.fullmatch(HEX12, berth.ok("images", "-q", IMAGE).strip())
    assert re.search(rf"sha256:{HEX64}", berth.ok("images", "--no-trunc"))
    assert "DIGEST" in berth.ok("images", "--digests").splitlines()[0]
    assert berth.ok("images", "--format", "{{.Repository}}:{{.Tag}}", IMAGE) == f"{IMAGE}\n"
    assert berth.ok("images", "-a").splitlines()[0] == table[0]


def test_rmi_untags_and_deletes_and_the_layers_are_gone(berth):
    berth.ok("pull", "-q", "centos:7")
    layers = set((berth.data / "layers").rglob("*"))
    said = berth.ok("rmi", "centos:7").splitlines()
    assert said[0] == "Untagged: centos:7"
    assert any(re.fullmatch(rf"Untagged: centos@sha256:{HEX64}", line) for line in said)
    assert any(re.fullmatch(rf"Deleted: sha256:{HEX64}", line) for line in said)
    until("a layer goes", lambda: not all(path.exists() for path in layers))
    assert berth.ok("run", "--rm", IMAGE, "echo", "whole") == "whole\n"


def test_version_and_info_say_what_runs(berth):
    version = berth.ok("version")
    assert re.search(r"Version:\s+\d+\.\d+\.\d+", version)
    info = berth.ok("info")
    assert re.search(r"Containers: \d+", info)
    assert re.search(r"Images: \d+", info)
    assert re.fullmatch(r"Berth version \d+\.\d+\.\d+, build [0-9a-f]{7}\n", berth.ok("-v"))


def test_rm_and_detach_together_remove_it_when_it_ends(berth):
    container = berth.start_long("--rm", IMAGE, "sleep", "1")
    until("it is removed", lambda: container[:12] not in berth.ok("ps", "-aq"))
    berth.assert_clean()


@pytest.mark.parametrize(
    "line", ["$ docker run --rm ubuntu:14.04 echo pasted", "sudo docker images", "$ sudo docker ps -a"]
)
def test_lines_of_the_primer_work_as_printed(berth, line):
    assert berth.ok(*line.split())
