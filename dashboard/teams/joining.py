"""How people come into a team: by a link that many may use, or by a list of names that somebody pastes (ADR 23)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, cast

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.audit import services as audit
from dashboard.core.errors import DashboardError, NotFound
from dashboard.core.events import rights_changed
from dashboard.core.gate import Permission, Requester, require
from dashboard.core.secrets import hashed, new_secret
from dashboard.teams import people, services
from dashboard.teams.models import Invitation, Membership, Team
from dashboard.teams.policy import rights_in

MOST_USES: Final = 1000
MOST_DAYS: Final = 366
MOST_NAMES: Final = 500
MOST_OPEN: Final = 100
USER_NAME: Final = re.compile(r"[\w.@+-]{1,150}\Z")
_OVER: Final = gettext_lazy(
    "This link is used up, taken back, or has expired. Ask whoever gave it to you for a new one."
)


def invite(
    user: Requester, team: Team, role: str, *, uses: int = 1, days: int = 7, note: str = ""
) -> tuple[Invitation, str]:
    """A new link, and its secret, which is nowhere else.

    Raises:
        DashboardError: numbers that cannot be (400); no such role (404); more rights than one's own (403); too many open links (409).
        Denied: `user` may not manage this team.
    """
    require(user, Permission.TEAM_MANAGE, team)
    giver = cast("User", user)  # the gate lets nobody else pass
    if not 1 <= uses <= MOST_USES:
        raise DashboardError(
            _("A link can be used from 1 to %(most)d times, not %(asked)d.") % {"most": MOST_USES, "asked": uses}
        )
    if not 1 <= days <= MOST_DAYS:
        raise DashboardError(
            _("A link can hold from 1 to %(most)d days, not %(asked)d.") % {"most": MOST_DAYS, "asked": days}
        )
    secret = new_secret()
    with transaction.atomic():
        team = services.locked(team)
        _fields, rights = services.find_role(team, role)
        services.refuse_more(user, team, rights)
        if open_links(team).count() >= MOST_OPEN:
            raise DashboardError(
                _("A team has at most %(most)d open links. Take one back first.") % {"most": MOST_OPEN}, status=409
            )
        made = Invitation.objects.create(
            team=team,
            giver_id=giver.pk,
            sha256=hashed(secret),
            role=role,
            note=note.strip()[:80],
            most_uses=uses,
            expires_at=timezone.now() + timedelta(days=days),
        )
        told = {"role": role, "uses": uses, "days": days}
        audit.record("create-invitation", user, target=str(made.pk), team_id=team.pk, parameters=told)
    return made, secret


def link_of(route: str, secret: str) -> str:
    """The whole address that is handed over: of `join` or `set-password`."""
    return f"{settings.BERTH_PUBLIC_URL}{reverse(route, args=[secret])}"


def open_links(team: Team) -> QuerySet[Invitation]:
    return team.invitations.filter(revoked_at=None, expires_at__gt=timezone.now(), uses__lt=F("most_uses"))


def invitations(user: Requester, team: Team) -> QuerySet[Invitation]:
    """Those that can still be used, the newest first."""
    require(user, Permission.TEAM_MANAGE, team)
    return open_links(team).select_related("giver")


def revoke(user: Requester, team: Team, number: int) -> None:
    """Take a link back; who came in by it stays. Idempotent.

    Raises:
        NotFound: the team has no such link.
        Denied: `user` may not manage this team.
    """
    require(user, Permission.TEAM_MANAGE, team)
    with transaction.atomic():
        found = team.invitations.filter(pk=number).first()
        if found is None:
            raise NotFound(_("No such invitation: %(number)s") % {"number": number})
        if team.invitations.filter(pk=number, revoked_at=None).update(revoked_at=timezone.now()):
            audit.record(
                "revoke-invitation", user, target=str(number), team_id=team.pk, parameters={"role": found.role}
            )


def invitation_of(secret: str) -> Invitation:
    """Whose link that is, while it is worth something.

    Raises:
        NotFound: it is used up, taken back, has run out or never was, or its giver could not give it any more.
    """
    found = Invitation.objects.select_related("team", "giver").filter(sha256=hashed(secret)).first()
    if found is None or not found.is_open or not _still_gives(found):
        raise NotFound(str(_OVER))
    return found


def _still_gives(invitation: Invitation) -> bool:
    giver = invitation.giver
    if not giver.is_active:
        return False
    try:
        _fields, wanted = services.find_role(invitation.team, invitation.role)
    except DashboardError:  # the role is gone
        return False
    held = rights_in(giver, invitation.team_id)
    return Permission.TEAM_MANAGE in held and wanted <= held


def is_member(person: User, team: Team) -> bool:
    return Membership.objects.filter(team=team, person=person).exists()


def join(secret: str, person: User) -> Team:
    """Come into the link's team. Who is in it stays what they are, and the link keeps its use.

    Raises:
        NotFound: as `invitation_of`; of several at once for the last use, one wins.
    """
    with transaction.atomic():
        services.locked(invitation_of(secret).team)
        found = invitation_of(secret)  # as it is with the team held
        if is_member(person, found.team):
            return found.team
        usable = Q(revoked_at=None, expires_at__gt=timezone.now(), uses__lt=F("most_uses"))
        if not Invitation.objects.filter(usable, pk=found.pk).update(uses=F("uses") + 1):
            raise NotFound(str(_OVER))
        fields, _rights = services.find_role(found.team, found.role)
        Membership.objects.create(team=found.team, person=person, **fields)
        told = {"role": found.role, "invitation": found.pk, "giver": found.giver.username}
        audit.record("join-team", person, target=person.username, team_id=found.team_id, parameters=told)
    rights_changed([person.pk])
    return found.team


def join_as_new(secret: str, *, username: str, password: str) -> User:
    """Make an account and come into the link's team with it, or neither.

    Raises:
        NotFound: as `join`.
        DashboardError: the name has been taken meanwhile (409).
    """
    with transaction.atomic():
        services.locked(invitation_of(secret).team)
        if get_user_model().objects.filter(username__iexact=username).exists():
            raise DashboardError(_("This user name is taken."), status=409)
        person = User.objects.create_user(username=username, password=password)
        audit.record("create-account", person, target=username, parameters={"by": "invitation"})
        join(secret, person)
    return person


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenIn:
    """What became of one name of a list. `secret`: of the link with which a new account gets its password."""

    name: str
    state: str  # "new", "added" or "member": it was in the team already
    role: str
    secret: str = ""


def split_names(text: str) -> list[str]:
    """Of a pasted list: one on each line, or with commas, semicolons or tabs between. Each once, in their order."""
    found = (part.strip() for part in re.split(r"[\n\r,;\t]+", text))
    return list(dict.fromkeys(name for name in found if name))


def take_in(user: Requester, team: Team, names: Sequence[str], role: str) -> list[TakenIn]:
    """Bring everybody of a list into a team, all or none; for names that nobody has, an account and a one-time link for its password.

    Who is in the team stays what they are, so a list may be pasted again.

    Raises:
        DashboardError: a name that cannot be, none, or too many (400); no such role (404); more rights than one's own (403).
        Denied: `user` may not manage this team.
    """
    require(user, Permission.TEAM_MANAGE, team)
    if not names:
        raise DashboardError(_("The list has no name."))
    if len(names) > MOST_NAMES:
        raise DashboardError(
            _("The list has %(count)d names; at most %(most)d go at once.") % {"count": len(names), "most": MOST_NAMES}
        )
    if bad := [name for name in names if not USER_NAME.match(name)]:
        msg = _(
            "Nobody was added: these cannot be user names: %(names)s. Letters, digits and @ . + - _ can stand in one, no spaces."
        )
        raise DashboardError(msg % {"names": ", ".join(bad[:5])})
    with transaction.atomic():
        team = services.locked(team)
        _fields, rights = services.find_role(team, role)
        services.refuse_more(user, team, rights)
        done = [_take_in_one(user, team, name, role) for name in names]
    rights_changed(team.memberships.values_list("person_id", flat=True))
    return done


def _take_in_one(user: Requester, team: Team, name: str, role: str) -> TakenIn:
    person = get_user_model().objects.filter(username__iexact=name).first()
    secret = ""
    if person is None:
        person = get_user_model().objects.create_user(name, password=None)
        audit.record("create-account", user, target=name, team_id=team.pk)
        secret = people.issue_password_link(user, person, people.LIFE_OF_NEW)
    member = team.memberships.select_related("custom").filter(person=person).first()
    if member is not None:
        return TakenIn(name=person.username, state="member", role=member.role)
    fields, _rights = services.find_role(team, role)
    Membership.objects.create(team=team, person=person, **fields)
    audit.record("add-member", user, target=person.username, team_id=team.pk, parameters={"role": role})
    return TakenIn(name=person.username, state="new" if secret else "added", role=role, secret=secret)
