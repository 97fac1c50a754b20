"""What each role may do. Built-in roles are fixed; a custom one is a list of single permissions."""

from __future__ import annotations

from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from dashboard.core.gate import Permission as P


class Builtin(models.TextChoices):
    VIEWER = "viewer", _("Viewer")
    OPERATOR = "operator", _("Operator")
    MAINTAINER = "maintainer", _("Maintainer")
    ADMIN = "admin", _("Team admin")


# Of whoever is signed in and active, in whatever team or in none.
PERSONAL: Final = frozenset({P.OWN_ACCOUNT, P.COMMAND, P.LIVE, P.TRANSFER})
# Never a team's to give: it is about the host and everybody on it.
SITE: Final = frozenset({P.SITE_ADMIN, P.PORT_LOW})
ASSIGNABLE: Final = frozenset(P) - PERSONAL - SITE

_VIEWER = frozenset(
    {P.IMAGE_VIEW, P.CONTAINER_VIEW, P.VOLUME_VIEW, P.NETWORK_VIEW, P.JOB_VIEW, P.TEAM_VIEW}
    | {P.TERMINAL_OPEN, P.TERMINAL_OTHERS}
)
_OPERATOR = _VIEWER | {
    *(P.IMAGE_PULL, P.CONTAINER_RUN, P.CONTAINER_OPERATE, P.CONTAINER_EXEC, P.CONTAINER_REMOVE, P.PORT_PUBLISH),
    *(P.VOLUME_CREATE, P.VOLUME_USE, P.NETWORK_USE, P.TERMINAL_TYPE, P.JOB_CANCEL),
}
BUILTIN: Final[dict[str, frozenset[P]]] = {
    Builtin.VIEWER: _VIEWER,
    Builtin.OPERATOR: _OPERATOR,
    Builtin.MAINTAINER: ASSIGNABLE - {P.TEAM_MANAGE},
    Builtin.ADMIN: ASSIGNABLE,
}


def known(names: object) -> frozenset[P]:
    """Of a custom role's list: what can be assigned. A name of another version gives nothing."""
    values = set(P)
    found = names if isinstance(names, list) else []
    return frozenset(P(name) for name in found if name in values) & ASSIGNABLE
