from __future__ import annotations

import os

import pytest

from engine.errors import Cancelled, RequestRefused, StoreError
from engine.kernel import mounts
from engine.rootfs import containers_on_disk, mount_rootfs, remove_container_files, writable_bytes
from tests.support.engines import container_id
from tests.support.layer_files import store_layer

pytestmark = pytest.mark.root


def test_removal_unmounts_first_and_leaves_layers_and_others_alone(config, cid):
    layer = store_layer(config, {"f": b"image"})
    other = container_id(2)
    config.container(other).mkdir(mode=0o711)
    (mount_rootfs(config, cid, [layer]) / "f").write_bytes(b"changed")
    root = mount_rootfs(config, other, [layer])
    before = config.layer_file(layer.hex).read_bytes()
    remove_container_files(config, cid)
    assert containers_on_disk(config) == {other}
    assert (root / "f").read_bytes() == b"image"
    assert config.layer_file(layer.hex).read_bytes() == before
    assert not list((config.run / "rootfs-locks").glob(cid))
    remove_container_files(config, cid)


@pytest.mark.fault("F39")
def test_removal_never_deletes_through_a_mount(config, cid, tmp_path):
    (tmp_path / "precious").write_bytes(b"1")
    inside = config.container(cid) / "io"
    inside.mkdir()
    mounts.bind(tmp_path, inside)
    with pytest.raises(StoreError, match="left alone"):
        remove_container_files(config, cid)
    assert (tmp_path / "precious").exists()
    mounts.unmount(inside)
    remove_container_files(config, cid)
    assert containers_on_disk(config) == set()


def test_only_ids_become_paths(config):
    with pytest.raises(RequestRefused):
        remove_container_files(config, "..")


def _counted(config, cid) -> int:
    return writable_bytes(config, cid, is_cancelled=lambda: False)


def test_only_what_a_container_wrote_is_counted_each_file_once(config, cid):
    assert _counted(config, cid) == 0
    root = mount_rootfs(config, cid, [store_layer(config, {"image": b"x" * 5000, "gone": b"y" * 7000})])
    assert _counted(config, cid) == 0
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "one").write_bytes(b"1" * 10)
    (root / "a" / "b" / "again").hardlink_to(root / "a" / "one")
    (root / "a" / "b" / "two").write_bytes(b"2" * 32)
    (root / "gone").unlink()
    assert _counted(config, cid) == 42


def test_counting_stays_in_the_writable_layer(config, cid, tmp_path):
    (tmp_path / "big").write_bytes(b"b" * 9000)
    upper = mount_rootfs(config, cid, [store_layer(config, {"f": b"f"})]).parents[1] / "upper" / "diff"
    (upper / "link").symlink_to(tmp_path)
    (upper / "mounted").mkdir()
    mounts.bind(tmp_path, upper / "mounted")
    try:
        assert _counted(config, cid) == len(str(tmp_path))
    finally:
        mounts.unmount(upper / "mounted")


def test_a_tree_too_deep_for_a_path_is_a_sentence_and_counting_can_be_cancelled(config, cid):
    upper = mount_rootfs(config, cid, [store_layer(config, {"f": b"f"})]).parents[1] / "upper" / "diff"
    with pytest.raises(Cancelled):
        writable_bytes(config, cid, is_cancelled=lambda: True)
    folder = os.open(upper, os.O_RDONLY)
    for _ in range(5000):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    with pytest.raises(StoreError, match="cannot be counted"):
        _counted(config, cid)
    remove_container_files(config, cid)
