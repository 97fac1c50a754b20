"""Layers through the whole pipe into a squashfs file, looked at without mounting."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import subprocess
from pathlib import Path

import pytest
import zstandard

from engine.digest import Digest
from engine.errors import Cancelled, DigestMismatch, EngineError, LayerRejected, StoreError, StoreFull
from tests.engine.layers.conftest import is_whiteout
from tests.support.hostile_layers import (
    Layer,
    base256,
    good_twin,
    header,
    hostile,
)

HOSTILE = hostile()


def _hostile_cases():
    for what in sorted(HOSTILE):
        row, _, name = what.partition(" ")
        yield pytest.param(HOSTILE[what], id=f"{row}-{name.replace(' ', '-')}", marks=pytest.mark.threat(row))


@pytest.mark.parametrize("archive", _hostile_cases())
def test_a_hostile_archive_is_refused_and_leaves_nothing_behind(archive, write, tmp_path):
    with pytest.raises(LayerRejected) as caught:
        write(archive)
    assert str(caught.value).startswith("The layer's archive is refused: ")
    assert list(tmp_path.iterdir()) == []


def test_it_writes_files_folders_links_and_what_they_weigh(write):
    layer = (
        Layer()
        .directory("d", mode=0o2750, uid=70000, gid=5)
        .file("d/f", b"hello", mode=0o4755, uid=1, gid=2, mtime=99)
        .hard_link("g", "d/f")
        .symlink("s", "d/f")
        .entry("p", type=b"6")
    )
    looked = write(layer.end())
    f, g, d, s = (looked.entries[name] for name in ("d/f", "g", "d", "s"))
    assert (f.mode, f.uid, f.gid, f.mtime) == (0o4755, 1, 2, 99)
    assert (d.isdir(), d.mode, d.uid, d.gid) == (True, 0o2750, 70000, 5)
    assert looked.content["d/f"] == looked.content["g"] == b"hello"
    assert g.islnk() or f.islnk()
    assert s.linkname == "d/f"
    assert looked.entries["p"].isfifo()
    assert looked.written.unpacked_bytes == len(b"hello") + len("d/f")
    assert looked.written.entries == 5
    assert looked.opened == 1


def test_the_file_is_what_it_says_and_only_its_group_can_read_it(write, tmp_path):
    looked = write(Layer().file("a", b"x").end())
    data = looked.path.read_bytes()
    assert looked.written.file_sha256 == hashlib.sha256(data).hexdigest()
    assert looked.written.file_bytes == len(data)
    assert looked.path.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["layer.sqfs"]


def test_an_empty_layer_is_legal(write):
    assert write(bytes(1024)).written.entries == 0
    assert write(b"").written.unpacked_bytes == 0


@pytest.mark.threat("TAR-10")
def test_content_of_another_diff_id_never_appears(write, tmp_path):
    with pytest.raises(DigestMismatch, match="does not have the diff ID"):
        write(Layer().file("a", b"x").end(), diff_id=Digest("sha256:" + "0" * 64))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.threat("TAR-10")
def test_padding_after_the_end_counts_for_the_diff_id(write):
    assert write(Layer().file("a", b"x").end() + bytes(10240)).content["a"] == b"x"


def test_cancelling_leaves_nothing_behind(write, tmp_path):
    with pytest.raises(Cancelled):
        write(Layer().file("a", os.urandom(300_000)).end(), cancelled=lambda: True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told_as_a_store_error(write, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.layers.squashfs.PROGRAM", "/bin/false")
    with pytest.raises(StoreError, match="could not be written"):
        write(Layer().file("a", os.urandom(3_000_000)).end())


@pytest.mark.threat("TAR-09")
def test_a_writer_that_needs_too_much_memory_is_told_as_the_layer_s_fault(write, monkeypatch, tmp_path):
    monkeypatch.setattr("engine.layers.squashfs.MEMORY_LIMIT_BYTES", 24 * 1024 * 1024)
    layer = Layer()
    for number in range(20_000):
        layer.file(f"{number % 100}/{'n' * 90}{number}", b"%d" % number)
    with pytest.raises(LayerRejected, match="more time or memory"):
        write(layer.end())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.threat("TAR-09")
def test_a_writer_that_writes_too_much_is_stopped(write, monkeypatch, tmp_path):
    monkeypatch.setattr("engine.layers.squashfs._EXTRA_FILE_BYTES", -30_000_000)
    with pytest.raises(LayerRejected, match="larger than a layer may be"):
        write(Layer().file("a", os.urandom(5_000_000)).end(), layer_bytes=31_000_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root
@pytest.mark.fault("F33")
def test_a_full_disk_is_said_and_leaves_nothing_behind(write, tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)], check=True)
    try:
        with pytest.raises(StoreFull, match="The disk is full"):
            write(Layer().file("a", os.urandom(5_000_000)).end())
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


class TestCompression:
    PLAIN = Layer().file("a", b"some content " * 5000).end()

    @pytest.mark.parametrize(
        "packed",
        [
            pytest.param(PLAIN, id="plain"),
            pytest.param(gzip.compress(PLAIN), id="gzip"),
            pytest.param(gzip.compress(PLAIN) + bytes(100), id="gzip with zeros after it"),
            pytest.param(zstandard.compress(PLAIN), id="zstd"),
            pytest.param(gzip.compress(PLAIN[:700]) + gzip.compress(PLAIN[700:]), id="two gzip members"),
            pytest.param(zstandard.compress(PLAIN[:700]) + zstandard.compress(PLAIN[700:]), id="two zstd frames"),
            pytest.param(b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstandard.compress(PLAIN), id="a skippable zstd frame"),
        ],
    )
    def test_every_kind_is_read(self, packed, write):
        assert write(self.PLAIN, packed=packed).content["a"] == b"some content " * 5000

    def test_bytes_of_another_kind_than_the_media_type_says_are_read_with_a_warning(self, write):
        warnings = write(self.PLAIN, packed=zstandard.compress(self.PLAIN)).written.warnings
        assert warnings == ("The layer's media type says compression 'gzip', its bytes are 'zstd'.",)

    @pytest.mark.threat("TAR-09")
    @pytest.mark.parametrize(
        ("packed", "why"),
        [
            pytest.param(gzip.compress(PLAIN) + b"x", "something follows", id="garbage after gzip"),
            pytest.param(gzip.compress(PLAIN) + bytes(200_000) + b"x", "something follows", id="garbage after zeros"),
            pytest.param(gzip.compress(PLAIN)[:-20], "cut off", id="gzip cut"),
            pytest.param(zstandard.compress(PLAIN) + b"garbage", "zstd", id="garbage after zstd"),
            pytest.param(gzip.compress(PLAIN)[:40] + b"\xff" * 40, "gzip data is broken", id="gzip broken"),
        ],
    )
    def test_what_is_broken_or_followed_by_garbage_is_refused(self, packed, why, write):
        with pytest.raises(LayerRejected, match=why):
            write(self.PLAIN, packed=packed)

    def test_a_cut_zstd_stream_is_refused(self, write):
        with pytest.raises(EngineError):
            write(self.PLAIN, packed=zstandard.compress(self.PLAIN)[:-20])

    @pytest.mark.threat("TAR-09")
    def test_a_zstd_window_beyond_128_mib_is_refused(self, write):
        parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=28)
        packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        packed = packer.compress(self.PLAIN) + packer.flush()
        with pytest.raises(LayerRejected, match="more memory than allowed"):
            write(self.PLAIN, packed=packed)

    @pytest.mark.threat("TAR-09")
    @pytest.mark.parametrize("pack", [lambda data: gzip.compress(data, 9), zstandard.compress])
    def test_a_bomb_is_refused_by_its_ratio(self, pack, write, tmp_path):
        member = pack(bytes(16 * 1024 * 1024))
        head = header(b"bomb", size=b"%011o" % (1 << 32))
        with pytest.raises(LayerRejected, match="more than 200 times"):
            write(b"", packed=pack(head) + member * 64)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.threat("TAR-09")
class TestLimits:
    def test_too_many_entries(self, write):
        layer = Layer()
        for number in range(11):
            layer.file(f"f{number}")
        with pytest.raises(LayerRejected, match="more than 10 entries"):
            write(layer.end(), layer_entries=10)

    def test_too_many_bytes(self, write):
        with pytest.raises(LayerRejected, match="larger than 100000 bytes"):
            write(Layer().file("a", os.urandom(200_000)).end(), layer_bytes=100_000)

    @pytest.mark.slow
    @pytest.mark.threat("TAR-17")
    def test_more_owners_than_squashfs_can_tell_apart(self, write):
        layer = Layer()
        for number in range(33_000):
            layer.raw(header(b"%d/%d" % (number % 300, number), uid=number, gid=100_000 + number))
        with pytest.raises(LayerRejected, match="more owners and groups"):
            write(layer.end())

    def test_the_greatest_legal_name(self, write):
        name = "/".join(["d" * 250] * 16)[:4096]
        looked = write(Layer().file(name, b"x").end())
        assert looked.content[name] == b"x"

    def test_the_deepest_legal_name(self, write):
        name = "d/" * 255 + "f"
        assert write(Layer().file(name, b"x").end()).content[name] == b"x"

    @pytest.mark.threat("TAR-02")
    def test_links_that_make_names_longer_and_longer(self, write):
        layer = Layer().symlink("l", "d/" * 250)
        for step in range(4):
            layer.symlink("l/" * (step + 1) + "l", "d/" * 250)
        with pytest.raises(LayerRejected):
            write(layer.file("l/" * 5 + "x").end())


@pytest.mark.threat("TAR-02")
class TestLinksInTheWay:
    def test_a_path_through_a_link_stays_in_the_root(self, write):
        looked = write(Layer().symlink("a", "/etc").file("a/passwd", b"mine").end())
        assert looked.content == {"etc/passwd": b"mine"}
        assert looked.entries["a"].issym()

    def test_a_link_upwards_ends_at_the_root(self, write):
        looked = write(Layer().symlink("d/up", "../../../../../host").file("d/up/x", b"mine").end())
        assert looked.content == {"host/x": b"mine"}

    def test_links_to_links_are_followed(self, write):
        layer = Layer().directory("real").symlink("a", "real").symlink("b", "/a/.").symlink("c", "./b")
        assert write(layer.file("c/x", b"1").end()).content == {"real/x": b"1"}

    @pytest.mark.threat("TAR-04")
    def test_a_hard_link_through_a_link_finds_its_target(self, write):
        layer = Layer().directory("real").file("real/f", b"1").symlink("a", "real").hard_link("b", "a/f")
        assert write(layer.end()).content == {"real/f": b"1", "b": b"1"}


@pytest.mark.threat("TAR-03")
class TestRepeatedNames:
    def test_the_last_file_wins(self, write):
        looked = write(Layer().file("a", b"1").file("b", b"b").file("./a", b"22", mode=0o600).end())
        assert looked.content == {"a": b"22", "b": b"b"}
        assert looked.entries["a"].mode == 0o600
        assert looked.written.unpacked_bytes == 3
        assert looked.opened == 2

    def test_a_folder_listed_twice_keeps_its_content_and_takes_the_last_mode(self, write):
        looked = write(Layer().directory("d", mode=0o700).file("d/x", b"1").directory("d/", mode=0o1777).end())
        assert looked.content == {"d/x": b"1"}
        assert looked.entries["d"].mode == 0o1777
        assert looked.opened == 1

    def test_a_folder_replaced_by_a_link_is_gone_with_all_below(self, write):
        layer = Layer().directory("a").file("a/old", b"1").directory("a/b").symlink("a", "/host").file("a/x", b"2")
        looked = write(layer.end())
        assert looked.content == {"host/x": b"2"}
        assert looked.entries["a"].issym()

    def test_a_link_replaced_by_a_folder_is_never_followed(self, write):
        looked = write(Layer().symlink("a", "/host").directory("a").file("a/x", b"2").end())
        assert looked.content == {"a/x": b"2"}
        assert looked.entries["a"].isdir()
        assert looked.xattrs("a") == {"trusted.overlay.opaque": "y"}

    def test_there_and_back_again(self, write):
        layer = Layer().directory("a").file("a/1", b"1").file("a", b"f").directory("a").file("a/2", b"2")
        assert write(layer.end()).content == {"a/2": b"2"}

    @pytest.mark.threat("TAR-04")
    def test_a_hard_link_keeps_the_content_it_was_made_for(self, write):
        layer = Layer().file("a", b"old").hard_link("b", "a").hard_link("c", "b").file("a", b"new")
        looked = write(layer.end())
        assert looked.content == {"a": b"new", "b": b"old", "c": b"old"}
        assert looked.written.unpacked_bytes == 6

    @pytest.mark.threat("TAR-04")
    def test_a_hard_link_changes_nothing_of_its_target(self, write):
        layer = Layer().file("a", b"1", mode=0o600, uid=5)
        layer.hard_link("b", "a", mode=0o4777, uid=0, pax={b"SCHILY.xattr.user.x": b"y"})
        looked = write(layer.end())
        assert {(looked.entries[n].mode, looked.entries[n].uid) for n in "ab"} == {(0o600, 5)}
        assert looked.xattrs("a") == {}


@pytest.mark.threat("TAR-14")
class TestWhiteouts:
    def test_a_whiteout_becomes_a_device_0_0(self, write):
        looked = write(Layer().directory("d").file("d/.wh.gone", b"ignored").end())
        assert is_whiteout(looked.entries["d/gone"])
        assert not any(".wh." in name for name in looked.entries)

    @pytest.mark.parametrize("kind", [b"0", b"5", b"2", b"6"])
    def test_its_type_does_not_matter(self, kind, write):
        assert is_whiteout(write(Layer().entry(".wh.gone", type=kind, link="x").end()).entries["gone"])

    @pytest.mark.parametrize("late", [False, True])
    def test_an_opaque_marker_works_wherever_it_stands(self, late, write):
        layer = Layer().directory("d")
        layer = layer.file("d/new", b"1").file("d/.wh..wh..opq") if late else layer.file("d/.wh..wh..opq").file("d/new")
        looked = write(layer.end())
        assert looked.xattrs("d") == {"trusted.overlay.opaque": "y"}
        assert "d/new" in looked.content
        assert looked.opened == 1

    def test_an_opaque_folder_without_an_entry(self, write):
        assert write(Layer().file("d/e/.wh..wh..opq").end()).xattrs("d/e") == {"trusted.overlay.opaque": "y"}

    def test_an_opaque_root(self, write):
        assert write(Layer().directory("/").file(".wh..wh..opq").end()).xattrs(".")["trusted.overlay.opaque"] == "y"

    @pytest.mark.parametrize("first", ["file", "whiteout"])
    def test_a_file_of_the_same_layer_stays(self, first, write):
        layer = Layer().file("a", b"1").file(".wh.a") if first == "file" else Layer().file(".wh.a").file("a", b"1")
        assert write(layer.end()).content == {"a": b"1"}

    @pytest.mark.parametrize("first", ["folder", "whiteout"])
    def test_a_folder_of_the_same_layer_becomes_opaque(self, first, write):
        layer = Layer()
        layer = layer.file("d/x", b"1").file(".wh.d") if first == "folder" else layer.file(".wh.d").file("d/x", b"1")
        looked = write(layer.end())
        assert looked.content == {"d/x": b"1"}
        assert looked.xattrs("d") == {"trusted.overlay.opaque": "y"}

    def test_a_whiteout_in_a_folder_that_is_replaced_is_gone(self, write):
        assert set(write(Layer().file("d/.wh.x").file("d", b"file").end()).content) == {"d"}

    def test_bookkeeping_of_aufs_is_left_out_with_a_warning(self, write):
        looked = write(Layer().file(".wh..wh.aufs").file(".wh..wh.plnk/99.1", b"x").file("a", b"1").end())
        assert looked.content == {"a": b"1"}
        assert looked.written.warnings == ("2 entries of AUFS's own bookkeeping were left out.",)

    def test_names_that_only_look_like_whiteouts_stay(self, write):
        assert set(write(Layer().file("a.wh.b").file("wh.c").file(".whx").end()).content) == {"a.wh.b", "wh.c", ".whx"}


@pytest.mark.threat("TAR-18")
class TestImpliedParents:
    def test_they_are_docker_s_and_are_listed_for_the_mount(self, write):
        looked = write(Layer().file("a/b/c", b"1").directory("d").file("d/e/f", b"1").end())
        assert all(looked.entries[name].mode == 0o755 for name in ("a", "a/b", "d/e"))
        assert looked.xattrs(".") == {"trusted.berth.implicit": ".\0a\0a/b\0d/e"}

    def test_one_that_gets_its_entry_later_is_not_implied(self, write):
        looked = write(Layer().file("a/b", b"1").directory("a", mode=0o1777).directory("./", mode=0o711).end())
        assert (looked.entries["a"].mode, looked.entries["."].mode) == (0o1777, 0o711)
        assert looked.xattrs(".") == {"trusted.berth.implicit": ""}

    def test_a_list_that_is_too_long_is_cut_at_a_name(self, write):
        layer = Layer()
        for number in range(400):
            layer.file(f"{'x' * 200}{number:03d}/f")
        listed = write(layer.end()).xattrs(".")["trusted.berth.implicit"].split("\0")
        assert 250 < len(listed) < 400
        assert {len(name) for name in listed} == {1, 203}


@pytest.mark.threat("TAR-11")
def test_devices_keep_their_numbers(write):
    looked = write(Layer().char_device("c", 4095, 2**20 - 1).entry("b", type=b"4", major=8, minor=1).end())
    c, b = looked.entries["c"], looked.entries["b"]
    assert (c.ischr(), c.devmajor, c.devminor) == (True, 4095, 2**20 - 1)
    assert (b.isblk(), b.devmajor, b.devminor) == (True, 8, 1)


@pytest.mark.threat("TAR-17")
@pytest.mark.parametrize("number", [0, 65534, 2**21, 2**31, 2**32 - 2])
def test_ids_survive_whole(number, write):
    looked = write(Layer().raw(header(b"a", uid=base256(number, 8))).pax({b"gid": b"%d" % number}).file("b").end())
    assert (looked.entries["a"].uid, looked.entries["b"].gid) == (number, number)


@pytest.mark.threat("TAR-15")
@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe", b"new\nline", b"a:b,c\\d", b"n" * 255, b"-rf", b" ", b"...", b"\x1b[31m", "한글".encode(), b"a\tb"],
)
def test_odd_names_come_out_as_they_went_in(name, write):
    assert write(Layer().file(name, b"1").end()).content == {os.fsdecode(name): b"1"}


@pytest.mark.threat("TAR-15")
def test_one_file_however_it_is_spelled(write):
    spellings = ("a/b", "./a/b", "/a/b", "a//b", "a/./b", "//a/b")
    layer = Layer()
    for number, name in enumerate(spellings):
        layer.file(name, b"%d" % number)
    assert write(layer.end()).content == {"a/b": b"5"}


@pytest.mark.threat("TAR-05")
def test_nothing_of_an_image_is_run_while_it_is_written(write, tmp_path):
    marker = tmp_path / "marker"
    script = f"#!/bin/sh\ntouch {marker}\n".encode()
    layer = Layer().file("etc/ld.so.preload", b"/lib/evil.so\n").file("lib/evil.so", script, mode=0o755)
    for program in ("tar2sqfs", "xz", "unpigz", "gzip", "prlimit"):
        layer.file(f"usr/bin/{program}", script, mode=0o755)
    layer.file("usr/lib/python3.11/encodings/cp437.py", b"import os; os.system('touch " + bytes(marker) + b"')")
    write(layer.end())
    assert not marker.exists()


@pytest.mark.threat("TAR-05")
def test_a_secret_of_the_worker_is_not_given_to_the_writer_nor_to_the_file(write, monkeypatch):
    monkeypatch.setenv("BERTH_TEST_SECRET", "s3cret-of-the-worker")
    environments: dict[str, bytes] = {}

    def look() -> bool:
        """Asked all through the writing: what do the programs that we started have in their environment?"""
        for task in Path("/proc/self/task").iterdir():
            for pid in (task / "children").read_text().split():
                with contextlib.suppress(OSError):
                    name = Path(f"/proc/{pid}/comm").read_text().strip()
                    environments[name] = environments.get(name, b"") + Path(f"/proc/{pid}/environ").read_bytes()
        return False

    layer = Layer().file("etc/ld.so.preload", b"/proc/self/environ\n").symlink("env", "/proc/self/environ")
    looked = write(layer.file("noise", os.urandom(4_000_000)).end(), cancelled=look)
    assert b"PATH=" in environments["tar2sqfs"]
    assert [name for name, said in environments.items() if b"s3cret-of-the-worker" in said] == []
    assert looked.entries["env"].issym()
    assert b"s3cret-of-the-worker" not in b"".join(looked.content.values())


@pytest.mark.threat("TAR-12")
def test_a_setuid_file_is_only_inside_the_file(write, tmp_path):
    looked = write(Layer().file("su", b"x", mode=0o6755).end())
    assert looked.entries["su"].mode == 0o6755
    assert looked.path.stat().st_mode & 0o7000 == 0


def test_the_good_twin_is_written_without_a_warning(write):
    base, upper, top = (write(layer) for layer in good_twin())
    assert base.content["usr/bin/sudoedit"] == b"#!setuid"
    assert base.content["run/pid"] == b"1"
    assert upper.content["replace-me"] == b"now a file, said twice"
    assert is_whiteout(upper.entries["delete-me"])
    assert top.content["usr/lib/libc.so"] == b"patched"
    assert base.written.warnings == upper.written.warnings == top.written.warnings == ()
