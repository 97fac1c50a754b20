"""What comes out of a container onto this machine: every file in its place, and nothing anywhere else (CPY-03)."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile

import pytest

from client.unpack import Refused, Unpacker


def tar(*entries) -> bytes:
    """(name, text) a file; (name, None) a folder; (name, kind, link)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, *rest in entries:
            info = tarfile.TarInfo(name)
            info.mode = 0o4755
            if rest == [None]:
                info.type = tarfile.DIRTYPE
            elif len(rest) == 2:
                info.type, info.linkname = rest
            content = rest[0].encode() if len(rest) == 1 and rest[0] is not None else b""
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def unpack(to, content, *, piece=700, keep_owners=False) -> None:
    Unpacker(str(to), keep_owners=keep_owners).run(content[at : at + piece] for at in range(0, len(content), piece))


FOLDER = (
    ("tree", None),
    ("tree/leaf", "leaf"),
    ("tree/link", tarfile.SYMTYPE, "leaf"),
    ("tree/hard", tarfile.LNKTYPE, "tree/leaf"),
)


def test_dockers_rules_about_names(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("old")
    unpack(tmp_path / "there", tar(*FOLDER))
    unpack(tmp_path / "new", tar(*FOLDER))
    unpack(tmp_path / "content", tar(("./", None), ("./leaf", "leaf")))
    unpack(tmp_path / "file", tar(("given", "new")))
    unpack(tmp_path / "name", tar(("given", "new")))
    unpack(tmp_path / "there", tar(("given", "new")))
    assert (tmp_path / "there" / "tree" / "leaf").read_text() == "leaf"
    assert (tmp_path / "new" / "hard").stat().st_nlink == 2
    assert os.readlink(tmp_path / "new" / "link") == "leaf"
    assert (tmp_path / "content" / "leaf").read_text() == "leaf"
    assert [(tmp_path / name).read_text() for name in ("file", "name", "there/given")] == ["new"] * 3
    assert sorted(os.listdir(tmp_path)) == ["content", "file", "name", "new", "there"]


def test_nothing_is_set_id_for_who_copies(tmp_path):
    unpack(tmp_path / "x", tar(("x", "program")))
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o755


@pytest.mark.parametrize("size", [0, 1, 512, 5000])
def test_sparse_files_and_long_names_as_the_engine_writes_them(tmp_path, size):
    source, name = tmp_path / "source", "ㄱ" * 60 + "x" * 60
    source.mkdir()
    with (source / name).open("wb") as file:
        file.write(b"a" * size)
        file.truncate(10_000_000)
        file.seek(5_000_000)
        file.write(b"b" * size)
    argv = ["tar", "--create", "--format=pax", "--sparse", "--sparse-version=1.0", "-C", str(source), name]
    unpack(tmp_path / "out", subprocess.run(argv, capture_output=True, check=True).stdout, piece=65536)
    assert (tmp_path / "out").read_bytes() == (source / name).read_bytes()
    assert (tmp_path / "out").stat().st_blocks * 512 < 1_000_000


@pytest.mark.threat("CPY-03")
@pytest.mark.parametrize(
    "entries",
    [
        [("../up", "x")],
        [("tree/../../up", "x")],
        [("/tmp/berth-test-up", "x")],
        [("tree", tarfile.SYMTYPE, "/tmp"), ("tree/up", "x")],
        [("tree", None), ("tree/a", tarfile.SYMTYPE, ".."), ("tree/a/up", "x")],
        [("tree", tarfile.LNKTYPE, "/etc/passwd")],
        [("tree", tarfile.LNKTYPE, "../outside/secret")],
        [("tree", tarfile.CHRTYPE, "")],
    ],
)
def test_a_hostile_archive_reaches_nothing_else(tmp_path, entries):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "secret").write_text("safe")
    with pytest.raises((Refused, OSError)):
        unpack(inside, tar(*entries))
    assert os.listdir(outside) == ["secret"]
    assert sorted(os.listdir(tmp_path)) == ["inside", "outside"]
    assert not os.path.exists("/tmp/up")
    assert not os.path.exists("/tmp/berth-test-up")


def test_a_link_that_is_there_is_not_followed(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "file").write_text("safe")
    (inside / "file").symlink_to(outside / "file")
    (inside / "folder").symlink_to(outside)
    unpack(inside, tar(("file", "new")))
    assert (outside / "file").read_text() == "safe"
    assert not (inside / "file").is_symlink()
    with pytest.raises(Refused, match="cannot overwrite non-directory folder with directory"):
        unpack(inside, tar(("folder", None), ("folder/file", "new")))
    assert (outside / "file").read_text() == "safe"


@pytest.mark.parametrize(
    ("to", "entries", "sentence"),
    [
        ("file", [("tree", None)], "cannot copy a directory to the file"),
        ("none/", [("x", "x")], "no such directory"),
        ("none/x", [("x", "x")], "does not exist"),
        (".", [("file", None)], "cannot overwrite non-directory file with directory"),
        (".", [("folder", "x")], "cannot overwrite directory folder with non-directory"),
    ],
)
def test_what_is_in_the_way_is_named_and_stays(tmp_path, to, entries, sentence):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    with pytest.raises(Refused, match=sentence):
        unpack(f"{tmp_path}/{to}", tar(*entries))
    assert (tmp_path / "file").read_text() == "kept"
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@pytest.mark.parametrize("damage", ["cut", "bit", "noise"])
def test_a_damaged_archive_is_refused(tmp_path, damage):
    content = tar(("x", "y" * 4000))
    broken = {"cut": content[:2048], "bit": b"z" + content[1:], "noise": os.urandom(4096)}[damage]
    with pytest.raises(Refused):
        unpack(tmp_path / "x", broken)
    assert os.listdir(tmp_path) == []
