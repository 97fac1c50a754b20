"""Telling watchers that something changed.

An event is a hint and may be lost: whoever shows state reads the row on joining and on every event. Consumers `join` a
topic and get `{"type": "topic.event", "topic": …, "payload": …}` in their method `topic_event`. Topics: `containers`,
`container.<id>`, `execs`, `execs.<container id>`, `exec.<id>`, `streams`, `jobs`, `job.<id>`, `images`, `volumes`,
`networks`, `events` (something was written down in `dashboard.history`), `person.<pk>` (what they may do has changed).
"""

from __future__ import annotations

import logging
import threading
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
_clients: dict[str, redis.Redis] = {}
_lock = threading.Lock()


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
    try:
        if not config:  # in memory: unit tests; a loop and its thread only where somebody listens
            if group_of(topic) in layer.groups:
                async_to_sync(layer.group_send)(group_of(topic), _message(topic, payload))
            return
        # Straight to Redis: the layer's own door makes a connection for each thread's short-lived event loop.
        channel = f"{config['prefix']}__group__{group_of(topic)}"
        _client(config["hosts"][0]).publish(channel, layer.serialize(_message(topic, payload)))
    except (redis.RedisError, OSError, RuntimeError) as error:
        log.warning("an event about %s was dropped: %s", topic, error)


def _client(url: str) -> redis.Redis:
    with _lock:
        if url not in _clients:
            _clients[url] = redis.Redis.from_url(
                url, socket_timeout=SEND_TIMEOUT_S, socket_connect_timeout=SEND_TIMEOUT_S
            )
        return _clients[url]


def rights_changed(people: Iterable[int]) -> None:
    """What these people may do has changed: their open connections look again now, not at their next turn (WS-04)."""
    for pk in people:
        publish(topic_of_person(pk), {"t": "rights"})


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
