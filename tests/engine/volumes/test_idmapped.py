"""A volume whose owners are translated for a user namespace: the disk keeps the container's own numbers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from engine.errors import ImageUnfit
from engine.kernel import mounts
from engine.runtime.rootfiles import Maker, make_folder, make_mount_point, opened_root
from engine.volumes.mounting import mount_folder

pytestmark = pytest.mark.root
FIRST = 300_000


@pytest.fixture
def user_namespace():
    holder = subprocess.Popen(["unshare", "--user", "/bin/sh", "-c", "echo; read x"], stdout=-1, stdin=-1)
    holder.stdout.read(1)
    for kind in ("uid", "gid"):
        Path(f"/proc/{holder.pid}/{kind}_map").write_text(f"0 {FIRST} 65536")
    fd = os.open(f"/proc/{holder.pid}/ns/user", os.O_RDONLY)
    yield fd
    os.close(fd)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()


@pytest.fixture
def shown(tmp_path, user_namespace):
    """(what is on disk, what the container would see)."""
    disk, root = tmp_path / "disk", tmp_path / "root"
    (root / "v").mkdir(parents=True)
    disk.mkdir()
    with contextlib.ExitStack() as stack:
        source, target = (os.open(path, os.O_PATH) for path in (disk, root / "v"))
        stack.callback(os.close, source)
        stack.callback(os.close, target)
        mount_folder(source, target, read_only=False, user_namespace=user_namespace)
        stack.callback(mounts.unmount_all, root / "v")
        yield disk, root


def owner(path: Path) -> tuple[int, int]:
    return path.lstat().st_uid, path.lstat().st_gid


def test_owners_on_disk_are_the_containers_own_numbers(shown):
    disk, root = shown
    (disk / "file").write_text("x")
    os.chown(disk / "file", 33, 44)
    assert owner(root / "v" / "file") == (FIRST + 33, FIRST + 44)
    os.chown(root / "v" / "file", FIRST + 5, FIRST)
    assert owner(disk / "file") == (5, 0)


def test_places_for_mounts_in_it_are_made_as_the_containers_root(shown, user_namespace):
    disk, root = shown
    (disk / "app").mkdir(mode=0o700)
    os.chown(disk / "app", 1000, 1000)
    by = Maker(FIRST, user_namespace)
    with opened_root(root) as opened:
        assert make_folder(opened, "/v/app/sub/deep", by=by) == "/v/app/sub/deep"
        assert make_mount_point(opened, "/v/hosts", by=by) == "/v/hosts"
        assert make_folder(opened, "/outside", by=by) == "/outside"
    assert [owner(disk / name) for name in ("app/sub", "app/sub/deep", "hosts")] == [(0, 0)] * 3
    assert owner(root / "outside") == (FIRST, FIRST)
    assert (disk / "hosts").is_file()


def test_where_the_containers_root_may_not_write_nothing_is_made(shown, user_namespace):
    disk, root = shown
    (disk / "foreign").mkdir()
    os.chown(disk / "foreign", 70_000, 70_000)  # nobody of the container
    with opened_root(root) as opened, pytest.raises(ImageUnfit, match="permission denied"):
        make_folder(opened, "/v/foreign/sub", by=Maker(FIRST, user_namespace))
    assert os.listdir(disk / "foreign") == []
