"""Whose the files of new layers are: what the engine found out as root, for the unprivileged workers that write them.

`<run>/layer-ids` holds the host's id of the containers' root where layers must be written as theirs, and 0 where the
kernel shows any layer with any owners. It is gone after a reboot, as the kernel may be another one then.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.errors import HostUnfit
from engine.ids import IdRange
from engine.kernel import features
from engine.kernel.files import write_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config import EngineConfig

WAIT_S = 30.0
_POLL_S = 0.1


def _file(config: EngineConfig) -> Path:
    return config.run / "layer-ids"


def publish_layer_ids(config: EngineConfig) -> None:
    """Say it, as root, before any layer is asked for."""
    # Where it could not be tried too: layers that are written as the containers' root's can be shown by any kernel.
    first_id = 0 if features.features().idmapped_layers else config.ids.shared.first
    write_atomic(_file(config), f"{first_id}\n".encode(), mode=0o644)


def layer_ids(config: EngineConfig, *, wait_s: float = WAIT_S) -> IdRange | None:
    """Whose the files of a new layer are to be; None: the image's own numbers.

    Raises:
        HostUnfit: the engine worker has not said so since the host was started, and does not within `wait_s`.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            first_id = int(_file(config).read_text("ascii"))
        except (FileNotFoundError, ValueError) as error:
            if time.monotonic() >= deadline:
                msg = "The engine worker has not looked at this host yet, so no layer can be written. Is it running?"
                raise HostUnfit(msg) from error
            time.sleep(_POLL_S)
        else:
            return IdRange(first_id) if first_id else None
