"""People in teams."""

from __future__ import annotations

from django.contrib.auth.models import User

from dashboard.runpolicy.models import RunPolicy
from dashboard.teams.models import Membership, Team, make_main


def make_team(slug: str) -> Team:
    return Team.objects.get_or_create(slug=slug, defaults={"name": slug.title()})[0]


def allow(team: Team | None = None, **rules: object) -> None:
    """Give a team (the main one, if none is named) a run policy of its own."""
    RunPolicy.objects.update_or_create(team=team or make_main(Team.objects), defaults=rules)


def make_member(name: str, role: str = "maintainer", team: Team | None = None, password: str | None = None) -> User:
    """In the main team, if none is named. The account may be there already."""
    person = User.objects.filter(username=name).first() or User.objects.create_user(name, password=password)
    Membership.objects.update_or_create(
        team=team or make_main(Team.objects), person=person, defaults={"builtin": role, "custom": None}
    )
    return person
