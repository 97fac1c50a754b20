"""Measuring and removing volumes."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import StoreError
from engine.kernel import files
from engine.kernel.process import ProcessFailed, run
from engine.volumes import places

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.config import EngineConfig

logger = logging.getLogger(__name__)
_DU = Path("/usr/bin/du")
_MEASURE_S = 60.0
_CHANGED_MEANWHILE = 1  # du's status when a file went away while it looked
_leaving: set[str] = set()
_sweeping: set[Path] = set()
_guard = threading.Lock()


def volumes_on_disk(config: EngineConfig) -> set[str]:
    try:
        with os.scandir(config.volumes) as entries:
            return {entry.name for entry in entries if places.is_volume_name(entry.name)}
    except FileNotFoundError:
        return set()


def volume_bytes(config: EngineConfig, name: str) -> int | None:
    """Space on disk that a volume takes; 0 for one that was never used, None where a minute is not enough to count.

    `du` counts: containers may have made folders of any depth, and change them meanwhile.
    """
    data = places.volume(config, name) / "_data"
    if not data.is_dir():
        return 0
    try:
        done = run(
            [str(_DU), "--summarize", "--one-file-system", "--block-size=1", str(data)],
            timeout_s=_MEASURE_S,
            check=False,
        )
    except ProcessFailed:
        return None
    total = done.stdout.partition(b"\t")[0].decode("ascii", "replace")
    return int(total) if done.returncode in (0, _CHANGED_MEANWHILE) and total.isdecimal() else None


def remove_volume(config: EngineConfig, name: str) -> None:
    """Remove a volume with all that is in it. Idempotent. Its name is free at once; the space a moment later.

    Raises:
        StoreError: something is mounted inside, or the disk refuses.
    """
    folder = places.volume(config, name)
    leaving = config.volumes / f"{places.REMOVED}{secrets.token_hex(16)}"
    lock = places.lock(config, name)
    with lock:
        try:
            _leaving.add(leaving.name)
            folder.rename(leaving)
            files.sync_folder(config.volumes)
            files.remove_tree(leaving)
        except FileNotFoundError:
            pass  # never used, or removed before
        except OSError as error:
            msg = f"The volume {name} could not be removed: {error.strerror or error}."
            raise StoreError(msg, subject=name) from error
        finally:
            _leaving.discard(leaving.name)
        lock.path.unlink(missing_ok=True)


def sweep_removed(config: EngineConfig) -> None:
    """Go on with removals that a crash cut off. Returns at once: a thread does it, one at a time for each data folder.

    A volume may hold millions of files, and who calls this has a clock to keep. What cannot be removed is tried again
    at the next call.
    """
    if not config.volumes.is_dir():
        return
    left = [path for path in config.volumes.glob(f"{places.REMOVED}*") if path.name not in _leaving]
    with _guard:
        if not left or config.volumes in _sweeping:
            return
        threading.Thread(target=_remove_all, args=(config.volumes, left), name="removed-volumes", daemon=True).start()
        _sweeping.add(config.volumes)


def _remove_all(volumes: Path, left: Iterable[Path]) -> None:
    try:
        for path in left:
            try:
                files.remove_tree(path)
            except OSError:
                logger.exception("what is left of a removed volume, %s, could not be removed", path.name)
    finally:
        with _guard:
            _sweeping.discard(volumes)
