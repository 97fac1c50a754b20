from __future__ import annotations

import stat
import threading

import pytest

from engine.digest import Digest
from engine.errors import DigestMismatch, NotStored, StoreError
from engine.store.blobs import BlobStore

DATA = b'{"a": 1}'


@pytest.fixture
def store(config):
    return BlobStore(config)


def test_what_is_put_is_there_under_its_digest(store):
    digest = store.put(DATA)
    assert digest == Digest.of(DATA)
    assert (store.has(digest), store.get(digest)) == (True, DATA)
    assert stat.S_IMODE(store.path(digest).stat().st_mode) == 0o640
    assert stat.S_IMODE(store.path(digest).parent.stat().st_mode) == 0o750


def test_sha512_has_its_own_folder(store):
    hasher = Digest("sha512:" + "0" * 128).hasher()
    hasher.update(DATA)
    digest = store.put(DATA, expected=Digest(f"sha512:{hasher.hexdigest()}"))
    assert store.path(digest).parent.name == "sha512"
    assert store.get(digest) == DATA


@pytest.mark.threat("REG-02")
def test_wrong_bytes_are_not_stored(store):
    with pytest.raises(DigestMismatch):
        store.put(b"other", expected=Digest.of(DATA))
    assert not store.has(Digest.of(DATA))


def test_putting_again_leaves_whole_bytes_alone(store):
    path = store.path(store.put(DATA))
    before = path.stat()
    store.put(DATA)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.fault("F37")
@pytest.mark.parametrize("damage", [b"", DATA[:-1], DATA + b" ", DATA.replace(b"1", b"2")])
def test_damage_is_noticed_and_repaired_by_the_next_put(store, damage):
    digest = store.put(DATA)
    store.path(digest).chmod(0o600)
    store.path(digest).write_bytes(damage)
    with pytest.raises(DigestMismatch, match="Pull the image again"):
        store.get(digest)
    store.put(DATA)
    assert store.get(digest) == DATA


def test_a_missing_blob_is_said_to_be_missing_and_removing_it_again_is_fine(store):
    digest = store.put(DATA)
    store.remove(digest)
    store.remove(digest)
    with pytest.raises(NotStored):
        store.get(digest)


@pytest.mark.fault("F04")
def test_a_failed_put_leaves_nothing_behind(store, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(StoreError, match="could not be written: Input/output error"):
        store.put(DATA)
    monkeypatch.undo()
    folder = store.path(Digest.of(DATA)).parent
    assert list(folder.iterdir()) == []


def test_many_may_put_the_same_blob_at_once(store):
    threads = [threading.Thread(target=store.put, args=(DATA,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get(Digest.of(DATA)) == DATA
    assert len(list(store.path(Digest.of(DATA)).parent.iterdir())) == 1
