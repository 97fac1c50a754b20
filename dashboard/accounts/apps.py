from __future__ import annotations

from typing import Any

from django.apps import AppConfig

from dashboard.core.events import rights_changed


def _saved(instance: Any, *, created: bool, **_said: Any) -> None:  # what a signal says
    if not created:
        rights_changed([instance.pk])


def _left(user: Any, **_said: Any) -> None:  # what a signal says
    if user is not None and user.pk is not None:
        rights_changed([user.pk])


def _came(request: Any, **_said: Any) -> None:  # what a signal says
    from dashboard.accounts import signins

    if request is not None:
        signins.note(request)


class AccountsConfig(AppConfig):
    name = "dashboard.accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """A sign-out, a new password and a closed account end connections at once, not at their next turn (WS-04)."""
        from django.contrib.auth import get_user_model
        from django.contrib.auth.signals import user_logged_in, user_logged_out
        from django.db.models.signals import post_save

        post_save.connect(_saved, sender=get_user_model())
        user_logged_in.connect(_came)
        user_logged_out.connect(_left)
