from __future__ import annotations

import dataclasses
import os
import stat
import threading

import pytest

from engine.config import Limits
from engine.digest import Digest
from engine.errors import Cancelled, StoreError, StoreFull
from engine.store import ingest as module
from engine.store.ingest import Ingest, remove_stale

DATA = os.urandom(3_000_000)
DIGEST = Digest.of(DATA)


def never():
    return False


def opened(config, digest=DIGEST, size=3_000_000, cancelled=never):
    return Ingest(config, digest, size, cancelled)


def test_what_is_appended_is_kept_hashed_and_read_back(config):
    with opened(config) as ingest:
        for start in range(0, len(DATA), 1_000_000):
            assert not ingest.is_complete
            ingest.append(DATA[start : start + 1_000_000])
        assert ingest.is_complete
        assert ingest.is_right
        assert b"".join(ingest.read()) == DATA
    path = config.ingest / DIGEST
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.fault("F03")
def test_the_next_attempt_goes_on_after_hashing_what_is_there(config):
    with opened(config) as ingest:
        ingest.append(DATA[:1_500_000])
    with opened(config) as ingest:
        assert ingest.size_bytes == 1_500_000
        ingest.append(DATA[1_500_000:])
        assert ingest.is_right


@pytest.mark.fault("F03")
@pytest.mark.parametrize("content", [DATA + b"x", b"x" * len(DATA)])
def test_a_file_that_cannot_be_right_is_dropped(config, content):
    config.ingest.mkdir()
    (config.ingest / DIGEST).write_bytes(content)
    with opened(config) as ingest:
        assert ingest.size_bytes == 0
        assert (config.ingest / DIGEST).stat().st_size == 0


def test_a_restart_forgets_everything(config):
    with opened(config) as ingest:
        ingest.append(b"wrong")
        ingest.restart()
        ingest.append(DATA)
        assert ingest.is_right


@pytest.mark.fault("F30")
def test_a_second_worker_waits_for_the_first_and_takes_over(config):
    taken = threading.Event()

    def second():
        with opened(config) as ingest:
            assert ingest.size_bytes == 5
            taken.set()

    with opened(config) as ingest:
        thread = threading.Thread(target=second)
        thread.start()
        ingest.append(DATA[:5])
        assert not taken.wait(0.3)
    thread.join(5)
    assert taken.is_set()


@pytest.mark.fault("F30")
def test_after_a_removal_the_waiting_one_starts_from_nothing(config):
    sizes = []

    def second():
        with opened(config) as ingest:
            sizes.append(ingest.size_bytes)
            ingest.append(DATA)

    with opened(config) as ingest:
        thread = threading.Thread(target=second)
        thread.start()
        ingest.append(DATA)
        ingest.remove()
    thread.join(5)
    assert sizes == [0]
    assert (config.ingest / DIGEST).stat().st_size == len(DATA)


def test_waiting_can_be_cancelled(config):
    with opened(config), pytest.raises(Cancelled), opened(config, cancelled=lambda: True):
        pass


def test_a_link_in_place_of_the_file_is_not_followed(config, tmp_path):
    config.ingest.mkdir()
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (config.ingest / DIGEST).symlink_to(victim)
    with pytest.raises(StoreError), opened(config):
        pass
    assert victim.read_bytes() == b"precious"


@pytest.mark.fault("F33")
def test_the_reserve_is_respected_while_bytes_come_in(config, monkeypatch):
    monkeypatch.setattr(module, "ROOM_EVERY_BYTES", 1000)
    tight = dataclasses.replace(config, limits=Limits(reserve_bytes=1 << 60))
    with opened(tight) as ingest:
        ingest.append(DATA[:1000])
        with pytest.raises(StoreFull, match=r"^disk full \(store: .* free\)"):
            ingest.append(DATA[1000:])
        assert ingest.size_bytes == 1000


def test_old_leftovers_are_removed_but_not_one_that_is_in_use(config):
    with opened(config) as ingest:
        ingest.append(b"x")
    used = Digest.of(b"used")
    with opened(config, used, 10):
        os.utime(config.ingest / DIGEST, (1, 1))
        os.utime(config.ingest / used, (1, 1))
        assert remove_stale(config, older_than_s=3600) == 1
        assert [path.name for path in config.ingest.iterdir()] == [used]
    assert remove_stale(config, older_than_s=1e12) == 0


def test_without_a_folder_there_is_nothing_to_remove(config):
    assert remove_stale(config, older_than_s=0) == 0
