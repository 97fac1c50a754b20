"""Events on their way to Redis: in order, none waited for, and none kept for ever."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from dashboard.core import events
from dashboard.core.events import _sender
from tests.support.redis import running_redis


@pytest.fixture(scope="module")
def server():
    with running_redis() as server:
        yield server


@contextlib.contextmanager
def listened(server, channel):
    with server.client() as client, client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(channel)
        heard.get_message(timeout=5)
        yield heard


def next_data(heard, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (message := heard.get_message(timeout=1)) is not None:
            return message["data"]
    return None


def test_events_arrive_in_the_order_in_which_they_were_published(server):
    with listened(server, "order") as heard:
        for number in range(500):
            _sender(server.url).put("order", b"%d" % number)
        assert [next_data(heard) for _ in range(500)] == [b"%d" % number for number in range(500)]


def test_who_publishes_does_not_wait_for_redis_and_events_go_on_after_it_was_away(monkeypatch):
    monkeypatch.setattr(events, "SEND_TIMEOUT_S", 0.3)
    with running_redis() as server:
        sender = _sender(server.url)
        sender.put("away", b"before")
        sender.flush()
        os.kill(server.pid, signal.SIGSTOP)
        began = time.monotonic()
        for _ in range(100):
            sender.put("away", b"lost")
        assert time.monotonic() - began < 10  # a hundred timeouts would take 30 s
        os.kill(server.pid, signal.SIGCONT)
        server.pause()
        sender.put("away", b"lost")
        sender.flush()
        server.resume()
        with listened(server, "away") as heard:
            deadline = time.monotonic() + 10
            found = None
            while found != b"after" and time.monotonic() < deadline:
                sender.put("away", b"after")
                found = next_data(heard, 1)
            assert found == b"after"


def test_a_forked_process_has_a_sender_of_its_own(server):
    ours = _sender(server.url)
    with listened(server, "fork") as heard:
        pid = os.fork()
        if pid == 0:
            theirs = _sender(server.url)
            theirs.put("fork", b"from the child")
            theirs.flush()
            os._exit(0 if theirs is not ours else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert next_data(heard) == b"from the child"


def test_a_process_that_ends_sends_its_last_events_first(server):
    program = f"from dashboard.core.events import _sender; _sender({server.url!r}).put('last', b'goodbye')"
    with listened(server, "last") as heard:
        subprocess.run([sys.executable, "-c", program], check=True)
        assert next_data(heard) == b"goodbye"
