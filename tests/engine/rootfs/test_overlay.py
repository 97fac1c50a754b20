from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine.digest import DiffId, Digest
from engine.errors import HostUnfit, NotStored, RequestRefused, StoreError, WrongState
from engine.kernel import features, loop, mounts
from engine.kernel.features import OverlayMethod, forced_overlay
from engine.rootfs import containers_mounted, is_rootfs_mounted, mount_rootfs, places, unmount_rootfs
from tests.support.engines import container_id
from tests.support.layer_files import CHARACTER_DEVICE, FOLDER, member, store_layer

pytestmark = pytest.mark.root
METHODS = [OverlayMethod.FDS, OverlayMethod.PATHS, OverlayMethod.OPTIONS]


@pytest.mark.parametrize("method", METHODS)
def test_each_method_shows_the_upper_layers_over_the_lower(config, cid, method):
    lower = store_layer(config, {"a": b"lower", "only-lower": b"1"})
    upper = store_layer(config, {"a": b"upper", "only-upper": b"2"})
    with forced_overlay(method):
        root = mount_rootfs(config, cid, [lower, upper])
    assert (root / "a").read_bytes() == b"upper"
    assert sorted(os.listdir(root)) == ["a", "only-lower", "only-upper"]
    (root / "new").write_bytes(b"x")
    assert (places.upper(config, cid) / "new").exists()
    assert [mount.kind for mount in mounts.mounts_below(config.data)] == ["overlay"]
    assert not mounts.mounts_below(config.run)
    unmount_rootfs(config, cid)
    assert not mounts.mounts_below(config.data)
    with forced_overlay(method):
        assert (mount_rootfs(config, cid, [lower, upper]) / "new").exists()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.threat("TAR-16")
def test_128_layers_stack(config, cid, method):
    layers = [store_layer(config, {f"file-{number}": b"x", "top": str(number).encode()}) for number in range(128)]
    with forced_overlay(method):
        root = mount_rootfs(config, cid, layers)
    assert (root / "top").read_bytes() == b"127"
    assert len(os.listdir(root)) == 129
    unmount_rootfs(config, cid)
    assert not [
        path
        for path in loop.bound_devices()
        if path[0] == config.layers.stat().st_dev and path[1] in {entry.inode() for entry in os.scandir(config.layers)}
    ]


def test_too_many_layers_for_option_strings_are_a_sentence(config, cid):
    one = store_layer(config, {"a": b"1"})
    content = config.layer_file(one.hex).read_bytes()
    layers = []
    for number in range(501):
        diff_id = DiffId(Digest(f"sha256:{number:064x}"))
        config.layer_file(diff_id.hex).write_bytes(content)
        config.layer_file(diff_id.hex).chmod(0o440)
        layers.append(diff_id)
    with pytest.raises(Exception, match=r"500|layers") as caught:
        mount_rootfs(config, cid, layers)
    assert "\n" not in str(caught.value)
    assert not mounts.mounts_below(config.data)


def test_whiteouts_and_setuid_programs_work_as_in_docker(config, cid):
    with open("/usr/bin/id", "rb") as file:
        program = file.read()
    lower = store_layer(config, {"gone": b"1", "kept": b"2", "id": program})
    upper = store_layer(config, {}, gone=member("gone", CHARACTER_DEVICE))
    root = mount_rootfs(config, cid, [lower, upper])
    assert sorted(os.listdir(root)) == ["id", "kept"]
    os.chmod(root / "id", 0o4755)
    for path in (config.container(cid), root.parent):
        path.chmod(0o755)
    said = subprocess.run([root / "id"], user=65534, group=65534, capture_output=True, check=True).stdout
    assert b"euid=0" in said


def test_a_setuid_program_in_a_layer_itself_keeps_its_right_in_the_container(config, cid):
    with open("/usr/bin/id", "rb") as file:
        program = file.read()
    root = mount_rootfs(config, cid, [store_layer(config, {"id": program}, modes={"id": 0o4755})])
    root.parent.chmod(0o755)
    assert b"euid=0" in subprocess.run([root / "id"], user=65534, capture_output=True, check=True).stdout


@pytest.mark.threat("TAR-12")
def test_no_user_of_the_host_reaches_the_trees(config, cid):
    layer = store_layer(config, {"secret": b"1"})
    root = mount_rootfs(config, cid, [layer])
    for path in (root / "secret", places.upper(config, cid), places.work(config, cid), config.layer_file(layer.hex)):
        done = subprocess.run(["cat", path], user=65534, group=65534, extra_groups=[], capture_output=True, check=False)
        assert b"Permission denied" in done.stderr
    assert stat.S_IMODE(os.stat(root).st_mode) == 0o755


@pytest.mark.threat("TAR-11")
def test_device_files_in_a_root_cannot_be_opened(config, cid):
    root = mount_rootfs(config, cid, [store_layer(config, {"a": b"1"})])
    os.mknod(root / "memory", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with pytest.raises(PermissionError):
        (root / "memory").read_bytes()


def test_the_root_folder_takes_owner_and_mode_of_the_image(config, cid):
    root = mount_rootfs(config, cid, [store_layer(config, {}, root=member("./", FOLDER, 0o750))])
    assert stat.S_IMODE(root.stat().st_mode) == 0o750


def test_a_layer_named_twice_counts_once(config, cid):
    a, b = store_layer(config, {"f": b"a"}), store_layer(config, {"f": b"b", "g": b""})
    root = mount_rootfs(config, cid, [a, b, a])
    assert (root / "f").read_bytes() == b"a"
    assert (root / "g").exists()


def test_an_image_without_layers_gives_an_empty_root(config, cid):
    root = mount_rootfs(config, cid, [])
    assert os.listdir(root) == []
    (root / "a").write_bytes(b"")


def test_two_containers_share_one_superblock_and_nothing_else(config, cid):
    layer = store_layer(config, {"f": b"image"})
    other = container_id(2)
    config.container(other).mkdir(mode=0o711)
    one, two = mount_rootfs(config, cid, [layer]), mount_rootfs(config, other, [layer])
    (one / "f").write_bytes(b"changed")
    assert (two / "f").read_bytes() == b"image"
    assert len([1 for key in loop.bound_devices() if key[1] == config.layer_file(layer.hex).stat().st_ino]) == 1
    assert containers_mounted(config) == {cid, other}


def test_a_layer_keeps_its_superblock_over_a_restart_of_the_worker(config, cid):
    layer = store_layer(config, {"f": b"image"})
    script = (
        (
            "import sys; from pathlib import Path; from engine.config import EngineConfig; from engine.rootfs import mount_rootfs\n"
            "config = EngineConfig(data=Path(sys.argv[1]), run_parent=Path(sys.argv[2]), uid=1, gid=1)\n"
            "mount_rootfs(config, sys.argv[3], sys.argv[4:])\n"
        )
        .replace("sys.argv[4:])", "[Digest(d) for d in sys.argv[4:]])")
        .replace("import sys;", "import sys; from engine.digest import Digest;")
    )
    argv = [sys.executable, "-c", script, str(config.data), str(config.run_parent), cid, layer]
    subprocess.run(argv, check=True)
    assert is_rootfs_mounted(config, cid)
    other = container_id(2)
    config.container(other).mkdir(mode=0o711)
    mount_rootfs(config, other, [layer])
    devices = [key for key in loop.bound_devices() if key[1] == config.layer_file(layer.hex).stat().st_ino]
    assert len(devices) == 1


def test_mounting_twice_at_once_mounts_once(config, cid):
    layers = [store_layer(config, {"f": b"1"})]
    threads = [threading.Thread(target=mount_rootfs, args=(config, cid, layers)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mounts.mounts_below(config.data)) == 1


def test_containers_that_start_at_once_share_their_layers_devices(config):
    layers = [store_layer(config, {f"file-{number}": b"x"}) for number in range(8)]
    ids = [container_id(number) for number in range(1, 7)]
    for each in ids:
        config.container(each).mkdir(mode=0o711)
    threads = [threading.Thread(target=mount_rootfs, args=(config, each, layers)) for each in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert containers_mounted(config) == set(ids)
    inodes = {config.layer_file(layer.hex).stat().st_ino for layer in layers}
    backing = [
        Path(folder, "loop/backing_file").read_text()
        for folder in Path("/sys/block").glob("loop*")
        if (folder / "loop").exists()
    ]
    assert len([name for name in backing if str(config.layers) in name]) == len(inodes)


@pytest.mark.fault("F43")
def test_a_double_mount_is_taken_off_and_made_anew(config, cid):
    layers = [store_layer(config, {"f": b"1"})]
    root = mount_rootfs(config, cid, layers)
    mounts.bind(root, root)
    assert mount_rootfs(config, cid, layers) == root
    assert len(mounts.mounts_below(config.data)) == 1


@pytest.mark.fault("F43")
def test_a_busy_root_is_detached_and_can_be_mounted_again(config, cid):
    layers = [store_layer(config, {"f": b"1"})]
    root = mount_rootfs(config, cid, layers)
    with open(root / "f", "rb"):
        unmount_rootfs(config, cid)
        assert not mounts.mounts_below(config.data)
    assert (mount_rootfs(config, cid, layers) / "f").exists()
    unmount_rootfs(config, cid)
    unmount_rootfs(config, cid)


@pytest.mark.fault("F37")
def test_missing_and_damaged_layers_are_sentences(config, cid):
    good = store_layer(config, {"a": b"1"})
    missing = DiffId(Digest(f"sha256:{'0' * 64}"))
    with pytest.raises(NotStored, match="pull its image again"):
        mount_rootfs(config, cid, [good, missing])
    config.layer_file(missing.hex).write_bytes(b"not a squashfs" * 1000)
    with pytest.raises(StoreError, match="not the engine's own"):
        mount_rootfs(config, cid, [good, missing])
    config.layer_file(missing.hex).chmod(0o440)
    with pytest.raises(StoreError, match="cannot be mounted"):
        mount_rootfs(config, cid, [good, missing])
    assert not mounts.mounts_below(config.data)
    mount_rootfs(config, cid, [good])


def test_a_layer_that_another_user_could_change_is_not_mounted(config, cid):
    layer = store_layer(config, {"a": b"1"})
    os.chown(config.layer_file(layer.hex), 65534, 65534)
    with pytest.raises(StoreError, match="not the engine's own"):
        mount_rootfs(config, cid, [layer])


def test_after_a_layer_was_pulled_again_its_containers_still_mount(config, cid):
    layer = store_layer(config, {"a": b"1"})
    mount_rootfs(config, cid, [layer])
    unmount_rootfs(config, cid)
    again = config.layer_file(layer.hex).read_bytes()
    config.layer_file(layer.hex).unlink()
    config.layer_file(layer.hex).write_bytes(again)
    config.layer_file(layer.hex).chmod(0o440)
    assert (mount_rootfs(config, cid, [layer]) / "a").exists()


def test_a_host_without_overlayfs_gets_a_sentence(config, cid):
    with forced_overlay(OverlayMethod.NONE), pytest.raises(HostUnfit, match="cannot mount overlayfs"):
        mount_rootfs(config, cid, [store_layer(config, {"a": b"1"})])


def test_a_container_without_a_folder_or_with_a_path_for_an_id_is_refused(config):
    with pytest.raises(WrongState):
        mount_rootfs(config, container_id(7), [])
    with pytest.raises(RequestRefused):
        mount_rootfs(config, "../../etc", [])


@pytest.mark.parametrize("name", ["with,comma", "with:colon", "with\\backslash", "with space"])
def test_data_folders_with_odd_names_work_in_every_method(name, tmp_path):
    from engine.config import EngineConfig

    config = EngineConfig(data=tmp_path / name, run_parent=tmp_path / "run", uid=0, gid=0)
    for folder in (config.data, config.layers, config.containers, config.container(container_id())):
        folder.mkdir()
    try:
        layers = [store_layer(config, {"a": b"1"})]
        for method in METHODS:
            with forced_overlay(method):
                assert (mount_rootfs(config, container_id(), layers) / "a").exists()
            unmount_rootfs(config, container_id())
    finally:
        mounts.unmount_all(tmp_path)


def test_an_overlay_is_found_unfit_for_writable_layers(config, cid):
    root = mount_rootfs(config, cid, [store_layer(config, {"a": b"1"})])
    assert features.overlay_problem_on(root) != ""
    assert features.overlay_problem_on(config.data) == ""


def test_the_last_user_of_an_earlier_root_is_waited_for(config, cid):
    """A root that was busy is detached; the kernel gives its layer to nobody else until its last user is gone."""
    layers = [store_layer(config, {"f": b"1"})]
    held = os.open(mount_rootfs(config, cid, layers), os.O_RDONLY | os.O_DIRECTORY)
    unmount_rootfs(config, cid)
    leaving = threading.Timer(0.5, os.close, [held])
    leaving.start()
    assert (mount_rootfs(config, cid, layers) / "f").read_bytes() == b"1"
    leaving.join()
    unmount_rootfs(config, cid)


@pytest.mark.parametrize("method", METHODS)
def test_no_descriptor_is_kept(config, cid, method):
    layers = [store_layer(config, {f"f{number}": b"1"}) for number in range(4)]
    broken = DiffId(Digest(f"sha256:{'0' * 64}"))
    before = len(os.listdir("/proc/self/fd"))
    with forced_overlay(method):
        for _ in range(3):
            mount_rootfs(config, cid, layers)
            unmount_rootfs(config, cid)
            with pytest.raises(NotStored):
                mount_rootfs(config, cid, [*layers, broken])
    assert len(os.listdir("/proc/self/fd")) == before
