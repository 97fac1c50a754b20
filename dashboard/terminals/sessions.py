"""Stream rows: who watches or types, who holds the input of a pipe, and which streams `--rm` waits for.

Whoever removes a container waits for `undrained(container)` to be empty. A row counts while its heartbeat is younger than
15 s, so a web process that was killed holds nobody up for long. The command door announces the stream of a foreground
run (`announce`) before it starts the container; the connection that follows takes that row over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from dashboard.audit import services as audit
from dashboard.containers.models import Container, ContainerState, Exec, LifeSpan
from dashboard.core.events import publish
from dashboard.terminals.models import StreamSession

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from django.contrib.auth.models import AbstractBaseUser
    from django.db.models import QuerySet

Key = tuple[str, int]  # ("container" or "exec", its row's primary key)
ALIVE_S = 15
STREAMS_PER_USER = 64
KILLED = 137
ENDED_STATES = {ContainerState.EXITED, ContainerState.DEAD}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a stream needs to know of the row of its container, or of a further command in it (`exec_id`)."""

    pk: int
    container_id: str
    name: str
    image: str
    state: str
    tty: bool
    open_stdin: bool
    exit_code: int | None
    oom_killed: bool
    log_lost: bool
    error: str
    exec_id: str = ""
    title: str = ""
    ends_at: str = ""  # when Berth stops it, where somebody has been warned of that
    ends_of: str = ""  # `lifelimits.Cause`
    watching: tuple[str, ...] = ()  # names of the people who have it open, each once

    @property
    def key(self) -> Key:
        return ("exec" if self.exec_id else "container", self.pk)

    @property
    def topic(self) -> str:
        return f"exec.{self.exec_id}" if self.exec_id else f"container.{self.container_id}"

    @property
    def has_ended(self) -> bool:
        """One that is removed while it runs ends with its row, or with the code written before that.

        One that could not be started has no output to wait for.
        """
        is_removed_after_its_end = self.state == ContainerState.REMOVING and self.exit_code is not None
        could_not_start = self.state == ContainerState.CREATED and self.error != ""
        return self.state in ENDED_STATES or is_removed_after_its_end or could_not_start

    @property
    def has_started(self) -> bool:
        return self.state not in {ContainerState.CREATED, ContainerState.STARTING}

    @property
    def reason(self) -> str:
        """Why it ended, in a sentence; empty when it just ended."""
        if self.oom_killed:
            what = "command" if self.exec_id else "container"
            return f"The {what} was killed because it ran out of memory."
        return self.error


def facts_of(keys: Iterable[Key]) -> dict[Key, Facts]:
    """By key; those whose row is gone are not in it."""
    wanted: dict[str, list[int]] = {"container": [], "exec": []}
    for kind, pk in keys:
        wanted[kind].append(pk)
    found: list[Facts] = []
    if wanted["container"]:
        rows = Container.objects.filter(pk__in=wanted["container"]).only(
            "container_id", "name", "image_reference", "state", "tty", "open_stdin", "exit_code", "oom_killed",
            "log_lost", "error",
        )  # fmt: skip
        found += [_facts(row, row) for row in rows]
    if wanted["exec"]:
        commands = Exec.objects.filter(pk__in=wanted["exec"]).select_related("container")
        found += [_facts(row.container, row, exec_id=row.exec_id, title=row.command_shown) for row in commands]
    watching = watching_of(wanted["container"], wanted["exec"])
    ends = _ends_of({facts.container_id for facts in found})
    return {
        facts.key: _seen(facts, watching.get(facts.key, ()), *ends.get(facts.container_id, ("", ""))) for facts in found
    }


def _seen(facts: Facts, watching: tuple[str, ...], ends_at: str, ends_of: str) -> Facts:
    return replace(facts, watching=watching, ends_at=ends_at, ends_of=ends_of)


def _ends_of(container_ids: set[str]) -> dict[str, tuple[str, str]]:
    """(when, why) of those whose end somebody has been warned of."""
    rows = LifeSpan.objects.filter(container__container_id__in=container_ids).exclude(ends_at=None)
    return {
        container_id: (ends_at.isoformat(), cause)
        for container_id, ends_at, cause in rows.values_list("container__container_id", "ends_at", "warned_of")
        if ends_at is not None
    }


def watching_of(containers: Iterable[int], execs: Iterable[int]) -> dict[Key, tuple[str, ...]]:
    """Names of who has the terminals of these rows open, by key. A stream whose heartbeat is old is nobody's any more."""
    wanted = Q(container_id__in=containers, exec=None) | Q(exec_id__in=execs)
    rows = StreamSession.objects.filter(_alive(), wanted, mode="attach")
    names: dict[Key, set[str]] = {}
    for container, row, name in rows.filter(is_announced=False).values_list(
        "container_id", "exec_id", "user__username"
    ):
        key = ("container", container) if row is None else ("exec", row)
        names.setdefault(key, set()).add(name or "–")
    return {key: tuple(sorted(found)) for key, found in names.items()}


def key_of(row: Container | Exec) -> Key:
    return ("exec" if isinstance(row, Exec) else "container", row.pk)


def _facts(container: Container, row: Container | Exec, *, exec_id: str = "", title: str = "") -> Facts:
    """Of a container (both are it), or of a command in it."""
    return Facts(
        pk=row.pk,
        container_id=container.container_id,
        name=container.name,
        image=container.image_reference,
        state=row.state,
        tty=row.tty,
        open_stdin=row.open_stdin,
        exit_code=row.exit_code,
        oom_killed=row.oom_killed,
        log_lost=row.log_lost,
        error=row.error,
        exec_id=exec_id,
        title=title,
    )


def removed(before: Facts) -> Facts:
    """What is left to say of a container whose row is gone."""
    if before.has_ended:
        return before
    return replace(before, state=ContainerState.DEAD, exit_code=KILLED, error="The container was removed.")


def _alive() -> Q:
    return Q(ended_at=None, heartbeat_at__gte=timezone.now() - timedelta(seconds=ALIVE_S))


def count_of(user: AbstractBaseUser) -> int:
    return StreamSession.objects.filter(_alive(), user_id=user.pk, is_announced=False).count()


def undrained(container: Container) -> QuerySet[StreamSession]:
    """Command-line streams that have not yet got all of the container's output."""
    return StreamSession.objects.filter(_alive(), container=container, kind="cli", mode="attach", drained=False)


def announce(
    container: Container, user: AbstractBaseUser, row: Exec | None = None, *, kind: str = "cli"
) -> StreamSession:
    """A stream is about to be opened: `--rm` waits for it from now on (15 s for it to come)."""
    return StreamSession.objects.create(
        container=container, exec=row, user_id=user.pk, kind=kind, mode="attach", is_announced=True
    )


def open_session(
    container: Container, user: AbstractBaseUser, *, kind: str, mode: str, row: Exec | None = None
) -> StreamSession:
    with transaction.atomic():
        announced = (
            StreamSession.objects.filter(_alive(), container=container, exec=row, user_id=user.pk, kind=kind, mode=mode)
            .filter(is_announced=True)
            .first()
        )
        if announced is not None:
            announced.is_announced = False
            announced.heartbeat_at = timezone.now()
            announced.save(update_fields=["is_announced", "heartbeat_at", "updated_at"])
        made = announced or StreamSession.objects.create(
            container=container, exec=row, user_id=user.pk, kind=kind, mode=mode
        )
        if mode == "attach":
            _write_down("open-terminal", made, user)
        publish("streams", {"t": "streams", "team": container.team_id})
        return made


def take_input(session: StreamSession) -> bool:
    """The exclusive input of a container, or of a command in it, without a terminal: whether it is ours now."""
    with transaction.atomic():
        list(Container.objects.select_for_update().filter(pk=session.container_id).values_list("pk"))
        same = StreamSession.objects.filter(container_id=session.container_id, exec=session.exec)
        others = same.filter(_alive(), holds_input=True)
        if others.exclude(pk=session.pk).exists():
            return False
        return bool(StreamSession.objects.filter(pk=session.pk, ended_at=None).update(holds_input=True))


def beat(segments: Mapping[int, int]) -> None:
    """These streams are alive and read there."""
    now = timezone.now()
    for segment in set(segments.values()):
        pks = [pk for pk, its in segments.items() if its == segment]
        StreamSession.objects.filter(pk__in=pks, ended_at=None).update(heartbeat_at=now, segment=segment)


def wanted_segments() -> dict[Key, int]:
    """By container or command: the oldest segment that a command-line stream may still read.

    A web process holds what its streams need open, but one that was killed does not: its streams come back (15 s) and
    must find it.
    """
    found: dict[Key, int] = {}
    rows = StreamSession.objects.filter(_alive(), kind="cli", drained=False)
    for container, row, segment in rows.values_list("container_id", "exec_id", "segment"):
        key = ("container", container) if row is None else ("exec", row)
        found[key] = min(segment, found.get(key, segment))
    return found


def end(pk: int) -> None:
    """The connection is over, however it ended: nobody waits for it, and it holds nothing."""
    now = timezone.now()
    with transaction.atomic():
        ended = StreamSession.objects.filter(pk=pk, ended_at=None)
        if not ended.update(ended_at=now, holds_input=False, drained=True):
            return
        row = StreamSession.objects.select_related("container", "exec", "user").get(pk=pk)
        if row.mode == "attach":
            _write_down("close-terminal", row, row.user)
        team_id = Container.objects.filter(streams=pk).values_list("team_id", flat=True).first()
        publish("streams", {"t": "streams", "team": team_id})


def _write_down(action: str, session: StreamSession, user: AbstractBaseUser | None) -> None:
    container = session.container
    about = {
        "container": container.container_id,
        "exec": session.exec.exec_id if session.exec else "",
        "kind": session.kind,
    }
    audit.record(action, user, target=container.name, team_id=container.team_id, parameters=about)


def mark_drained(pk: int) -> None:
    StreamSession.objects.filter(pk=pk).update(drained=True)


def forget_old() -> int:
    """Remove rows of streams that ended a day ago or whose web process went away; for the reconciler's timer."""
    limit = timezone.now() - timedelta(days=1)
    return StreamSession.objects.filter(Q(ended_at__lt=limit) | Q(heartbeat_at__lt=limit)).delete()[0]
