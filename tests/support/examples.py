"""How many examples the tests with random input take: all in `script/test`, a quarter in `script/test --unit`."""

from __future__ import annotations

import os


def examples(number: int) -> int:
    return number // 4 if os.environ.get("BERTH_EXAMPLES") == "few" else number
