from __future__ import annotations

import pytest

from engine.ids import NOBODY, IdPool, IdRange, parse_accounts, parse_subordinate

POOL = IdPool(base=1_000_000, ranges=5)
FIRSTS = [1_000_000 + number * 65_536 for number in range(1, 5)]


def firsts(**options):
    return [found.first for found in POOL.free(**({"used": (), "taken": (), "start": 0} | options))]


def test_a_range_says_whose_an_id_is():
    ids = IdRange(1_000_000)
    assert (ids.outside(0), ids.outside(33), ids.outside(65_535)) == (1_000_000, 1_000_033, 1_065_535)
    assert ids.outside(70_000) == ids.outside(-1) == 1_000_000 + NOBODY
    assert (1_000_000 in ids, 1_065_535 in ids, 999_999 in ids, 1_065_536 in ids) == (True, True, False, False)
    assert (ids.owned(1_000_033), ids.owned(65_534), ids.owned(0)) == (1_000_033, 1_065_534, 1_065_534)


@pytest.mark.threat("RUN-19")
def test_each_container_gets_another_range_and_never_the_shared_one():
    assert firsts() == FIRSTS
    assert firsts(used=FIRSTS[:2]) == FIRSTS[2:]
    assert firsts(used=FIRSTS) == []
    assert POOL.shared == IdRange(1_000_000)
    assert all(not IdRange(a).overlaps(IdRange(b)) for a in (1_000_000, *FIRSTS) for b in FIRSTS if a != b)


def test_engines_of_one_host_begin_at_different_places():
    assert firsts(start=2) == [FIRSTS[2], FIRSTS[3], FIRSTS[0], FIRSTS[1]]
    assert firsts(start=4_000_000_001)[0] == FIRSTS[1]


@pytest.mark.threat("RUN-19")
def test_what_users_of_the_host_have_is_left_out():
    assert firsts(taken=[IdRange(FIRSTS[1] + 65_535, 2)]) == [FIRSTS[0], FIRSTS[3]]
    assert firsts(taken=[IdRange(0, 2**32 - 1)]) == []


def test_only_whole_ranges_of_the_pool_are_its():
    assert IdRange(FIRSTS[0]) in POOL
    assert POOL.shared in POOL
    for wrong in (IdRange(FIRSTS[0], 65_537), IdRange(FIRSTS[0] + 1), IdRange(FIRSTS[3] + 65_536), IdRange(0)):
        assert wrong not in POOL


def test_the_hosts_files_are_read():
    text = "alice:100000:65536\nbroken\nbob:165536:1000\nx:y:z\n\n:5:6:7\n"
    assert parse_subordinate(text) == [IdRange(100_000, 65_536), IdRange(165_536, 1000)]
    passwd = "root:x:0:0::/:/bin/sh\nbig:x:1879048200:5::/:/bin/sh\nodd:x:-2:1::/:\n\n"
    assert parse_accounts(passwd) == [IdRange(1_879_048_200, 1)]
