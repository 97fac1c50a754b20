"""Kinds of jobs for the tests; the worker under test loads them with `--include`."""

from __future__ import annotations

import os
import time

from dashboard import gateway
from dashboard.jobs.models import Job
from dashboard.jobs.registry import JobContext, handler


@handler("test_echo", queue="images")
def echo(context: JobContext) -> object:
    context.progress({"step": 1})
    return {"said": context.params["say"], "pid": os.getpid()}


@handler("test_wait", queue="images", retries=0)
def wait(context: JobContext) -> object:
    """Works until it is cancelled, or the file `<file>.enough` is there. Counts its beginnings in a file."""
    with open(context.params["file"], "a") as file:
        file.write(f"{os.getpid()}\n")
    while not os.path.exists(context.params["file"] + ".enough"):
        if context.cancelled():
            msg = "stopped"
            raise gateway.Cancelled(msg)
        time.sleep(0.05)
    open(f"{context.params['file']}.done-{os.getpid()}", "w").close()
    return {"done": True}


@handler("test_engine_only", queue="engine")
def engine_only(context: JobContext) -> object:
    return {"pid": os.getpid()}


def begun(path) -> int:
    return len(open(path).read().split()) if os.path.exists(path) else 0


def enough(path) -> None:
    """Whoever waits may end."""
    open(f"{path}.enough", "w").close()


def state(job: Job) -> str:
    return Job.objects.get(pk=job.pk).state
