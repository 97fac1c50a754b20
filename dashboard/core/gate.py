"""The gate: who may do what. Everything asks here: views, consumers, commands, jobs.

Deny by default, three times over: a person who is not signed in reaches no view (LoginRequiredMiddleware) and no
consumer (GuardedConsumer); a right that the registered policy does not grant is refused; and a view that answers a
signed-in person without having asked the gate has its answer thrown away (`core.middleware.GateAsked`).

The policy is registered with `use_policy`, by `dashboard.teams` (ADR 21). Until somebody has, nobody may do anything.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from enum import StrEnum
from typing import Any, Final, Protocol

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from dashboard.core.errors import Refused

Requester = AbstractBaseUser | AnonymousUser | None


class Permission(StrEnum):
    IMAGE_VIEW = "image.view"
    IMAGE_PULL = "image.pull"
    IMAGE_REMOVE = "image.remove"
    IMAGE_SHARE = "image.share"  # let everybody, or another team, have what only the team sees
    CREDENTIAL_MANAGE = "image.credentials"  # the team's names and passwords for registries
    CONTAINER_VIEW = "container.view"
    CONTAINER_RUN = "container.run"
    CONTAINER_OPERATE = "container.operate"  # start, stop, kill, restart
    CONTAINER_EXEC = "container.exec"  # run a further command in it, and end one
    CONTAINER_COPY = "container.copy"  # files into it and out of it
    CONTAINER_REMOVE = "container.remove"
    CONTAINER_KEEP = "container.keep"  # have one go on although nobody uses it
    PORT_PUBLISH = "port.publish"
    PORT_LOW = "port.low"  # publish on a port of the host below 1024
    HOST_PATH = "host.path"  # have a folder of the host in a container; which ones, the host's administrator says
    VOLUME_VIEW = "volume.view"
    VOLUME_CREATE = "volume.create"
    VOLUME_USE = "volume.use"  # have it in a container of one's own
    VOLUME_REMOVE = "volume.remove"
    VOLUME_BACKUP = "volume.backup"  # take all that is in it away as a file
    VOLUME_RESTORE = "volume.restore"  # replace all that is in it
    TRANSFER = "transfer"  # carry an archive of one's own; what it is about has a right of its own
    NETWORK_VIEW = "network.view"
    NETWORK_CREATE = "network.create"
    NETWORK_USE = "network.use"  # have a container of one's own in it
    NETWORK_REMOVE = "network.remove"
    TERMINAL_OPEN = "terminal.open"  # see its output
    TERMINAL_TYPE = "terminal.type"
    TERMINAL_OTHERS = "terminal.others"  # the two above, of a container that somebody else made
    JOB_VIEW = "job.view"
    JOB_CANCEL = "job.cancel"
    LIVE = "live"  # events about what one may see
    COMMAND = "command"  # the command door; each command asks for its own right
    OWN_ACCOUNT = "own-account"  # one's own preferences and password
    TEAM_VIEW = "team.view"  # who is in it
    TEAM_MANAGE = "team.manage"  # who is in it and as what: never more than one has oneself
    AUDIT_VIEW = "audit.view"  # what people of the team did and were refused
    SITE_ADMIN = "site.admin"


class Denied(Refused):
    """`is_anonymous`: signing in might help; `needs_factor`: so might a second factor, and the sentence says so."""

    code = "denied"

    def __init__(self, permission: Permission, *, is_anonymous: bool, needs_factor: str = "") -> None:
        super().__init__("Sign in first." if is_anonymous else needs_factor or "You may not do this.")
        self.permission = permission
        self.is_anonymous = is_anonymous
        self.needs_factor = bool(needs_factor)
        if is_anonymous:
            self.status = 401


class Policy(Protocol):
    """`user` is active and signed in. `obj` is a model's row, or None for the right as such."""

    def __call__(self, user: AbstractBaseUser, permission: Permission, obj: Any) -> bool: ...  # any model's row


def nobody(user: AbstractBaseUser, permission: Permission, obj: Any) -> bool:
    """The policy until one is registered."""
    return False


_policy: list[Policy] = [nobody]
_asked: ContextVar[list[bool] | None] = ContextVar("berth-gate-asked", default=None)


def use_policy(policy: Policy) -> Callable[[], None]:
    """Let this policy decide from now on; returns a function that takes it back."""
    before = _policy[0]
    _policy[0] = policy

    def restore() -> None:
        _policy[0] = before

    return restore


PREFIX: Final = "berth_"  # what access tokens begin with, so that people and scanners know one
# Whatever rights an access token has, it needs these to come in at all. They give nothing by themselves.
DOOR_RIGHTS: Final = frozenset({Permission.COMMAND, Permission.LIVE, Permission.TRANSFER})
_RIGHTS = "_berth_rights"  # an attribute of the person's object, which lives as long as a connection's look


def narrow(user: AbstractBaseUser, rights: frozenset[str] | None) -> AbstractBaseUser:
    """Have this object of a person stand for an access token of theirs: None is all rights but those about the account."""
    held = frozenset(Permission) if rights is None else frozenset(one for one in Permission if one in rights)
    setattr(user, _RIGHTS, (held - {Permission.OWN_ACCOUNT}) | DOOR_RIGHTS)
    return user


def is_narrowed(user: Requester) -> bool:
    """Whether this person came by an access token."""
    return user is not None and hasattr(_real(user), _RIGHTS)


def within_token(user: Any, rights: frozenset[Permission]) -> frozenset[Permission]:  # Any: a person's row
    """Of a person's rights those that the token has by which they came; all where they came as themselves."""
    held: frozenset[Permission] | None = getattr(_real(user), _RIGHTS, None)
    return rights if held is None else rights & held


def allows(user: Requester, permission: Permission, obj: Any = None) -> bool:  # any model's row
    """Whether `user` may. Nobody who is not signed in and active may do anything."""
    note_asked()
    return offers(user, permission, obj)


def offers(user: Requester, permission: Permission, obj: Any = None) -> bool:  # any model's row
    """As `allows`, for deciding what a page shows: a frame that asked does not make up for a view that did not."""
    if user is None or not user.is_authenticated or not user.is_active:
        return False
    if not within_token(user, frozenset({Permission(permission)})):
        return False
    return _policy[0](_real(user), Permission(permission), obj)


def require(user: Requester, permission: Permission, obj: Any = None) -> None:  # any model's row
    """Go on only if `user` may.

    Raises:
        Denied: 401 for somebody who is not signed in, else 403.
    """
    if not allows(user, permission, obj):
        is_anonymous = user is None or not user.is_authenticated
        raise Denied(permission, is_anonymous=is_anonymous, needs_factor="" if is_anonymous else missing_factor(user))


Missing = Callable[[AbstractBaseUser], str]
_missing: list[Missing] = []


def use_missing_factor(missing: Missing) -> None:
    """The sentence for somebody whose team asks for a second factor that they have not; "" for everybody else."""
    _missing[:] = [missing]


def missing_factor(user: Requester) -> str:
    return _missing[0](_real(user)) if _missing and user is not None else ""


Listener = Callable[[Requester, Exception], None]
_listeners: list[Listener] = []


def on_refusal(listener: Listener) -> None:
    """Have it told of every refusal that reaches a person, after whatever was begun has been undone."""
    if listener not in _listeners:
        _listeners.append(listener)


def tell_refused(user: Requester, error: Exception) -> None:
    """For the doors: somebody is being told that they may not. Not for use within a transaction, which would be undone."""
    for listener in _listeners:
        listener(user, error)


def _real(user: Any) -> AbstractBaseUser:  # request.user is a lazy stand-in for one
    wrapped = getattr(user, "_wrapped", user)
    return wrapped if isinstance(wrapped, AbstractBaseUser) else user


def start_watching() -> list[bool]:
    """For the middleware: a list that is no longer empty once the gate has been asked in this request."""
    asked: list[bool] = []
    _asked.set(asked)
    return asked


def note_asked() -> None:
    asked = _asked.get()
    if asked is not None:
        asked.append(True)
