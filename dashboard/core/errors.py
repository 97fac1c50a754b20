"""Errors of the dashboard's own: one plain sentence for a person, and the HTTP status that fits it."""

from __future__ import annotations


class DashboardError(Exception):
    """`str(error)` is shown to people as it is. `code` is stable and machine-readable."""

    code = "dashboard"
    status = 400
    is_refusal = False  # whether the audit log has a row of it: somebody asked for what they may not have

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status


class Refused(DashboardError):
    """Somebody asked for what they may not have."""

    code = "refused"
    status = 403
    is_refusal = True


class NotFound(DashboardError):
    """There is no such thing, or the person may not know of it: both get the same words (WS-03)."""

    code = "not-found"
    status = 404


class Conflict(DashboardError):
    """It cannot be done as things are now."""

    code = "conflict"
    status = 409
