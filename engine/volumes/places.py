"""Where volumes lie.

volumes/            0700 root: no user of the host reaches the set-user-id programs that containers put there
    <name>/         0700 root
        _data/      what containers see; owner and mode are those that containers gave it
        partial/    a first copy under way
        filled/     a first copy that is complete and being put in place
        restored/   a backup being unpacked, then for a moment what was there before it
    .removed-<hex>  on its way out
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING

from engine.errors import RequestRefused, StoreFull
from engine.kernel import files

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config import EngineConfig

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}\Z", re.ASCII)
REMOVED = ".removed-"
RESTORED = "restored"


def is_volume_name(text: str) -> bool:
    return _NAME.match(text) is not None


def volume(config: EngineConfig, name: str) -> Path:
    """The volume's folder; refuses what is not a name, as it becomes part of a path."""
    if not is_volume_name(name):
        msg = f"'{name[:80]}' is not the name of a volume."
        raise RequestRefused(msg)
    return config.volumes / name


def ensure_volume(config: EngineConfig, name: str) -> Path:
    """Make the volume if it is not there; its folder of data, which a new one has empty, 0755 root.

    Raises:
        RequestRefused: not a name.
        StoreFull: no space for the folders.
    """
    folder = volume(config, name)
    data = folder / "_data"
    try:
        for path in (config.volumes, folder):
            files.ensure_folder(path, 0o700)
        with contextlib.suppress(FileExistsError):
            os.mkdir(data, 0o755)  # noqa: PTH102 - the mode counts
            files.sync_folder(folder)
    except OSError as error:
        msg = f"The volume {name} could not be made: {error.strerror}."
        raise StoreFull(msg, subject=name) from error
    return data


def lock(config: EngineConfig, name: str) -> files.FileLock:
    """Held while a volume is filled, restored or removed."""
    locks = config.run / "volume-locks"
    config.run.mkdir(mode=0o755, parents=True, exist_ok=True)
    files.ensure_folder(locks, 0o700)
    return files.FileLock(locks / volume(config, name).name)
