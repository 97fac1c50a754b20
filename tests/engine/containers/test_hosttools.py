from __future__ import annotations

from pathlib import Path

import pytest

from engine.containers.hosttools import Trust, first_line, parse_version, runc_trust


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("runc version 1.1.5+ds1", (1, 1, 5)),
        ("runc version 1.3.6", (1, 3, 6)),
        ("runc version 1.5.0-rc.1+dev", (1, 5, -1)),
        ("conmon version 2.1.6", (2, 1, 6)),
        ("conmon: option parsing failed", None),
        ("", None),
    ],
)
def test_versions_are_read_from_what_programs_print(text, version):
    assert parse_version(text) == version


@pytest.mark.threat("RUN-01")
@pytest.mark.parametrize(
    ("version", "trust"),
    [
        ((1, 0, 0), Trust.RED),
        ((1, 1, 5), Trust.RED),
        ((1, 2, 7), Trust.RED),
        ((1, 2, 8), Trust.AMBER),
        ((1, 3, 2), Trust.RED),
        ((1, 3, 3), Trust.AMBER),
        ((1, 3, 5), Trust.AMBER),
        ((1, 3, 6), Trust.GREEN),
        ((1, 4, 0), Trust.AMBER),
        ((1, 4, 3), Trust.GREEN),
        ((1, 5, -1), Trust.AMBER),
        ((1, 5, 0), Trust.GREEN),
        ((1, 6, 0), Trust.GREEN),
        ((2, 0, 0), Trust.GREEN),
    ],
)
def test_runc_is_judged_by_the_floor_table(version, trust):
    assert runc_trust(version) is trust


def test_a_missing_program_has_no_first_line():
    assert first_line(Path("/nowhere/runc"), "--version") is None
    assert first_line(Path("/bin/false")) is None
