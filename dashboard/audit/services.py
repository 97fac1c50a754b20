"""Writing the audit log, and choosing what is shown of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dashboard.audit.models import Entry, Outcome
from dashboard.core.arrival import arrival
from dashboard.core.gate import Requester

HIDDEN: Final = "(hidden)"
_SECRET_WORDS: Final = ("password", "secret", "token", "auth", "credential", "key")
_VALUES: Final = ("env", "environment")  # of each, the name is told and the value is not
_LONGEST_TEXT: Final = 300
_MOST_ITEMS: Final = 50
_DEEPEST: Final = 4


def record(
    action: str,
    actor: Requester,
    *,
    target: str = "",
    team_id: int | None = None,
    parameters: Mapping[str, object] | None = None,
    reason: str = "",
) -> None:
    """Write one row; call it in the transaction of the change, so that there is one exactly if the change was made.

    `actor`: None for Berth itself, or for somebody who is not known. `reason`: the sentence with which it was refused;
    without one it was done. Secrets among the `parameters` are left out here, whoever calls.
    """
    came = arrival()
    Entry.objects.create(
        actor_id=getattr(actor, "pk", None),
        actor_name=actor.get_username() if actor is not None and actor.is_authenticated else "",
        team_id=team_id,
        action=action[:60],
        target=_printable(target)[:_LONGEST_TEXT],
        outcome=Outcome.REFUSED if reason else Outcome.DONE,
        reason=reason[:600],
        parameters=without_secrets(parameters or {}),
        door=came.door,
        address=came.address[:64],
    )


def refused(action: str, actor: Requester, error: Exception, *, team_id: int | None = None) -> None:
    """Somebody was told that they may not. `error`: its sentence becomes the reason."""
    record(action, actor, reason=str(error) or type(error).__name__, team_id=team_id)


def without_secrets(value: Any, name: str = "", depth: int = 0) -> Any:  # whatever JSON can hold
    """As `value`, of bounded size; of what is named like a secret only that it was there, of variables their names."""
    lowered = name.lower()
    if isinstance(value, str) and value and any(word in lowered for word in _SECRET_WORDS):
        return HIDDEN
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return "…" if depth >= _DEEPEST else _inside(value, name, depth + 1, is_hidden=lowered in _VALUES)
    if value is None or isinstance(value, bool | int | float):
        return value
    return _printable(str(value))[:_LONGEST_TEXT]


def _inside(value: Any, name: str, depth: int, *, is_hidden: bool) -> Any:  # whatever JSON can hold
    if isinstance(value, Mapping):
        items = list(value.items())[:_MOST_ITEMS]
        return {str(key): HIDDEN if is_hidden else without_secrets(one, str(key), depth) for key, one in items}
    some = list(value)[:_MOST_ITEMS]
    if is_hidden:
        return [f"{str(one).partition('=')[0]}={HIDDEN}" for one in some]
    return [without_secrets(one, name, depth) for one in some]


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
