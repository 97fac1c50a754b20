"""What Berth keeps about a person beside Django's user, and the secrets that let somebody in."""

from __future__ import annotations

from django.conf import settings
from django.db import models

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
