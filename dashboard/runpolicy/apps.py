from __future__ import annotations

from django.apps import AppConfig


class RunPolicyConfig(AppConfig):
    name = "dashboard.runpolicy"
    label = "runpolicy"
    default_auto_field = "django.db.models.BigAutoField"
