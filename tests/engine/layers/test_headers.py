"""Headers in all their legal spellings, sparse files and extended attributes, through the whole pipe."""

from __future__ import annotations

import os
import subprocess

import pytest

from engine.errors import LayerRejected
from tests.support.hostile_layers import CAPABILITY_V2, CAPABILITY_V3, GNU, Layer, base256, header


@pytest.mark.threat("TAR-06")
class TestNumbers:
    @pytest.mark.parametrize("mode", [b"644 ", b"  644 \0", b"0000644", b"0100644\0", b"644"])
    def test_octal_in_all_its_spellings(self, mode, write):
        assert write(Layer().raw(header(b"a", mode=mode)).end()).entries["a"].mode == 0o644

    @pytest.mark.parametrize(("mtime", "kept"), [(base256(-5, 12), 0), (base256(2**40, 12), 2**32 - 1), (b"", 0)])
    def test_times_outside_of_squashfs_are_clamped(self, mtime, kept, write):
        assert write(Layer().raw(header(b"a", mtime=mtime)).end()).entries["a"].mtime == kept

    def test_a_signed_checksum_is_legal(self, write):
        block = header(b"\xe9\xe9")
        signed = sum(b - 256 if b > 127 else b for b in block[:148] + b" " * 8 + block[156:])
        looked = write(Layer().raw(header(b"\xe9\xe9", checksum=b"%06o\0 " % signed)).end())
        assert len(looked.entries) == 2


@pytest.mark.threat("TAR-07")
class TestMergedHeaders:
    def test_pax_size_rules_the_body(self, write):
        body = header(b"smuggled") + bytes(512)
        layer = Layer().pax({b"size": b"1024"}).raw(header(b"a", size=0) + body)
        assert write(layer.end()).content == {"a": body}

    def test_pax_size_is_not_applied_to_a_long_name(self, write):
        layer = Layer().pax({b"size": b"5"}).gnu_long(b"L", b"d/" * 60 + b"n").raw(header(b"x") + b"12345".ljust(512))
        assert write(layer.end()).content == {"d/" * 60 + "n": b"12345"}

    def test_a_long_name_cut_at_a_slash_does_not_make_a_folder(self, write):
        name = b"d" * 99 + b"/file"
        layer = Layer().gnu_long(b"L", name).entry(name[:100], b"body", type=b"\0", magic=GNU)
        assert write(layer.end()).content == {name.decode(): b"body"}

    def test_an_old_folder_is_a_name_with_a_slash(self, write):
        assert write(Layer().entry("d/", type=b"\0", magic=bytes(8)).end()).entries["d"].isdir()

    def test_long_links(self, write):
        layer = Layer().gnu_long(b"K", b"t" * 300).raw(header(b"s", type=b"2", link=b"t" * 100, magic=GNU))
        assert write(layer.end()).entries["s"].linkname == "t" * 300

    def test_prefixes(self, write):
        layer = Layer().raw(header(b"f", prefix=b"a/b")).raw(header(b"g", prefix=b"12345670", magic=GNU))
        assert set(write(layer.end()).content) == {"a/b/f", "g"}

    def test_star_s_prefix_is_shorter(self, write):
        prefix = b"p".ljust(131, b"\0") + b"00000000000\0" * 2 + bytes(8) + b"tar\0"
        assert set(write(Layer().raw(header(b"f", prefix=prefix)).end()).content) == {"p/f"}

    def test_a_harmless_global_header_is_ignored(self, write):
        layer = Layer().pax({b"comment": b"0123", b"mtime": b"5"}, type=b"g").file("a", b"1").pax({}, type=b"g")
        assert write(layer.end()).content == {"a": b"1"}

    def test_an_empty_value_takes_a_record_back(self, write):
        assert write(Layer().pax({b"path": b""}).file("a", b"1").end()).content == {"a": b"1"}


@pytest.mark.threat("TAR-08")
class TestSparse:
    @pytest.mark.parametrize("how", ["gnu", "0.0", "0.1", "1.0"])
    @pytest.mark.parametrize("regions", [0, 1, 3, 30, 200])
    def test_all_of_gnu_tar_s_forms(self, how, regions, write, tmp_path):
        folder = tmp_path / "made"
        folder.mkdir()
        with (folder / "hole").open("wb") as file:
            for number in range(regions):
                file.seek(number * 65536)
                file.write(b"data %d" % number)
            file.truncate(regions * 65536 + 12345)
        (folder / "next").write_bytes(b"next")
        options = ["--format=gnu"] if how == "gnu" else ["--format=pax", f"--sparse-version={how}"]
        argv = ["tar", "-C", str(folder), "-S", *options, "-cf", "-", "hole", "next"]
        plain = subprocess.run(argv, check=True, capture_output=True).stdout
        looked = write(plain)
        assert looked.content == {"hole": (folder / "hole").read_bytes(), "next": b"next"}
        assert looked.written.unpacked_bytes == regions * 65536 + 12345 + 4

    @pytest.mark.parametrize("size", [2**40, 2**63 - 1])
    def test_a_hole_counts_as_what_it_seems(self, size, write, tmp_path):
        records = {b"GNU.sparse.map": b"0,1", b"GNU.sparse.size": b"%d" % size}
        with pytest.raises(LayerRejected, match="larger than"):
            write(Layer().pax(records).file("a", b"x").end())
        assert list(tmp_path.iterdir()) == []


@pytest.mark.threat("TAR-13")
class TestXattrs:
    def test_only_the_allowed_ones_stay(self, write):
        given = {
            b"user.note": b"line\nnul\0\xff",
            b"user.overlay.opaque": b"y",
            b"trusted.overlay.opaque": b"y",
            b"trusted.overlay.redirect": b"/etc",
            b"trusted.berth.implicit": b"x",
            b"security.selinux": b"x",
            b"security.ima": b"x",
            b"system.posix_acl_access": b"x",
            b"security.capability": CAPABILITY_V2,
        }
        looked = write(Layer().file("a", pax={b"SCHILY.xattr." + k: v for k, v in given.items()}).end())
        assert set(looked.xattrs("a")) == {"user.note", "security.capability"}
        assert os.fsencode(looked.xattrs("a")["user.note"]) == b"line\nnul\0\xff"
        assert looked.written.warnings[0].startswith("7 extended attributes were left out")

    def test_a_folder_cannot_make_itself_opaque(self, write):
        looked = write(Layer().directory("d", pax={b"SCHILY.xattr.trusted.overlay.opaque": b"y"}).end())
        assert looked.xattrs("d") == {}

    def test_capabilities_lose_their_user_namespace(self, write):
        looked = write(Layer().file("a", pax={b"SCHILY.xattr.security.capability": CAPABILITY_V3}).end())
        assert os.fsencode(looked.xattrs("a")["security.capability"]) == CAPABILITY_V2

    @pytest.mark.parametrize("value", [b"", b"abc", CAPABILITY_V2 + b"x", b"\x01\0\0\x09" + bytes(16)])
    def test_malformed_capabilities_are_dropped(self, value, write):
        assert write(Layer().file("a", pax={b"SCHILY.xattr.security.capability": value}).end()).xattrs("a") == {}
