"""The system calls that a container may make: the installed base file, tightened by `tightening.json`.

The base (Debian's /usr/share/containers/seccomp.json) is read at run time and allows far more than Docker's profile
does (threats.md 0.12). The order matters: libseccomp lets the last rule of one action and one call count only where
the filters are equal, so a call that is refused here is first taken out of every rule of the base, then refused.

Calls unknown to the base end with ENOSYS (its default), so that new libraries fall back.

Gap: 32-bit `socketcall` puts its family into memory, where no filter can look. Refusing it would break old 32-bit
programs (as moby 29.4.2 did), so it stays.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import HostUnfit

if TYPE_CHECKING:
    from collections.abc import Iterable

TIGHTENING_FILE = Path(__file__).with_name("tightening.json")
# x32 is nobody's architecture; leaving it out also makes the filter a third smaller, and `runc create` faster.
_LEFT_OUT = frozenset({"SCMP_ARCH_X32"})
_ARCHITECTURES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}

_NETLINK, _NETLINK_AUDIT, _EINVAL = 16, 9, 22

Document = dict[str, Any]  # Any: JSON of the OCI runtime spec and of container tools


def load_document(path: Path) -> Document:
    """A seccomp file as it is.

    Raises:
        HostUnfit: it is missing or cannot be read.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        msg = f"The list of allowed system calls {path} cannot be read. Install golang-github-containers-common."
        raise HostUnfit(msg, subject=str(path)) from error
    if not isinstance(document, dict) or "syscalls" not in document:
        msg = f"{path} is not a list of allowed system calls."
        raise HostUnfit(msg, subject=str(path))
    return document


@lru_cache(maxsize=8)
def profile_for(base: Path, machine: str, kernel: tuple[int, int], capabilities: tuple[str, ...]) -> Document:
    """`build_profile` on the files, once a process and combination. The result is shared: do not change it."""
    return build_profile(
        load_document(base),
        load_document_of_ours(),
        machine=machine,
        kernel=kernel,
        capabilities=capabilities,
    )


def load_document_of_ours() -> Document:
    document: Document = json.loads(TIGHTENING_FILE.read_bytes())
    return document


def build_profile(
    base: Document, ours: Document, *, machine: str, kernel: tuple[int, int], capabilities: Iterable[str]
) -> Document:
    """The `linux.seccomp` of an OCI spec. Pure.

    Args:
        base: in the shape of container tools, with includes, excludes and archMap.
        ours: `tightening.json`.
        machine: as `uname -m` says.
        kernel: (major, minor), for rules that name a least kernel.
        capabilities: of the container's bounding set.
    """
    held = frozenset(capabilities)
    if machine not in _ARCHITECTURES:
        msg = f"Berth has no list of system calls for {machine}."
        raise HostUnfit(msg, subject=machine)
    arch, own = _ARCHITECTURES[machine]
    refused = _refused(ours, held)
    handled = {name for rule in refused for name in rule["names"]} | {"clone", "socket"}
    rules = [
        rule
        for entry in base["syscalls"]
        if _applies(entry, arch, kernel, held) and (rule := _without(entry, handled)) is not None
    ]
    rules += [*refused, *_clone_rules(ours, held), *_socket_rules(ours, held)]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": int(base.get("defaultErrnoRet", 38)),
        "architectures": [own, *_secondary(base, own)],
        "syscalls": rules,
    }


def _secondary(base: Document, own: str) -> list[str]:
    for entry in base.get("archMap", ()):
        if entry["architecture"] == own:
            return [str(name) for name in entry.get("subArchitectures") or () if name not in _LEFT_OUT]
    return []


def _applies(entry: Document, arch: str, kernel: tuple[int, int], held: frozenset[str]) -> bool:
    includes, excludes = entry.get("includes") or {}, entry.get("excludes") or {}
    if includes.get("arches") and arch not in includes["arches"]:
        return False
    if arch in (excludes.get("arches") or ()) or held & set(excludes.get("caps") or ()):
        return False
    if not set(includes.get("caps") or ()) <= held:
        return False
    least = includes.get("minKernel")
    return least is None or kernel >= tuple(int(part) for part in str(least).split(".")[:2])


def _without(entry: Document, handled: set[str]) -> Document | None:
    names = [name for name in entry["names"] if name not in handled]
    if not names:
        return None
    rule: Document = {"names": names, "action": entry["action"]}
    if entry.get("errnoRet") is not None:
        rule["errnoRet"] = entry["errnoRet"]
    if entry.get("args"):
        rule["args"] = [dict(argument) for argument in entry["args"]]
    return rule


def _refused(ours: Document, held: frozenset[str]) -> list[Document]:
    return [
        {"names": list(group["names"]), "action": "SCMP_ACT_ERRNO", "errnoRet": group["errno"]}
        for group in ours["refused"]
        if not held & set(group.get("unless", ()))
    ]


def _clone_rules(ours: Document, held: frozenset[str]) -> list[Document]:
    """`clone` without any of the namespace flags; everything else about it is needed to make threads."""
    if "CAP_SYS_ADMIN" in held:
        return [{"names": ["clone"], "action": "SCMP_ACT_ALLOW"}]
    flags = int(ours["clone_namespace_flags"])

    def masked(mask: int, value: int) -> list[Document]:
        return [{"index": 0, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}]

    bits = [1 << number for number in range(flags.bit_length()) if flags >> number & 1]
    return [
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": masked(flags, 0)},
        *({"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": masked(bit, bit)} for bit in bits),
    ]


def _socket_rules(ours: Document, held: frozenset[str]) -> list[Document]:
    """Every family but the refused ones. No two rules overlap: libseccomp does not say which one would win.

    Audit sockets end with EINVAL for a container that may not write audit records, as in the base: PAM then takes it
    that there is no audit, where any other error would keep `su` from working.
    """
    families = ours["socket_families_refused"]
    refused = sorted(int(number) for number in families["families"])

    def rule(action: str, *conditions: tuple[int, str, int], errno: int | None = None) -> Document:
        args = [{"index": at, "value": value, "valueTwo": 0, "op": op} for at, op, value in conditions]
        found: Document = {"names": ["socket"], "action": action, "args": args}
        return found if errno is None else found | {"errnoRet": errno}

    rules = [
        rule("SCMP_ACT_ALLOW", (0, "SCMP_CMP_LT", _NETLINK)),
        rule("SCMP_ACT_ALLOW", (0, "SCMP_CMP_GT", refused[-1])),
    ]
    between = (number for number in range(_NETLINK + 1, refused[-1]) if number not in refused)
    rules += [rule("SCMP_ACT_ALLOW", (0, "SCMP_CMP_EQ", number)) for number in between]
    netlink = (0, "SCMP_CMP_EQ", _NETLINK)
    if "CAP_AUDIT_WRITE" in held:
        rules.append(rule("SCMP_ACT_ALLOW", netlink))
    else:
        rules.append(rule("SCMP_ACT_ALLOW", netlink, (2, "SCMP_CMP_NE", _NETLINK_AUDIT)))
        rules.append(rule("SCMP_ACT_ERRNO", netlink, (2, "SCMP_CMP_EQ", _NETLINK_AUDIT), errno=_EINVAL))
    return rules + [rule("SCMP_ACT_ERRNO", (0, "SCMP_CMP_EQ", n), errno=families["errno"]) for n in refused]
