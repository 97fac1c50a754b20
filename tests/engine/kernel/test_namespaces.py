from __future__ import annotations

import os
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.ids import IdRange
from engine.kernel import mounts, namespaces
from engine.kernel.process import ProcessFailed

pytestmark = pytest.mark.root


@pytest.fixture
def netns(tmp_path):
    path = tmp_path / "netns"
    namespaces.create_netns(path)
    yield path
    namespaces.delete_netns(path)


def own():
    return os.stat(f"/proc/self/task/{threading.get_native_id()}/ns/net").st_ino


def test_work_is_done_inside_and_the_caller_stays_outside(netns):
    outside = own()
    assert namespaces.in_netns(netns, own) == netns.stat().st_ino != outside
    assert own() == outside
    assert namespaces.in_netns(netns, lambda: [name for _, name in socket.if_nameindex()]) == ["lo"]


def test_threads_of_a_pool_are_never_moved(netns):
    with ThreadPoolExecutor(2) as pool:
        inside = list(pool.map(lambda _: namespaces.in_netns(netns, own), range(20)))
        outside = set(pool.map(lambda _: own(), range(20)))
    assert set(inside) == {netns.stat().st_ino}
    assert outside == {own()}


def test_errors_come_back_to_the_caller(netns):
    def fail():
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        namespaces.in_netns(netns, fail)
    with pytest.raises(OSError):
        namespaces.in_netns(netns.parent / "missing", own)


def test_making_one_again_keeps_it_and_deleting_can_be_repeated(netns):
    before = netns.stat().st_ino
    namespaces.create_netns(netns)
    assert netns.stat().st_ino == before
    namespaces.delete_netns(netns)
    namespaces.delete_netns(netns)
    assert not netns.exists()


def test_a_file_left_by_a_crash_is_no_namespace_and_becomes_one(tmp_path):
    path = tmp_path / "netns"
    path.touch()
    assert not mounts.is_namespace_file(path)
    namespaces.create_netns(path)
    assert mounts.is_namespace_file(path)
    namespaces.delete_netns(path)


def test_the_working_folder_of_the_process_does_not_change(tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    before = os.getcwd()
    assert namespaces.in_folder(folder, os.getcwd) == str(tmp_path)
    assert os.getcwd() == before
    os.close(folder)


def test_a_user_namespace_has_its_map_and_leaves_no_process():
    children = {entry for entry in os.listdir("/proc") if entry.isdigit()}
    fd = namespaces.create_userns(IdRange(300_000, 1000))
    assert os.readlink(f"/proc/self/fd/{fd}").startswith("user:")
    assert os.fstat(fd).st_ino != os.stat("/proc/self/ns/user").st_ino
    os.close(fd)
    for pid in {entry for entry in os.listdir("/proc") if entry.isdigit()} - children:
        try:
            with open(f"/proc/{pid}/stat") as file:
                assert int(file.read().rpartition(")")[2].split()[1]) != os.getpid()
        except (FileNotFoundError, ProcessLookupError):
            continue


def test_a_network_namespace_can_belong_to_a_user_namespace(tmp_path):
    """Its files of /proc/sys/net then belong to that namespace's root."""
    isolation = namespaces.create_isolation(IdRange(300_000))
    path = tmp_path / "netns"
    try:
        assert (isolation.user_path.stat().st_ino, isolation.user_path.exists()) == (
            os.fstat(isolation.user).st_ino,
            True,
        )
        for _ in range(2):
            namespaces.bind_netns(isolation.network, path)
        assert path.stat().st_ino == os.fstat(isolation.network).st_ino != own()
        group_range = "/proc/sys/net/ipv4/ping_group_range"
        assert namespaces.in_netns(path, lambda: os.stat(group_range).st_uid) == 300_000
    finally:
        isolation.close()
        namespaces.delete_netns(path)
    assert not mounts.is_mounted(path)


def test_a_range_that_the_kernel_refuses_is_an_error_and_leaves_nothing():
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError):
        namespaces.create_isolation(IdRange(2**32 - 10))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def user_namespace():
    fd = namespaces.create_userns(IdRange(300_000))
    yield fd
    os.close(fd)


@pytest.fixture
def open_to_all(tmp_path):
    """A folder in which the namespace's root may make things; and its descriptor."""
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o777)
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    yield place, fd
    os.close(fd)


def test_a_file_and_a_folder_are_made_with_the_rights_of_the_namespaces_root(user_namespace, open_to_all):
    place, fd = open_to_all
    for name, is_folder in (("file", False), ("folder", True)):
        namespaces.make_as_its_root(user_namespace, fd, name, is_folder=is_folder)
        found = (place / name).lstat()
        assert (found.st_uid, found.st_gid) == (300_000, 300_000)
        assert stat.S_IMODE(found.st_mode) == (0o755 if is_folder else 0o644)
    assert (place / "file").read_bytes() == b""


@pytest.mark.threat("RUN-05")
@pytest.mark.parametrize("is_folder", [False, True])
@pytest.mark.parametrize("taken_by", ["file", "folder", "link to a folder", "link to a file", "link to nothing"])
def test_a_name_that_is_taken_is_refused_whatever_it_is(user_namespace, open_to_all, taken_by, is_folder):
    place, fd = open_to_all
    elsewhere = place.parent / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    (elsewhere / "file").write_text("kept")
    (elsewhere / "file").chmod(0o666)
    taken = place / "taken"
    if taken_by == "file":
        taken.write_text("kept")
        os.chown(taken, 300_000, 300_000)
    elif taken_by == "folder":
        taken.mkdir()
        taken.chmod(0o777)
    else:
        taken.symlink_to(
            {"link to a folder": elsewhere, "link to a file": elsewhere / "file"}.get(taken_by, elsewhere / "x")
        )
    before = taken.lstat()
    with pytest.raises(ProcessFailed):
        namespaces.make_as_its_root(user_namespace, fd, "taken", is_folder=is_folder)
    after = taken.lstat()
    assert (after.st_ino, after.st_mode, after.st_size) == (before.st_ino, before.st_mode, before.st_size)
    assert os.listdir(elsewhere) == ["file"]
    assert (elsewhere / "file").read_text() == "kept"
    assert not taken.is_dir() or "link" in taken_by or os.listdir(taken) == []
