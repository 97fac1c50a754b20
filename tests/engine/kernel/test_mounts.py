from __future__ import annotations

import errno
import os
import subprocess
import threading
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.ids import IdRange
from engine.kernel import loop, mounts, namespaces
from engine.kernel.mounts import Attribute
from tests.support.examples import examples
from tests.support.layer_files import tar_of, write_squashfs

LINE = r"36 35 98:0 /mnt1 /mnt/with\040space\011tab\012newline\134slash rw,noatime master:1 - ext3 /dev/root\040x rw,errors=continue"


def test_mountinfo_is_read_with_its_escapes_and_optional_fields():
    (mount,) = mounts.parse_mountinfo(LINE + "\n")
    assert (mount.mount_id, mount.parent_id, mount.root, mount.kind) == (36, 35, "/mnt1", "ext3")
    assert str(mount.target) == "/mnt/with space\ttab\nnewline\\slash"
    assert (mount.source, mount.super_options) == ("/dev/root x", "rw,errors=continue")
    assert mount.device == os.makedev(98, 0)


@settings(max_examples=examples(60))
@given(st.text(st.characters(blacklist_characters="\0/", blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_any_name_survives_mountinfo(name):
    assume(name not in {".", ".."})
    escaped = name.replace("\\", r"\134").replace(" ", r"\040").replace("\t", r"\011").replace("\n", r"\012")
    (mount,) = mounts.parse_mountinfo(f"1 0 0:1 / /{escaped} rw - tmpfs none rw\n")
    assert str(mount.target) == f"/{name}"


def test_this_process_sees_its_root():
    assert any(str(mount.target) == "/" for mount in mounts.mountinfo())


@pytest.fixture
def squashfs(tmp_path):
    path = tmp_path / "layer.sqfs"
    write_squashfs(tar_of({"file": b"content", "folder": None}), path)
    fd = os.open(path, os.O_RDONLY)
    yield fd, path
    os.close(fd)
    mounts.unmount_all(tmp_path)


def is_free(path):
    """Somebody else who looks at all loop devices may hold one for a moment."""
    deadline = time.monotonic() + 30
    while devices_of(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    return devices_of(path) == []


def devices_of(path):
    found = path.stat()
    return [number for key, number in loop.bound_devices().items() if key == (found.st_dev, found.st_ino)]


@pytest.mark.root
def test_mounts_below_a_folder_are_found_whatever_it_is_called(tmp_path):
    odd = tmp_path / "with space\\and\ttab\nnewline\u2028"
    inner, beside = odd / "inner", tmp_path / (odd.name + "-beside")
    for folder in (inner, beside):
        folder.mkdir(parents=True)
    for folder in (odd, beside):
        subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
    try:
        inner.mkdir(exist_ok=True)  # the first mount hides it
        subprocess.run(["mount", "-t", "tmpfs", "none", inner], check=True)
        assert [mount.target for mount in mounts.mounts_below(odd)] == [odd, inner]
        assert mounts.is_mounted(odd)
        assert not mounts.is_mounted(tmp_path)
    finally:
        mounts.unmount_all(tmp_path)
    assert mounts.mounts_below(tmp_path) == []


@pytest.mark.root
def test_a_detached_mount_has_no_path_and_frees_its_loop_device(squashfs):
    device = loop.bind(squashfs[0])
    mount = mounts.mount_squashfs(device.path)
    device.close()
    assert os.listdir(f"/proc/self/fd/{mount}") == ["file", "folder"]
    assert str(device.path) not in {found.source for found in mounts.mountinfo()}
    assert len(devices_of(squashfs[1])) == 1
    with pytest.raises(OSError) as caught:
        os.close(os.open(f"/proc/self/fd/{mount}/file", os.O_WRONLY))
    assert caught.value.errno == errno.EROFS
    os.close(mount)
    assert is_free(squashfs[1])


@pytest.mark.root
def test_one_file_has_one_loop_device_and_one_superblock_also_in_a_race(squashfs):
    held = []

    def work():
        for _ in range(10):
            device = loop.bind(squashfs[0])
            held.append(mounts.mount_squashfs(device.path))
            device.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({os.fstat(mount).st_dev for mount in held}) == 1
    for mount in held:
        os.close(mount)
    assert is_free(squashfs[1])


@pytest.mark.root
def test_binding_survives_devices_that_vanish_at_the_same_time(squashfs):
    def churn():
        for _ in range(40):
            device = loop.bind(squashfs[0])
            os.close(mounts.mount_squashfs(device.path))
            device.close()

    threads = [threading.Thread(target=churn) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert is_free(squashfs[1])


@pytest.mark.root
def test_the_kernels_own_words_are_in_the_error(tmp_path):
    with pytest.raises(OSError, match=r"overlay.*lowerdir|overlay: .+\(") as caught:
        mounts.overlay_of_paths([tmp_path / "missing"], mounts.Overlay(upper=tmp_path, work=tmp_path, index=False))
    assert caught.value.errno


@pytest.mark.root
def test_option_strings_that_the_kernel_would_cut_are_refused(tmp_path):
    overlay = mounts.Overlay(upper=tmp_path / "u", work=tmp_path / "w", index=False)
    with pytest.raises(OSError, match="4095") as caught:
        mounts.mount_overlay_by_options(["x" * 40] * 200, overlay, tmp_path)
    assert caught.value.errno == errno.E2BIG


@pytest.mark.root
def test_bind_mounts_are_read_only_from_the_start_and_come_off(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "file").write_bytes(b"1")
    mounts.bind(source, target, Attribute.READ_ONLY | Attribute.NODEV)
    with pytest.raises(OSError, match="Read-only"):
        (target / "file").write_bytes(b"2")
    assert mounts.is_mounted(target)
    assert mounts.unmount_all(target)
    assert not mounts.is_mounted(target)
    assert mounts.unmount_all(target)


@pytest.mark.root
@pytest.mark.fault("F43")
def test_stacked_nested_and_busy_mounts_all_come_off(tmp_path):
    for name in ("source", "source/inner", "target"):
        (tmp_path / name).mkdir()
    mounts.bind(tmp_path / "source", tmp_path / "target")
    mounts.bind(tmp_path / "source", tmp_path / "target")
    mounts.bind(tmp_path / "source", tmp_path / "target/inner")
    busy = os.open(tmp_path / "target/inner", os.O_RDONLY)
    try:
        assert not mounts.unmount_all(tmp_path / "target", tries=3, pause_s=0.001)
        assert mounts.mounts_below(tmp_path) == []
    finally:
        os.close(busy)


@pytest.mark.root
def test_a_link_to_a_mount_is_not_followed(tmp_path):
    for name in ("source", "target"):
        (tmp_path / name).mkdir()
    mounts.bind(tmp_path / "source", tmp_path / "target")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    try:
        with pytest.raises(OSError):
            mounts.unmount(tmp_path / "link")
        assert not mounts.is_mounted(tmp_path / "link")
        assert mounts.mounts_below(tmp_path / "link") == []
    finally:
        mounts.unmount(tmp_path / "target")


@pytest.mark.root
def test_a_layer_can_be_shown_with_other_owners(squashfs):
    userns = namespaces.create_userns(IdRange(200_000))
    device = loop.bind(squashfs[0])
    mount = mounts.mount_squashfs(device.path)
    device.close()
    try:
        mounts.idmap(mount, userns)
        assert os.stat(f"/proc/self/fd/{mount}/file").st_uid == 200_000
    finally:
        os.close(mount)
        os.close(userns)


@pytest.mark.root
def test_what_programs_start_inherits_no_mount(squashfs):
    device = loop.bind(squashfs[0])
    mount = mounts.mount_squashfs(device.path)
    shown = subprocess.run(["ls", "/proc/self/fd"], capture_output=True, text=True, check=True).stdout.split()
    os.close(mount)
    device.close()
    assert len(shown) == 4
