from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


def _make_main(using: str, **_said: Any) -> None:  # what a signal says
    from dashboard.teams.models import Team, make_main

    make_main(Team.objects.using(using))


def _came(user: Any, sociallogin: Any = None, **_said: Any) -> None:  # what a signal says
    if sociallogin is None:
        return
    from dashboard.accounts.directory import groups_of
    from dashboard.teams.mapping import bring_up_to_date

    bring_up_to_date(user, groups_of(sociallogin) or frozenset())


class TeamsConfig(AppConfig):
    name = "dashboard.teams"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from dashboard.core.gate import use_missing_factor, use_policy
        from dashboard.teams.policy import by_team, missing_factor

        use_policy(by_team)
        use_missing_factor(missing_factor)
        post_migrate.connect(_make_main, sender=self)
        from allauth.account.signals import user_logged_in

        user_logged_in.connect(_came)
