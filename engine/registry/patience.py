"""How long to wait for a registry, how often to ask again, and when to give up (REG-09, F26 to F28). Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Attempts are per request and count the first one; the rate is counted only while we wait for the network.

    `unreachable_s` is how long a registry that cannot be reached at all is tried; `total_s` bounds one request with all
    its waits, but not the body of a blob, which may take as long as it keeps the minimum rate.
    """

    connect_s: float = 5.0
    idle_s: float = 30.0
    connect_attempts: int = 3
    attempts: int = 5
    first_delay_s: float = 0.4
    longest_delay_s: float = 10.0
    retry_after_cap_s: float = 60.0
    unreachable_s: float = 22.0
    total_s: float = 120.0
    rate_window_s: float = 30.0
    rate_bytes_s: int = 1024
    interruptions: int = 50

    def delay_s(self, failures: int) -> float:
        """Exponential back-off with full jitter in its upper half; `failures` counts from 1."""
        longest = min(self.longest_delay_s, self.first_delay_s * 2.0 ** min(failures - 1, 16))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing


PATIENCE = Patience()


def retry_after_s(header: str | None, cap_s: float, now: datetime | None = None) -> float | None:
    """Seconds that a `Retry-After` header asks for, at most `cap_s`; None where it says nothing usable (RFC 9110 10.2.3)."""
    if not header:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), cap_s)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, min((aware - (now or datetime.now(UTC))).total_seconds(), cap_s))
