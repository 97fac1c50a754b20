"""Saying every few seconds that the jobs of this process are alive, and noticing when one is no longer ours."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error as DatabaseError
from django.db import connections
from django.utils import timezone

from dashboard.jobs.models import Job, JobState
from dashboard.jobs.registry import JobContext

log = logging.getLogger(__name__)
BEAT_EVERY_S = 5.0


class _Heart:
    """One thread for all jobs of a process; it ends when there are none. Made anew after a fork."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._contexts: dict[int, JobContext] = {}
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, context: JobContext) -> None:
        with self._lock:
            self._contexts[id(context)] = context
            if self._thread is None:
                self._changed.clear()
                self._thread = threading.Thread(target=self._run, name="berth-heart", daemon=True)
                self._thread.start()

    def drop(self, context: JobContext) -> None:
        with self._lock:
            self._contexts.pop(id(context), None)
            if not self._contexts:
                self._thread = None
                self._changed.set()

    def _run(self) -> None:
        me = threading.current_thread()
        try:
            while self._thread is me:
                self._changed.wait(BEAT_EVERY_S)
                if self._thread is me:
                    self._changed.clear()
                    self.beat()
        finally:
            connections.close_all()

    def beat(self) -> None:
        with self._lock:
            contexts = list(self._contexts.values())
        for context in contexts:
            job = context.job
            try:
                row = Job.objects.filter(pk=job.pk, fence=job.fence, state=JobState.RUNNING)
                if not row.update(heartbeat_at=timezone.now()):
                    context.is_fenced = True
            except DatabaseError:
                log.warning("the heartbeat of job %d is late", job.pk, exc_info=True)


_heart: list[_Heart] = [_Heart()]


@contextmanager
def beating(context: JobContext) -> Iterator[None]:
    """While the block runs, the job's heartbeat is kept fresh, and `context.is_fenced` tells when it is not ours."""
    if _heart[0].pid != os.getpid():
        _heart[0] = _Heart()
    _heart[0].add(context)
    try:
        yield
    finally:
        _heart[0].drop(context)
