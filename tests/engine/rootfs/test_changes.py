"""What a container has changed, on real overlays."""

from __future__ import annotations

import os
import shutil

import pytest

from engine.errors import Cancelled, StoreError
from engine.kernel import mounts
from engine.rootfs import changes as changed
from engine.rootfs import limited, mount_rootfs, unmount_rootfs
from engine.rootfs.changes import list_changes, shown
from tests.support.layer_files import CHARACTER_DEVICE, member, store_layer

pytestmark = pytest.mark.root
BASE = {"etc/": None, "etc/conf": b"1", "etc/old": b"1", "usr/": None, "usr/share/": None, "usr/share/doc": b"1"}
TOP = {"srv/": None, "srv/data": b"1", "srv/deep/": None, "srv/deep/file": b"1"}


@pytest.fixture
def layers(config):
    base = store_layer(config, {**BASE, "gone": b"1"})
    return [base, store_layer(config, TOP, whiteout=member("gone", CHARACTER_DEVICE))]


@pytest.fixture
def root(config, cid, layers):
    return mount_rootfs(config, cid, layers)


@pytest.fixture
def told(config, cid, layers):
    def ask(**how) -> list[str]:
        return [f"{change.kind} {change.path}" for change in list_changes(config, cid, layers, ids=None, **how)]

    return ask


def test_before_the_first_start_nothing_has_changed(told):
    assert told() == []


def test_a_root_that_nobody_wrote_to_has_not_changed(root, told):
    assert told() == []


def test_files_are_added_changed_and_deleted_and_their_folders_say_so(root, told):
    (root / "new").mkdir()
    (root / "new" / "file").write_bytes(b"1")
    (root / "etc" / "conf").write_bytes(b"2")
    (root / "etc" / "old").unlink()
    with (root / "usr" / "share" / "doc").open("ab") as file:
        file.write(b"more")
    wanted = [
        "C /etc",
        "C /etc/conf",
        "D /etc/old",
        "A /new",
        "A /new/file",
        "C /usr",
        "C /usr/share",
        "C /usr/share/doc",
    ]
    assert told() == wanted
    unmount_rootfs_of(root)
    assert told() == wanted, "also of one that does not run"


def unmount_rootfs_of(root):
    mounts.unmount_all(root)


def test_what_a_layer_had_deleted_already_is_added_again(root, told):
    (root / "gone").write_bytes(b"back")
    assert told() == ["A /gone"]


def test_a_folder_that_was_made_anew_has_lost_what_was_in_it(root, told):
    shutil.rmtree(root / "srv")
    (root / "srv").mkdir()
    (root / "srv" / "data").write_bytes(b"2")
    (root / "srv" / "deep").mkdir()
    assert told() == ["C /srv", "C /srv/data", "C /srv/deep", "D /srv/deep/file"]


def test_one_thing_in_the_place_of_another_is_a_change(root, told):
    (root / "etc" / "conf").unlink()
    (root / "etc" / "conf").mkdir()
    (root / "etc" / "conf" / "inner").write_bytes(b"1")
    shutil.rmtree(root / "srv")
    (root / "srv").symlink_to("/etc")
    assert told() == ["C /etc", "C /etc/conf", "A /etc/conf/inner", "C /srv"]


def test_a_mode_or_a_time_of_a_folder_is_a_change(root, told):
    (root / "srv").chmod(0o700)
    os.utime(root / "usr" / "share", (1, 1))
    assert told() == ["C /srv", "C /usr", "C /usr/share"]


@pytest.mark.threat("CPY-02")
def test_no_link_is_followed(root, told, tmp_path):
    (tmp_path / "secret").write_bytes(b"1")
    shutil.rmtree(root / "srv")
    (root / "srv").symlink_to(tmp_path)
    (root / "etc" / "way").symlink_to("/")
    assert told() == ["C /etc", "A /etc/way", "C /srv"]


@pytest.mark.threat("CPY-02")
def test_a_folder_that_becomes_a_link_meanwhile_is_passed_over(root, told, tmp_path, config, cid):
    (tmp_path / "secret").write_bytes(b"1")
    (root / "trap").mkdir()
    upper = config.container(cid) / "upper" / "diff"

    def swap() -> bool:
        if (upper / "trap").is_dir() and not (upper / "trap").is_symlink() and swap.turns:
            (upper / "trap").rmdir()
            (upper / "trap").symlink_to(tmp_path)
        swap.turns += 1
        return False

    swap.turns = 0
    assert told(is_cancelled=swap) == ["A /trap"]
    assert swap.turns == 2


def test_placeholders_of_a_start_are_nobodys_change(root, told):
    for name in ("hosts", "hostname", "resolv.conf"):
        (root / "etc" / name).touch()
    for name in ("proc", "dev", "sys"):
        (root / name).mkdir()
    assert told() == []
    (root / "etc" / "hosts").write_bytes(b"mine")
    assert told() == ["C /etc", "A /etc/hosts"]


def test_names_that_are_no_text_are_made_fit_to_print(root, told):
    (root / "a\nb\x1b[2J").touch()
    (root / os.fsdecode(b"\xff")).touch()
    assert told() == ["A /a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[2J", "A /\N{REPLACEMENT CHARACTER}"]
    assert shown("/한글") == "/한글"


def test_too_many_changes_are_not_told_and_a_cancelled_look_ends(root, told, monkeypatch):
    for number in range(6):
        (root / f"file{number}").touch()
    with pytest.raises(Cancelled):
        told(is_cancelled=lambda: True)
    monkeypatch.setattr(changed, "MOST", 5)
    with pytest.raises(StoreError, match="More than 5 files have changed"):
        told()


def test_a_limited_layer_is_looked_at_running_and_stopped(config, cid, layers, told):
    root = mount_rootfs(config, cid, layers, limit_bytes=32 << 20)
    (root / "new").touch()
    assert told() == ["A /new"]
    assert mounts.is_mounted(config.container(cid) / "upper")
    unmount_rootfs(config, cid)
    assert told() == ["A /new"]
    assert not mounts.is_mounted(config.container(cid) / "upper")
    assert limited.image(config, cid).exists()
