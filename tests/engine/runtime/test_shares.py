from __future__ import annotations

import pytest

from engine.config import Limits
from engine.errors import RequestRefused
from engine.runtime.policy import Policy
from engine.runtime.shares import ShareFacts, SharesRequest, cpus_of, refuse_unfit_shares, rlimits, share_facts

FACTS = ShareFacts(cpus=frozenset({0, 1}), hard_limits={"nofile": 4096, "nproc": 100, "core": -1, "rtprio": 0})
MIB = 1 << 20


def refuse(shares, *, memory=None, policy=None, facts=FACTS):
    refuse_unfit_shares(shares, memory, policy or Policy(), facts, Limits())


@pytest.mark.parametrize(
    ("fields", "memory", "sentence"),
    [
        ({"cpu_shares": 1}, None, "The minimum allowed cpu-shares is 2"),
        ({"cpu_shares": -5}, None, "The minimum allowed cpu-shares is 2"),
        ({"cpu_shares": 300_000}, None, "The maximum allowed cpu-shares is 262144"),
        ({"cpus": "0-5"}, None, "Requested CPUs are not available - requested 0-5, available: 0,1"),
        ({"cpus": "1-0"}, None, "Invalid value 1-0 for cpuset cpus"),
        ({"cpus": "x"}, None, "Invalid value x for cpuset cpus"),
        ({"memory_swap_bytes": -1}, 100 * MIB, "always has a limit here"),
        ({"memory_swap_bytes": 200 * MIB}, None, "should always set the Memory limit"),
        ({"memory_swap_bytes": 50 * MIB}, 100 * MIB, "Minimum memoryswap limit"),
        ({"memory_reservation_bytes": MIB}, None, "Minimum memory reservation allowed is 6MB"),
        ({"memory_reservation_bytes": 200 * MIB}, 100 * MIB, "can not be less than memory reservation"),
        ({"oom_score": 0}, None, "1 to 1000 here"),
        ({"oom_score": -1000}, None, "1 to 1000 here"),
        ({"ulimits": (("nofile", 1, 5000),)}, None, "at most 4096 for the limit nofile"),
        ({"ulimits": (("nofile", 1, -1),)}, None, "at most 4096 for the limit nofile"),
        ({"ulimits": (("rtprio", 1, 1),)}, None, "at most 0 for the limit rtprio"),
        ({"ulimits": (("nope", 1, 1),)}, None, "invalid ulimit type: nope"),
        ({"rates": (("read_bps", "/dev/null", 1),)}, None, "/dev/null is not a block device"),
        ({"rates": (("read_bps", "/dev/none", 1),)}, None, "/dev/none is not a block device"),
        ({"rates": (("read_bps", "/etc/passwd", 1),)}, None, "/etc/passwd is not a block device"),
    ],
)
def test_what_the_host_cannot_give_is_refused_with_the_reason(fields, memory, sentence):
    with pytest.raises(RequestRefused, match=sentence):
        refuse(SharesRequest(**fields), memory=memory)


def test_what_the_host_can_give_is_not():
    refuse(SharesRequest())
    refuse(SharesRequest(cpu_shares=2, cpus="0,1", oom_score=1000, ulimits=(("core", 0, -1), ("nofile", 1, 4096))))
    refuse(SharesRequest(memory_swap_bytes=200 * MIB, memory_reservation_bytes=50 * MIB), memory=100 * MIB)


@pytest.mark.parametrize(
    ("facts", "shares", "sentence"),
    [
        (ShareFacts(swap=False), SharesRequest(memory_swap_bytes=200 * MIB), "cannot limit swap"),
        (ShareFacts(reservation=False), SharesRequest(memory_reservation_bytes=50 * MIB), "cannot reserve memory"),
    ],
)
def test_what_the_kernel_lacks_is_said(facts, shares, sentence):
    with pytest.raises(RequestRefused, match=sentence):
        refuse(shares, memory=100 * MIB, facts=facts)


def test_memory_and_swap_together_stay_below_the_ceiling():
    with pytest.raises(RequestRefused, match="at most 150 MiB of memory"):
        refuse(SharesRequest(memory_swap_bytes=200 * MIB), memory=100 * MIB, policy=Policy(memory_bytes=150 * MIB))


def test_open_files_are_always_limited_and_never_above_the_host():
    assert rlimits(SharesRequest(), FACTS) == [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096}]
    assert rlimits(SharesRequest(), ShareFacts()) == [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 524_288}]


def test_lists_of_processors():
    assert cpus_of("0-2,5") == {0, 1, 2, 5}


def test_this_host_says_what_it_has():
    found = share_facts()
    assert found.cpus
    assert {"nofile", "nproc", "core", "memlock"} <= set(found.hard_limits)
