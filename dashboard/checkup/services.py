"""Asking for a check of the whole system, and what the last one said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dashboard.core.gate import Permission, Requester, require
from dashboard.jobs import services as jobs
from dashboard.jobs.models import Job

CHECK = "check_system"
MOST_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check has found, as its job's result says it. `findings`: a dictionary each, as `Violation` has fields.

    `repaired`: what was there before it was mended, and is not any more. `count` of findings, also where not all are kept.
    """

    findings: tuple[dict[str, Any], ...]
    repaired: tuple[dict[str, Any], ...]
    count: int
    figures: dict[str, int]

    @classmethod
    def of(cls, job: Job) -> Outcome:
        result = job.result
        return cls(
            tuple(result.get("findings", ())),
            tuple(result.get("repaired", ())),
            int(result.get("count", 0)),
            dict(result.get("figures", {})),
        )

    @property
    def can_repair(self) -> bool:
        """Whether anything was found that is not a person's to decide about."""
        return any(not finding.get("is_orphan") for finding in self.findings)

    @property
    def is_clean(self) -> bool:
        return not self.count


def check(user: Requester, *, repair: bool = False, deep: bool = False) -> Job:
    """Have the engine worker look, or join the look that is on.

    Raises:
        Denied: `user` may not.
    """
    require(user, Permission.SITE_ADMIN)
    key = f"{CHECK}:{'repair' if repair else 'look'}:{'deep' if deep else 'names'}"
    return jobs.submit(CHECK, {"repair": repair, "deep": deep}, requester=user, key=key)


def latest() -> Job | None:
    """The check that was asked for last, whether it has ended or not."""
    return Job.objects.filter(kind=CHECK).order_by("-pk").first()
