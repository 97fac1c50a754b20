from __future__ import annotations

import errno
import os

import pytest

from engine.kernel.openat2 import open_in_root, read_in_root

pytestmark = pytest.mark.threat("RUN-14")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "outside").write_bytes(b"host")
    place = tmp_path / "root"
    (place / "etc").mkdir(parents=True)
    (place / "etc/passwd").write_bytes(b"image")
    fd = os.open(place, os.O_PATH | os.O_DIRECTORY)
    yield fd, place
    os.close(fd)


@pytest.mark.parametrize("path", ["etc/passwd", "/etc/passwd", "../../../etc/passwd", "etc/../../../etc/passwd"])
def test_no_path_leaves_the_root(root, path):
    assert read_in_root(root[0], path, limit_bytes=100) == b"image"


def test_links_are_followed_inside_only(root):
    fd, place = root
    (place / "absolute").symlink_to("/etc/passwd")
    (place / "climbing").symlink_to("../../../../etc/passwd")
    (place / "to-outside").symlink_to(place.parent / "outside")
    assert read_in_root(fd, "absolute", limit_bytes=100) == b"image"
    assert read_in_root(fd, "climbing", limit_bytes=100) == b"image"
    assert read_in_root(fd, "to-outside", limit_bytes=100) is None


def test_magic_links_loops_fifos_devices_and_folders_are_no_files(root):
    fd, place = root
    (place / "magic").symlink_to("/proc/self/root/etc/passwd")
    (place / "loop").symlink_to("loop")
    os.mkfifo(place / "fifo")
    for name in ("magic", "loop", "fifo", "etc", "missing", "etc/passwd/below", "a" * 300):
        assert read_in_root(fd, name, limit_bytes=100) is None
    with pytest.raises(OSError):
        os.close(open_in_root(fd, "etc/passwd/below"))


def test_a_link_as_last_part_can_be_refused(root):
    fd, place = root
    (place / "link").symlink_to("etc/passwd")
    with pytest.raises(OSError) as caught:
        open_in_root(fd, "link", os.O_RDONLY | os.O_NOFOLLOW)
    assert caught.value.errno == errno.ELOOP


def test_too_much_content_is_an_error_and_not_cut(root):
    with pytest.raises(OSError) as caught:
        read_in_root(root[0], "etc/passwd", limit_bytes=4)
    assert caught.value.errno == errno.EFBIG


def test_new_files_can_be_made_in_the_root(root):
    os.close(open_in_root(root[0], "/etc/new", os.O_CREAT | os.O_WRONLY, mode=0o640))
    assert (root[1] / "etc/new").exists()
