"""What the engine worker's clock does for events: it keeps them from growing without end."""

from __future__ import annotations

from dashboard.core import clock
from dashboard.history import services


@clock.every(60.0, name="old events")
def forget_old_events() -> None:
    services.forget_old()
