"""Looking at and preparing a container's root file system from outside, never leaving it.

Everything goes through `openat2` with the root as `/` (RUN-02, RUN-04, RUN-05): links of the image resolve inside the
image, links through /proc are refused, and nothing but regular files is ever opened for reading.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import CommandNotExecutable, ImageUnfit
from engine.kernel import mounts, namespaces
from engine.kernel.openat2 import open_in_root
from engine.kernel.process import ProcessFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATH = os.O_PATH | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FOLDERS_LIMIT = 256
_SYSTEM = ("/proc", "/sys", "/dev")
_FOLDERS = ("/dev", "/proc", "/sys", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys/fs/cgroup")  # noqa: S108 - of the image
_NO_LINKS = ("/dev/null", "/dev/console", "/dev/ptmx")
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)


class FileTooLarge(Exception):
    """A file of the image is larger than what its reader takes."""


@contextlib.contextmanager
def opened_root(path: Path) -> Iterator[int]:
    """The root folder as a descriptor."""
    fd = os.open(path, _PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def opened_root_of(pid: int) -> Iterator[int]:
    """What a process sees as `/`, with everything that is mounted in its namespace."""
    fd = os.open(f"/proc/{pid}/root", _PATH | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _opened(root: int, path: str, flags: int) -> Iterator[int]:
    fd = open_in_root(root, path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def opened_path(root: int, path: str) -> Iterator[int]:
    """What lies at `path`, as a descriptor that can be looked at but not read (O_PATH).

    Raises:
        FileNotFoundError: nothing, or a link that leads in circles.
    """
    try:
        fd = open_in_root(root, path, _PATH)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EXDEV):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
        raise
    try:
        yield fd
    finally:
        os.close(fd)


def read_head(root: int, path: str, size_bytes: int, *, is_program: bool = False) -> bytes | None:
    """The first bytes of a regular file; None when there is none or it is anything else (FIFO, device, folder, link).

    With `is_program`, a file that nobody may execute is none either.

    It is looked at with O_PATH before it is opened: opening a device or a FIFO can itself do or wait for something.
    """
    try:
        with _opened(root, path, _PATH) as fd:
            mode = os.fstat(fd).st_mode
            if not stat.S_ISREG(mode) or (is_program and not mode & 0o111):
                return None
            with open(f"/proc/self/fd/{fd}", "rb") as file:
                return file.read(size_bytes)
    except OSError as error:
        if error.errno in (*_NOT_THERE, errno.ELOOP, errno.ENAMETOOLONG, errno.EXDEV):
            return None
        raise


def read_regular(root: int, path: str, *, limit_bytes: int) -> bytes | None:
    """`read_head` of a whole file.

    Raises:
        FileTooLarge: more than `limit_bytes`.
    """
    content = read_head(root, path, limit_bytes + 1)
    if content is not None and len(content) > limit_bytes:
        raise FileTooLarge(path)
    return content


def _resolved(root: int, fd: int) -> str:
    """Where in the root an open file lies, as an absolute path of the container."""
    base, full = (str(Path(f"/proc/self/fd/{number}").readlink()) for number in (root, fd))
    if full == base:
        return "/"
    if not full.startswith(base.rstrip("/") + "/") or full.endswith(" (deleted)"):
        msg = "A path of the image leads out of it."
        raise ImageUnfit(msg)
    return full[len(base.rstrip("/")) :]


def is_system_path(path: str) -> bool:
    return any(path == top or path.startswith(top + "/") for top in _SYSTEM)


def refuse_disguised_system_folders(root: int) -> None:
    """RUN-04: runc 1.1 mounts and masks by path; a link in place of /dev or /proc would turn that against the host.

    Regular files at /dev/null and /dev/console stay legal: every image made by `docker export` has them, and the
    tmpfs on /dev hides them.

    Raises:
        ImageUnfit: a link, or something that is no folder where a file system will be mounted.
    """
    for path in (*_FOLDERS, *_NO_LINKS):
        try:
            with _opened(root, path, _PATH | os.O_NOFOLLOW) as fd:
                mode = os.fstat(fd).st_mode
                place = _resolved(root, fd)
        except OSError as error:
            if error.errno in (errno.ENOENT,):
                continue
            msg = f"The image's {path} cannot be used: {os.strerror(error.errno or 0)}."
            raise ImageUnfit(msg) from error
        if stat.S_ISLNK(mode) or place != path or (path in _FOLDERS and not stat.S_ISDIR(mode)):
            msg = f"The image's {path} is not a plain {'folder' if path in _FOLDERS else 'file'}, so it is not started."
            raise ImageUnfit(msg)


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes what is missing in a container's root: the host's id of its root, and its user namespace, if it has one.

    In what is mounted there nothing happens that the container's root could not do itself: we are the host's root, and
    a folder of the host may be mounted. Without a user namespace those two are one, so nothing is made in
    `host_mounts`, the ids of the mounts that are the host's (`kernel.mounts.mount_id`).
    """

    owner: int = 0
    user_namespace: int | None = None
    host_mounts: frozenset[int] = frozenset()

    def make(self, root: int, parent: int, name: str, *, is_folder: bool) -> None:
        """An empty folder or file in the open folder `parent` of the open root.

        Raises:
            FileExistsError: the name is taken.
            OSError: it may not be made there, or the disk is full.
        """
        if not is_of_root_itself(root, parent):
            if self.user_namespace is not None:
                _make_as_its_root(self.user_namespace, parent, name, is_folder=is_folder)
                return
            if mounts.mount_id(parent) in self.host_mounts:
                raise PermissionError(errno.EACCES, "in a folder of the host Berth makes nothing")
        if is_folder:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            os.close(os.open(name, _NEW, 0o644, dir_fd=parent))
        os.chown(name, self.owner, self.owner, dir_fd=parent, follow_symlinks=False)


def _make_as_its_root(user_namespace: int, parent: int, name: str, *, is_folder: bool) -> None:
    try:
        namespaces.make_as_its_root(user_namespace, parent, name, is_folder=is_folder)
    except ProcessFailed as error:
        if _lstat(parent, name) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from error
        said = error.stderr.strip().rpartition(": ")[2].lower() or "no answer"
        raise PermissionError(errno.EACCES, f"{said} for the container's root") from error


def is_of_root_itself(root: int, found: int) -> bool:
    """Whether what was found in the root is its own, and not of something that is mounted there."""
    return mounts.mount_id(found) == mounts.mount_id(root)


OURS = Maker()


def make_folder(root: int, path: str, *, by: Maker = OURS, what: str = "working directory") -> str:
    """Make sure that `path` is a folder, making missing ones, and say where it really lies in the root (RUN-02).

    `what` it is for stands in the sentences.

    Raises:
        ImageUnfit: it leads through something that is no folder, or into /proc, /sys or /dev, or very deep; or into
            something mounted, where `by` may not make what is missing.
    """
    if not path.startswith("/"):
        msg = f"the {what} '{path}' is invalid, it needs to be an absolute path"
        raise ImageUnfit(msg)
    parts = [part for part in path.split("/") if part and part != "."]
    if len(parts) > FOLDERS_LIMIT:
        msg = f"The {what} lies {len(parts)} folders deep; at most {FOLDERS_LIMIT} are made."
        raise ImageUnfit(msg)
    done = "/"
    for part in parts:
        following = f"{done.rstrip('/')}/{part}"
        done = _step(root, done, following, part, by=by, what=what)
        if is_system_path(done):
            msg = f"The {what} '{path}' lies in {done}, which belongs to the system."
            raise ImageUnfit(msg)
    return done


def _step(root: int, parent: str, path: str, part: str, *, by: Maker, what: str) -> str:
    try:
        with _opened(root, path, _PATH | os.O_DIRECTORY) as fd:
            return _resolved(root, fd)
    except OSError as error:
        if error.errno != errno.ENOENT or part == "..":
            msg = f"The {what} cannot be used: {path}: {os.strerror(error.errno or 0).lower()}."
            raise ImageUnfit(msg) from error
    with _opened(root, parent, os.O_RDONLY | os.O_DIRECTORY) as fd:
        try:
            by.make(root, fd, part, is_folder=True)
        except FileExistsError as error:
            msg = f"The {what} cannot be used: {path} is a link that leads nowhere."
            raise ImageUnfit(msg) from error
        except PermissionError as error:
            msg = f"The {what} cannot be used: {path} is missing and cannot be made: {error.strerror}."
            raise ImageUnfit(msg) from error
    return path


def find_folder(root: int, path: str) -> str:
    """Where a folder that is there really lies in the root (RUN-02).

    Raises:
        CommandNotExecutable: there is none, in the words of runc.
        ImageUnfit: it is /proc, /sys or /dev, or lies in one of them.
    """
    if not path.startswith("/"):
        msg = f"the working directory '{path}' is invalid, it needs to be an absolute path"
        raise ImageUnfit(msg)
    try:
        with _opened(root, path, _PATH | os.O_DIRECTORY) as fd:
            found = _resolved(root, fd)
    except OSError as error:
        msg = f'chdir to cwd ("{path}") failed: {os.strerror(error.errno or 0).lower()}'
        raise CommandNotExecutable(msg) from error
    if is_system_path(found):
        msg = f"The working directory '{path}' lies in {found}, which belongs to the system."
        raise ImageUnfit(msg)
    return found


def make_mount_point(root: int, path: str, *, by: Maker = OURS) -> str:
    """Make sure that a regular file is at `path` to mount another on, and say where it really lies (RUN-05, RUN-15).

    A link that leads nowhere in the image (as /etc/resolv.conf often does) is replaced by an empty file. In what is
    mounted there nothing is ever removed.

    Raises:
        ImageUnfit: there is something else, or it leads into /proc, /sys or /dev, or `by` may not make it.
    """
    folder, _, name = path.rpartition("/")
    place = make_folder(root, folder or "/", by=by)
    with _opened(root, place, os.O_RDONLY | os.O_DIRECTORY) as parent:
        try:
            with _opened(root, f"{place}/{name}", _PATH) as fd:
                if stat.S_ISREG(os.fstat(fd).st_mode) and not is_system_path(found := _resolved(root, fd)):
                    return found
        except OSError as error:
            if error.errno not in (*_NOT_THERE, errno.ELOOP):
                raise
        _clear_place(root, parent, name, path)
        try:
            by.make(root, parent, name, is_folder=False)
        except (FileExistsError, PermissionError) as error:
            msg = f"{path} is missing in the container and cannot be made: {error.strerror}."
            raise ImageUnfit(msg) from error
    return f"{place.rstrip('/')}/{name}"


def _clear_place(root: int, parent: int, name: str, path: str) -> None:
    info = _lstat(parent, name)
    if info is None:
        return
    if not stat.S_ISLNK(info.st_mode):
        msg = f"The image's {path} is not a plain file, so it is not started."
        raise ImageUnfit(msg)
    if not is_of_root_itself(root, parent):
        msg = f"{path} is a link that leads nowhere, in something that is mounted in the container. Remove it there."
        raise ImageUnfit(msg)
    os.unlink(name, dir_fd=parent)


def _lstat(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
