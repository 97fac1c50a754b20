"""One frozen value per command."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.grammar.liferequests import LifeRequest
from dashboard.grammar.options import ContainerOptions, ExecOptions
from dashboard.grammar.policyrequests import PolicyRequest
from dashboard.grammar.registryrequests import RegistryRequest
from dashboard.grammar.teamrequests import TeamRequest

Filters = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Help:
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionLine:
    """`-v`, `--version`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFiles:
    """Files where the command line runs: of variables and of labels to read, and one to write the id to."""

    env: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    cid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    options: ContainerOptions
    detach_keys: str = ""
    pull: str = "missing"  # "always", "missing", "never"
    quiet: bool = False
    sig_proxy: bool = True
    files: ClientFiles = ClientFiles()


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    options: ContainerOptions
    pull: str = "missing"
    quiet: bool = False
    files: ClientFiles = ClientFiles()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    names: tuple[str, ...]
    attach: bool = False
    interactive: bool = False
    detach_keys: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attach:
    name: str
    no_stdin: bool = False
    detach_keys: str = ""
    sig_proxy: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Exec:
    name: str
    options: ExecOptions
    detach: bool = False
    detach_keys: str = ""
    files: ClientFiles = ClientFiles()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ps:
    all: bool = False
    quiet: bool = False
    no_trunc: bool = False
    last: int = -1
    size: bool = False
    format: str = ""
    filters: Filters = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    name: str
    follow: bool = False
    tail: int | None = None
    timestamps: bool = False
    since: str = ""  # as `dashboard.grammar.times` reads them
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    since: str = ""  # as `dashboard.grammar.times` reads them
    until: str = ""
    format: str = ""
    filters: Filters = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    names: tuple[str, ...] = ()
    all: bool = False
    no_stream: bool = False
    no_trunc: bool = False
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    name: str
    columns: tuple[str, ...]  # names in `dashboard.grammar.processes`


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    name: str
    private: tuple[int, str] | None = None  # port in the container, protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    names: tuple[str, ...]
    timeout_s: int | None = None
    signal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    names: tuple[str, ...]
    signal: str = "KILL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    names: tuple[str, ...]
    timeout_s: int | None = None
    signal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """`now`: not into the trash."""

    names: tuple[str, ...]
    force: bool = False
    volumes: bool = False
    now: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    name: str
    new_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpause:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    names: tuple[str, ...]
    changes: tuple[tuple[str, int | str], ...]  # fields of `ContainerOptions`


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPrune:
    force: bool = False
    filters: Filters = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    all: bool = False
    quiet: bool = False
    digests: bool = False
    no_trunc: bool = False
    format: str = ""
    filters: Filters = ()
    repository: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    reference: str
    quiet: bool = False
    platform: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveImages:
    names: tuple[str, ...]
    force: bool = False
    no_prune: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspect:
    names: tuple[str, ...]
    format: str = ""
    type: str = ""  # "", "container", "image", "volume", "network"
    size: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeCreate:
    name: str = ""
    driver: str = "local"
    labels: Filters = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeList:
    quiet: bool = False
    format: str = ""
    filters: Filters = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRemove:
    names: tuple[str, ...]
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumePrune:
    all: bool = False
    force: bool = False
    filters: Filters = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeBackup:
    name: str
    output: str = ""  # a file of the caller's; without, standard output


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRestore:
    name: str
    input: str = ""  # a file of the caller's; without, standard input


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOut:
    """`local`: a path of the caller's; "-" for a tar on standard output. `archive`: owners stay what they are."""

    name: str
    path: str
    local: str
    follow: bool = False
    archive: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyIn:
    """`local`: a path of the caller's; "-" for a tar on standard input."""

    name: str
    path: str
    local: str
    follow: bool = False
    archive: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCreate:
    """Empty: chosen from the pool; `subnet6` only with `ipv6`."""

    name: str
    driver: str = "bridge"
    subnet: str = ""
    ipv6: bool = False
    subnet6: str = ""
    gateway: str = ""
    ip_range: str = ""
    internal: bool = False
    labels: Filters = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkList:
    quiet: bool = False
    no_trunc: bool = False
    format: str = ""
    filters: Filters = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRemove:
    names: tuple[str, ...]
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPrune:
    force: bool = False
    filters: Filters = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConnect:
    network: str
    container: str
    aliases: tuple[str, ...] = ()
    ip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkDisconnect:
    network: str
    container: str
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemCheck:
    repair: bool = False
    deep: bool = False
    format: str = ""


Request = (
    Help
    | VersionLine
    | Version
    | Info
    | Run
    | Create
    | Start
    | Attach
    | Exec
    | Ps
    | Logs
    | Events
    | Stats
    | Top
    | Diff
    | Port
    | Stop
    | Kill
    | Restart
    | Remove
    | Rename
    | Pause
    | Unpause
    | Update
    | ContainerPrune
    | Wait
    | Images
    | Pull
    | RemoveImages
    | Inspect
    | VolumeCreate
    | VolumeList
    | VolumeRemove
    | VolumePrune
    | CopyOut
    | CopyIn
    | VolumeBackup
    | VolumeRestore
    | NetworkCreate
    | NetworkList
    | NetworkRemove
    | NetworkPrune
    | NetworkConnect
    | NetworkDisconnect
    | LifeRequest
    | PolicyRequest
    | RegistryRequest
    | TeamRequest
    | SystemCheck
)
