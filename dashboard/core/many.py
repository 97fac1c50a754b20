"""Answering one request about several things: what was done, and each that was refused, with its reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.http import JsonResponse

from dashboard.core.render import Undo
from dashboard.core.sentences import translated

MOST = 200
_NAMED = 8


@dataclass(frozen=True, slots=True)
class Refusal:
    key: str  # what the page sent
    name: str
    why: str


def listed(names: Iterable[str]) -> str:
    """The first few, and how many more there are."""
    found = list(names)
    more = len(found) - _NAMED
    return ", ".join(found[:_NAMED]) + (f" +{more}" if more > 0 else "")


def told(sentences: Iterable[str], refused: Iterable[Refusal], undo: Undo | None = None) -> JsonResponse:
    """For `ui/selection.ts`, which keeps what was refused selected. 200 even if everything was: each says why."""
    rows = [{"key": one.key, "name": one.name, "why": translated(one.why)} for one in refused]
    document: dict[str, object] = {"said": " ".join(filter(None, sentences)), "refused": rows}
    if undo is not None:
        document["undo"] = undo.shape()
    return JsonResponse(document)
