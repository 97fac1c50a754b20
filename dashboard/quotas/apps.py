from __future__ import annotations

from django.apps import AppConfig


class QuotasConfig(AppConfig):
    name = "dashboard.quotas"
    default_auto_field = "django.db.models.BigAutoField"
