"""`-v`, `--mount` and `--tmpfs`: each spelling read, checked, and turned into one kind of value.

Source: Docker CLI reference, "docker run", and moby volume/mounts (behaviour and error texts, not code).
"""

from __future__ import annotations

import csv
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass

from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.values import read_bool, read_size

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
NAME_LIMIT = 255
_MODE = re.compile(r"0?[0-7]{1,4}\Z", re.ASCII)
_TMPFS_SIZE = re.compile(r"[1-9][0-9]{0,17}[kmgKMG%]?\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """`kind`: "volume", "bind" (a path of the host) or "tmpfs". `source`: name or host path; "" for an anonymous volume
    or memory. `copies`: an empty volume gets the image's files. `size`, `mode`, `allows` are of memory.
    """

    kind: str
    target: str
    source: str = ""
    read_only: bool = False
    copies: bool = True
    size: str = ""
    mode: int | None = None
    allows: tuple[str, ...] = ()


def is_volume_name(text: str) -> bool:
    return len(text) <= NAME_LIMIT and _NAME.match(text) is not None


def refuse_volume_name(name: str) -> None:
    """Go on only if a volume may be called that.

    Raises:
        ValueRefused: in Docker's words.
    """
    if len(name) == 1:
        msg = "volume name is too short, names should be at least two alphanumeric characters"
        raise ValueRefused(msg)
    if not is_volume_name(name):
        msg = (
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
        )
        raise ValueRefused(msg)


def _target(text: str) -> str:
    if _CONTROL.search(text):
        msg = "invalid mount path: it holds control characters"
        raise ValueRefused(msg)
    if not text.startswith("/"):
        msg = f"invalid mount path: '{text}' mount path must be absolute"
        raise ValueRefused(msg)
    clean = "/" + posixpath.normpath(text).lstrip("/")
    if clean == "/":
        msg = "invalid specification: destination can't be '/'"
        raise ValueRefused(msg)
    return clean


def _source(text: str) -> tuple[str, str]:
    """(kind, source) of what stands before the colon."""
    if text.startswith("/"):
        return "bind", "/" + posixpath.normpath(text).lstrip("/")
    refuse_volume_name(text)
    return "volume", text


def volume(text: str) -> Mount:
    """`-v`: `/path`, `name:/path[:ro]`, `/host:/path[:ro]`."""
    parts = text.split(":")
    if "" in parts or len(parts) > 3:
        msg = f"invalid volume specification: '{text}'"
        raise ValueRefused(msg)
    if len(parts) == 1:
        return Mount(kind="volume", target=_target(parts[0]))
    kind, source = _source(parts[0])
    words = parts[2].split(",") if len(parts) > 2 else []
    for word in words:
        _refuse_volume_word(word, parts[2], kind)
    if "ro" in words and "rw" in words:
        msg = f"invalid mode: {parts[2]}"
        raise ValueRefused(msg)
    return Mount(
        kind=kind, source=source, target=_target(parts[1]), read_only="ro" in words, copies="nocopy" not in words
    )


def _refuse_volume_word(word: str, mode: str, kind: str) -> None:
    if word in {"z", "Z"}:
        msg = f"'{word}' relabels files for SELinux, which containers do not use here"
        raise ValueRefused(msg)
    if word in {"shared", "slave", "rshared", "rslave"}:
        msg = f"mounts made in a container are never passed on, so '{word}' cannot be had"
        raise ValueRefused(msg)
    known = {"ro", "rw", "nocopy", "rprivate", "private"} if kind == "volume" else {"ro", "rw", "rprivate", "private"}
    if word not in known:
        msg = f"invalid mode: {mode}"
        raise ValueRefused(msg)


_TYPES = ("volume", "bind", "tmpfs")
_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_KEYS = {
    "volume": frozenset({"volume-nocopy", "volume-driver"}),
    "bind": frozenset({"bind-propagation", "bind-nonrecursive", "bind-recursive"}),
    "tmpfs": frozenset({"tmpfs-size", "tmpfs-mode"}),
}


def mount(text: str) -> Mount:
    """`--mount type=volume,source=name,target=/path,readonly`."""
    fields = _fields(text)
    kind = fields.get("type", "volume")
    if kind not in _TYPES:
        msg = f"invalid mount type '{kind}': must be volume, bind or tmpfs"
        raise ValueRefused(msg)
    for key in fields.keys() - {"type", "source", "target", "readonly", "consistency"} - _KEYS[kind]:
        if any(key in keys for keys in _KEYS.values()):
            msg = f"cannot mix '{key.partition('-')[0]}-*' options with mount type '{kind}'"
        else:
            msg = f"unexpected key '{key}' in '{key}={fields[key]}'"
        raise ValueRefused(msg)
    if "target" not in fields:
        msg = "target is required"
        raise ValueRefused(msg)
    made: Callable[[dict[str, str]], Mount] = {"volume": _volume, "bind": _bind, "tmpfs": _memory}[kind]
    return made(fields)


def _fields(text: str) -> dict[str, str]:
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        msg = f"parse error: {error}"
        raise ValueRefused(msg) from error
    found: dict[str, str] = {}
    for field in rows[0] if rows else []:
        key, equals, value = field.partition("=")
        key = _ALIASES.get(key.lower(), key.lower())
        if not equals and key in {"readonly", "volume-nocopy", "bind-nonrecursive"}:
            value = "true"
        elif not equals:
            msg = f"invalid field '{field}' must be a key=value pair"
            raise ValueRefused(msg)
        found[key] = value
    return found


def _flag(fields: dict[str, str], key: str) -> bool:
    try:
        return read_bool(fields.get(key, "false"))
    except ValueRefused as error:
        msg = f"invalid value for {key}: {fields[key]}"
        raise ValueRefused(msg) from error


def _volume(fields: dict[str, str]) -> Mount:
    source = fields.get("source", "")
    if source:
        refuse_volume_name(source)
    if fields.get("volume-driver", "local") not in {"", "local"}:
        msg = f"volumes of this host have the driver 'local' only, not '{fields['volume-driver']}'"
        raise ValueRefused(msg)
    read_only, copies = _flag(fields, "readonly"), not _flag(fields, "volume-nocopy")
    return Mount(kind="volume", source=source, target=_target(fields["target"]), read_only=read_only, copies=copies)


def _bind(fields: dict[str, str]) -> Mount:
    source = fields.get("source", "")
    if not source:
        msg = "field Source must not be empty"
        raise ValueRefused(msg)
    if not source.startswith("/"):
        msg = f"invalid mount path: '{source}' mount path must be absolute"
        raise ValueRefused(msg)
    if fields.get("bind-propagation", "rprivate") not in {"private", "rprivate"}:
        msg = f"mounts made in a container are never passed on, so '{fields['bind-propagation']}' cannot be had"
        raise ValueRefused(msg)
    if fields.get("bind-recursive", "disabled") != "disabled" or not _flag(
        {"bind-nonrecursive": "1"} | fields, "bind-nonrecursive"
    ):
        msg = "what is mounted below a path of the host never comes along: only bind-recursive=disabled can be had"
        raise ValueRefused(msg)
    target, read_only = _target(fields["target"]), _flag(fields, "readonly")
    return Mount(kind="bind", source=_source(source)[1], target=target, read_only=read_only)


def _memory(fields: dict[str, str]) -> Mount:
    if fields.get("source"):
        msg = "field Source must not be specified"
        raise ValueRefused(msg)
    size = str(read_size(fields["tmpfs-size"])) if fields.get("tmpfs-size") else ""
    mode = _read_mode(fields["tmpfs-mode"]) if fields.get("tmpfs-mode") else None
    read_only = _flag(fields, "readonly")
    return Mount(kind="tmpfs", target=_target(fields["target"]), read_only=read_only, size=size, mode=mode)


def _read_mode(text: str) -> int:
    if not _MODE.match(text):
        msg = f"invalid mode of a tmpfs: '{text}'"
        raise ValueRefused(msg)
    return int(text, 8)


def tmpfs(text: str) -> Mount:
    """`--tmpfs /path[:size=64m,mode=1770,exec]`; without options: no programs, no set-user-id bits, no devices."""
    path, _, options = text.partition(":")
    found: dict[str, str | int | bool | None] = {"size": "", "mode": None, "read_only": False}
    allows: set[str] = set()
    for word in options.split(",") if options else []:
        key, _, value = word.partition("=")
        if key == "size" and _TMPFS_SIZE.match(value):
            found["size"] = value
        elif key == "mode":
            found["mode"] = _read_mode(value)
        elif word in {"ro", "rw"}:
            found["read_only"] = word == "ro"
        elif word in {"exec", "suid"}:
            allows.add(word)
        elif word in {"noexec", "nosuid"}:
            allows.discard(word.removeprefix("no"))
        elif word == "dev":
            msg = "device nodes are not allowed in containers, so a tmpfs cannot have 'dev'"
            raise ValueRefused(msg)
        elif word != "nodev":
            msg = f"invalid tmpfs option {word!r}"
            raise ValueRefused(msg)
    return Mount(kind="tmpfs", target=_target(path), allows=tuple(sorted(allows)), **found)  # type: ignore[arg-type]  # by key


def checked(read: Callable[[str], Mount]) -> Callable[[str], str]:
    """A flag's reader that keeps the text as it was typed, once it is known to be right."""

    def check(text: str) -> str:
        read(text)
        return text

    return check


def read_storage(text: str) -> int:
    """`--storage-opt size=1g`: bytes of the writable layer."""
    key, equals, value = text.partition("=")
    if not equals:
        msg = "invalid storage option"
        raise ValueRefused(msg)
    if key.strip().lower() != "size":
        msg = f"Unknown option {key}"
        raise ValueRefused(msg)
    return read_size(value.strip())
