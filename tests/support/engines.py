"""Temporary engines: a data folder, a run folder, and removal of everything that was made outside them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from engine.config import EngineConfig
from engine.kernel import cgroups, mounts
from engine.network import Network

NOBODY = 65534


@contextlib.contextmanager
def temporary_engine(**settings) -> Iterator[EngineConfig]:
    """An engine of its own; `settings` override fields of EngineConfig. Needs root.

    Kills what is left in its cgroup, and takes its mounts, loop devices, bridge and firewall table away.
    """
    place = Path(tempfile.mkdtemp(prefix="berth-test-"))
    place.chmod(0o711)
    settings = {"uid": NOBODY, "gid": NOBODY, **settings}
    settings.setdefault("policy_file", place / "etc" / "engine.toml")  # not this host's
    config = EngineConfig(data=place / "data", run_parent=place / "run", **settings)
    for folder in (config.data, config.run_parent, config.run, config.layers, config.containers, config.incoming):
        folder.mkdir(mode=0o711, exist_ok=True)
    config.transfers.mkdir(mode=0o700)
    for folder in (config.incoming, config.transfers):
        os.chown(folder, config.uid, config.gid)
    try:
        yield config
    finally:
        remove_engine(config)
        assert not mounts.mounts_below(place), f"still mounted: {mounts.mounts_below(place)}"
        shutil.rmtree(place)


def remove_engine(config: EngineConfig) -> None:
    cgroups.kill_all(config.cgroup)
    mounts.unmount_all(config.data)
    cgroups.remove(config.cgroup)
    Network(config).remove()
    mounts.unmount_all(config.run)


def container_id(number: int = 1) -> str:
    return f"{number:064x}"
