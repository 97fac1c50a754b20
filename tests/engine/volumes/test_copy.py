"""A first copy keeps everything that a file is, and follows nothing."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import stat
import struct
import subprocess
import threading
from dataclasses import replace

import pytest

from engine.errors import ImageUnfit, RequestRefused, StoreError, StoreFull
from engine.kernel import files, loop, mounts
from engine.volumes import fill, folders, places
from engine.volumes.copy import DEPTH_LIMIT, copy_folder
from engine.volumes.shifted import attribute_inside
from tests.support.waiting import until

pytestmark = pytest.mark.root


@pytest.fixture
def tree(tmp_path):
    top = tmp_path / "tree"
    (top / "inner").mkdir(parents=True)
    (top / "inner" / "file").write_bytes(b"content")
    os.link(top / "inner" / "file", top / "again")
    (top / "out").symlink_to("/etc/passwd")
    os.mkfifo(top / "pipe", 0o640)
    os.mknod(top / "device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with (top / "holes").open("wb") as file:
        file.truncate(64 << 20)
    os.chown(top / "inner" / "file", 33, 44)
    (top / "inner" / "file").chmod(0o4711)
    os.setxattr(top / "inner" / "file", "user.mark", b"yes")
    os.chown(top / "out", 5, 6, follow_symlinks=False)
    os.chown(top, 70, 71)
    top.chmod(0o1770)
    os.utime(top / "inner" / "file", (1_000_000, 2_000_000))
    return top


def copied(tree, tmp_path, **how):
    target = tmp_path / "copy"
    target.mkdir()
    fd = os.open(tree, os.O_PATH)
    try:
        copy_folder(fd, target, **{"reserve_bytes": 0, **how})
    finally:
        os.close(fd)
    return target


def test_owners_modes_times_links_and_attributes_are_kept(tree, tmp_path):
    target = copied(tree, tmp_path)
    found = (target / "inner" / "file").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (33, 44, 0o4711)
    assert (found.st_mtime, found.st_nlink) == (2_000_000, 2)
    assert (target / "again").samefile(target / "inner" / "file")
    assert os.getxattr(target / "again", "user.mark") == b"yes"
    assert (target.stat().st_uid, target.stat().st_gid, stat.S_IMODE(target.stat().st_mode)) == (70, 71, 0o1770)
    assert os.readlink(target / "out") == "/etc/passwd"
    assert (target / "out").lstat().st_uid == 5
    assert stat.S_ISFIFO((target / "pipe").lstat().st_mode)


def test_devices_are_left_out_and_holes_stay_holes(tree, tmp_path):
    target = copied(tree, tmp_path)
    assert not (target / "device").exists()
    found = (target / "holes").stat()
    assert (found.st_size, found.st_blocks) == (64 << 20, 0)


def test_ids_of_a_shifted_container_become_its_own_numbers(tree, tmp_path):
    for path in [tree, *(path for path in tree.rglob("*") if path.name != "again")]:
        found = path.lstat()
        os.chown(path, found.st_uid + 100_000, found.st_gid + 100_000, follow_symlinks=False)
    target = copied(tree, tmp_path, first_id=100_000)
    assert ((target / "again").stat().st_uid, (target / "again").stat().st_gid) == (33, 44)
    assert (target / "out").lstat().st_uid == 5


def test_a_user_beyond_the_containers_range_becomes_nobody(tree, tmp_path):
    os.chown(tree / "inner", 12, 200_000)
    target = copied(tree, tmp_path, first_id=100_000)
    assert ((target / "inner").stat().st_uid, (target / "inner").stat().st_gid) == (65_534, 65_534)


def test_attributes_with_ids_in_them_get_the_containers_own():
    plain = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
    of_container = struct.pack("<6I", 0x03000001, 1 << 10, 0, 0, 0, 100_000)
    assert attribute_inside("security.capability", of_container, 100_000) == plain
    assert attribute_inside("security.capability", of_container, 200_000) == of_container
    assert attribute_inside("security.capability", plain, 100_000) == plain
    entries = [(0x01, 7, 0xFFFFFFFF), (0x02, 5, 100_033), (0x08, 4, 100_044), (0x20, 0, 0xFFFFFFFF)]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    moved = attribute_inside("system.posix_acl_access", value, 100_000)
    assert [struct.unpack_from("<HHI", moved, 4 + 8 * n)[2] for n in range(4)] == [0xFFFFFFFF, 33, 44, 0xFFFFFFFF]
    assert attribute_inside("system.posix_acl_access", value, 0) == value
    assert attribute_inside("system.posix_acl_access", b"\x02", 100_000) == b"\x02"


def test_it_stops_before_the_reserve_of_the_disk(tree, tmp_path):
    with pytest.raises(StoreFull, match="disk is full"):
        copied(tree, tmp_path, reserve_bytes=1 << 60)


def test_a_folder_that_is_too_deep_is_refused(tmp_path):
    deep = tmp_path / "deep"
    deep.joinpath(*["d"] * (DEPTH_LIMIT + 1)).mkdir(parents=True)
    with pytest.raises(ImageUnfit, match="deeper than 128"):
        copied(deep, tmp_path)


def test_the_deepest_folder_that_is_copied_takes_two_descriptors_for_each_level(tmp_path):
    deep = tmp_path / "deep"
    bottom = deep.joinpath(*["d"] * DEPTH_LIMIT)
    bottom.mkdir(parents=True)
    (bottom / "file").write_text("at the bottom")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 2 * DEPTH_LIMIT + 10, before[1]))
    try:
        target = copied(deep, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert target.joinpath(*["d"] * DEPTH_LIMIT, "file").read_text() == "at the bottom"


def filled(config, name, tree):
    fd = os.open(tree, os.O_PATH)
    try:
        return fill.fill_if_empty(config, name, fd)
    finally:
        os.close(fd)


def test_only_an_empty_volume_is_filled(config, tree):
    config = replace(config, limits=replace(config.limits, reserve_bytes=0))
    assert filled(config, "data", tree)
    data = config.volumes / "data" / "_data"
    assert sorted(os.listdir(data)) == ["again", "holes", "inner", "out", "pipe"]
    assert (data.stat().st_uid, stat.S_IMODE(data.stat().st_mode)) == (70, 0o1770)
    (data / "again").unlink()
    assert not filled(config, "data", tree)
    assert not (data / "again").exists()
    assert sorted(os.listdir(data.parent)) == ["_data"]
    assert stat.S_IMODE(data.parent.stat().st_mode) == stat.S_IMODE(config.volumes.stat().st_mode) == 0o700


def test_a_copy_that_fails_leaves_the_volume_empty(config, tree):
    config = replace(config, limits=replace(config.limits, reserve_bytes=1 << 60))
    with pytest.raises(StoreFull):
        filled(config, "data", tree)
    assert os.listdir(config.volumes / "data") == ["_data"]
    assert os.listdir(config.volumes / "data" / "_data") == []


@pytest.mark.fault("F33")
@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, StoreFull), (errno.EIO, StoreError)])
def test_a_disk_that_has_no_place_in_the_end_leaves_the_volume_empty(config, tree, monkeypatch, number, kind):
    """What is written later than it is copied is known to be there only when the file system says so."""

    def refuse(_path):
        raise OSError(number, os.strerror(number))

    config = replace(config, limits=replace(config.limits, reserve_bytes=0))
    with monkeypatch.context() as patch:
        patch.setattr(files, "sync_file_system", refuse)
        with pytest.raises(kind):
            filled(config, "data", tree)
    assert os.listdir(config.volumes / "data") == ["_data"]
    assert os.listdir(config.volumes / "data" / "_data") == []
    assert filled(config, "data", tree)


@pytest.mark.fault("F13")
@pytest.mark.parametrize("moment", ["copying", "moving"])
def test_a_copy_that_was_cut_off_is_begun_again_or_finished(config, tree, monkeypatch, moment):
    class Killed(BaseException):
        pass

    def die(*_ignored, **_more):
        raise Killed

    config = replace(config, limits=replace(config.limits, reserve_bytes=0))
    with monkeypatch.context() as patch:
        patch.setattr("engine.volumes.fill.copy_attributes" if moment == "moving" else "os.symlink", die)
        with pytest.raises(Killed):
            filled(config, "data", tree)
    assert len(os.listdir(config.volumes / "data")) == 2
    assert filled(config, "data", tree) is (moment == "copying")
    data = config.volumes / "data" / "_data"
    assert sorted(os.listdir(data)) == ["again", "holes", "inner", "out", "pipe"]
    assert (data.stat().st_uid, stat.S_IMODE(data.stat().st_mode)) == (70, 0o1770)
    assert os.listdir(config.volumes / "data") == ["_data"]


@contextlib.contextmanager
def disk(image, place):
    """A file system of its own in a file, mounted."""
    with image.open("r+b") as file:
        device = loop.bind(file.fileno(), writable=True)
    attached = mounts.mount_ext4(device.path)
    device.close()
    mounts.attach(attached, place)
    os.close(attached)
    try:
        yield
    finally:
        assert mounts.unmount_all(place)


def cut_power(place):
    """ext4 is shut down as it is, and what its journal has not written yet is lost."""
    fd = os.open(place, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, 0x8004587D, struct.pack("I", 2))  # FS_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
    finally:
        os.close(fd)


@pytest.mark.fault("F10")
@pytest.mark.parametrize("moment", ["moving", "the end"])
def test_a_power_cut_leaves_no_volume_with_empty_files(config, tree, tmp_path, monkeypatch, moment):
    """Whatever name has reached the disk, the content has before."""

    class Cut(BaseException):
        pass

    def cut(*_ignored):
        raise Cut

    for number in range(20):
        (tree / f"f{number}").write_bytes(b"x" * 100_000)
    image, place = tmp_path / "disk", tmp_path / "mounted"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-F", image], check=True)
    config = replace(config, data=place / "data", limits=replace(config.limits, reserve_bytes=0))
    with disk(image, place):
        config.data.mkdir()
        with monkeypatch.context() as patch, contextlib.suppress(Cut):
            if moment == "moving":
                patch.setattr(fill, "_move_all", cut)
            filled(config, "data", tree)
        (place / "other").write_text("x")
        files.sync_folder(place)  # somebody else's: the journal goes out, whatever is in it
        cut_power(place)
    with disk(image, place):
        fill.finish(config, "data")
        data = config.volumes / "data" / "_data"
        assert {(data / f"f{number}").stat().st_size for number in range(20)} == {100_000}
        assert (data / "inner" / "file").read_bytes() == b"content"


@pytest.mark.parametrize("name", ["", ".", "..", "x", "a/b", "../x", ".removed-x", "a\n", "a" * 256])
def test_what_is_no_name_never_becomes_a_path(config, name):
    for act in (places.ensure_volume, folders.remove_volume, folders.volume_bytes):
        with pytest.raises(RequestRefused):
            act(config, name)


def test_a_volume_is_measured_and_removed_with_everything_in_it(config, tmp_path):
    assert folders.volume_bytes(config, "data") == 0
    data = places.ensure_volume(config, "data")
    (data / "file").write_bytes(b"x" * 100_000)
    (data / "out").symlink_to(tmp_path)
    (tmp_path / "kept").write_text("canary")
    assert 100_000 <= folders.volume_bytes(config, "data") < 130_000
    assert folders.volumes_on_disk(config) == {"data"}
    folders.remove_volume(config, "data")
    folders.remove_volume(config, "data")
    assert os.listdir(config.volumes) == []
    assert (tmp_path / "kept").read_text() == "canary"


@pytest.mark.fault("F20")
def test_a_removal_that_was_cut_off_is_gone_on_with(config):
    data = places.ensure_volume(config, "data")
    (data / "file").write_text("x")
    data.parent.rename(config.volumes / ".removed-0123")
    assert folders.volumes_on_disk(config) == set()
    folders.sweep_removed(config)
    until("it is gone", lambda: os.listdir(config.volumes) == [])


@pytest.mark.fault("F39")
def test_a_removal_that_takes_long_keeps_nobody_waiting_and_is_begun_once(config, monkeypatch):
    (config.volumes / ".removed-0123").mkdir(parents=True)
    may_go_on, begun = threading.Event(), []
    remove = files.remove_tree

    def slowly(path):
        begun.append(path.name)
        assert may_go_on.wait(30)
        remove(path)

    monkeypatch.setattr(files, "remove_tree", slowly)
    for _ in range(3):
        folders.sweep_removed(config)
    until("it is begun", lambda: begun)
    may_go_on.set()
    until("it is gone", lambda: os.listdir(config.volumes) == [])
    until("the next may begin", lambda: config.volumes not in folders._sweeping)
    assert begun == [".removed-0123"]


@pytest.mark.fault("F39")
def test_one_that_cannot_be_removed_is_left_for_the_next_time_and_keeps_no_other(config, tmp_path, caplog):
    stuck = config.volumes / ".removed-0123" / "mounted"
    for path in (stuck, config.volumes / ".removed-4567"):
        path.mkdir(parents=True)
    (tmp_path / "precious").touch()
    mounts.bind(tmp_path, stuck)
    try:
        folders.sweep_removed(config)
        until("the other is gone", lambda: os.listdir(config.volumes) == [".removed-0123"])
        until("it has given up", lambda: config.volumes not in folders._sweeping)
        assert "could not be removed" in caplog.text
        assert (tmp_path / "precious").exists()
    finally:
        mounts.unmount(stuck)
    folders.sweep_removed(config)
    until("it is gone", lambda: os.listdir(config.volumes) == [])
