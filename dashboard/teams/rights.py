"""What each role may do. Built-in roles are fixed; a custom one is a list of single permissions."""

from __future__ import annotations

from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from dashboard.core.gate import Permission


class Builtin(models.TextChoices):
    VIEWER = "viewer", _("Viewer")
    OPERATOR = "operator", _("Operator")
    MAINTAINER = "maintainer", _("Maintainer")
    ADMIN = "admin", _("Team admin")


# Of whoever is signed in and active, in whatever team or in none.
PERSONAL: Final = frozenset({Permission.OWN_ACCOUNT, Permission.COMMAND, Permission.LIVE, Permission.TRANSFER})
# Never a team's to give: it is about the host and everybody on it.
SITE: Final = frozenset({Permission.SITE_ADMIN, Permission.PORT_LOW})
ASSIGNABLE: Final = frozenset(Permission) - PERSONAL - SITE

_VIEWER = frozenset(
    {
        Permission.IMAGE_VIEW,
        Permission.CONTAINER_VIEW,
        Permission.VOLUME_VIEW,
        Permission.NETWORK_VIEW,
        Permission.JOB_VIEW,
        Permission.TEAM_VIEW,
    }
    | {Permission.TERMINAL_OPEN, Permission.TERMINAL_OTHERS}
)
_OPERATOR = _VIEWER | {
    Permission.CONTAINER_COPY,
    *(
        Permission.IMAGE_PULL,
        Permission.CONTAINER_RUN,
        Permission.CONTAINER_OPERATE,
        Permission.CONTAINER_EXEC,
        Permission.CONTAINER_REMOVE,
        Permission.PORT_PUBLISH,
    ),
    *(
        Permission.VOLUME_CREATE,
        Permission.VOLUME_USE,
        Permission.NETWORK_USE,
        Permission.TERMINAL_TYPE,
        Permission.JOB_CANCEL,
    ),
}
BUILTIN: Final[dict[str, frozenset[Permission]]] = {
    Builtin.VIEWER: _VIEWER,
    Builtin.OPERATOR: _OPERATOR,
    Builtin.MAINTAINER: ASSIGNABLE - {Permission.TEAM_MANAGE, Permission.AUDIT_VIEW},
    Builtin.ADMIN: ASSIGNABLE,
}


def known(names: object) -> frozenset[Permission]:
    """Of a custom role's list: what can be assigned. A name of another version gives nothing."""
    values = set(Permission)
    found = names if isinstance(names, list) else []
    return frozenset(Permission(name) for name in found if name in values) & ASSIGNABLE
