"""Mounting by descriptors, and reading what is mounted.

A file system is made with fsopen/fsconfig/fsmount as a *detached* mount: a descriptor without any path, so no clean-up
of paths can ever reach into it. Errors carry what the kernel wrote into the context's log.

Source: fsopen(2) family as documented in Linux `Documentation/filesystems/mount_api.rst`, mount_setattr(2), proc(5).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import stat
import time
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import TYPE_CHECKING

from engine.kernel.libc import AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, LIBRARY, checked, syscall

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_CLOEXEC = 1
_SET_FLAG, _SET_STRING, _SET_FD, _CMD_CREATE = 0, 1, 5, 6
_MOVE_FROM_EMPTY_PATH, _MOVE_TO_EMPTY_PATH = 0x04, 0x40
_OPEN_TREE_CLONE = 1
_IDMAP = 0x00100000
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8
_MS_NODEV, _MS_NOSUID, _MS_BIND, _MS_REMOUNT, _MS_RDONLY, _MS_PRIVATE = 4, 2, 4096, 32, 1, 1 << 18
OPTION_STRING_LIMIT_BYTES = 4095


class Attribute(IntFlag):
    """Attributes of one mount (not of the file system): mount_setattr(2)."""

    READ_ONLY = 1
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8


NO_ATTRIBUTES = Attribute(0)


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class FileSystemContext:
    """One fsopen(2) context: set options, then `mount` it once. Close it, or a loop device stays busy for ever."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._fd = syscall("fsopen", kind, _CLOEXEC)

    def set(self, key: str, value: str | Path) -> None:
        self._config(_SET_STRING, key, os.fspath(value), 0)

    def set_fd(self, key: str, fd: int) -> None:
        self._config(_SET_FD, key, None, fd)

    def set_flag(self, key: str) -> None:
        self._config(_SET_FLAG, key, None, 0)

    def mount(self, attributes: Attribute) -> int:
        """A detached mount; the caller closes the descriptor."""
        self._config(_CMD_CREATE, None, None, 0)
        return syscall("fsmount", self._fd, _CLOEXEC, int(attributes))

    def _config(self, command: int, key: str | None, value: str | None, extra: int) -> None:
        try:
            syscall("fsconfig", self._fd, command, key, value, extra)
        except OSError as error:
            what = self._kind if key is None else f"{self._kind} {key}"
            said = "; ".join(self._log())
            text = f"{what}: {os.strerror(error.errno or 0)}" + (f" ({said})" if said else "")
            raise OSError(error.errno, text) from error

    def _log(self) -> Iterator[str]:
        """Lines like `e overlay: too many lower directories, limit is 500`; ENODATA ends them."""
        with contextlib.suppress(OSError):
            while line := os.read(self._fd, 8192):
                yield line.decode("utf-8", "replace").strip().removeprefix("e ").removeprefix("w ")

    def close(self) -> None:
        os.close(self._fd)


def mount_squashfs(device: Path) -> int:
    """A detached read-only mount of the squashfs on a block device.

    Two calls for one device share one superblock, and so one page cache. Set-user-id bits inside still work through an
    overlay on top: the overlay's own mount decides.
    """
    with contextlib.closing(FileSystemContext("squashfs")) as context:
        context.set("source", device)
        context.set_flag("ro")
        return context.mount(Attribute.READ_ONLY | Attribute.NODEV | Attribute.NOSUID)


def mount_tmpfs(*, size_bytes: int, mode: int = 0o700) -> int:
    settings = {"size": str(size_bytes), "mode": f"{mode:o}"}
    return mount_memory(settings, Attribute.NOSUID | Attribute.NODEV | Attribute.NOEXEC)


def mount_memory(settings: Mapping[str, str], attributes: Attribute) -> int:
    """A detached tmpfs with these options of tmpfs(5)."""
    with contextlib.closing(FileSystemContext("tmpfs")) as context:
        for key, value in settings.items():
            context.set(key, value)
        return context.mount(attributes)


def mount_ext4(device: Path) -> int:
    """A detached mount of the ext4 on a block device: freed blocks are given back to what is behind the device.

    Two calls for one device share one superblock.
    """
    with contextlib.closing(FileSystemContext("ext4")) as context:
        context.set("source", device)
        context.set("errors", "remount-ro")
        for flag in ("discard", "noinit_itable"):
            context.set_flag(flag)
        return context.mount(Attribute.NODEV)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """What an overlay is made of besides its lower layers."""

    upper: Path
    work: Path
    index: bool
    attributes: Attribute = Attribute.NODEV


def overlay_of_fds(lowers: Sequence[int], overlay: Overlay) -> int:
    """A detached overlay over open (also detached) mounts, topmost first. Kernel 6.13 or later."""
    with contextlib.closing(FileSystemContext("overlay")) as context:
        context.set("source", "overlay")
        for lower in lowers:
            context.set_fd("lowerdir+", lower)
        return _finish_overlay(context, overlay)


def overlay_of_paths(lowers: Sequence[Path], overlay: Overlay) -> int:
    """A detached overlay over attached folders, topmost first. Kernel 6.8 or later; no character needs escaping."""
    with contextlib.closing(FileSystemContext("overlay")) as context:
        context.set("source", "overlay")
        for lower in lowers:
            context.set("lowerdir+", lower)
        return _finish_overlay(context, overlay)


def _finish_overlay(context: FileSystemContext, overlay: Overlay) -> int:
    context.set("upperdir", _escape(overlay.upper))  # overlayfs unescapes these two, but not `lowerdir+`
    context.set("workdir", _escape(overlay.work))
    for option in _overlay_options(overlay):
        context.set(*option.split("="))
    return context.mount(overlay.attributes)


def _overlay_options(overlay: Overlay) -> tuple[str, ...]:
    """The module's defaults differ between distributions; links between folders in xattrs are never followed."""
    return (f"index={'on' if overlay.index else 'off'}", "redirect_dir=nofollow", "metacopy=off")


def mount_overlay_by_options(lowers: Sequence[str], overlay: Overlay, target: Path) -> None:
    """The old way: one option string of mount(2), which the kernel would cut silently at 4096 bytes.

    `lowers` are short paths relative to the calling thread's working folder (see `namespaces.in_folder`).

    Raises:
        OSError: E2BIG when the string would be cut; nothing was mounted.
    """
    options = (
        f"lowerdir={':'.join(lowers)},upperdir={_escape(overlay.upper)},workdir={_escape(overlay.work)},"
        f"{','.join(_overlay_options(overlay))}"
    )
    data = os.fsencode(options)
    if len(data) > OPTION_STRING_LIMIT_BYTES:
        msg = f"{len(lowers)} layers need {len(data)} bytes of mount options; this kernel takes {OPTION_STRING_LIMIT_BYTES}"
        raise OSError(errno.E2BIG, msg)
    flags = _MS_NODEV if overlay.attributes & Attribute.NODEV else 0
    flags |= _MS_NOSUID if overlay.attributes & Attribute.NOSUID else 0
    checked("mount overlay", LIBRARY.mount(b"overlay", os.fsencode(target), b"overlay", flags, data))


def _escape(path: Path) -> str:
    return re.sub(r"([\\:,])", r"\\\1", str(path))


def attach(mount: int, target: Path) -> None:
    """Put a detached mount at an existing folder or file. The descriptor stays the caller's to close."""
    syscall("move_mount", mount, "", AT_FDCWD, os.fspath(target), _MOVE_FROM_EMPTY_PATH)


def attach_at(mount: int, target: int) -> None:
    """As `attach`, at an open folder or file: whatever its name is by now."""
    syscall("move_mount", mount, "", target, "", _MOVE_FROM_EMPTY_PATH | _MOVE_TO_EMPTY_PATH)


def clone(path: Path, *, recursive: bool = False) -> int:
    """A detached copy of the mount that `path` is in, rooted at `path`: what a bind mount is made of."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    return syscall("open_tree", AT_FDCWD, os.fspath(path), flags)


def mount_id(fd: int) -> int:
    """Number of the mount that an open descriptor is in; two mounts of one file system have two. Source: proc(5)."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("mnt_id:"))


def clone_fd(fd: int) -> int:
    """A detached copy of the mount (also a detached one, from kernel 6.15) that `fd` is in."""
    return syscall("open_tree", fd, "", _OPEN_TREE_CLONE | os.O_CLOEXEC | AT_EMPTY_PATH)


def set_attributes(mount: int, attributes: Attribute) -> None:
    _set_attr(mount, _MountAttr(int(attributes), 0, 0, 0))


def idmap(mount: int, user_namespace: int) -> None:
    """Translate the owners of a detached mount by the maps of a user namespace. squashfs: kernel 6.2 or later."""
    _set_attr(mount, _MountAttr(_IDMAP, 0, 0, user_namespace))


def make_private(path: Path) -> None:
    checked("mount --make-private", LIBRARY.mount(None, os.fsencode(path), None, _MS_PRIVATE, None))


def _set_attr(mount: int, attributes: _MountAttr) -> None:
    syscall("mount_setattr", mount, "", AT_EMPTY_PATH, attributes, ctypes.sizeof(attributes))


def bind(source: Path, target: Path, attributes: Attribute = NO_ATTRIBUTES) -> None:
    """Show `source` at the existing `target` too; attributes hold from the first moment."""
    mount = clone(source)
    try:
        if attributes:
            set_attributes(mount, attributes)
        attach(mount, target)
    finally:
        os.close(mount)


def unmount(target: Path, *, lazy: bool = False) -> None:
    """Take one mount off `target`, which is not followed if it is a link.

    Raises:
        OSError: EBUSY while something uses it (not with `lazy`), EINVAL where nothing is mounted.
    """
    flags = _UMOUNT_NOFOLLOW | (_MNT_DETACH if lazy else 0)
    checked(f"umount {target}", LIBRARY.umount2(os.fsencode(target), flags))


def unmount_all(target: Path, *, tries: int = 20, pause_s: float = 0.01) -> bool:
    """Take every mount at and below `target` off, innermost first; busy ones are retried and then detached lazily.

    Idempotent. Right after a container ends its root may be busy for some milliseconds.

    Returns:
        False when a mount had to be detached while something still used it.
    """
    clean = True
    for found in reversed(mounts_below(target)):
        clean = _unmount_patiently(found.target, tries, pause_s) and clean
    return clean


def _unmount_patiently(target: Path, tries: int, pause_s: float) -> bool:
    for attempt in range(tries):
        try:
            unmount(target)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return True
            if error.errno != errno.EBUSY:
                raise
        else:
            return True
        time.sleep(pause_s * min(attempt + 1, 5))
    with contextlib.suppress(FileNotFoundError):
        unmount(target, lazy=True)
    return False


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo. `device` is st_dev of what is in it."""

    mount_id: int
    parent_id: int
    device: int
    root: str
    target: Path
    options: str
    kind: str
    source: str
    super_options: str


_OCTAL = re.compile(r"\\([0-7]{3})")


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def parse_mountinfo(text: str) -> list[Mount]:
    """The mounts of `/proc/PID/mountinfo` in the kernel's order. Source: proc(5)."""
    return [_parse_line(line) for line in text.split("\n") if line]


def _parse_line(line: str) -> Mount:
    fields, _, tail = line.partition(" - ")
    mount_id, parent_id, device, root, target, options = fields.split(" ")[:6]
    kind, source, super_options = tail.split(" ", 2)
    major, minor = device.split(":")
    return Mount(
        mount_id=int(mount_id),
        parent_id=int(parent_id),
        device=os.makedev(int(major), int(minor)),
        root=_unescape(root),
        target=Path(_unescape(target)),
        options=options,
        kind=kind,
        source=_unescape(source),
        super_options=super_options,
    )


def mountinfo() -> list[Mount]:
    """What the calling thread's mount namespace has."""
    return parse_mountinfo(_mountinfo_text())


def _mountinfo_text() -> str:
    with open("/proc/thread-self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def mounts_below(path: Path) -> list[Mount]:
    """Mounts at `path` and below it, outermost first. The path itself is not followed if it is a link."""
    place = path.parent.resolve() / path.name
    return [mount for mount in _that_name(place) if mount.target == place or mount.target.is_relative_to(place)]


def is_mounted(path: Path) -> bool:
    place = path.parent.resolve() / path.name
    return any(mount.target == place for mount in _that_name(place))


def _that_name(place: Path) -> list[Mount]:
    """Mounts whose line has this path in it: with a hundred containers, to parse the others is most of the work."""
    written = re.sub(r"[\\ \t\n]", lambda found: f"\\{ord(found[0]):03o}", str(place))
    return [_parse_line(line) for line in _mountinfo_text().split("\n") if written in line]


def is_namespace_file(path: Path) -> bool:
    """Whether a namespace is bound at `path` (and not just the empty file that it is bound to)."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and any(
        mount.target == path and mount.kind == "nsfs" for mount in _that_name(path)
    )
