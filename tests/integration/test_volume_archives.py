"""Backups and restores on a whole Berth: through pipes and files of the real client, and as a browser would."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess

import pytest

from tests.support.hostile_layers import Layer, hostile
from tests.support.server import ROOT
from tests.support.trees import tree
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
IMAGE = "ubuntu:14.04"
FILL = """
mkdir -p /v/empty /v/inner && chmod 2750 /v/inner && echo content > /v/inner/file && ln /v/inner/file /v/again
ln -s /etc/passwd /v/out && mkfifo /v/pipe && chown 1000:1000 /v/inner/file && chmod 4711 /v/inner/file
dd if=/dev/urandom of=/v/noise bs=1M count=20 2>/dev/null && chown 33:33 /v
"""


@pytest.fixture(autouse=True)
def nothing_stays(berth):
    yield
    berth.remove_all()
    berth.ok("volume", "prune", "-af")
    until("transfers are gone", lambda: os.listdir(berth.data / "transfers") == [])
    assert os.listdir(berth.data / "volumes") == []


@pytest.fixture
def full(berth):
    """The volume `full`, as a container made it: what it holds."""
    berth.ok("run", "--rm", "-v", "full:/v", IMAGE, "sh", "-c", FILL)
    return tree(berth.data / "volumes" / "full" / "_data")


def data(berth, name):
    return berth.data / "volumes" / name / "_data"


def argv(*words):
    return [str(ROOT / "script" / "berth"), *words]


def test_a_volume_goes_through_a_pipe_into_another_and_is_the_same_inside(berth, full):
    berth.ok("volume", "create", "copy")
    with subprocess.Popen(argv("volume", "backup", "full"), env=berth.environment, stdout=subprocess.PIPE) as sending:
        with subprocess.Popen(argv("volume", "restore", "copy"), env=berth.environment, stdin=sending.stdout) as taking:
            sending.stdout.close()
            assert taking.wait(120) == 0
        assert sending.wait(60) == 0
    assert tree(data(berth, "copy")) == full
    look = "cd /v && ls -lnR . && sha256sum noise"
    shown = [berth.ok("run", "--rm", "-v", f"{name}:/v", IMAGE, "sh", "-c", look) for name in ("full", "copy")]
    assert shown[0] == shown[1]
    assert "-rws--x--x    2 1000     1000" in shown[0]


def test_three_hundred_megabytes_lose_no_byte(berth, tmp_path):
    berth.ok("run", "--rm", "-v", "big:/v", IMAGE, "dd", "if=/dev/urandom", "of=/v/x", "bs=1M", "count=300")
    source = data(berth, "big") / "x"
    with source.open("rb") as file:
        wanted = hashlib.file_digest(file, "sha256").hexdigest()
    target = tmp_path / "big.tar"
    assert berth.ok("volume", "backup", "-o", str(target), "big") == ""
    told = subprocess.run(["tar", "-xOf", target, "x"], check=True, capture_output=True).stdout
    assert hashlib.sha256(told).hexdigest() == wanted
    source.unlink()
    with target.open("rb") as file:
        assert berth.ok("volume", "restore", "big", stdin=file) == "big\n"
    with source.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == wanted


def test_a_backup_while_a_container_writes_is_an_archive_all_the_same(berth, tmp_path):
    script = "n=0; while true; do n=$((n+1)); echo $n > /v/$((n % 50)); rm -f /v/$(((n+7) % 50)); done"
    berth.start_long("-v", "busy:/v", IMAGE, "sh", "-c", script)
    until("it writes", lambda: len(os.listdir(data(berth, "busy"))) > 5)
    for number in range(5):
        berth.ok("volume", "backup", "-o", str(tmp_path / f"{number}.tar"), "busy")
        subprocess.run(["tar", "-tf", tmp_path / f"{number}.tar"], check=True, capture_output=True)


def test_what_is_in_use_or_not_there_is_said(berth, full):
    container = berth.ok("create", "-v", "full:/v", IMAGE).strip()
    done = berth.run_command("volume", "restore", "full")
    assert (done.returncode, done.stderr) == (1, f"Error: restore full: volume is in use - [{container}]\n")
    assert berth.run_command("volume", "backup", "full", text=False).returncode == 0
    done = berth.run_command("volume", "backup", "nope")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "Error: get nope: no such volume\n")
    assert tree(data(berth, "full")) == full


@pytest.mark.threat("TAR-01")
@pytest.mark.parametrize("name", ["TAR-01 dot-dot", "TAR-04 link outside", "TAR-06 not a tar", "TAR-06 cut in a body"])
def test_what_is_no_honest_tar_changes_nothing(berth, full, name):
    done = berth.run_command("volume", "restore", "full", text=False, input=hostile()[name])
    assert done.returncode == 1
    assert b"Error: The archive is refused: " in done.stderr
    assert tree(data(berth, "full")) == full


def test_an_empty_pipe_and_a_cut_one_change_nothing(berth, full, tmp_path):
    assert "it is empty" in berth.run_command("volume", "restore", "full").stderr
    berth.ok("volume", "backup", "-o", str(tmp_path / "x.tar"), "full")
    with (tmp_path / "x.tar").open("r+b") as file:
        file.truncate(10_000_000)
    done = berth.run_command("volume", "restore", "-i", str(tmp_path / "x.tar"), "full")
    assert (done.returncode, done.stderr) == (1, "Error: The archive is refused: it ends in the middle of a file.\n")
    assert tree(data(berth, "full")) == full


def test_ctrl_c_leaves_nothing_on_either_side(berth, full, tmp_path):
    slow = subprocess.Popen(argv("volume", "backup", "full"), env=berth.environment, stdout=subprocess.PIPE)
    with slow:
        assert slow.stdout.read(512)
        slow.send_signal(signal.SIGINT)
        assert slow.wait(60) == 130
    until("the backup is gone", lambda: os.listdir(berth.data / "transfers") == [])
    half = subprocess.Popen(argv("volume", "restore", "full"), env=berth.environment, stdin=subprocess.PIPE)
    with half:
        half.stdin.write(Layer().file("a", b"x" * 200_000).end())
        half.stdin.flush()
        until("it arrives", lambda: os.listdir(berth.data / "transfers"))
        half.send_signal(signal.SIGINT)
        assert half.wait(60) == 130
        with contextlib.suppress(BrokenPipeError):
            half.stdin.close()
    until("what arrived is gone", lambda: os.listdir(berth.data / "transfers") == [])
    assert tree(data(berth, "full")) == full


@pytest.mark.fault("F13")
def test_the_engine_worker_is_killed_in_the_middle_of_a_restore(berth, full, tmp_path):
    """The old volume or the new one, never something in between; the job is done again."""
    path = tmp_path / "many.tar"
    made = Layer().directory("./")
    for number in range(20_000):
        made.file(f"folder/{number}", b"%d" % number)
    path.write_bytes(made.end())
    restoring = subprocess.Popen(argv("volume", "restore", "-i", str(path), "full"), env=berth.environment)
    beside = data(berth, "full").with_name("restored")
    with restoring:
        until("it is at work", beside.exists, every_s=0.002)
        before = berth.kill_program("engine")
        assert {"noise", "folder"} & set(os.listdir(data(berth, "full")))
        berth.wait_back("engine", before)
        assert restoring.wait(120) == 0
    until("nothing is beside it", lambda: os.listdir(data(berth, "full").parent) == ["_data"])
    assert len(os.listdir(data(berth, "full") / "folder")) == 20_000


def test_as_a_browser_does_it(berth, full):
    with berth.browser() as client:
        shown = client.post("/volumes/full/backup/", headers={"HX-Request": "true"}).text
        place = re.search(r'hx-get="(/volumes/full/transfers/[0-9a-f]{32}/)"', shown)[1]
        ready = until("it is ready", lambda: "data-start-download" in (text := client.get(place).text) and text)
        answer = client.get(re.search(r'href="(/transfers/[0-9a-f]{32}/)"', ready)[1])
        assert answer.headers["Content-Disposition"] == 'attachment; filename="full.tar"'
        assert answer.headers["Content-Type"] == "application/octet-stream"
        until("it is gone", lambda: "Nothing of it is kept here" in client.get(place).text)
    berth.ok("volume", "create", "copy")
    assert berth.run_command("volume", "restore", "copy", text=False, input=answer.content).returncode == 0
    assert tree(data(berth, "copy")) == full


def test_a_compressed_archive_is_taken_too(berth, full, tmp_path):
    berth.ok("volume", "backup", "-o", str(tmp_path / "x.tar"), "full")
    assert shutil.which("gzip")
    subprocess.run(["gzip", "-1", tmp_path / "x.tar"], check=True)
    berth.ok("volume", "create", "copy")
    assert berth.ok("volume", "restore", "-i", str(tmp_path / "x.tar.gz"), "copy") == "copy\n"
    assert tree(data(berth, "copy")) == full
