"""What the kernel tells of processes."""

from __future__ import annotations

import os
import time

from engine.kernel.procfs import parse_facts, process_facts

STAT = b"7 (a) R 1 (b)) S 3 7 5 34817 7 4194560 0 0 0 0 150 50 0 0 30 10 4 0 1000 4096000 25 0 0"
STATUS = b"Name:\ta\nUid:\t1000\t0\t0\t0\n"


def test_a_name_with_parentheses_does_not_shift_the_fields():
    facts = parse_facts(7, STAT, STATUS, b"", booted_at=1000.0)
    assert (facts.name, facts.command, facts.state) == ("a) R 1 (b)", "[a) R 1 (b)]", "S")
    assert (facts.parent, facts.group, facts.session, facts.uid) == (3, 7, 5, 1000)
    assert (facts.terminal, facts.is_foreground) == ("pts/1", True)
    assert (facts.nice, facts.threads, facts.virtual_bytes) == (10, 4, 4_096_000)
    ticks = os.sysconf("SC_CLK_TCK")
    assert (facts.cpu_s, facts.started_at) == (200 / ticks, 1000.0 + 1000 / ticks)
    assert facts.resident_bytes == 25 * os.sysconf("SC_PAGE_SIZE")


def test_words_are_parted_and_made_fit_to_print():
    assert (
        parse_facts(7, STAT, STATUS, b"sh\0-c\0a\nb\xff\0", booted_at=0).command == "sh -c a?b\N{REPLACEMENT CHARACTER}"
    )


def test_this_process_is_found_and_one_that_is_gone_is_not():
    facts = process_facts(os.getpid())
    assert facts is not None
    assert (facts.pid, facts.parent, facts.uid) == (os.getpid(), os.getppid(), os.getuid())
    assert abs(time.time() - facts.started_at) < 3600 * 24
    assert process_facts(2**22 + 1) is None
