"""What `celery -A dashboard.celery worker` starts. The application itself is `dashboard.jobs.queue.app`.

BERTH_WORKER names the worker and its one queue: `images`, `layers` or `engine`. Only `engine` is root: it holds a lock so
that there is one, prepares the engine before it takes its first job, and has the clock (settled.md 5).
"""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
django.setup()

from dashboard.jobs import worker  # noqa: E402 - after setup
from dashboard.jobs.queue import app  # noqa: E402 - after setup

worker.connect_signals()
__all__ = ["app"]
