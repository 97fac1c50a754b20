"""Where the addresses of other Berths are kept (`berth context`). Imported by every command: nothing but `os`."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def contexts_file(environment: Mapping[str, str] = os.environ) -> str:
    folder = environment.get("XDG_CONFIG_HOME") or f"{environment.get('HOME') or '/root'}/.config"
    return f"{folder}/berth/contexts.json"
