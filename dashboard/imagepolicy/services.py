"""Which images a team may have, and asking for others (ADR 25)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, cast

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard import gateway
from dashboard.audit import services as audit
from dashboard.core.errors import DashboardError, NotFound, Refused
from dashboard.core.events import publish, tell
from dashboard.core.gate import Permission, Requester, allows, require
from dashboard.imagepolicy.models import Answer, ImagePolicy, ImageRequest, ImageRule
from dashboard.imagepolicy.patterns import Name, Pattern
from dashboard.teams.models import Team

MOST_RULES: Final = 500
MOST_WAITING: Final = 20
MOST_DAYS: Final = 366
REASON_LENGTH: Final = 500


class ImageRefused(Refused):
    """The team's list does not have it. `reference` is what can be asked for."""

    code = "image-policy"

    def __init__(self, team: Team, reference: str) -> None:
        msg = _(
            "The image policy of the team %(team)s does not list %(image)s. Ask for it with a reason: on the page Team,"
            " Images, or by 'berth policy ask'."
        )
        super().__init__(msg % {"team": team.slug, "image": reference})
        self.reference = reference


def is_listed(team_id: int | None) -> bool:
    """Whether this team has only what its list names."""
    return team_id is not None and ImagePolicy.objects.filter(team_id=team_id).exists()


def _alive(team_id: int) -> QuerySet[ImageRule]:
    return ImageRule.objects.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), team_id=team_id)


def hold_pull(team_id: int | None, reference: gateway.Reference) -> None:
    """Go on only if the team may pull that; a rule for one pull is spent by it. In the transaction that asks for the pull.

    Raises:
        ImageRefused: 403.
    """
    if team_id is None or not is_listed(team_id):
        return
    image = Name.of(reference)
    matching = [rule for rule in _alive(team_id).select_for_update() if rule.names.matches(image) and not rule.is_spent]
    if not matching:
        raise ImageRefused(Team.objects.get(pk=team_id), reference.familiar)
    if all(rule.once for rule in matching):
        ImageRule.objects.filter(pk=matching[0].pk).update(used_at=timezone.now())


class DigestRefused(ImageRefused):
    """The name is on the list, pinned to another digest."""

    def __init__(self, team: Team, reference: str, pinned: str) -> None:
        super().__init__(team, reference)
        msg = _(
            "The image policy of the team %(team)s pins %(image)s to %(digest)s, and its registry has another image by that"
            " name now. Ask for it anew, or name the digest."
        )
        self.args = (msg % {"team": team.slug, "image": reference, "digest": pinned},)


def hold_digest(team_id: int | None, reference: gateway.Reference, digest: str, *, since: datetime) -> None:
    """After a pull, asked for at `since`, has found out what its name means: go on only if that is what the list pins. A
    rule that pins nothing yet does so now. In a transaction.

    Raises:
        DigestRefused: 403.
    """
    if team_id is None or not is_listed(team_id):
        return
    image = Name.of(reference)
    matching = [rule for rule in _alive(team_id).select_for_update() if rule.names.matches(image)]
    if any(not rule.pins and not _was_spent_before(rule, since) for rule in matching):
        return
    pinning = [rule for rule in matching if rule.pins]
    if pinning and not any(_pin(rule, digest) for rule in pinning):
        raise DigestRefused(Team.objects.get(pk=team_id), reference.familiar, pinning[0].digest)


def _was_spent_before(rule: ImageRule, moment: datetime) -> bool:
    return rule.once and rule.used_at is not None and rule.used_at < moment


def _pin(rule: ImageRule, digest: str) -> bool:
    """Whether the rule lets this digest through; one that has seen none yet is about this from now on."""
    if rule.pins and not rule.digest:
        ImageRule.objects.filter(pk=rule.pk, digest="").update(digest=digest)
        rule.refresh_from_db(fields=["digest"])
    return not rule.pins or rule.digest == digest


def refuse_run(team_id: int | None, asked: str, names: Iterable[Name]) -> None:
    """Go on only if one of an image's names may be run in the team, whoever has pulled it.

    Raises:
        ImageRefused: 403.
    """
    if team_id is None or not is_listed(team_id):
        return
    rules = list(_alive(team_id))
    if not any(rule.names.matches(name) and _pin(rule, name.digest) for name in names for rule in rules):
        raise ImageRefused(Team.objects.get(pk=team_id), asked)


def available(team_id: int | None) -> list[str]:
    """What the list names exactly, as people write it."""
    if team_id is None or not is_listed(team_id):
        return []
    exact = (rule.names.exact for rule in _alive(team_id) if not rule.once)
    return sorted(filter(None, set(exact)))


# The list


def rules(user: Requester, team: Team) -> QuerySet[ImageRule]:
    require(user, Permission.TEAM_VIEW, team)
    return _alive(team.pk).select_related("giver")


def set_listed(user: Requester, team: Team, *, listed: bool) -> None:
    """Only what the list names, or any image. Idempotent.

    Raises:
        Denied: `user` may not manage this team.
        DashboardError: it would be wider, and only a site administrator set the list (403).
    """
    require(user, Permission.TEAM_MANAGE, team)
    with transaction.atomic():
        before = ImagePolicy.objects.select_for_update().filter(team=team).exists()
        if before == listed:
            return
        if listed:
            ImagePolicy.objects.create(team=team)
        else:
            ImagePolicy.objects.filter(team=team).delete()
        audit.record("set-image-policy", user, target=team.slug, team_id=team.pk, parameters={"listed": listed})


def add_rule(
    user: Requester, team: Team, text: str, *, once: bool = False, days: int | None = None, pins: bool = False
) -> ImageRule:
    """Put something on the list; what stands there without an end stays as it is. Idempotent.

    Raises:
        DashboardError: nothing could be called that, or a number that cannot be (400); the list is full (409).
        Denied: `user` may not manage this team.
    """
    require(user, Permission.TEAM_MANAGE, team)
    pattern = str(Pattern.parse(text))
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise DashboardError(_("A rule can hold from 1 to %(most)d days.") % {"most": MOST_DAYS})
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=team.pk)
        there = ImageRule.objects.filter(team=team, pattern=pattern, once=False, expires_at=None, pins=pins).first()
        if there is not None and not once and days is None:
            return there
        if ImageRule.objects.filter(team=team).count() >= MOST_RULES:
            raise DashboardError(_("The list is full. Take something off it first."), status=409)
        ends = None if days is None else timezone.now() + timedelta(days=days)
        giver = getattr(user, "pk", None)
        made = ImageRule.objects.create(
            team=team, pattern=pattern, once=once, expires_at=ends, giver_id=giver, pins=pins
        )
        told = {"once": once, "days": days, "pins": pins}
        audit.record("add-image-rule", user, target=pattern, team_id=team.pk, parameters=told)
    publish("images", {"t": "images", "team": team.pk})
    return made


def remove_rule(user: Requester, team: Team, number: int) -> None:
    """What runs goes on. Idempotent for what was there.

    Raises:
        NotFound: the list has nothing of that number.
        Denied: `user` may not manage this team.
    """
    require(user, Permission.TEAM_MANAGE, team)
    with transaction.atomic():
        found = ImageRule.objects.filter(team=team, pk=number).first()
        if found is None:
            raise NotFound(_("The list has no rule %(number)s.") % {"number": number})
        audit.record("remove-image-rule", user, target=found.pattern, team_id=team.pk)
        found.delete()


# Asking


def ask(user: Requester, team: Team, text: str, reason: str) -> ImageRequest:
    """Ask for an image that the list does not have; the same again is the same request.

    Raises:
        DashboardError: no name or no reason (400); the list has it already, or too much is waiting (409).
        Denied: `user` may pull nothing in this team.
    """
    require(user, Permission.IMAGE_PULL, team)
    reference = gateway.parse(text.strip())
    reason = reason.strip()
    if not reason or len(reason) > REASON_LENGTH:
        raise DashboardError(
            _("Say why, in at most %(most)d letters: whoever decides reads it.") % {"most": REASON_LENGTH}
        )
    if not is_listed(team.pk) or any(
        rule.names.matches(Name.of(reference)) and not rule.is_spent for rule in _alive(team.pk)
    ):
        raise DashboardError(_("%(image)s may be pulled already.") % {"image": reference.familiar}, status=409)
    person = cast("User", user)
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=team.pk)
        waiting = ImageRequest.objects.filter(team=team, requester_id=person.pk, answer=Answer.PENDING)
        if (same := waiting.filter(reference=reference.familiar).first()) is not None:
            return same
        if waiting.count() >= MOST_WAITING:
            raise DashboardError(
                _("%(most)d of your requests are waiting. Wait for an answer first.") % {"most": MOST_WAITING},
                status=409,
            )
        made = ImageRequest.objects.create(
            team=team, requester_id=person.pk, reference=reference.familiar, reason=reason
        )
        audit.record("ask-image", user, target=made.reference, team_id=team.pk, parameters={"reason": reason})
    return made


def requests_of(user: Requester, team: Team) -> QuerySet[ImageRequest]:
    """All of the team for who decides; one's own for the others. The newest first."""
    require(user, Permission.TEAM_VIEW, team)
    rows = ImageRequest.objects.filter(team=team).select_related("requester", "decided_by")
    return (
        rows if allows(user, Permission.TEAM_MANAGE, team) else rows.filter(requester_id=getattr(user, "pk", None) or 0)
    )


def waiting_count(team: Team) -> int:
    return ImageRequest.objects.filter(team=team, answer=Answer.PENDING).count()


def decide(
    user: Requester,
    team: Team,
    number: int,
    *,
    approve: bool,
    once: bool = False,
    days: int | None = None,
    pins: bool = False,
    said: str = "",
) -> ImageRequest:
    """Approve (for the tag, `once`, or pinned to the digest, with an end after `days`) or refuse. Of two at once, the first holds.

    Raises:
        NotFound: the team has no such request.
        DashboardError: it is decided already (409), or a number that cannot be (400).
        Denied: `user` may not manage this team.
    """
    require(user, Permission.TEAM_MANAGE, team)
    with transaction.atomic():
        found = ImageRequest.objects.select_for_update().filter(team=team, pk=number).first()
        if found is None:
            raise NotFound(_("There is no such request: %(number)s") % {"number": number})
        if found.answer != Answer.PENDING:
            raise DashboardError(_("This request is decided already."), status=409)
        if approve:
            add_rule(user, team, found.reference, once=once, days=days, pins=pins)
        found.answer = Answer.APPROVED if approve else Answer.REFUSED
        found.said, found.decided_at = said.strip()[:REASON_LENGTH], timezone.now()
        found.decided_by_id = getattr(user, "pk", None)
        found.save()
        told = {"once": once, "days": days, "pins": pins, "said": found.said}
        audit.record(
            "approve-image" if approve else "refuse-image",
            user,
            target=found.reference,
            team_id=team.pk,
            parameters=told,
        )
    tell(found.requester_id, {"t": "answer", "image": found.reference, "answer": found.answer, "said": found.said})
    return found


def unread(user: Requester, team: Team) -> QuerySet[ImageRequest]:
    """Answers to what this person asked for in the team, until they have looked at them."""
    rows = ImageRequest.objects.filter(team=team, requester_id=getattr(user, "pk", None) or 0, read_at=None)
    return rows.exclude(answer=Answer.PENDING)


def mark_read(user: Requester, team: Team) -> None:
    unread(user, team).update(read_at=timezone.now())
