"""A volume goes into a tar and comes back as it was; whatever goes wrong leaves the volume as it was."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import tarfile
import tracemalloc

import pytest

from engine.archives import pack, unpack
from engine.archives.volumes import restore_volume, sweep_restored
from engine.config import MIB
from engine.errors import ArchiveRejected, Cancelled, NotStored, RequestRefused, StoreError, StoreFull
from engine.volumes import folders, places
from tests.engine.archives.conftest import CAPABILITY, KEY, OTHER
from tests.support.engines import NOBODY
from tests.support.hostile_layers import Layer, hostile
from tests.support.trees import tree
from tests.support.waiting import until

pytestmark = pytest.mark.root
# In a volume these names are ordinary ones.
ORDINARY = ("TAR-14",)


def nothing_beside(lab, name):
    return sorted(path.name for path in (lab.config.volumes / name).iterdir()) == ["_data"]


def test_a_volume_comes_back_as_it_was(full):
    before = tree(full.data("data"))
    packed, archive = full.backup("data")
    assert (packed.left_out, packed.changed) == (0, 0)
    for other in ("data", "fresh"):
        unpacked = full.restore(other)
        assert (unpacked.entries, unpacked.dropped) == (packed.entries, 0)
        assert tree(full.data(other)) == before
        assert nothing_beside(full, other)
    found = archive.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (NOBODY, NOBODY, 0o600)
    assert found.st_size < 1 << 20  # 64 MiB of holes take no space


@pytest.mark.parametrize("what", ["a folder", "hard links"])
def test_names_that_a_container_makes_cost_the_engine_a_bounded_memory(full, monkeypatch, what):
    """Ten million entries may be in an archive, with names of 4 KiB."""
    data = full.data("many")
    for number in range(300):
        folder = data if what == "a folder" else data / str(number)
        folder.mkdir(exist_ok=True)
        (folder / f"{number}").touch()
        if what == "hard links":
            os.link(folder / f"{number}", folder / "again")
    full.backup("many")
    limit = {"a folder": 300 * 100, "hard links": 300 * 150}[what]
    monkeypatch.setattr(pack, "_NAMES_LIMIT_BYTES", limit)
    with pytest.raises(ArchiveRejected, match="its names are too long in total"):
        full.backup("many")
    monkeypatch.setattr(pack, "_NAMES_LIMIT_BYTES", 2 * limit)
    full.backup("many")


def test_the_same_volume_makes_the_same_bytes(full):
    one, two = (full.backup("data", key)[1] for key in (KEY, OTHER))
    assert one.read_bytes() == two.read_bytes()


def test_gnu_tar_reads_a_backup_and_berth_what_gnu_tar_writes(full, tmp_path):
    before = tree(full.data("data"))
    _, archive = full.backup("data")
    kept = ["--xattrs", "--xattrs-include=user.*", "--xattrs-include=security.capability", "-p"]
    subprocess.run(["tar", "-x", *kept, "-f", archive, "-C", tmp_path], check=True)
    there = tree(tmp_path)
    assert there.keys() == before.keys()
    assert {path: there[path][1:6] for path in there if path} == {path: before[path][1:6] for path in before if path}
    theirs = tmp_path.with_name("theirs.tar.gz")
    subprocess.run(
        ["tar", "-c", "--sparse", *kept, "--acls", "--format=posix", "-z", "-f", theirs, "-C", full.data("data"), "."],
        check=True,
    )
    full.restore("other", theirs.read_bytes())
    after = tree(full.data("other"))
    assert after.keys() == before.keys()
    assert {path: after[path][1:6] for path in after} == {path: before[path][1:6] for path in before}
    assert os.getxattr(full.data("other") / "zero", "security.capability") == CAPABILITY


def test_a_big_file_passes_through_little_memory(lab):
    path = lab.data("big") / "file"
    block = os.urandom(MIB)
    with path.open("wb") as file:
        for number in range(300):
            file.write(number.to_bytes(4, "big") + block[4:])
    with path.open("rb") as file:
        wanted = hashlib.file_digest(file, "sha256").hexdigest()
    tracemalloc.start()
    lab.backup("big")
    path.unlink()
    lab.restore("big")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    with path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == wanted
    assert peak < 16 * MIB


@pytest.mark.threat("TAR-09")
def test_folders_with_long_attributes_cost_a_bounded_memory(lab, monkeypatch):
    """They get what is said of them at the end; packed, a gigabyte of that is a few megabytes."""
    monkeypatch.setattr(unpack, "FOLDERS_LIMIT_BYTES", 8 * MIB)
    archive = lab.config.transfers / KEY
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for number in range(1000):
            folder = tarfile.TarInfo(f"again/{number % 2}")
            folder.type, folder.pax_headers = tarfile.DIRTYPE, {"SCHILY.xattr.user.a": "x" * 60_000}
            tar.addfile(folder)
    tracemalloc.start()
    with pytest.raises(ArchiveRejected, match="it has too many folders"):
        restore_volume(lab.config, "data", KEY, on_bytes=lambda _: None, cancelled=lambda: False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 * MIB
    top = lab.data("many")
    for number in range(200):
        (top / str(number)).mkdir()
    lab.backup("many")
    lab.restore("many")
    monkeypatch.setattr(unpack, "FOLDERS_LIMIT_BYTES", 50_000)
    with pytest.raises(ArchiveRejected, match="it has too many folders"):
        lab.backup("many")


def test_a_volume_that_nobody_has_used_makes_an_archive_of_its_folder(lab):
    packed, _ = lab.backup("fresh")
    assert packed.entries == 1
    lab.restore("fresh")
    assert list(lab.data("fresh").iterdir()) == []


def test_devices_and_sockets_are_left_out_and_counted(lab):
    top = lab.data("data")
    os.mknod(top / "device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(top / "socket", stat.S_IFSOCK | 0o666)
    (top / "file").write_bytes(b"x")
    packed, _ = lab.backup("data")
    assert (packed.entries, packed.left_out) == (2, 2)


@pytest.mark.threat("CPY-01")
def test_a_link_in_a_volume_is_never_followed(lab, tmp_path):
    (tmp_path / "secret").write_bytes(b"of the host")
    top = lab.data("data")
    (top / "file").symlink_to(tmp_path / "secret")
    (top / "folder").symlink_to(tmp_path)
    _, archive = lab.backup("data")
    assert b"of the host" not in archive.read_bytes()


@pytest.mark.threat("CPY-01")
def test_a_container_that_swaps_links_in_all_the_while_leads_nowhere(lab, tmp_path):
    (tmp_path / "secret").write_bytes(b"of the host")
    top = lab.data("data")
    script = f"""
mkdir {top}/a && echo inside > {top}/a/secret && ln -s {tmp_path} {top}/b
while true; do mv -T {top}/a {top}/c; mv -T {top}/b {top}/a; mv -T {top}/a {top}/b; mv -T {top}/c {top}/a; done
"""
    with subprocess.Popen(["sh", "-c", script], stderr=subprocess.DEVNULL) as flipping:
        until("it flips", lambda: os.path.lexists(top / "b"))
        try:
            for _ in range(200):
                assert b"of the host" not in lab.backup("data")[1].read_bytes()
        finally:
            flipping.kill()


@pytest.mark.parametrize("name", [name for name in hostile() if not name.startswith(ORDINARY)])
@pytest.mark.threat("TAR-01")
def test_a_hostile_archive_is_refused_and_the_volume_is_as_it_was(full, name):
    before = tree(full.data("data"))
    with pytest.raises(ArchiveRejected, match="The archive is refused: "):
        full.restore("data", hostile()[name])
    assert tree(full.data("data")) == before
    assert nothing_beside(full, "data")


OWN = {
    "empty": b"",
    "no entry": Layer().end(),
    "cut off between two entries": bytes(Layer().directory("./").file("a", b"x").data),
    "cut off in its gzip data": bytes.fromhex("1f8b0800000000000003"),
    "a name twice": Layer().file("a", b"1").file("a", b"2").end(),
    "a name twice by a link": Layer().file("a", b"1").symlink("b", "a").file("b", b"2").end(),
    "a folder in place of a file": Layer().file("a", b"1").directory("a").end(),
    "a file in place of a folder": Layer().directory("a").file("a", b"1").end(),
    "a way through a link": Layer().directory("d").symlink("l", "d").file("l/x", b"1").end(),
    "a way through a link to the host": Layer().symlink("l", "/etc").file("l/x", b"1").end(),
    "a hard link through a link": Layer().symlink("l", "/etc").hard_link("x", "l/passwd").end(),
    "a device": Layer().char_device("null", 1, 3).end(),
    "a disk": Layer().entry("sda", type=b"4", major=8, minor=0).end(),
}


@pytest.mark.parametrize("name", OWN)
@pytest.mark.threat("TAR-03")
def test_what_an_image_may_hold_and_a_volume_may_not_is_refused(full, name):
    before = tree(full.data("data"))
    with pytest.raises(ArchiveRejected, match="The archive is refused: "):
        full.restore("data", OWN[name])
    assert tree(full.data("data")) == before
    assert nothing_beside(full, "data")


@pytest.mark.parametrize("cut", [1, 511, 600, 1024, 5000])
def test_an_archive_that_was_cut_off_anywhere_is_refused(full, cut):
    before = tree(full.data("data"))
    whole = full.backup("data")[1].read_bytes()
    with pytest.raises(ArchiveRejected):
        full.restore("data", whole[:-1024][: -cut or None])
    assert tree(full.data("data")) == before


def test_names_that_mean_something_in_layers_are_only_names(lab):
    lab.restore("data", Layer().file(".wh.gone", b"x").file("a/.wh..wh..opq", b"y").end())
    assert (lab.data("data") / ".wh.gone").read_bytes() == b"x"
    assert (lab.data("data") / "a" / ".wh..wh..opq").read_bytes() == b"y"


def test_without_an_entry_of_its_own_the_folder_keeps_owner_and_mode(lab):
    os.chown(lab.data("data"), 7, 8)
    lab.data("data").chmod(0o750)
    lab.restore("data", Layer().file("a/b", b"x").end())
    found = lab.data("data").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (7, 8, 0o750)
    implied = (lab.data("data") / "a").stat()
    assert (implied.st_uid, stat.S_IMODE(implied.st_mode)) == (0, 0o755)


@pytest.mark.threat("TAR-13")
def test_attributes_that_are_the_hosts_are_dropped_and_counted(lab):
    kept = {
        b"SCHILY.xattr.trusted.overlay.opaque": b"y",
        b"SCHILY.xattr.security.selinux": b"x",
        b"SCHILY.xattr.security.capability": b"broken",
        b"SCHILY.xattr.system.posix_acl_access": b"broken",
        b"SCHILY.xattr.user.fine": b"1",
    }
    assert lab.restore("data", Layer().file("a", b"x", pax=kept).end()).dropped == 4
    assert os.listxattr(lab.data("data") / "a") == ["user.fine"]


@pytest.mark.threat("TAR-08")
def test_holes_count_as_what_they_seem_to_be(lab):
    small = lab.with_limits(archive_bytes=MIB)
    records = {b"GNU.sparse.map": b"0,1", b"GNU.sparse.size": str(2**40).encode(), b"GNU.sparse.name": b"sparse"}
    with pytest.raises(ArchiveRejected, match="larger than 1048576 bytes"):
        small.restore("data", Layer().pax(records).file("a", b"x").end())
    (lab.data("other") / "holes").touch()
    os.truncate(lab.data("other") / "holes", 2 * MIB)
    with pytest.raises(ArchiveRejected, match="holds more than 1048576 bytes"):
        small.backup("other")
    assert list(lab.config.transfers.iterdir()) == []


@pytest.mark.threat("TAR-09")
def test_entries_are_bounded_both_ways(lab):
    few = lab.with_limits(archive_entries=3)
    for number in range(4):
        (lab.data("data") / str(number)).touch()
    with pytest.raises(ArchiveRejected, match="more than 3 entries"):
        few.backup("data")
    _, archive = lab.backup("data")
    with pytest.raises(ArchiveRejected, match="more than 3 entries"):
        few.restore("other", archive.read_bytes())


def test_what_is_too_deep_to_come_back_is_not_backed_up(lab):
    lab.data("data").joinpath(*["d"] * 258).mkdir(parents=True)
    with pytest.raises(ArchiveRejected, match="deeper than 256 folders"):
        lab.backup("data")
    assert not (lab.config.transfers / KEY).exists()


@pytest.mark.fault("F33")
def test_the_reserve_of_the_disk_is_respected(full):
    before = tree(full.data("data"))
    _, archive = full.backup("data")
    short = full.with_limits(reserve_bytes=1 << 60)
    with pytest.raises(StoreFull, match="kept in reserve"):
        short.restore("data", archive.read_bytes())
    with pytest.raises(StoreFull, match="kept in reserve"):
        short.backup("data", OTHER)
    assert not (full.config.transfers / OTHER).exists()
    assert tree(full.data("data")) == before
    assert nothing_beside(full, "data")


def test_cancelled_leaves_nothing(full):
    before = tree(full.data("data"))
    whole = full.backup("data")[1].read_bytes()
    with pytest.raises(Cancelled):
        full.backup("data", OTHER, cancelled=lambda: True)
    with pytest.raises(Cancelled):
        full.restore("data", whole, cancelled=lambda: True)
    assert not (full.config.transfers / OTHER).exists()
    assert tree(full.data("data")) == before
    assert nothing_beside(full, "data")


@pytest.mark.parametrize("key", ["", "../volumes", "0" * 31, "0" * 32 + "\n", "G" * 32])
def test_a_key_is_never_a_path(lab, key):
    with pytest.raises(RequestRefused, match="not the name of an archive"):
        lab.backup("data", key)
    with pytest.raises(RequestRefused, match="not the name of an archive"):
        lab.restore("data", key=key)


def test_what_the_unprivileged_user_may_put_in_the_place_of_an_archive_is_not_trusted(lab, tmp_path):
    (tmp_path / "secret").write_bytes(b"of the host")
    place = lab.config.transfers / KEY
    with pytest.raises(NotStored, match="The archive is gone"):
        lab.restore("data")
    place.symlink_to(tmp_path / "secret")
    with pytest.raises(StoreError, match="cannot be opened"):
        lab.restore("data")
    lab.backup("data")
    assert (tmp_path / "secret").read_bytes() == b"of the host"
    assert not place.is_symlink()
    os.link(place, lab.config.transfers / OTHER)
    with pytest.raises(StoreError, match="not a regular file with one name"):
        lab.restore("data")
    for path in (place, lab.config.transfers / OTHER):
        path.unlink()
    os.mkfifo(place)
    with pytest.raises(StoreError, match="not a regular file"):
        lab.restore("data")


@pytest.mark.fault("F13")
def test_what_a_crash_left_is_swept_and_the_volume_is_as_it_was(full):
    before = tree(full.data("data"))
    beside = full.data("data").with_name(places.RESTORED)
    (beside / "half").mkdir(parents=True)
    with places.lock(full.config, "data"):
        sweep_restored(full.config)
        assert beside.exists()  # somebody is at work on it
    sweep_restored(full.config)
    assert nothing_beside(full, "data")
    folders.sweep_removed(full.config)
    until("it is gone", lambda: not list(full.config.volumes.glob(".removed-*")))
    assert tree(full.data("data")) == before


def test_a_file_that_shrinks_while_it_is_read_is_filled_up_and_counted(lab, monkeypatch):
    path = lab.data("data") / "file"
    path.write_bytes(b"x" * 3000)
    pread = os.pread

    def read_late(fd, count, offset):
        os.truncate(path, 1000)
        return pread(fd, count, offset)

    monkeypatch.setattr("engine.archives.pack.os.pread", read_late)
    packed, archive = lab.backup("data")
    monkeypatch.undo()
    assert packed.changed == 1
    lab.restore("data", archive.read_bytes())
    assert path.read_bytes() == b"x" * 1000 + bytes(2000)
