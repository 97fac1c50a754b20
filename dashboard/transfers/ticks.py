"""What the engine worker's clock does for transfers."""

from __future__ import annotations

from dashboard.core import clock
from dashboard.transfers import services


@clock.every(20.0, name="transfers")
def sweep_transfers() -> None:
    services.sweep()
