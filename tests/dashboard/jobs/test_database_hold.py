"""The engine worker is root, and SQLite's files belong to who opens the database first."""

from __future__ import annotations

import os
import sqlite3
import stat

import pytest
from django.db import connection

from dashboard.jobs import worker

OWNER = 61_234

pytestmark = pytest.mark.root


@pytest.fixture
def database(tmp_path, monkeypatch):
    folder = tmp_path / "db"
    folder.mkdir()
    path = folder / "berth.sqlite3"
    opened = sqlite3.connect(path)
    opened.execute("PRAGMA journal_mode=WAL")
    opened.execute("CREATE TABLE berths (name TEXT)")
    opened.close()
    for parent in (tmp_path, *list(tmp_path.parents)[:-2]):
        parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    os.chown(folder, OWNER, OWNER)
    os.chown(path, OWNER, OWNER)
    path.chmod(0o640)
    monkeypatch.setitem(connection.settings_dict, "NAME", str(path))
    monkeypatch.setattr(worker, "_held", [])
    yield path
    for held in worker._held:
        held.close()


def test_the_files_beside_it_are_made_by_its_owner_and_stay(database, monkeypatch):
    asked_as = []
    connect = sqlite3.connect

    def watched(*args, **kwargs):
        asked_as.append((os.geteuid(), os.getegid()))
        return connect(*args, **kwargs)

    monkeypatch.setattr(worker.sqlite3, "connect", watched)
    worker.hold_database()
    assert asked_as == [(OWNER, OWNER)]
    assert (os.geteuid(), os.getegid()) == (0, 0)
    beside = database.with_name("berth.sqlite3-shm")
    assert beside.stat().st_uid == OWNER
    before = beside.stat().st_ino
    with connect(database) as later:
        later.execute("INSERT INTO berths VALUES ('one')")
    later.close()
    assert beside.stat().st_ino == before, "who closes it is not the last"


def test_a_database_that_cannot_be_read_leaves_the_worker_root(database):
    database.write_bytes(b"no database at all" * 100)
    worker.hold_database()
    assert (os.geteuid(), os.getegid()) == (0, 0)
