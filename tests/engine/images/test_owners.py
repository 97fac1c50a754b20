from __future__ import annotations

import threading

import pytest

from engine.config import EngineConfig
from engine.errors import HostUnfit
from engine.ids import IdRange
from engine.images.owners import layer_ids, publish_layer_ids
from engine.kernel import features


@pytest.fixture
def config(tmp_path):
    config = EngineConfig(data=tmp_path, uid=0, gid=0, run_parent=tmp_path)
    config.run.mkdir()
    return config


@pytest.mark.root
def test_what_the_engine_found_is_what_the_workers_read(config):
    publish_layer_ids(config)
    assert layer_ids(config) is None
    with features.forced_shared_ids():
        publish_layer_ids(config)
    assert layer_ids(config) == IdRange(config.ids.base)
    assert (config.run / "layer-ids").stat().st_mode & 0o777 == 0o644


def test_a_worker_waits_for_the_engine_and_says_so_when_it_does_not_come(config):
    timer = threading.Timer(0.2, lambda: (config.run / "layer-ids").write_text("1048576\n"))
    timer.start()
    assert layer_ids(config) == IdRange(1 << 20)
    timer.join()
    (config.run / "layer-ids").unlink()
    with pytest.raises(HostUnfit, match="has not looked at this host yet"):
        layer_ids(config, wait_s=0.1)
