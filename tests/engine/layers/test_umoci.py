"""The mounted stack of our layers against what umoci unpacks from the same image: umoci is the oracle (threats.md 1.4)."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import stat
import subprocess
from dataclasses import dataclass

import pytest

from engine.config import Limits
from engine.digest import Digest
from engine.layers.write import write_layer
from engine.rootfs import mount_rootfs, unmount_rootfs
from tests.engine.layers.conftest import GZIP, Blob
from tests.support.engines import container_id, temporary_engine
from tests.support.hostile_layers import CAPABILITY_V2, Layer, good_twin

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("umoci") is None, reason="needs umoci"),
]


@dataclass(frozen=True)
class Seen:
    """One file of a tree, as far as an image decides it (times of folders change when a later layer touches them)."""

    kind: int
    mode: int
    uid: int
    gid: int
    mtime: int | None
    device: int
    content: str
    links: tuple[str, ...]
    xattrs: tuple[tuple[str, bytes], ...]


def tree_of(root) -> dict[str, Seen]:
    names: dict[tuple[int, int], list[str]] = {}
    paths = [str(root)]
    for folder, folders, files in os.walk(root):
        paths += [os.path.join(folder, name) for name in folders + files]
    for path in paths:
        if not os.path.isdir(path) or os.path.islink(path):
            status = os.lstat(path)
            names.setdefault((status.st_dev, status.st_ino), []).append(os.path.relpath(path, root))
    return {os.path.relpath(path, root): _seen(path, names) for path in paths}


def _seen(path: str, names) -> Seen:
    status = os.lstat(path)
    content = ""
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    is_folder = stat.S_ISDIR(status.st_mode)
    listed = os.listxattr(path, follow_symlinks=False)
    xattrs = {
        name: os.getxattr(path, name, follow_symlinks=False) for name in listed if not name.startswith("trusted.")
    }
    return Seen(
        stat.S_IFMT(status.st_mode),
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        None if is_folder else int(status.st_mtime),
        status.st_rdev,
        content,
        () if is_folder else tuple(sorted(names[status.st_dev, status.st_ino])),
        tuple(sorted(xattrs.items())),
    )


def unpack_with_umoci(layers: list[bytes], place) -> dict[str, Seen]:
    image, root = place / "image", place / "unpacked"
    (image / "blobs/sha256").mkdir(parents=True)

    def blob(data: bytes, media_type: str, **more) -> dict:
        hexdigest = hashlib.sha256(data).hexdigest()
        (image / "blobs/sha256" / hexdigest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{hexdigest}", "size": len(data), **more}

    diff_ids = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    config["history"] = [{"created_by": "test"} for _ in layers]
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [blob(gzip.compress(layer, 1), GZIP) for layer in layers],
    }
    top = blob(json.dumps(manifest).encode(), manifest["mediaType"])
    top["annotations"] = {"org.opencontainers.image.ref.name": "it"}
    (image / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    (image / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    subprocess.run(["umoci", "raw", "unpack", "--image", f"{image}:it", str(root)], check=True)
    return tree_of(root)


def mount_ours(layers: list[bytes], config, look=tree_of) -> dict[str, Seen]:
    diff_ids = []
    for layer in layers:
        diff_id = Digest("sha256:" + hashlib.sha256(layer).hexdigest())
        write_layer(
            Blob(gzip.compress(layer, 1)),
            media_type=GZIP,
            diff_id=diff_id,
            output=config.layer_file(diff_id.hex),
            limits=Limits(),
            on_bytes=lambda _count: None,
            cancelled=lambda: False,
        )
        config.layer_file(diff_id.hex).chmod(0o440)
        diff_ids.append(diff_id)
    config.container(container_id()).mkdir(mode=0o711)
    root = mount_rootfs(config, container_id(), diff_ids)
    try:
        return look(root)
    finally:
        unmount_rootfs(config, container_id())


def assert_same(layers: list[bytes], place) -> dict[str, Seen]:
    with temporary_engine() as config:
        ours = mount_ours(layers, config)
    theirs = unpack_with_umoci(layers, place)
    assert sorted(ours) == sorted(theirs)
    different = {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]}
    assert not different
    return ours


def test_the_good_twin_is_the_same_tree(tmp_path):
    tree = assert_same(good_twin(), tmp_path)
    assert tree["usr/bin/sudo"].mode == 0o4755
    assert tree["usr/bin/ping"].xattrs == (("security.capability", CAPABILITY_V2),)
    assert tree["usr/bin/sudo"].links == ("usr/bin/sudo", "usr/bin/sudoedit")
    assert "opaque-me/old" not in tree
    assert "opaque-me/sub" not in tree
    assert not any(".wh." in name for name in tree)


def base() -> Layer:
    layer = Layer().directory("./", mode=0o751, uid=3)
    for folder in ("a", "b", "b/sub"):
        layer.directory(folder, mode=0o2750, uid=1000, gid=1001, pax={b"SCHILY.xattr.user.folder": b"yes"})
        for name in ("1", "2"):
            layer.file(f"{folder}/{name}", f"{folder}/{name}".encode())
    return layer.file("f", b"f")


UPPERS = {
    "nothing": Layer(),
    "a file in an unlisted folder": Layer().directory("./").directory("b", mode=0o700).file("b/new", b"x"),
    "a folder over a file": Layer().directory("./").directory("f").file("f/x", b"x"),
    "a file over a folder": Layer().directory("./").file("b", b"now a file"),
    "a link over a folder": Layer().directory("./").symlink("b", "a"),
    "a whiteout of a folder": Layer().directory("./").file(".wh.b"),
    "a whiteout below a folder": Layer().directory("./").directory("b", mode=0o750).file("b/.wh.1"),
    "a whiteout of nothing": Layer().directory("./").file(".wh.nothing"),
    "whiteout, then folder": Layer().directory("./").file(".wh.b").directory("b").file("b/new", b"x"),
    "folder, then whiteout": Layer().directory("./").directory("b").file("b/new", b"x").file(".wh.b"),
    "file, then whiteout": Layer().directory("./").file("f", b"new").file(".wh.f"),
    "whiteout, then file": Layer().directory("./").file(".wh.f").file("f", b"new"),
    "opaque first": Layer().directory("./").directory("b").file("b/.wh..wh..opq").file("b/new", b"x"),
    "opaque last": Layer().directory("./").directory("b").file("b/new", b"x").file("b/.wh..wh..opq"),
    "opaque with folders kept": (
        Layer().directory("./").directory("b").directory("b/sub").file("b/sub/3", b"3").file("b/.wh..wh..opq")
    ),
    "a name three times": Layer().directory("./").file("n", b"1").file("n", b"2").symlink("n", "f"),
    "folder, file, folder": (
        Layer().directory("./").directory("b").file("b/x", b"x").file("b", b"f").directory("b").file("b/y", b"y")
    ),
    "through a link of this layer": (
        Layer().directory("./").directory("real").symlink("l", "real").file("l/x", b"x").symlink("m", "/l/..")
    ),
    "hard links of a replaced file": Layer().directory("./").file("x", b"1").hard_link("y", "x").file("x", b"2"),
    "implied parents": Layer().file("b/sub/new", b"x").file("a/new", b"x").file("entirely/new/f", b"x"),
    "an implied parent of a whiteout": Layer().file("b/sub/.wh.1"),
    "an implied parent over a whiteout": Layer().file(".wh.b").file("b/sub/new", b"x"),
    "an implied parent that is opaque": Layer().file("b/.wh..wh..opq").file("b/new", b"x"),
    "an implied parent over a file": Layer().directory("./").file(".wh.f").file("f/x", b"x"),
    "an opaque root": Layer().directory("./", mode=0o711).file(".wh..wh..opq").file("only", b"x"),
    "late folder": Layer().directory("./").file("c/d/e", b"x").directory("c/d", mode=0o711).directory("c", uid=7),
}


@pytest.mark.threat("TAR-11")
def test_a_device_of_an_image_cannot_be_opened_through_its_mount(tmp_path):
    layer = Layer().char_device("zero", 1, 5, mode=0o666).entry("disk", type=b"4", major=7, minor=0, mode=0o666).end()

    def look(root):
        for name in ("zero", "disk"):
            with pytest.raises(PermissionError):
                os.open(root / name, os.O_RDONLY)
        return tree_of(root)

    with temporary_engine() as config:
        assert set(mount_ours([layer], config, look)) == {".", "zero", "disk"}


@pytest.mark.threat("TAR-16")
def test_128_layers_make_one_tree(tmp_path):
    layers = [Layer().file(f"own-{n}", b"%d" % n).file("common", b"%d" % n).end() for n in range(128)]
    with temporary_engine() as config:
        tree = mount_ours(layers, config)
    assert len(tree) == 130
    assert tree["common"].content == hashlib.sha256(b"127").hexdigest()


@pytest.mark.threat("TAR-18")
def test_an_implied_parent_is_looked_for_through_all_layers(tmp_path):
    implied = Layer().file("b/sub/one", b"1").end()
    listed = Layer().directory("b/sub", mode=0o1777).file("b/sub/two", b"2").end()
    tree = assert_same([base().end(), implied, listed, implied + bytes(512), Layer().file("b/three").end()], tmp_path)
    assert (tree["b"].mode, tree["b"].uid, tree["b/sub"].mode) == (0o2750, 1000, 0o1777)


@pytest.mark.threat("TAR-18")
def test_a_lower_link_becomes_a_folder_as_with_docker(tmp_path):
    """Docker's overlay2 unpacks each layer alone, so `lib/x` hides a lower `lib -> usr/lib`; umoci would follow it."""
    lower = Layer().directory("usr/lib").file("usr/lib/y", b"y").symlink("lib", "usr/lib").end()
    with temporary_engine() as config:
        tree = mount_ours([lower, Layer().file("lib/x", b"x").end()], config)
    assert stat.S_ISDIR(tree["lib"].kind)
    assert {name for name in tree if name.startswith(("lib", "usr"))} == {"lib", "lib/x", "usr", "usr/lib", "usr/lib/y"}


@pytest.mark.threat("TAR-14")
@pytest.mark.threat("TAR-03")
@pytest.mark.parametrize("upper", [pytest.param(layer.end(), id=name) for name, layer in UPPERS.items()])
def test_two_layers_make_the_same_tree(upper, tmp_path):
    assert_same([base().end(), upper], tmp_path)
