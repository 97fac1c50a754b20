from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from engine.kernel import files, mounts
from engine.kernel.files import FileLock, TreeHasMounts, remove_tree


def test_a_lock_keeps_other_threads_and_processes_out(tmp_path):
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    script = "import sys; from pathlib import Path; from engine.kernel.files import FileLock; print(FileLock(Path(sys.argv[1])).acquire(0))"
    with lock:
        assert not other.acquire(0)
        assert subprocess.check_output([sys.executable, "-c", script, tmp_path / "lock"], cwd=os.getcwd()) == b"False\n"
    assert other.acquire(0)
    other.release()


def test_a_lock_of_a_dead_holder_is_free(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from engine.kernel.files import FileLock\n"
        "lock = FileLock(Path(sys.argv[1])); lock.acquire(); print('held', flush=True); time.sleep(300)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, tmp_path / "lock"], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    assert not FileLock(tmp_path / "lock").acquire(0)
    holder.kill()
    holder.wait()
    assert FileLock(tmp_path / "lock").acquire(1)


def test_only_one_holds_a_lock_whose_file_is_removed(tmp_path):
    path, inside, most = tmp_path / "lock", [], []

    def work():
        for _ in range(20):
            with FileLock(path):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.0005)
                inside.pop()
                path.unlink(missing_ok=True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


def test_a_lock_is_not_taken_through_a_link(tmp_path):
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        FileLock(tmp_path / "lock").acquire(0)


def test_a_lease_is_refused_while_somebody_writes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"1")
    with (
        open(path, "r+b"),
        open(path, "rb") as reader,
        pytest.raises(BlockingIOError),
        files.read_lease(reader.fileno()),
    ):
        pass
    with open(path, "rb") as reader, files.read_lease(reader.fileno()):
        pass


def test_a_writer_who_comes_during_a_lease_waits_and_does_not_kill_us(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"1")
    with open(path, "rb") as reader:
        with files.read_lease(reader.fileno()):
            writer = subprocess.Popen(["sh", "-c", f"echo 2 > {path}"])
            time.sleep(0.3)
            assert writer.poll() is None
            assert path.read_bytes() == b"1"
        assert writer.wait(60) == 0
    assert signal.getsignal(signal.SIGIO) is signal.SIG_DFL


def test_replacing_a_file_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    files.write_atomic(path, b"one", mode=0o640)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_atomic(path, b"two", mode=0o600)
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.root
def test_a_folder_gets_exactly_its_owner_and_mode(tmp_path):
    for mode in (0o711, 0o750):
        files.ensure_folder(tmp_path / "a", mode, uid=65534, gid=65533)
        found = (tmp_path / "a").stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (65534, 65533, mode)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(OSError):
        files.ensure_folder(tmp_path / "link", 0o700)


def test_removal_takes_links_and_odd_files_but_not_what_links_point_to(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"1")
    tree = tmp_path / "tree"
    (tree / "a/b/c").mkdir(parents=True)
    (tree / "a/link").symlink_to(outside)
    (tree / "a/b/absolute").symlink_to("/etc/passwd")
    (tree / "a/file").write_bytes(b"x")
    os.mkfifo(tree / "a/b/fifo")
    os.link(outside / "precious", tree / "a/hard")
    (tree / os.fsdecode(b"bad \xff name\n")).mkdir()
    remove_tree(tree)
    assert not tree.exists()
    assert (outside / "precious").read_bytes() == b"1"
    remove_tree(tree)
    remove_tree(tmp_path / "no" / "such")
    (tmp_path / "one").symlink_to(outside)
    remove_tree(tmp_path / "one")
    assert (outside / "precious").exists()


@pytest.mark.slow
@pytest.mark.fault("F39")
def test_very_deep_and_very_wide_trees_are_removed(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    here = os.getcwd()
    try:
        os.chdir(tree)
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
            open("f", "w").close()
    finally:
        os.chdir(here)
    for number in range(5000):
        os.close(os.open(tree / str(number), os.O_CREAT))
    before = len(os.listdir("/proc/self/fd"))
    remove_tree(tree)
    assert not tree.exists()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.fault("F39")
def test_folders_without_any_right_are_removed_also_by_their_plain_owner():
    script = (
        "import os, sys; from pathlib import Path; from engine.kernel.files import remove_tree\n"
        "tree = Path(sys.argv[1]) / 'tree'; (tree / 'a/b/c').mkdir(parents=True); (tree / 'a/b/f').touch()\n"
        "os.chmod(tree / 'a/b', 0); os.chmod(tree / 'a', 0); os.chmod(tree, 0)\n"
        "remove_tree(tree); print(tree.exists())"
    )
    options = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others, and closed again by each new run
        os.chmod(folder, 0o777)
        argv = [sys.executable, "-c", script, folder]
        done = subprocess.run(argv, capture_output=True, text=True, cwd=os.getcwd(), check=False, **options)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.root
@pytest.mark.fault("F39")
@pytest.mark.parametrize("place", ["", "a", "a/b/c"])
def test_nothing_behind_a_mount_is_removed(tmp_path, place):
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    outside.mkdir()
    (outside / "precious").write_bytes(b"1")
    (tree / "a/b/c").mkdir(parents=True)
    (tree / "first").write_bytes(b"1")
    mounts.bind(outside, tree / place)
    try:
        with pytest.raises(TreeHasMounts, match="mounted"):
            remove_tree(tree)
        assert (outside / "precious").exists()
        assert place == "" or (tree / "first").exists()
    finally:
        mounts.unmount_all(tree)
    remove_tree(tree)
    assert not tree.exists()


@pytest.mark.root
@pytest.mark.fault("F39")
@pytest.mark.parametrize("place", ["a", "a/b", "a/b/c"])
def test_the_kernel_stops_it_at_a_mount_that_comes_after_the_look(tmp_path, place, monkeypatch):
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    outside.mkdir()
    (outside / "precious").write_bytes(b"1")
    (tree / "a/b/c").mkdir(parents=True)
    monkeypatch.setattr(mounts, "mounts_below", lambda path: [])
    mounts.bind(outside, tree / place)
    try:
        with pytest.raises(OSError):
            remove_tree(tree)
        assert (outside / "precious").exists()
    finally:
        monkeypatch.undo()
        mounts.unmount_all(tree)
