"""The rows of the audit log. They name people, teams and things in words, so that they stay true when those are gone."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class Outcome(models.TextChoices):
    DONE = "done", _("Done")
    REFUSED = "refused", _("Refused")


class Entry(models.Model):
    """Append-only: the database refuses to change a row, and nothing in Berth removes one."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor_id = models.BigIntegerField(
        null=True, blank=True, db_index=True
    )  # no foreign key: the row outlives the account
    actor_name = models.CharField(max_length=150, blank=True, default="")
    team_id = models.BigIntegerField(null=True, blank=True, db_index=True)  # None: of the site
    action = models.CharField(max_length=60, db_index=True)
    target = models.CharField(max_length=300, blank=True, default="")
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.DONE)
    reason = models.CharField(max_length=600, blank=True, default="")  # why it was refused
    parameters = models.JSONField(default=dict)
    door = models.CharField(max_length=10, blank=True, default="")
    address = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        ordering: ClassVar = ["-pk"]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.target}"

    def save(self, *args: Any, **options: Any) -> None:  # Django's interface
        """Raises TypeError: the row is there already."""
        if not self._state.adding:
            msg = "a row of the audit log is never changed"
            raise TypeError(msg)
        super().save(*args, **options)

    def delete(self, *args: Any, **options: Any) -> tuple[int, dict[str, int]]:
        msg = "a row of the audit log is never removed"
        raise TypeError(msg)
