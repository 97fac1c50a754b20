"""What containers take, as the engine worker tells it to the others."""

from __future__ import annotations

import json
import os
import time

import pytest

from dashboard import gateway
from dashboard.containers import figures
from tests.support.waiting import until

TAKEN = {
    "cpu_percent": 12.5, "memory_bytes": 1, "memory_limit_bytes": 2, "processes": 3, "read_bytes": 4,
    "written_bytes": 5, "received_bytes": 6, "sent_bytes": 7,
}  # fmt: skip


@pytest.fixture
def run(tmp_path, settings, engine):
    settings.BERTH_RUN = tmp_path
    settings.BERTH_GID = os.getgid()
    engine.operations.taken = {"a" * 64: gateway.Figures(**TAKEN)}
    return tmp_path


def test_what_is_written_is_read(run):
    assert figures.newest() == {}
    figures.write_figures()
    assert figures.newest() == {"a" * 64: gateway.Figures(**TAKEN)}
    assert (run / "stats.json").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in run.iterdir()] == ["stats.json"]


def test_old_figures_and_those_of_another_version_are_none(run):
    figures.write_figures()
    document = json.loads((run / "stats.json").read_text())
    for changed in (
        {"at": time.time() - 11},
        {"containers": {"a" * 64: {"cpu": 1}}},
        {"containers": []},
    ):
        (run / "stats.json").write_text(json.dumps(document | changed))
        assert figures.newest() == {}
    (run / "stats.json").write_text("{")
    assert figures.newest() == {}


def test_the_clock_knows_it():
    from dashboard.core.clock import registry

    assert registry.entries["stats"].seconds == 1.0
    assert until("it is registered", lambda: registry.entries["stats"].tick is figures.write_figures)
