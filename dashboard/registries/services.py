"""Logging in to registries and out of them, and choosing what a pull uses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard import gateway
from dashboard.audit import services as audit
from dashboard.core.errors import DashboardError, NotFound
from dashboard.core.gate import Permission, Requester, require
from dashboard.jobs import services as jobs
from dashboard.jobs.models import Job
from dashboard.registries import vault
from dashboard.registries.models import Credential
from dashboard.teams import scope
from dashboard.teams.models import Team

LOGIN: Final = "registry_login"
NAME_LENGTH: Final = 255
PASSWORD_LENGTH: Final = 8192  # some registries' "passwords" are tokens of kilobytes
DEFAULT: Final = "docker.io"
_SPELLINGS: Final = frozenset({"", "index.docker.io", "https://index.docker.io/v1/", "registry-1.docker.io"})


class Whose(StrEnum):
    MINE = "me"
    TEAM = "team"
    SITE = "site"


@dataclass(frozen=True, slots=True)
class Usable:
    """What a pull uses. `is_sites`: everybody could have pulled with it."""

    credentials: gateway.Credentials
    is_sites: bool


def registry_name(text: str) -> str:
    """As references write it: `ghcr.io`, `127.0.0.1:5000`; Docker's own spellings of its registry are `docker.io`.

    Raises:
        DashboardError: no registry could be called that (400).
    """
    text = text.strip()
    bare = text.removeprefix("https://").removeprefix("http://").removesuffix("/")
    if text in _SPELLINGS or bare in _SPELLINGS:
        return DEFAULT
    try:
        found = gateway.parse(f"{bare}/x")
    except gateway.EngineError:
        found = None
    if found is None or found.registry != bare:
        raise DashboardError(
            _("%(text)s is no registry: write it as ghcr.io or registry.example:5000.") % {"text": text[:120] or "–"}
        )
    return bare


def require_may_keep(user: Requester, whose: Whose, team: Team | None) -> None:
    """Raises Denied: 403; DashboardError: the team's, and no team is chosen."""
    if whose is Whose.SITE:
        require(user, Permission.SITE_ADMIN)
    elif whose is Whose.TEAM:
        if team is None:
            raise DashboardError(_("Choose a team first."))
        require(user, Permission.CREDENTIAL_MANAGE, team)
    else:
        require(user, Permission.IMAGE_PULL)


def _owner(user: Requester, whose: Whose, team: Team | None) -> dict[str, int | None]:
    return {
        "team_id": team.pk if team is not None and whose is Whose.TEAM else None,
        "person_id": getattr(user, "pk", None) if whose is Whose.MINE else None,
    }


def log_in(user: Requester, registry: str, *, username: str, password: str, whose: Whose, team: Team | None) -> Job:
    """Try a name and a password at a registry, and keep them if it takes them; those that were kept before are replaced
    then, and stay if it does not.

    Returns:
        The job that tries. It carries no secret: only the number of a row that nothing uses until it succeeded.

    Raises:
        DashboardError: a name or a password that cannot be (400).
        Denied: `user` may not.
    """
    require_may_keep(user, whose, team)
    name = registry_name(registry)
    username = username.strip()
    if not username or len(username) > NAME_LENGTH or ":" in username or not username.isprintable():
        raise DashboardError(_("Give the name that the registry knows you by; it has no colon."))
    if not password or len(password) > PASSWORD_LENGTH or not password.isprintable():
        raise DashboardError(_("Give the password or access token for the registry."))
    owner = _owner(user, whose, team)
    with transaction.atomic():
        Credential.objects.filter(registry=name, checked_at=None, **owner).delete()
        made = Credential.objects.create(
            registry=name,
            username=username,
            secret=vault.encrypt(password),
            giver_id=getattr(user, "pk", None),
            **owner,
        )
        here = scope.current(user)
        return jobs.submit(
            LOGIN,
            {"name": name, "row": made.pk, "whose": whose.value, "username": username},
            requester=user,
            team_id=None if here is None else here.pk,
        )


def keep(row: int, origin: str) -> None:
    """The registry, spoken to at `origin`, has taken it: it replaces the owner's earlier one. Idempotent."""
    with transaction.atomic():
        found = Credential.objects.select_for_update().filter(pk=row, checked_at=None).first()
        if found is None:
            return
        owner = {"team_id": found.team_id, "person_id": found.person_id}
        Credential.objects.filter(registry=found.registry, checked_at__isnull=False, **owner).delete()
        Credential.objects.filter(pk=row).update(checked_at=timezone.now(), origin=origin)


def log_out(user: Requester, registry: str, *, whose: Whose, team: Team | None) -> None:
    """Forget them. What was pulled with them stays.

    Raises:
        NotFound: there are none.
        Denied: `user` may not.
    """
    require_may_keep(user, whose, team)
    name = registry_name(registry)
    with transaction.atomic():
        gone, _rows = Credential.objects.filter(registry=name, **_owner(user, whose, team)).delete()
        if gone:
            told = {"whose": whose.value}
            audit.record(
                "registry-logout", user, target=name, team_id=team.pk if team is not None else None, parameters=told
            )
    if not gone:
        raise NotFound(_("Not logged in to %(name)s.") % {"name": name})


def listed(user: Requester, team: Team | None) -> QuerySet[Credential]:
    """The person's, the team's and the site's, without their secrets."""
    require(user, Permission.IMAGE_PULL)
    mine = Q(person_id=getattr(user, "pk", None)) | Q(team=None, person=None)
    if team is not None:
        mine |= Q(team=team)
    rows = Credential.objects.filter(mine, checked_at__isnull=False).defer("secret")
    return rows.select_related("giver").order_by("registry", "person", "team")


def usable(team_id: int | None, person_id: int | None, registry: str) -> Usable | None:
    """What this person's pull in this team uses: the person's own, else the team's, else the site's.

    Those that were tried somewhere else than where the registry is spoken to now are never sent.

    Raises:
        Unreadable: the key is not the one that encrypted them.
    """
    wanted = Q(team=None, person=None)
    if person_id is not None:
        wanted |= Q(person_id=person_id)
    if team_id is not None:
        wanted |= Q(team_id=team_id)
    rows = list(Credential.objects.filter(wanted, registry=registry, checked_at__isnull=False))
    if not rows:
        return None
    origin = gateway.registry_origin(registry)
    rows = [row for row in rows if row.origin == origin]
    rows.sort(key=lambda row: (row.person_id is None, row.team_id is None))
    if not rows:
        return None
    row = rows[0]
    Credential.objects.filter(pk=row.pk).update(used_at=timezone.now())
    return Usable(gateway.Credentials(row.username, vault.decrypt(row.secret, registry)), row.is_sites)


def rotate() -> int:
    """Encrypt all of them with the newest key. How many there are.

    Raises:
        Unreadable: one that no key of the file reads; nothing has changed then.
    """
    with transaction.atomic():
        rows = list(Credential.objects.select_for_update().order_by("pk"))
        for row in rows:
            Credential.objects.filter(pk=row.pk).update(secret=vault.anew(row.secret, row.registry))
    return len(rows)
