"""What Berth keeps about a person beside Django's user, and the secrets that let somebody in."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from dashboard.core.models import Timestamped


class Preferences(models.Model):
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="preferences")
    language = models.CharField(max_length=8, blank=True, default="")  # "" follows the browser
    theme = models.CharField(max_length=12, blank=True, default="")  # "" follows the system

    def __str__(self) -> str:
        return f"preferences of {self.user_id}"


class Token(Timestamped):
    """A bearer secret, kept as its sha256.

    `purpose`: "setup" (first administrator, once), "host" (the root user), "password" (sets one, once; `giver` made the link).
    """

    purpose = models.CharField(max_length=12)
    sha256 = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE)
    giver = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="given_tokens"
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.purpose} {self.pk}"


class AccessToken(Timestamped):
    """What a command line or a script of this person comes in with. `start`: its first letters, to tell it by.

    `rights`: names of permissions; null is all that the owner has, an empty list none.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="access_tokens")
    name = models.CharField(max_length=60)
    sha256 = models.CharField(max_length=64, unique=True)
    start = models.CharField(max_length=20)
    rights = models.JSONField(null=True, default=None)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_from = models.CharField(max_length=64, blank=True, default="")
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} of {self.user_id}"

    @property
    def is_over(self) -> bool:
        return self.expires_at <= timezone.now()
