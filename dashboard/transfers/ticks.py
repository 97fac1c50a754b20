"""What the engine worker's clock does for transfers."""

from __future__ import annotations

from datetime import timedelta

from dashboard.core import clock
from dashboard.transfers import services


@clock.every(20.0, name="transfers")
def sweep_transfers() -> None:
    services.sweep()


@clock.on_jump
def move_along(by: timedelta) -> None:
    clock.move_along(services.open_transfers(), "heartbeat_at", "created_at", by=by)
