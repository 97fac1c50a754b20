"""What must be true of a Berth after every fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.integration.conftest import Berth


def assert_sound(berth: Berth) -> None:
    """All its parts answer, and `system check` finds every invariant true: containers, mounts, networks, rows, files."""
    berth.wait_healthy()
    assert berth.findings() == [], berth.logs()
