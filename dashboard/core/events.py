"""Telling watchers that something changed.

An event is a hint and may be lost: whoever shows state reads the row on joining and on every event. Consumers `join` a
topic and get `{"type": "topic.event", "topic": …, "payload": …}` in their method `topic_event`. Topics: `containers`,
`container.<id>`, `execs`, `execs.<container id>`, `exec.<id>`, `streams`, `jobs`, `job.<id>`, `images`, `volumes`,
`networks`, `events` (something was written down in `dashboard.history`), `person.<pk>` (what they may do has changed).
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections import deque
from collections.abc import Iterable
from typing import Any

import redis
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import transaction

log = logging.getLogger(__name__)
SEND_TIMEOUT_S = 1.0
QUIET_S = 5.0
MOST_WAITING = 10_000


def group_of(topic: str) -> str:
    return f"topic.{topic}"


def _message(topic: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"type": "topic.event", "topic": topic, "payload": payload}


def publish(topic: str, payload: dict[str, Any]) -> None:
    """Tell the watchers of a topic, from any thread that runs no event loop. Dropped, and logged, without Redis.

    Inside a transaction it waits for the commit: a watcher that reads the row finds what the event is about.
    """
    if transaction.get_connection().in_atomic_block:
        transaction.on_commit(lambda: _send(topic, payload))
    else:
        _send(topic, payload)


def _send(topic: str, payload: dict[str, Any]) -> None:
    layer: Any = get_channel_layer()  # a channel layer of either kind
    config: dict[str, Any] = settings.CHANNEL_LAYERS["default"].get("CONFIG", {})
    if not config:  # in memory: unit tests; a loop and its thread only where somebody listens
        if group_of(topic) in layer.groups:
            try:
                async_to_sync(layer.group_send)(group_of(topic), _message(topic, payload))
            except RuntimeError as error:  # an event loop runs in this thread
                log.warning("an event about %s was dropped: %s", topic, error)
        return
    # Straight to Redis: the layer's own door makes a connection for each thread's short-lived event loop.
    channel = f"{config['prefix']}__group__{group_of(topic)}"
    _sender(config["hosts"][0]).put(channel, layer.serialize(_message(topic, payload)))


class _Sender:
    """One thread that sends to one Redis, in order: who publishes does not wait, and what waits goes in one round.

    One command makes a dozen events; each took its sender half a millisecond.
    """

    def __init__(self, url: str) -> None:
        self.pid = os.getpid()
        self._client = redis.Redis.from_url(url, socket_timeout=SEND_TIMEOUT_S, socket_connect_timeout=SEND_TIMEOUT_S)
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=MOST_WAITING)  # the oldest go when Redis is away
        self._changed = threading.Condition()
        self._is_sending = False
        threading.Thread(target=self._run, name="berth-events", daemon=True).start()
        atexit.register(self.flush)

    def put(self, channel: str, data: bytes) -> None:
        with self._changed:
            self._waiting.append((channel, data))
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until everything is sent, or for as long as one round may take. At once in a process forked from this."""
        if self.pid == os.getpid():
            with self._changed:
                self._changed.wait_for(lambda: not self._waiting and not self._is_sending, SEND_TIMEOUT_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._is_sending = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._waiting))
                batch = list(self._waiting)
                self._waiting.clear()
                self._is_sending = True
            self._send(batch)

    def _send(self, batch: list[tuple[str, bytes]]) -> None:
        try:
            pipeline = self._client.pipeline(transaction=False)
            for channel, data in batch:
                pipeline.publish(channel, data)
            pipeline.execute()
        except (redis.RedisError, OSError) as error:
            log.warning("%d events were dropped: %s", len(batch), error)


_senders: dict[str, _Sender] = {}
_lock = threading.Lock()


def _sender(url: str) -> _Sender:
    """The one of this process: threads do not come along in a fork."""
    found = _senders.get(url)
    if found is None or found.pid != os.getpid():
        with _lock:
            found = _senders.get(url)
            if found is None or found.pid != os.getpid():
                found = _senders[url] = _Sender(url)
    return found


def rights_changed(people: Iterable[int]) -> None:
    """What these people may do has changed: their open connections look again now, not at their next turn (WS-04)."""
    for pk in people:
        publish(topic_of_person(pk), {"t": "rights"})


def tell(pk: int, payload: dict[str, Any]) -> None:
    """Say something to one person's open pages; `t`: what it is about. Nothing is kept: whoever has none open reads it later."""
    publish(topic_of_person(pk), payload)


def topic_of_person(pk: int) -> str:
    return f"person.{pk}"


async def apublish(topic: str, payload: dict[str, Any]) -> None:
    """As `publish`, from a coroutine (no transaction is waited for)."""
    layer: Any = get_channel_layer()  # a channel layer of either kind
    try:
        await layer.group_send(group_of(topic), _message(topic, payload))
    except (redis.RedisError, OSError) as error:
        log.warning("an event about %s was dropped: %s", topic, error)


async def join(consumer: Any, topic: str) -> None:  # any consumer with a channel
    """Let a consumer's `topic_event` get this topic's events until it leaves or is gone. Quietly none without Redis."""
    try:
        await consumer.channel_layer.group_add(group_of(topic), consumer.channel_name)
    except (redis.RedisError, OSError) as error:
        log.warning("no events about %s: %s", topic, error)


async def leave(consumer: Any, topic: str) -> None:  # any consumer with a channel
    try:
        await consumer.channel_layer.group_discard(group_of(topic), consumer.channel_name)
    except (redis.RedisError, OSError) as error:
        log.warning("leaving %s: %s", topic, error)
