"""The engine's own sentences and error codes in the reader's language.

The engine knows no languages: what it says is English, and stays so in logs, in rows and on the command line. A page
looks a sentence up here; one that is not here, as those that imitate Docker's, is shown as it came.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from dashboard.core.check_words import INVARIANTS, KINDS, PROBLEMS
from dashboard.core.engine_words import ERRORS, FINDINGS, PARTS
from dashboard.core.own_words import OWN, STREAMS, TYPED

# Why a job failed, in general, by its error code; the engine's own sentence stands below it.
REASONS: Final[dict[str, Promise]] = {
    "engine": _("The engine could not do this."),
    "reference-invalid": _("The name of the image is not a valid one."),
    "registry": _("The registry answered with an error."),
    "image-unknown": _("The registry has no such image."),
    "registry-denied": _("The registry does not give this to us."),
    "registry-unreachable": _("The registry cannot be reached."),
    "registry-busy": _("The registry is busy."),
    "document-invalid": _("What the registry sent is not a valid image."),
    "store": _("The disk did not do what was asked."),
    "digest-mismatch": _("What came is not what was promised; nothing of it is used."),
    "store-full": _("The disk is full."),
    "not-stored": _("Something that is needed is not there any more."),
    "archive-rejected": _("The archive is broken or hostile, or cannot hold this."),
    "layer-rejected": _("A layer of the image is broken or hostile."),
    "runtime": _("The container could not be run."),
    "command-not-found": _("The image has no such command."),
    "shell-not-found": _("The image has no shell."),
    "command-not-executable": _("The command cannot be executed."),
    "user-unknown": _("The image has no such user."),
    "image-unfit": _("The image does not fit this host."),
    "file-unknown": _("The container has no such file."),
    "request-refused": _("This is not allowed on this host."),
    "network": _("The container’s network could not be made."),
    "port-taken": _("A port of the host is taken already."),
    "wrong-state": _("The container is not in a state for this."),
    "host-unfit": _("This host cannot run containers: see System."),
    "cancelled": _("It was cancelled."),
    "denied": _("The person who asked for it may not do this."),
    "database": _("The database did not answer."),
    "internal": _("Berth made a mistake."),
    "log-gone": _("The container’s log is gone."),
    "process-failed": _("A program that Berth needs failed."),
    "worker-lost": _("Its worker was lost again and again."),
    "host-full": _("This host has no room for it now."),
    "unknown-kind": _("No worker knows how to do this."),
    "wrong-queue": _("This worker does not do such things."),
    "dashboard": _("This could not be done."),
    "not-found": _("What it is about does not exist any more."),
    "conflict": _("Something else is in the way."),
}
_PART = re.compile(r"\{(\w+)\}")
_LONGEST = 2000
_LOOKED_UP_AGAIN = frozenset({"what", "why"})


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str], str], ...]:
    """The most telling first: "{program} is there" fits much. Each with a piece of it that must be in a sentence."""
    ordered = sorted(
        (*FINDINGS, *ERRORS, *PARTS, *OWN, *TYPED, *STREAMS, *KINDS, *PROBLEMS),
        key=lambda text: -len(_PART.sub("", text)),
    )
    return tuple(
        (max(_PART.split(text)[::2], key=len), re.compile(_expression(text), re.DOTALL), text) for text in ordered
    )


def _expression(text: str) -> str:
    literals_and_names = _PART.split(text)
    return "".join(f"(?P<{x}>.+?)" if number % 2 else re.escape(x) for number, x in enumerate(literals_and_names))


def translated(sentence: str) -> str:
    """A sentence of the engine in the language of this request. Long ones, which others wrote, stay as they came."""
    if len(sentence) > _LONGEST:
        return sentence
    for needle, pattern, text in _patterns():
        if needle in sentence and (found := pattern.fullmatch(sentence)) is not None:
            parts = found.groupdict().items()
            return gettext(text).format(**{k: translated(v) if k in _LOOKED_UP_AGAIN else v for k, v in parts})
    return sentence


def reason(code: str) -> str:
    """Why something failed, in general; "" for a code that nobody knows."""
    return str(REASONS.get(code, ""))


def invariant(number: str) -> str:
    """What `I3` promises; "" for one that nobody knows."""
    return str(INVARIANTS.get(number, ""))
