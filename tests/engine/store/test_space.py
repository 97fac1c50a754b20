from __future__ import annotations

import dataclasses
import errno
import os

import pytest

from engine.config import Limits
from engine.errors import StoreError, StoreFull
from engine.store.space import ensure_room, free_bytes, human, store_error


def test_the_free_space_of_a_path_that_is_not_there_yet_is_its_parents(config):
    assert free_bytes(config.data / "a" / "b") == pytest.approx(free_bytes(config.data), rel=0.2)


@pytest.mark.fault("F33")
def test_the_reserve_is_never_touched(config):
    ensure_room(config, 1, "it")
    free = free_bytes(config.data)
    tight = dataclasses.replace(config, limits=Limits(reserve_bytes=free // 2))
    ensure_room(tight, free // 4, "it")
    with pytest.raises(
        StoreFull, match=r"^disk full \(store: .* free\): layer abc needs .*, and .* are kept in reserve"
    ):
        ensure_room(tight, free * 3 // 4, "layer abc")


def test_a_full_disk_is_told_apart_from_a_broken_one():
    assert isinstance(store_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "it"), StoreFull)
    broken = store_error(OSError(errno.EIO, os.strerror(errno.EIO)), "it")
    assert type(broken) is StoreError
    assert str(broken) == "it could not be written: Input/output error."


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (187_654_321, "187.7 MB"), (10**18, "1000 PB")]
)
def test_sizes_are_printed_as_docker_prints_them(size, text):
    assert human(size) == text
