"""`cp` through the real client and a whole Berth: files, folders, pipes, volumes, and what goes wrong."""

from __future__ import annotations

import io
import os
import tarfile

import pytest

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
IMAGE = "ubuntu:14.04"


@pytest.fixture(scope="module", autouse=True)
def boat(berth):
    berth.ok("run", "-d", "--name", "boat", IMAGE, "sleep", "600")
    yield
    berth.remove_all()
    berth.ok("volume", "prune", "-af")


def run(berth, *words, **how):
    return berth.run_command(*words, **how)


def test_a_folder_there_and_back_is_the_same(berth, tmp_path):
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "program").write_text("#!/bin/sh\necho ran\n")
    (tree / "sub" / "program").chmod(0o750)
    (tree / "한글").write_text("글")
    (tree / "link").symlink_to("sub/program")
    with (tree / "holes").open("wb") as file:
        file.truncate(50_000_000)
    done = run(berth, "cp", str(tree), "boat:/srv")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("Successfully copied 50MB to boat:/srv")
    assert berth.ok("exec", "boat", "/srv/tree/link") == "ran\n"
    assert berth.ok("exec", "boat", "stat", "-c", "%u %a", "/srv/tree/sub/program") == "0 750\n"
    assert run(berth, "cp", "-q", "boat:/srv/tree", str(tmp_path / "back")).stderr == ""
    assert sorted(os.listdir(tmp_path / "back")) == ["holes", "link", "sub", "한글"]
    assert (tmp_path / "back" / "sub" / "program").read_text() == (tree / "sub" / "program").read_text()
    assert (tmp_path / "back" / "sub" / "program").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "back" / "holes").stat().st_blocks < 1000


def test_pipes_carry_tars(berth):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        info = tarfile.TarInfo("note")
        info.size, info.uid = 5, 33
        archive.addfile(info, io.BytesIO(b"noted"))
    done = berth.run_command("cp", "-a", "-", "boat:/srv", input=made.getvalue(), text=False)
    assert done.returncode == 0, done.stderr
    assert berth.ok("exec", "boat", "stat", "-c", "%u %s", "/srv/note") == "33 5\n"
    done = berth.run_command("cp", "boat:/srv/note", "-", text=False)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        assert archive.extractfile("note").read() == b"noted"
        assert archive.getmember("note").uid == 33


def test_one_that_never_ran_has_files_before_its_first_start(berth, tmp_path):
    (tmp_path / "settings").write_text("colour=blue\n")
    berth.ok(
        "create", "--name", "dinghy", "-v", "locker:/etc/locker", IMAGE, "cat", "/etc/locker/settings", "/settings"
    )
    for path in ("dinghy:/etc/locker/", "dinghy:/settings"):
        assert run(berth, "cp", str(tmp_path / "settings"), path).returncode == 0
    assert berth.ok("start", "-a", "dinghy") == "colour=blue\n" * 2
    assert run(berth, "cp", "dinghy:/settings", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_text() == "colour=blue\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["boat:/nowhere", "{}"], "Error: Could not find the file /nowhere in the container"),
        (["{}/none", "boat:/tmp"], "berth: lstat {}/none: no such file or directory"),
        (["{}/file", "boat:/no/such"], "Error: Could not find the file /no in the container"),
        (["{}/file", "nobody:/tmp"], "Error: No such container: nobody"),
        (["{}/file", "boat:/proc/x"], "Error: /proc/x lies in /proc, /sys or /dev"),
        (["boat:/etc", "{}/file"], "berth: cannot copy a directory to the file {}/file"),
        (["boat:/etc", "boat:/x"], "copying between containers is not supported"),
    ],
)
def test_what_cannot_be_copied_is_said_in_a_sentence(berth, tmp_path, words, sentence):
    (tmp_path / "file").write_text("mine")
    done = run(berth, "cp", *(word.format(tmp_path) for word in words))
    assert done.returncode == 1
    assert sentence.format(tmp_path) in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["file"]
    assert os.listdir(berth.data / "transfers") == []
