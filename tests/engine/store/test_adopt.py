from __future__ import annotations

import hashlib
import mmap
import os
import stat
import subprocess
import sys

import pytest

from engine.digest import DiffId, Digest
from engine.errors import DigestMismatch, NotStored, StoreError
from engine.kernel import files
from engine.store.adopt import adopt_layer, remove_layers
from tests.support.engines import NOBODY, temporary_engine

pytestmark = [pytest.mark.root, pytest.mark.threat("TAR-12")]
CONTENT = b"squashfs" * 10_000
SHA256, SIZE = hashlib.sha256(CONTENT).hexdigest(), len(CONTENT)
DIFF_ID = DiffId(Digest(f"sha256:{'ab' * 32}"))


@pytest.fixture
def config():
    with temporary_engine() as config:
        yield config


@pytest.fixture
def source(config):
    path = config.incoming / "layer-1"
    path.write_bytes(CONTENT)
    os.chown(path, NOBODY, NOBODY)
    return path


def adopt(config, name="layer-1", sha256=SHA256, size=SIZE):
    adopt_layer(config, incoming=name, diff_id=DIFF_ID, file_sha256=sha256, file_bytes=size)


def test_it_becomes_roots_and_read_only(config, source):
    adopt(config)
    found = config.layer_file(DIFF_ID.hex).stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), found.st_nlink) == (0, 0, 0o440, 1)
    assert config.layer_file(DIFF_ID.hex).read_bytes() == CONTENT
    assert os.listdir(config.incoming) == []
    assert os.listdir(config.layers) == [f"{DIFF_ID.hex}.sqfs"]
    assert stat.S_IMODE(config.layers.stat().st_mode) == 0o700


def test_one_with_moved_owners_has_a_name_of_its_own_beside_the_other(config, source):
    adopt(config)
    source.write_bytes(CONTENT)
    adopt_layer(config, incoming="layer-1", diff_id=DIFF_ID, file_sha256=SHA256, file_bytes=SIZE, first_id=1 << 20)
    names = [f"{DIFF_ID.hex}.1048576.sqfs", f"{DIFF_ID.hex}.sqfs"]
    assert sorted(os.listdir(config.layers)) == names
    remove_layers(config, [DIFF_ID])
    assert os.listdir(config.layers) == []


def test_adopting_again_after_a_crash_verifies_what_is_there(config, source):
    adopt(config)
    adopt(config)
    with pytest.raises(DigestMismatch):
        adopt(config, sha256="0" * 64)


def test_it_replaces_a_damaged_file(config, source):
    config.layer_file(DIFF_ID.hex).write_bytes(b"damaged")
    adopt(config)
    assert config.layer_file(DIFF_ID.hex).read_bytes() == CONTENT


def test_an_open_writer_is_refused(config, source):
    with open(source, "r+b") as writer:
        with pytest.raises(StoreError, match="still open for writing"):
            adopt(config)
        writer.write(b"changed")
    assert not config.layer_file(DIFF_ID.hex).exists()


def test_a_writable_mapping_is_refused(config, source):
    with open(source, "r+b") as writer:
        mapping = mmap.mmap(writer.fileno(), 0)
    with pytest.raises(StoreError, match="still open for writing"):
        adopt(config)
    mapping.close()
    adopt(config)


def test_a_reader_may_stay_but_cannot_become_a_writer(config, source):
    script = (
        "import os, sys\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "print('open', flush=True); sys.stdin.readline()\n"
        "try: os.open(f'/proc/self/fd/{fd}', os.O_RDWR)\n"
        "except PermissionError: print('refused')\n"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", script, str(source)],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert reader.stdout.readline() == b"open\n"
    adopt(config)
    assert reader.communicate(b"\n", timeout=60)[0] == b"refused\n"


def test_a_hard_link_is_refused(config, source):
    os.link(source, config.incoming / "other-name")
    with pytest.raises(StoreError, match="one name"):
        adopt(config)
    assert source.stat().st_uid == NOBODY


def test_a_symbolic_link_is_refused(config, source):
    (config.incoming / "link").symlink_to("/etc/shadow")
    before = os.stat("/etc/shadow")
    with pytest.raises(StoreError, match="cannot be opened"):
        adopt(config, name="link")
    after = os.stat("/etc/shadow")
    assert (before.st_uid, before.st_mode) == (after.st_uid, after.st_mode)


def test_a_fifo_or_a_folder_is_refused_without_waiting(config):
    os.mkfifo(config.incoming / "fifo")
    (config.incoming / "folder").mkdir()
    for name in ("fifo", "folder"):
        with pytest.raises(StoreError, match="regular file"):
            adopt(config, name=name)


def test_a_wrong_hash_or_size_is_refused(config, source):
    with pytest.raises(DigestMismatch):
        adopt(config, sha256="0" * 64)
    with pytest.raises(DigestMismatch):
        adopt(config, size=1)
    assert not config.layer_file(DIFF_ID.hex).exists()
    adopt(config)


def test_a_missing_file_and_a_path_for_a_name_are_refused(config):
    with pytest.raises(NotStored):
        adopt(config, name="nothing")
    for name in ("../layers/x", "", ".", "..", "a/b"):
        with pytest.raises(StoreError, match="plain"):
            adopt(config, name=name)


def test_another_file_under_the_name_meanwhile_is_not_what_gets_adopted(config, source, monkeypatch):
    real = files.read_lease

    def swapping(fd):
        source.rename(source.with_name("moved"))
        source.write_bytes(b"evil")
        return real(fd)

    monkeypatch.setattr(files, "read_lease", swapping)
    adopt(config)
    assert config.layer_file(DIFF_ID.hex).read_bytes() == CONTENT


def test_removing_a_layer_can_be_repeated(config, source):
    adopt(config)
    remove_layers(config, [DIFF_ID])
    remove_layers(config, [DIFF_ID])
    assert os.listdir(config.layers) == []
