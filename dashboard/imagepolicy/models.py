"""A team's list of images, and what people have asked for beyond it."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from dashboard.core.models import Timestamped
from dashboard.imagepolicy.patterns import Pattern
from dashboard.teams.models import Team


class ImagePolicy(Timestamped):
    """A team without a row may have any image; one with a row, those that its rules name: with none, none (REG-14)."""

    team = models.OneToOneField(Team, on_delete=models.CASCADE, related_name="image_policy")

    def __str__(self) -> str:
        return f"image policy of {self.team_id}"


class ImageRule(Timestamped):
    """`pattern` as `Pattern` writes it. `once`: one pull; what was pulled by it may be run from then on. `pins`: the names
    mean one digest: that which was pulled or run first by the rule, and nothing that the registry puts there later.
    """

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="image_rules")
    pattern = models.CharField(max_length=600)
    giver = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    once = models.BooleanField(default=False)
    pins = models.BooleanField(default=False)
    digest = models.CharField(max_length=140, blank=True, default="")  # once it is known
    used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["pattern"]

    def __str__(self) -> str:
        return self.pattern

    @property
    def names(self) -> Pattern:
        name, _at, digest = self.pattern.partition("@")
        before, colon, tag = name.rpartition(":")
        if not colon or "/" in tag:
            before, tag = name, ""
        return Pattern(before, tag, digest)

    @property
    def is_over(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def is_spent(self) -> bool:
        return self.once and self.used_at is not None


class Answer(models.TextChoices):
    PENDING = "pending", _("Waiting")
    APPROVED = "approved", _("Approved")
    REFUSED = "refused", _("Refused")


class ImageRequest(Timestamped):
    """Somebody asks for an image that the list does not have. `reference` as people write it; `said`: the approver's words."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="image_requests")
    requester = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="image_requests")
    reference = models.CharField(max_length=600)
    reason = models.CharField(max_length=500)
    answer = models.CharField(max_length=10, choices=Answer.choices, default=Answer.PENDING, db_index=True)
    said = models.CharField(max_length=500, blank=True, default="")
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)  # when the requester has seen the answer

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.reference} for {self.requester_id}: {self.answer}"
