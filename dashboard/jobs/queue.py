"""The Celery application, and sending a message about a job.

Three queues: `images` and `layers` (unprivileged workers) and `engine` (the root worker). A message is a job id in JSON;
anything else is refused (CEL-01, CEL-02). Results live in Job rows, so there is no result backend. Redelivery is
harmless: claiming a job is a conditional update (CEL-04). A lost message is found by `reconcile` (CEL-05).
"""

from __future__ import annotations

import logging

from celery import Celery
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from dashboard.jobs.models import Job, JobState

log = logging.getLogger(__name__)
QUEUES = ("images", "layers", "engine")
OWN_TASKS = {"pull_image", "extract_layer"}  # tasks with a name of their own, for who looks at the queue
VISIBILITY_TIMEOUT_S = 24 * 3600

app = Celery("berth", broker=settings.CELERY_BROKER_URL, set_as_current=True)
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    result_serializer="json",
    event_serializer="json",
    result_backend=None,
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_create_missing_queues=False,
    task_queues={name: {"exchange": name, "routing_key": name} for name in QUEUES},
    task_default_queue="images",
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_pool_limit=10,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        "global_keyprefix": f"{settings.BERTH_RUN.name}:",
        "socket_connect_timeout": 2,
        "socket_timeout": 30,
        "max_retries": 1,
        "interval_start": 0.05,
    },
    timezone="UTC",
    imports=("dashboard.jobs.tasks",),
)


def task_name(kind: str) -> str:
    return f"dashboard.jobs.{kind if kind in OWN_TASKS else 'run_job'}"


def enqueue(job: Job) -> bool:
    """Send a message about a job: its id, nothing else. Without Redis it stays QUEUED, and `reconcile` sends it later."""
    try:
        app.send_task(task_name(job.kind), args=[job.pk], queue=job.queue, retry=False)
    except (KombuError, RedisError, OSError) as error:
        log.warning("job %d waits for Redis: %s", job.pk, error)
        return False
    Job.objects.filter(pk=job.pk, state=JobState.QUEUED).update(enqueued_at=timezone.now())
    return True


def waiting_messages(queue: str) -> int:
    """How many messages nobody has taken yet.

    Raises:
        KombuError, RedisError, OSError: Redis does not answer.
    """
    with app.connection_for_write() as connection:
        size: int = connection.default_channel._size(queue)
        return size
