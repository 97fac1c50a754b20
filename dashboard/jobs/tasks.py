"""The Celery tasks: each takes one job id and nothing else (CEL-02, CEL-03)."""

from __future__ import annotations

import logging
import os

from dashboard.jobs import runner
from dashboard.jobs.queue import app

log = logging.getLogger(__name__)


def _run(job_id: object, queue: str) -> None:
    """A message is only trusted as far as to look up a row, and a worker does only what was meant for its queue."""
    if type(job_id) is not int:
        log.warning("a message without a job id was thrown away")
        return
    runner.run(job_id, may_run=frozenset({queue}))


def _queue_of(task: object) -> str:
    """Of this worker, as it was started; where none was named, of the message."""
    if own := os.environ.get("BERTH_WORKER"):
        return own
    info = getattr(getattr(task, "request", None), "delivery_info", None) or {}
    return str(info.get("routing_key") or "")


@app.task(name="dashboard.jobs.run_job", bind=True, typing=True)  # type: ignore[untyped-decorator]  # celery has no types
def run_job(self: object, job_id: int) -> None:
    _run(job_id, _queue_of(self))


@app.task(name="dashboard.jobs.pull_image", bind=True, typing=True)  # type: ignore[untyped-decorator]  # celery has no types
def pull_image(self: object, job_id: int) -> None:
    _run(job_id, _queue_of(self))


@app.task(name="dashboard.jobs.extract_layer", bind=True, typing=True)  # type: ignore[untyped-decorator]  # celery has no types
def extract_layer(self: object, job_id: int) -> None:
    _run(job_id, _queue_of(self))
