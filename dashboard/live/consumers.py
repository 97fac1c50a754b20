"""Events for open pages: `/ws/live`.

The page names its topics; a topic that it may not know of is answered as one that does not exist. Events are hints
(`core.events`): the page reads the state again by HTTP, where the gate is asked again.
"""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from channels.db import database_sync_to_async

from dashboard.containers.models import Container
from dashboard.core import events
from dashboard.core.consumers import GuardedConsumer
from dashboard.core.gate import Permission, allows
from dashboard.jobs.models import Job
from dashboard.teams import scope

MOST_TOPICS = 200
_RIGHTS: dict[str, Permission] = {
    "containers": Permission.CONTAINER_VIEW,
    "container": Permission.CONTAINER_VIEW,
    "execs": Permission.CONTAINER_VIEW,
    "streams": Permission.CONTAINER_VIEW,
    "jobs": Permission.JOB_VIEW,
    "job": Permission.JOB_VIEW,
    "images": Permission.IMAGE_VIEW,
    "volumes": Permission.VOLUME_VIEW,
    "networks": Permission.NETWORK_VIEW,
}
_EVERYBODYS = frozenset({"images", "networks"})
_TOPIC = re.compile(
    r"(containers|execs|streams|jobs|images|volumes|networks)|(container|execs)\.[0-9a-f]{64}|(job)\.[1-9][0-9]{0,17}"
)


class LiveConsumer(GuardedConsumer):
    permission = Permission.LIVE
    message_limit_bytes: ClassVar[int] = 32 * 1024

    async def opened(self) -> None:
        self._topics: set[str] = set()
        self._teams: frozenset[int] | None = frozenset()

    async def text(self, text: str) -> None:
        wanted = _topics_of(text)
        if wanted is None:
            await self.send(json.dumps({"t": "error", "message": 'Subscribe with {"t":"subscribe","topics":[…]}.'}))
            return
        allowed = await database_sync_to_async(self._allowed)(wanted)
        for topic in self._topics - allowed:
            await events.leave(self, topic)
        for topic in allowed - self._topics:
            await events.join(self, topic)
        joined = allowed - self._topics
        self._topics = allowed
        await self.send(json.dumps({"t": "subscribed", "topics": sorted(allowed)}))
        for topic in sorted(topic for topic in joined if topic.startswith("job.")):
            await self._say_where_it_is(topic)

    def _allowed(self, wanted: set[str]) -> set[str]:
        """In a database thread. Also looks whose events are told at all."""
        self._teams = scope.team_ids(self.user)
        rights = {kind: allows(self.user, right) for kind, right in _RIGHTS.items()}
        return {topic for topic in wanted if rights[topic.partition(".")[0]]} - self._hidden(wanted)

    def _hidden(self, wanted: set[str]) -> set[str]:
        """Topics of single things that this person may not know of, or that there are not."""
        if scope.is_site_admin(self.user):
            return set()
        named = {topic: topic.partition(".")[2] for topic in wanted if "." in topic}
        ids = [name for topic, name in named.items() if not topic.startswith("job.")]
        numbers = [int(name) for topic, name in named.items() if topic.startswith("job.")]
        seen = set(
            scope.seen(self.user, Container.objects.filter(container_id__in=ids)).values_list("container_id", flat=True)
        )
        jobs = scope.seen(self.user, Job.objects.filter(pk__in=numbers)).values_list("pk", flat=True)
        seen |= {str(pk) for pk in jobs}
        return {topic for topic, name in named.items() if name not in seen}

    def _is_told(self, event: dict[str, Any]) -> bool:
        """Lists are told of the person's teams only, and of what is everybody's."""
        if self._teams is None or "." in event["topic"]:
            return True
        team_id = event["payload"].get("team")
        return event["topic"] in _EVERYBODYS if team_id is None else team_id in self._teams

    async def _say_where_it_is(self, topic: str) -> None:
        """The state as it stands: what happened before joining was said to others only."""
        row = await database_sync_to_async(_job)(int(topic.removeprefix("job.")))
        if row is not None:
            await self.send(json.dumps({**row, "t": "event", "topic": topic}))

    async def rechecked(self) -> None:
        """Rights change while a page is open."""
        allowed = await database_sync_to_async(self._allowed)(set(self._topics))
        for topic in self._topics - allowed:
            await events.leave(self, topic)
        self._topics = allowed

    async def told(self, payload: dict[str, Any]) -> None:  # JSON of whoever published it
        await self.send(json.dumps({"t": "told", "what": payload}))

    async def topic_event(self, event: dict[str, Any]) -> None:  # JSON of whoever published it
        if event["topic"] in self._topics and self._is_told(event):
            await self.send(json.dumps({**event["payload"], "t": "event", "topic": event["topic"]}))

    async def closed(self) -> None:
        for topic in self._topics:
            await events.leave(self, topic)


def _topics_of(text: str) -> set[str] | None:
    """The known topics of a subscription; None when the message is none."""
    try:
        message = json.loads(text)
    except ValueError:
        return None
    topics = message.get("topics") if isinstance(message, dict) and message.get("t") == "subscribe" else None
    if not isinstance(topics, list) or len(topics) > MOST_TOPICS:
        return None
    return {topic for topic in topics if isinstance(topic, str) and _TOPIC.fullmatch(topic)}


def _job(job_id: int) -> dict[str, Any] | None:
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        return None
    return {"id": job.pk, "kind": job.kind, "state": job.state, "progress": job.progress, "error": job.error}
