"""The commands of the group `trash` (Berth's own), and what `ls` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.grammar import liferequests
from dashboard.grammar.commands import FORMAT, Command
from dashboard.grammar.errors import UsageError
from dashboard.grammar.flags import Values, string, switch
from dashboard.grammar.tables import Row, render_table
from dashboard.grammar.units import human_duration, human_size

SHORT_ID = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class TrashLine:
    """`size_bytes` None: not measured yet."""

    container_id: str
    name: str
    image: str
    remover: str
    removed_at: datetime
    due_at: datetime
    size_bytes: int | None


def render_trash(request: liferequests.TrashList, lines: Sequence[TrashLine], now: datetime) -> str:
    """The text of `trash ls`, without a last newline; "" when `-q` finds nothing."""
    if request.quiet and not request.format:
        return "\n".join(line.container_id[:SHORT_ID] for line in lines)
    rows = [_row(line, now) for line in lines]
    return render_table(rows, headers=_HEADERS, columns=list(_HEADERS), format_text=request.format)


_HEADERS = {
    "ID": "CONTAINER ID",
    "Name": "NAME",
    "Image": "IMAGE",
    "Size": "SIZE",
    "RemovedBy": "REMOVED BY",
    "Removed": "REMOVED",
    "Goes": "GOES FOR EVER",
}


def _row(line: TrashLine, now: datetime) -> Row:
    left = line.due_at - now
    return {
        "ID": line.container_id[:SHORT_ID],
        "Name": line.name,
        "Image": line.image,
        "Size": "N/A" if line.size_bytes is None else human_size(line.size_bytes),
        "RemovedBy": line.remover,
        "Removed": f"{human_duration(now - line.removed_at)} ago",
        "Goes": f"in {human_duration(left)}" if left.total_seconds() > 0 else "now",
    }


def _build_restore(values: Values, words: tuple[str, ...]) -> liferequests.TrashRestore:
    name = values.get("name", "")
    if name and len(words) > 1:
        msg = "--name is for one container"
        raise UsageError(msg)
    return liferequests.TrashRestore(names=words, new_name=name)


TRASH_COMMANDS: tuple[Command, ...] = (
    Command(
        name="empty",
        usage="[OPTIONS]",
        about="Remove for ever all that is in the team's trash",
        build=lambda v, _w: liferequests.TrashEmpty(force=v.get("force", False)),
        flags=(switch("force", "f", "Do not prompt for confirmation"),),
        most=0,
    ),
    Command(
        name="ls",
        usage="[OPTIONS]",
        about="List removed containers that can be brought back",
        build=lambda v, _w: liferequests.TrashList(quiet=v.get("quiet", False), format=v.get("format", "")),
        flags=(FORMAT, switch("quiet", "q", "Only display container IDs")),
        most=0,
    ),
    Command(
        name="restore",
        usage="[OPTIONS] CONTAINER [CONTAINER...]",
        about="Bring removed containers back, stopped, with their files",
        build=_build_restore,
        flags=(string("name", text="Call it so; without this its own name, or one like it where that is taken"),),
        least=1,
    ),
    Command(
        name="rm",
        usage="CONTAINER [CONTAINER...]",
        about="Remove for ever what is in the trash",
        build=lambda _v, w: liferequests.TrashRemove(names=w),
        least=1,
    ),
)
TRASH_BY_VERB = {command.name: command for command in TRASH_COMMANDS}
TRASH_BY_VERB |= {"list": TRASH_BY_VERB["ls"], "remove": TRASH_BY_VERB["rm"]}
