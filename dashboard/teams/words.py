"""What each right is called on pages, in groups."""

from __future__ import annotations

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dashboard.core.gate import Permission

GROUPS: Final = (
    (_("Images"), ("image",)),
    (_("Containers"), ("container",)),
    (_("Terminals"), ("terminal",)),
    (_("Ports, networks, host"), ("port", "network", "host")),
    (_("Volumes"), ("volume",)),
    (_("Jobs"), ("job",)),
    (_("Team"), ("team", "audit", "quota", "policy")),
    (_("Account and site"), ("transfer", "live", "command", "own-account", "site")),
)
WORDS: Final = {
    Permission.IMAGE_VIEW: _("See images"),
    Permission.IMAGE_PULL: _("Pull images"),
    Permission.IMAGE_REMOVE: _("Remove images, for everybody"),
    Permission.IMAGE_SHARE: _("Share the team’s own images with everybody or another team"),
    Permission.CREDENTIAL_MANAGE: _("Keep the team’s credentials for registries"),
    Permission.CONTAINER_VIEW: _("See containers, their logs and figures"),
    Permission.CONTAINER_RUN: _("Run and create containers"),
    Permission.CONTAINER_OPERATE: _("Start, stop, pause, rename and limit containers"),
    Permission.CONTAINER_EXEC: _("Run commands and open shells in containers"),
    Permission.CONTAINER_COPY: _("Copy files into containers and out of them"),
    Permission.CONTAINER_REMOVE: _("Remove containers"),
    Permission.CONTAINER_KEEP: _("Except containers from being stopped when nobody uses them"),
    Permission.PORT_PUBLISH: _("Publish ports"),
    Permission.PORT_LOW: _("Publish on ports of the host below 1024"),
    Permission.HOST_PATH: _("Use those folders of the host that its administrator allows"),
    Permission.VOLUME_VIEW: _("See volumes"),
    Permission.VOLUME_CREATE: _("Create volumes"),
    Permission.VOLUME_USE: _("Use volumes in containers"),
    Permission.VOLUME_REMOVE: _("Remove volumes"),
    Permission.VOLUME_BACKUP: _("Take a copy of all that is in a volume"),
    Permission.VOLUME_RESTORE: _("Replace all that is in a volume"),
    Permission.TRANSFER: _("Carry archives to and from this computer"),
    Permission.NETWORK_VIEW: _("See networks"),
    Permission.NETWORK_CREATE: _("Create networks"),
    Permission.NETWORK_USE: _("Put containers into networks"),
    Permission.NETWORK_REMOVE: _("Remove networks"),
    Permission.TERMINAL_OPEN: _("Watch terminals"),
    Permission.TERMINAL_TYPE: _("Type in terminals"),
    Permission.TERMINAL_OTHERS: _("Do so in containers that others have made"),
    Permission.JOB_VIEW: _("See jobs in the activity"),
    Permission.JOB_CANCEL: _("Cancel jobs"),
    Permission.LIVE: _("See changes as they happen"),
    Permission.COMMAND: _("Use the command bar and the command line"),
    Permission.OWN_ACCOUNT: _("Change their own preferences and password"),
    Permission.TEAM_VIEW: _("See who is in the team"),
    Permission.TEAM_MANAGE: _("Invite people, take them out, give roles"),
    Permission.AUDIT_VIEW: _("See the audit log of the team"),
    Permission.SITE_ADMIN: _("Administer the site: all teams, all accounts, the host"),
}


Group = tuple[Promise, list[tuple[Permission, Promise]]]


def grouped(among: frozenset[Permission] | None = None) -> list[Group]:
    """(group, its (permission, words)), of those `among`, or of all; a group without any is left out."""
    found: list[Group] = []
    for group, prefixes in GROUPS:
        inside: list[tuple[Permission, Promise]] = [
            (one, words)
            for one, words in WORDS.items()
            if one.partition(".")[0] in prefixes and (among is None or one in among)
        ]
        if inside:
            found.append((group, inside))
    return found
