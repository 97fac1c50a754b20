"""One action on several containers: each is asked about on its own, and one that is refused keeps no other from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.containers import lifecycle
from dashboard.containers.lookup import by_id
from dashboard.containers.models import Container
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, Requester, allows
from dashboard.core.many import Refusal, listed
from dashboard.jobs.models import Job
from dashboard.jobs.services import outcome

WAIT_S = 15.0  # for all of them together; what takes longer goes on


@dataclass(frozen=True, slots=True)
class Action:
    ask: Callable[[Container, Requester], Job | None]
    done: str | Promise  # with the names


ACTIONS = {
    "start": Action(lifecycle.start, gettext_lazy("Started: %(names)s.")),
    "stop": Action(lifecycle.stop, gettext_lazy("Stopped: %(names)s.")),
    "remove": Action(lifecycle.remove, gettext_lazy("Removed: %(names)s.")),
}


@dataclass(slots=True)
class Outcome:
    done: list[str] = field(default_factory=list)  # names
    asked: list[Container] = field(default_factory=list)  # all that were not refused at once
    going_on: list[str] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    def sentences(self, action: Action) -> list[str]:
        found = [str(action.done) % {"names": listed(self.done)}] if self.done else []
        if self.going_on:
            found.append(_("Still at work on %(names)s: see Activity.") % {"names": listed(self.going_on)})
        return found


def act(action: Action, ids: Iterable[str], user: Requester) -> Outcome:
    """Ask for all, then wait for all. Never raises for one of them."""
    outcome_of_all = Outcome()
    asked: list[tuple[Container, Job | None]] = []
    for container_id in ids:
        found = by_id(container_id, user)
        if found is None or not allows(user, Permission.CONTAINER_VIEW, found):
            gone = Refusal(container_id, container_id[:12], _("This container no longer exists."))
            outcome_of_all.refused.append(gone)
            continue
        try:
            asked.append((found, action.ask(found, user)))
            outcome_of_all.asked.append(found)
        except DashboardError as error:
            outcome_of_all.refused.append(Refusal(container_id, found.name, str(error)))
    _wait(asked, outcome_of_all)
    return outcome_of_all


def wait_for(job: Job | None, timeout_s: float) -> None:
    """Say at once why something failed; what takes longer goes on and is seen in the list and in Activity."""
    if job is not None:
        outcome(job, timeout_s)


def _wait(asked: Iterable[tuple[Container, Job | None]], into: Outcome) -> None:
    deadline = time.monotonic() + WAIT_S
    for container, job in asked:
        try:
            is_over = job is None or outcome(job, max(0.0, deadline - time.monotonic())) is not None
        except DashboardError as error:
            into.refused.append(Refusal(container.container_id, container.name, str(error)))
            continue
        (into.done if is_over else into.going_on).append(container.name)
