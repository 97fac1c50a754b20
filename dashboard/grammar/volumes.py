"""The commands of the group `volume`, and what `volume ls` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dashboard.grammar import requests
from dashboard.grammar.commands import FILTER, FORMAT, INSPECT_FORMAT, Command
from dashboard.grammar.flags import Flag, Values, string, switch
from dashboard.grammar.tables import Row, render_table
from dashboard.grammar.units import human_size
from dashboard.grammar.values import read_label

HEADERS = {
    "Driver": "DRIVER",
    "Name": "VOLUME NAME",
    "Scope": "SCOPE",
    "Mountpoint": "MOUNTPOINT",
    "Labels": "LABELS",
    "Links": "LINKS",
    "Size": "SIZE",
    "Availability": "AVAILABILITY",
    "Group": "GROUP",
    "Status": "STATUS",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeLine:
    """`size_bytes` None: not measured yet."""

    name: str
    mountpoint: str
    labels: dict[str, str] = field(default_factory=dict)
    users: int = 0
    size_bytes: int | None = None


def volume_row(line: VolumeLine) -> Row:
    return {
        "Driver": "local",
        "Name": line.name,
        "Scope": "local",
        "Mountpoint": line.mountpoint,
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(line.labels.items())),
        "Links": str(line.users),
        "Size": "N/A" if line.size_bytes is None else human_size(line.size_bytes),
        "Availability": "N/A",
        "Group": "N/A",
        "Status": "N/A",
    }


def render_volumes(request: requests.VolumeList, lines: Sequence[VolumeLine]) -> str:
    """The text of `volume ls`, without a last newline; "" when `-q` finds nothing."""
    rows = [volume_row(line) for line in lines]
    if request.quiet and not request.format:
        return "\n".join(line.name for line in lines)
    return render_table(rows, headers=HEADERS, columns=["Driver", "Name"], format_text=request.format)


def _build_create(values: Values, words: tuple[str, ...]) -> requests.VolumeCreate:
    labels = dict(values.get("label", ()))
    name = words[0] if words else values.get("name", "")
    return requests.VolumeCreate(name=name, driver=values.get("driver", "local"), labels=tuple(labels.items()))


COMMANDS: tuple[Command, ...] = (
    Command(
        name="backup",
        usage="[OPTIONS] VOLUME",
        about="Write a volume as a tar archive (Berth's own: Docker has no such command)",
        build=lambda v, w: requests.VolumeBackup(name=w[0], output=v.get("output", "")),
        flags=(string("output", "o", "Write to a file, instead of STDOUT"),),
        least=1,
        most=1,
    ),
    Command(
        name="create",
        usage="[OPTIONS] [VOLUME]",
        about="Create a volume",
        build=_build_create,
        flags=(
            string("driver", "d", 'Specify volume driver name (default "local")'),
            Flag(name="label", read=read_label, kind="list", repeats=True, help="Set metadata for a volume"),
            string("name", text="Specify volume name"),
            Flag(name="opt", short="o", read=str, refused="volumes are folders of this host and have no options"),
        ),
        most=1,
    ),
    Command(
        name="inspect",
        usage="[OPTIONS] VOLUME [VOLUME...]",
        about="Display detailed information on one or more volumes",
        build=lambda v, w: requests.Inspect(names=w, format=v.get("format", ""), type="volume"),
        flags=(INSPECT_FORMAT,),
        least=1,
    ),
    Command(
        name="ls",
        usage="[OPTIONS]",
        about="List volumes",
        build=lambda v, _w: requests.VolumeList(
            quiet=v.get("quiet", False), format=v.get("format", ""), filters=v.get("filter", ())
        ),
        flags=(
            FILTER,
            FORMAT,
            switch("quiet", "q", "Only display volume names"),
        ),
        most=0,
    ),
    Command(
        name="prune",
        usage="[OPTIONS]",
        about="Remove unused local volumes",
        build=lambda v, _w: requests.VolumePrune(
            all=v.get("all", False), force=v.get("force", False), filters=v.get("filter", ())
        ),
        flags=(
            switch("all", "a", "Remove all unused volumes, not just anonymous ones"),
            replace(FILTER, short=""),  # -f is --force here
            switch("force", "f", "Do not prompt for confirmation"),
        ),
        most=0,
    ),
    Command(
        name="restore",
        usage="[OPTIONS] VOLUME",
        about="Replace what is in a volume by a tar archive (Berth's own: Docker has no such command)",
        build=lambda v, w: requests.VolumeRestore(name=w[0], input=v.get("input", "")),
        flags=(string("input", "i", "Read from a file, plain or compressed, instead of STDIN"),),
        least=1,
        most=1,
    ),
    Command(
        name="rm",
        usage="[OPTIONS] VOLUME [VOLUME...]",
        about="Remove one or more volumes",
        build=lambda v, w: requests.VolumeRemove(names=w, force=v.get("force", False)),
        flags=(switch("force", "f", "Force the removal of one or more volumes"),),
        least=1,
    ),
)
BY_VERB = {command.name: command for command in COMMANDS}
BY_VERB |= {"list": BY_VERB["ls"], "remove": BY_VERB["rm"]}
