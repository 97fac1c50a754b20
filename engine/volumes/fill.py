"""The first use of a volume: it gets what the image has at that place, whole or not at all.

The copy is made in `partial`, renamed to `filled` when it is complete, and its entries are moved into `_data` one by
one. Cut off anywhere, the next start goes on with a complete copy and throws an incomplete one away (F13).
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from engine.errors import EngineError, StoreError
from engine.kernel import files
from engine.volumes import places
from engine.volumes.copy import copy_attributes, copy_folder

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config import EngineConfig


def fill_if_empty(config: EngineConfig, name: str, source: int, *, first_id: int = 0) -> bool:
    """Copy the open folder `source` of a container's root into the volume, if that is empty. Whether it was.

    Owner and mode of the folder come along, as Docker does. What a crash cut off is finished first.

    Raises:
        StoreFull, ImageUnfit, StoreError: the volume is as empty as it was.
    """
    folder = places.ensure_volume(config, name).parent
    with places.lock(config, name):
        finish(config, name)
        if any((folder / "_data").iterdir()):
            return False
        partial = folder / "partial"
        try:
            partial.mkdir(mode=0o700)
            copy_folder(source, partial, reserve_bytes=config.limits.reserve_bytes, first_id=first_id)
            files.sync_file_system(
                partial
            )  # the name `filled` must never survive a power cut that the content does not
        except (EngineError, OSError) as error:
            files.remove_tree(partial)
            if isinstance(error, EngineError):
                raise
            msg = f"The image's files could not be copied into the volume {name}: {error.strerror}."
            raise StoreError(msg, subject=name) from error
        partial.rename(folder / "filled")
        finish(config, name)
    return True


def finish(config: EngineConfig, name: str) -> None:
    """Go on with a complete copy, drop an incomplete one. The caller holds the volume's lock. Idempotent."""
    folder = places.volume(config, name)
    files.remove_tree(folder / "partial")
    if (folder / "filled").is_dir():
        _move_all(folder / "filled", folder / "_data")
        files.sync_folder(folder)


def _move_all(filled: Path, data: Path) -> None:
    with contextlib.ExitStack() as stack:
        before, after = (os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for path in (filled, data))
        stack.callback(os.close, before)
        stack.callback(os.close, after)
        for name in os.listdir(before):  # noqa: PTH208 - by descriptor
            os.rename(name, name, src_dir_fd=before, dst_dir_fd=after)
        copy_attributes(before, after)
        os.fsync(after)
    filled.rmdir()
