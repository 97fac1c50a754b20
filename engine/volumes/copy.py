"""Copying a folder of a container's root: contents, owners, modes, times, attributes, hard links and holes.

Everything goes by descriptor, name by name: no link is ever followed, nothing but regular files is opened. Devices and
sockets are left out. Nothing may be running in the container while its files are copied. Each level of folders takes two
descriptors, and several copies may be under way in one process: hence the limit of depth.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from engine.errors import ImageUnfit, StoreFull
from engine.kernel import files
from engine.volumes.shifted import ACL, CAPABILITY, attribute_inside, inside

if TYPE_CHECKING:
    from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20
DEPTH_LIMIT = 128


def copy_folder(source: int, target: Path, *, reserve_bytes: int, first_id: int = 0) -> None:
    """Copy the open folder `source` to the new, empty folder `target`, itself too.

    When this returns the copy survives a power cut: a name that says that it is whole may be given to it.
    `reserve_bytes` of the disk stay free. `first_id` is the host's number for id 0 of the container; the copy has the
    container's own numbers.

    Raises:
        StoreFull: no space.
        ImageUnfit: deeper than 128 folders.
    """
    copy = _Copy(reserve_bytes, first_id)
    with contextlib.ExitStack() as stack:
        copy.top = _open(stack, target, _FOLDER)
        try:
            copy.folder(_open(stack, ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, source), copy.top, ())
            files.sync_file_system(target)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _full() from error
            raise


def copy_attributes(source: int, target: int, *, first_id: int = 0) -> None:
    """Owner, mode and attributes of one open file or folder to another."""
    found = os.fstat(source)
    os.fchown(target, inside(found.st_uid, first_id), inside(found.st_gid, first_id))
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    with contextlib.suppress(OSError):  # a file system without attributes, on either side
        for name in os.listxattr(source):
            if name == CAPABILITY or name.startswith(("user.", ACL)):
                os.setxattr(target, name, attribute_inside(name, os.getxattr(source, name), first_id))


def _open(stack: contextlib.ExitStack, path: str | Path, flags: int, folder: int | None = None) -> int:
    fd = os.open(path, flags, dir_fd=folder)
    stack.callback(os.close, fd)
    return fd


def _full() -> StoreFull:
    return StoreFull("The disk is full: the image's files could not be copied into the volume.")


class _Copy:
    def __init__(self, reserve_bytes: int, first_id: int) -> None:
        self._reserve_bytes = reserve_bytes
        self._first_id = first_id
        self._links: dict[tuple[int, int], str] = {}
        self.top = -1

    def folder(self, source: int, target: int, path: tuple[str, ...]) -> None:
        if len(path) > DEPTH_LIMIT:
            msg = f"The image's folder is deeper than {DEPTH_LIMIT} folders, so it is not copied into the volume."
            raise ImageUnfit(msg)
        with os.scandir(source) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            self._entry(source, target, (*path, name))
        copy_attributes(source, target, first_id=self._first_id)
        self._times(os.fstat(source), target)

    def _entry(self, source: int, target: int, path: tuple[str, ...]) -> None:
        name = path[-1]
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            with contextlib.ExitStack() as stack:
                self.folder(_open(stack, name, _FOLDER, source), _open(stack, name, _FOLDER, target), path)
        elif stat.S_ISREG(found.st_mode):
            self._file(source, target, path, found)
        elif stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            self._owner(name, target, found)
        elif stat.S_ISFIFO(found.st_mode):
            os.mkfifo(name, stat.S_IMODE(found.st_mode), dir_fd=target)
            self._owner(name, target, found)

    def _owner(self, name: str, target: int, found: os.stat_result) -> None:
        uid, gid = inside(found.st_uid, self._first_id), inside(found.st_gid, self._first_id)
        os.chown(name, uid, gid, dir_fd=target, follow_symlinks=False)

    def _file(self, source: int, target: int, path: tuple[str, ...], found: os.stat_result) -> None:
        identity = (found.st_dev, found.st_ino)
        if found.st_nlink > 1 and identity in self._links:
            os.link(self._links[identity], path[-1], src_dir_fd=self.top, dst_dir_fd=target, follow_symlinks=False)
            return
        with contextlib.ExitStack() as stack:
            before = _open(stack, path[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, source)
            after = os.open(path[-1], _NEW, 0o600, dir_fd=target)
            stack.callback(os.close, after)
            self._content(before, after, found.st_size)
            copy_attributes(before, after, first_id=self._first_id)
            self._times(found, after)
        if found.st_nlink > 1:
            self._links[identity] = "/".join(path)

    def _content(self, before: int, after: int, size_bytes: int) -> None:
        """Chunks of nothing but zeros stay holes: a sparse file of an image cannot fill the disk."""
        while chunk := os.read(before, _CHUNK):
            self._keep_reserve(after)
            if chunk.count(0) == len(chunk):
                os.lseek(after, len(chunk), os.SEEK_CUR)
                continue
            view = memoryview(chunk)
            while view:
                view = view[os.write(after, view) :]
        os.ftruncate(after, size_bytes)

    def _keep_reserve(self, target: int) -> None:
        disk = os.fstatvfs(target)
        if disk.f_bavail * disk.f_frsize < self._reserve_bytes:
            raise _full()

    def _times(self, found: os.stat_result, target: int) -> None:
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
