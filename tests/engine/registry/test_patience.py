from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.registry.patience import Patience, retry_after_s

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def test_waits_double_up_to_a_cap_with_jitter():
    patience = Patience(first_delay_s=1, longest_delay_s=8)
    for failures, longest in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (500, 8)):
        delays = [patience.delay_s(failures) for _ in range(50)]
        assert longest / 2 <= min(delays) <= max(delays) <= longest
        assert len(set(delays)) > 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("", None), ("soon", None), ("-5", None), ("5", 5), ("99999999999", 60), ("1.5", None), ("٣", None),
     ("Thu, 01 Jan 2026 12:00:10 GMT", 10), ("Thu, 01 Jan 2026 11:00:00 GMT", 0), ("Fri, 01 Jan 2027 00:00:00 GMT", 60)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date_and_capped(header, seconds):
    assert retry_after_s(header, 60, NOW) == seconds
