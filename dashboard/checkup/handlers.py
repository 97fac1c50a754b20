"""What the engine worker does for `system check`."""

from __future__ import annotations

import dataclasses
import time

from dashboard import gateway
from dashboard.checkup import compare, rows
from dashboard.checkup.repair import repair
from dashboard.checkup.services import CHECK, MOST_SHOWN
from dashboard.core import clock
from dashboard.core.gate import Permission
from dashboard.jobs.registry import Interrupted, JobContext, handler

SETTLE_S = 5.0  # rows and reality agree after so long (I4): what is seen for longer is no change under way
LOOK_EVERY_S = 0.5
ROUND = ("containers", "execs", "network")  # the ticks that compare with reality every two seconds


@handler(CHECK, queue="engine", permission=Permission.SITE_ADMIN, retries=0)
def check_system(context: JobContext) -> object:
    """Look; where asked, mend what can be mended and look again."""
    deep = bool(context.params.get("deep"))
    before = settled(context, deep=deep)
    after = before
    if before and context.params.get("repair"):
        context.progress({"status": "repairing"})
        repair()
        after = settled(context, deep=deep)
    return {
        "findings": [dataclasses.asdict(one) for one in after[:MOST_SHOWN]],
        "repaired": [dataclasses.asdict(one) for one in before if one not in after][:MOST_SHOWN],
        "count": len(after),
        "figures": dataclasses.asdict(gateway.engine().own_figures()) | {"reconcile_ms": clock.took_ms(*ROUND)},
    }


def settled(context: JobContext, *, deep: bool) -> list[gateway.Violation]:
    """What stays wrong for as long as a change may take; nothing wrong is known at once."""
    found = look(context)
    deadline = time.monotonic() + SETTLE_S
    while found and time.monotonic() < deadline:
        if context.cancelled():
            raise Interrupted
        time.sleep(LOOK_EVERY_S)
        again = set(look(context))
        found = [one for one in found if one in again]
    if deep:
        found += _verified(context)
    return sorted(found)


def look(context: JobContext) -> list[gateway.Violation]:
    """One look at everything. What is changing just now may be among it."""
    seen = gateway.engine().audit(rows.known(context.job.pk))
    return [*seen, *compare.look(context.job.pk)]


def _verified(context: JobContext) -> list[gateway.Violation]:
    def on_bytes(count: int) -> None:
        if context.cancelled():
            raise Interrupted
        context.progress({"status": "reading", "current": count})

    return gateway.engine().verify_store(rows.stored(), on_bytes=on_bytes)
