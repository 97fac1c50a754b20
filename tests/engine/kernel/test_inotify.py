from __future__ import annotations

import select

import pytest

from engine.kernel.inotify import Event, Inotify, Mask


def test_changes_are_told_and_draining_never_waits(tmp_path):
    with Inotify() as inotify:
        assert inotify.drain() == []
        watch = inotify.add(tmp_path, Mask.CREATE | Mask.MODIFY | Mask.MOVED_TO | Mask.DELETE)
        (tmp_path / "log").write_bytes(b"x")
        assert select.select([inotify], [], [], 5)[0]
        assert inotify.drain()[0] == Event(watch, Mask.CREATE, "log")
        (tmp_path / "log").rename(tmp_path / "한국어")
        assert [event.name for event in inotify.drain() if event.mask & Mask.MOVED_TO] == ["한국어"]
        inotify.remove(watch)
        assert [event.mask for event in inotify.drain()] == [Mask.IGNORED]


def test_a_watch_follows_the_file_and_not_the_name(tmp_path):
    path = tmp_path / "log"
    path.touch()
    with open(path, "ab", buffering=0) as writer, Inotify() as inotify:
        watch = inotify.add(path, Mask.MODIFY)
        path.rename(tmp_path / "log.1")
        path.touch()
        writer.write(b"more")
        assert inotify.drain() == [Event(watch, Mask.MODIFY, "")]


def test_a_missing_path_is_an_error(tmp_path):
    with Inotify() as inotify, pytest.raises(FileNotFoundError):
        inotify.add(tmp_path / "missing", Mask.MODIFY)
