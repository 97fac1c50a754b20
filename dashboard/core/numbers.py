"""Numbers that people type into forms and after commands."""

from __future__ import annotations

from django.utils.translation import gettext as _

from dashboard.core.errors import DashboardError


def whole_number(text: str) -> int:
    """Raises DashboardError: it is none of 0 to 999,999,999."""
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise DashboardError(_("%(value)s is not a whole number.") % {"value": text or "–"})
    return int(text)
