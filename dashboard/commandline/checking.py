"""`system check`."""

from __future__ import annotations

from dashboard.checkup import services as checkup
from dashboard.commandline.console import Console
from dashboard.commandline.following import finished
from dashboard.grammar import requests
from dashboard.grammar.system import render_check

FOUND = 1


async def check(console: Console, request: requests.SystemCheck) -> int:
    """0: everything is as it must be; 1: it is not."""
    job = await console.call(checkup.check, console.user, repair=request.repair, deep=request.deep)
    ended = await finished(console, job)
    outcome = checkup.Outcome.of(ended or job)
    text = render_check(
        request, outcome.findings, repaired=outcome.repaired, count=outcome.count, figures=outcome.figures
    )
    if text:
        await console.line(text)
    return 0 if outcome.is_clean else FOUND
