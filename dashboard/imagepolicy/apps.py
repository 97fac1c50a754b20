from __future__ import annotations

from django.apps import AppConfig


class ImagePolicyConfig(AppConfig):
    name = "dashboard.imagepolicy"
    default_auto_field = "django.db.models.BigAutoField"
