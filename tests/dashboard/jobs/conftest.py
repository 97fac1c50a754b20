"""A real Redis, and real Celery workers on the test's own database file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from kombu import pools

from dashboard.jobs import queue
from tests.support.redis import RedisServer

ROOT = Path(__file__).resolve().parents[3]


def _use_broker(url: str) -> None:
    queue.app.conf.broker_url = url
    queue.app.conf.broker_read_url = queue.app.conf.broker_write_url = url
    if queue.app._pool is not None:
        queue.app._pool.force_close_all()
        queue.app._pool = None
    queue.app.amqp._producer_pool = None
    pools.reset()


@pytest.fixture(scope="session")
def redis_session():
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(redis_session):
    with redis_session.client() as client:
        client.flushall()
    before = queue.app.conf.broker_url
    _use_broker("redis+socket://" + str(redis_session.socket))
    yield redis_session
    _use_broker(before)


class Worker:
    def __init__(self, name: str, redis: RedisServer, folder: Path, processes: int = 2) -> None:
        self.log = folder / f"worker-{name}-{time.monotonic_ns()}.log"
        env = os.environ | {
            "BERTH_TESTING": "services",
            "DJANGO_SETTINGS_MODULE": "dashboard.settings",
            "BERTH_WORKER": name,
            "REDIS_URL": redis.url,
            "DATABASE_URL": f"sqlite:///{connection.settings_dict['NAME']}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        argv = [sys.executable, "-m", "celery", "-A", "dashboard.celery", "worker", "-Q", name, "-c", str(processes)]
        argv += ["-n", f"{name}@test", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        argv += ["-l", "INFO", "--include", "tests.dashboard.jobs.handlers"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 90
        while b"worker is ready" not in self.log.read_bytes():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """With its pool's processes, at once: as an out-of-memory killer or a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()


@pytest.fixture
def start_worker(redis_server, transactional_db, tmp_path):
    assert settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
    workers: list[Worker] = []

    def start(name: str = "images", processes: int = 2) -> Worker:
        workers.append(Worker(name, redis_server, tmp_path, processes))
        return workers[-1]

    yield start
    for worker in workers:  # a soft end takes seconds; the tests of it do it themselves
        if worker.process.poll() is None:
            worker.kill()
