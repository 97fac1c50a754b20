"""Archives on their way: one file each in the folder `transfers`, which belongs to the unprivileged user.

That user may do there whatever it likes, so root makes new files only, follows no link, and takes nothing but a regular
file with one name. What is read may change under our hands: whoever unpacks it believes each byte only once.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from typing import TYPE_CHECKING

from engine.errors import NotStored, RequestRefused, StoreError
from engine.store.space import store_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.config import EngineConfig

_KEY = re.compile(r"[0-9a-f]{32}\Z", re.ASCII)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
READ_BYTES = 1 << 20


@contextlib.contextmanager
def new_archive(config: EngineConfig, key: str) -> Iterator[int]:
    """A new file to write, given to the unprivileged user at the end; whatever had its name is gone.

    Raises:
        RequestRefused: `key` is no key.
        StoreFull, StoreError: the disk refuses. As after every error in the block, there is no such file then.
    """
    name = _checked(key)
    with _folder(config) as folder:
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
            fd = os.open(name, _NEW, 0o600, dir_fd=folder)
        except OSError as error:
            raise store_error(error, "the archive") from error
        try:
            yield fd
            os.fchown(fd, config.uid, config.gid)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=folder)
            raise
        finally:
            os.close(fd)


@contextlib.contextmanager
def opened_archive(config: EngineConfig, key: str) -> Iterator[int]:
    """A file that has arrived, for reading.

    Raises:
        RequestRefused: `key` is no key.
        NotStored: there is none.
        StoreError: it is not a regular file of one name, or cannot be opened.
    """
    name = _checked(key)
    with _folder(config) as folder:
        try:
            fd = os.open(name, _READ, dir_fd=folder)
        except FileNotFoundError as error:
            msg = "The archive is gone: it was cancelled, or nobody asked for it any more."
            raise NotStored(msg, subject=key) from error
        except OSError as error:
            msg = f"The archive cannot be opened: {error.strerror}."
            raise StoreError(msg, subject=key) from error
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            msg = "The archive is not a regular file with one name; it was refused."
            raise StoreError(msg, subject=key)
        yield fd
    finally:
        os.close(fd)


def chunks(fd: int) -> Iterator[bytes]:
    while chunk := os.read(fd, READ_BYTES):
        yield chunk


def _checked(key: str) -> str:
    if not _KEY.match(key):
        msg = f"'{key[:80]}' is not the name of an archive."
        raise RequestRefused(msg)
    return key


@contextlib.contextmanager
def _folder(config: EngineConfig) -> Iterator[int]:
    fd = os.open(config.transfers, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
