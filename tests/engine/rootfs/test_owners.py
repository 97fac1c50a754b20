"""Roots with owners of their own: by translating mounts, and on kernels that cannot, by layers written so (RUN-19)."""

from __future__ import annotations

import contextlib
import os

import pytest

from engine.errors import NotStored
from engine.ids import IdRange
from engine.kernel import features, loop, mounts, namespaces
from engine.kernel.features import OverlayMethod, forced_overlay, forced_shared_ids
from engine.rootfs import Owners, lower, mount_rootfs, places, unmount_rootfs
from tests.support.engines import container_id
from tests.support.layer_files import FOLDER, member, store_layer

pytestmark = [pytest.mark.root, pytest.mark.threat("RUN-19")]
METHODS = [OverlayMethod.FDS, OverlayMethod.PATHS, OverlayMethod.OPTIONS]
ONE, TWO = IdRange(1 << 20), IdRange(1 << 21)


@pytest.fixture
def owners():
    """owners(range) -> Owners"""
    with contextlib.ExitStack() as stack:

        def made(ids: IdRange) -> Owners:
            fd = namespaces.create_userns(ids)
            stack.callback(os.close, fd)
            return Owners(ids, fd)

        yield made


def owned(name: str, uid: int, mode: int = 0o644, kind: bytes = b"0"):
    found = member(name, kind, mode)
    found.uid = found.gid = uid
    return found


def as_written(config, diff_id, first_id):
    """Let the layer's file be one whose owners were moved up."""
    config.layer_file(diff_id.hex).rename(config.layer_file(diff_id.hex, first_id))


def uid_of(path) -> int:
    return os.lstat(path).st_uid


@pytest.mark.parametrize("method", METHODS)
def test_each_method_shows_layers_with_the_containers_owners(config, cid, owners, method):
    bottom = store_layer(config, {"root": b"1"}, who=owned("www", 33), far=owned("far", 70_000))
    top = store_layer(config, {"only-top": b"2"}, home=owned("home", 7, 0o750, FOLDER))
    other = container_id(2)
    config.container(other).mkdir(mode=0o711)
    with forced_overlay(method):
        for container, ids in ((cid, ONE), (other, TWO)):
            root = mount_rootfs(config, container, [bottom, top], owners(ids))
            assert [uid_of(root / name) - ids.first for name in (".", "root", "www", "home", "only-top")] == [
                0,
                0,
                33,
                7,
                0,
            ]
            assert uid_of(root / "far") == 65_534
            os.chmod(root / "www", 0o600)  # copied up
            assert uid_of(places.upper(config, container) / "www") == ids.first + 33
            assert uid_of(root.parent) == ids.first
            assert root.parent.stat().st_mode & 0o777 == 0o700
            unmount_rootfs(config, container)
            root = mount_rootfs(config, container, [bottom, top], owners(ids))
            assert uid_of(root / "www") == ids.first + 33
    assert not mounts.mounts_below(config.run)


def test_containers_with_other_owners_share_one_superblock(config, owners):
    layer = store_layer(config, {"f": b"image"})
    with contextlib.ExitStack() as stack:
        shown = [lower.open_layers(config, [layer], stack, whose)[0] for whose in (owners(ONE), owners(TWO), None)]
        assert len({os.fstat(fd).st_dev for fd in shown}) == 1
        assert [os.stat("f", dir_fd=fd).st_uid for fd in shown] == [ONE.first, TWO.first, 0]
        assert len([1 for key in loop.bound_devices() if key[1] == config.layer_file(layer.hex).stat().st_ino]) == 1


def test_folders_that_a_layer_only_implies_keep_the_lower_layers_owner(config, cid, owners):
    bottom = store_layer(config, {}, home=owned("home", 33, 0o2775, FOLDER))
    top = store_layer(config, {"home/x": b""})
    root = mount_rootfs(config, cid, [bottom, top], owners(ONE))
    assert uid_of(root) == ONE.first
    assert uid_of(root / "home") in {ONE.first, ONE.first + 33}  # this layer file has no list of them


def test_an_image_without_layers_has_a_root_of_the_containers(config, cid, owners):
    root = mount_rootfs(config, cid, [], owners(ONE))
    assert (uid_of(root), root.stat().st_mode & 0o777) == (ONE.first, 0o755)
    (root / "a").write_bytes(b"")


@pytest.mark.parametrize("method", METHODS)
def test_a_kernel_that_cannot_translate_uses_layers_that_were_written_so(config, cid, owners, method):
    layer = store_layer(config, {}, a=owned("a", ONE.first), b=owned("b", ONE.first + 33))
    as_written(config, layer, ONE.first)
    with forced_shared_ids(), forced_overlay(method):
        root = mount_rootfs(config, cid, [layer], owners(ONE))
        assert [uid_of(root / name) for name in "ab"] == [ONE.first, ONE.first + 33]
        os.chmod(root / "b", 0o600)
        assert uid_of(places.upper(config, cid) / "b") == ONE.first + 33


def test_a_layer_written_another_way_is_never_mounted_as_if_it_were_right(config, cid, owners):
    plain, moved = store_layer(config, {"a": b"1"}), store_layer(config, {"b": b"2"})
    as_written(config, moved, TWO.first)
    with forced_shared_ids():
        for layer, whose in ((plain, owners(ONE)), (moved, owners(ONE)), (moved, None)):
            with pytest.raises(NotStored, match="another way than this one; pull its image again"):
                mount_rootfs(config, cid, [layer], whose)
        with pytest.raises(NotStored, match="another way"):
            mount_rootfs(config, cid, [plain, moved], owners(TWO))


def test_both_ways_of_one_layer_live_side_by_side(config, cid, owners):
    """After a kernel was changed and the image pulled again: old containers go on, new ones have theirs."""
    layer = store_layer(config, {"f": b"1"})
    moved = store_layer(config, {}, f=owned("f", ONE.first))
    config.layer_file(moved.hex).rename(config.layer_file(layer.hex, ONE.first))
    other = container_id(2)
    config.container(other).mkdir(mode=0o711)
    with forced_shared_ids():
        assert uid_of(mount_rootfs(config, cid, [layer]) / "f") == 0
        assert uid_of(mount_rootfs(config, other, [layer], owners(ONE)) / "f") == ONE.first


def test_after_a_newer_kernel_layers_that_were_written_moved_are_translated_from_there(config, cid, owners):
    layer = store_layer(config, {}, a=owned("a", ONE.first), b=owned("b", ONE.first + 33))
    as_written(config, layer, ONE.first)
    others = {container_id(number): whose for number, whose in ((1, owners(TWO)), (2, owners(ONE)), (3, None))}
    for container, whose in others.items():
        config.container(container).mkdir(mode=0o711, exist_ok=True)
        root = mount_rootfs(config, container, [layer], whose)
        first = whose.ids.first if whose is not None else 0
        assert [uid_of(root / name) for name in "ab"] == [first, first + 33]


@pytest.mark.parametrize("method", [OverlayMethod.FDS, OverlayMethod.PATHS])
def test_500_layers_with_other_owners_stack(config, cid, owners, method):
    one = store_layer(config, {"f": b"1"})
    content = config.layer_file(one.hex).read_bytes()
    layers = [one]
    for number in range(499):
        diff_id = type(one)(f"sha256:{number:064x}")
        config.layer_file(diff_id.hex).write_bytes(content)
        config.layer_file(diff_id.hex).chmod(0o440)
        layers.append(diff_id)
    before = len(os.listdir("/proc/self/fd"))
    with forced_overlay(method):
        assert uid_of(mount_rootfs(config, cid, layers, owners(ONE)) / "f") == ONE.first
    unmount_rootfs(config, cid)
    assert len(os.listdir("/proc/self/fd")) == before + 1  # the namespace's own
    assert features.features().idmapped_layers
