"""Who a container runs as, from the image's own /etc/passwd and /etc/group (RUN-14).

Both files are text of the image: read in-root, only if regular, at most 1 MiB, never through NSS or `pwd` (which would
load code by a name that the image controls). The rules are libcontainer's (`user.GetExecUser`), except that a third
part after `user:group` is refused rather than ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import ImageUnfit, UserUnknown
from engine.runtime.rootfiles import FileTooLarge, read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.ids import IdRange

ID_MAXIMUM = 2**31 - 1
FILE_LIMIT_BYTES = 1024 * 1024
_GROUPS_MAXIMUM = 65_536
_NUMBER = re.compile(r"-?[0-9]{1,20}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class ResolvedUser:
    """`groups` always holds `gid` (CVE-2022-36109: a program may drop it from nothing else). `home` is absolute."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class _User:
    name: str
    uid: int
    gid: int
    home: str
    shell: str = ""


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    gid: int
    members: tuple[str, ...]


def resolve_user(root: int, text: str, ids: IdRange | None = None, *, more: Sequence[str] = ()) -> ResolvedUser:
    """The user that `text` (`""`, `name`, `uid`, `name:group`, `uid:gid`) means in the image opened as `root`.

    `ids`: those that the container has; groups beyond are left out. `more`: names and numbers of groups to join.

    Raises:
        UserUnknown: a name that its files do not have, a number out of range, or no such form.
        ImageUnfit: a file is larger than 1 MiB.
    """
    group = _content(root, "/etc/group")
    found = choose_user(text, passwd=_content(root, "/etc/passwd"), group=group)
    joined = tuple(_find_group(name, group) for name in more)
    found = replace(found, groups=tuple(dict.fromkeys((*found.groups, *joined)))[:_GROUPS_MAXIMUM])
    if ids is None:
        return found
    if max(found.uid, found.gid) >= ids.count:
        msg = f"unable to find user {text}: uids and gids of a container must be in range 0-{ids.count - 1}"
        raise UserUnknown(msg, subject=text)
    return replace(found, groups=tuple(gid for gid in found.groups if gid < ids.count))


def login_shell(root: int, user: ResolvedUser) -> str:
    """The shell that the image's passwd file names for this user; empty when it names none."""
    users = _users(_content(root, "/etc/passwd"))
    return next((found.shell for found in users if found.uid == user.uid and user.name in ("", found.name)), "")


def user_names(root: int) -> dict[int, str]:
    """By uid, the first that the image's file has; control characters, which a terminal would obey, replaced."""
    users = list(_users(_content(root, "/etc/passwd")))
    return {user.uid: _CONTROL.sub("?", user.name) for user in reversed(users)}


def _content(root: int, path: str) -> str:
    try:
        content = read_regular(root, path, limit_bytes=FILE_LIMIT_BYTES)
    except FileTooLarge as error:
        msg = f"The image's {path} is larger than 1 MiB."
        raise ImageUnfit(msg) from error
    return (content or b"").decode("utf-8", "surrogateescape")


def choose_user(text: str, *, passwd: str, group: str) -> ResolvedUser:
    """`resolve_user` on the files' text; pure."""
    user_text, colon, group_text = text.partition(":")
    if ":" in group_text or _CONTROL.search(text) or (colon and not group_text):
        msg = f"unable to find user {text}: a user is given as name, uid, name:group or uid:gid"
        raise UserUnknown(msg, subject=text)
    found = _find_user(user_text or "0", passwd)
    if group_text:
        gid = _find_group(group_text, group)
        return ResolvedUser(found.uid, gid, (gid,), found.home, found.name)
    extra = (g.gid for g in _groups(group) if found.name and found.name in g.members)
    groups = tuple(dict.fromkeys((found.gid, *extra)))[:_GROUPS_MAXIMUM]
    return ResolvedUser(found.uid, found.gid, groups, found.home, found.name)


def _find_user(text: str, passwd: str) -> _User:
    number = _number(text, "user")
    for user in _users(passwd):
        if (number is None and user.name == text) or (number is not None and user.uid == number):
            return user
    if number is None:
        msg = f"unable to find user {text}: no matching entries in passwd file"
        raise UserUnknown(msg, subject=text)
    return _User("", number, 0, "/")


def _find_group(text: str, group: str) -> int:
    number = _number(text, "group")
    if number is not None:
        return number
    for entry in _groups(group):
        if entry.name == text:
            return entry.gid
    msg = f"unable to find group {text}: no matching entries in group file"
    raise UserUnknown(msg, subject=text)


def _number(text: str, kind: str) -> int | None:
    if not _NUMBER.match(text):
        return None
    number = int(text)
    if not 0 <= number <= ID_MAXIMUM:
        msg = f"unable to find {kind} {text}: uids and gids must be in range 0-{ID_MAXIMUM}"
        raise UserUnknown(msg, subject=text)
    return number


def _users(text: str) -> Iterator[_User]:
    """Lines that are broken or out of range are passed over: a container must not become root by a bad line."""
    for line in text.split("\n"):
        parts = line.split(":")
        if len(parts) < 6 or not parts[0]:
            continue
        uid, gid = _id(parts[2]), _id(parts[3])
        if uid is not None and gid is not None:
            home = parts[5]
            usable = home.startswith("/") and not _CONTROL.search(home)  # RUN-15: CVE-2022-4318
            shell = parts[6].strip() if len(parts) > 6 else ""
            yield _User(parts[0], uid, gid, home if usable else "/", shell)


def _groups(text: str) -> Iterator[_Group]:
    for line in text.split("\n"):
        parts = line.split(":")
        if len(parts) < 3 or not parts[0]:
            continue
        gid = _id(parts[2])
        if gid is not None:
            members = parts[3].split(",") if len(parts) > 3 else []
            yield _Group(parts[0], gid, tuple(m for m in members if m))


def _id(text: str) -> int | None:
    if not text.isascii() or not text.isdecimal() or len(text) > 10:
        return None
    number = int(text)
    return number if number <= ID_MAXIMUM else None
