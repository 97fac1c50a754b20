from __future__ import annotations

import os

import pytest

from engine.config import EngineConfig, Limits


@pytest.fixture
def config(tmp_path):
    return EngineConfig(data=tmp_path, uid=os.getuid(), gid=os.getgid(), limits=Limits(reserve_bytes=0))
