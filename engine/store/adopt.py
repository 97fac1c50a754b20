"""Taking over a layer file that an unprivileged process has written, so that nobody unprivileged can change it again.

The kernel will mount this file, so its bytes must be the verified ones for ever. Ownership and rename alone are not
enough: whoever has the file open for writing keeps that. The order matters (settled.md 12): first the file becomes
root's and read-only, so that no new writer can come; then a read lease proves that no old one is there; only then it is
hashed; and what was hashed, by descriptor and not by name, is what gets the name in `layers/`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from typing import TYPE_CHECKING

from engine.errors import DigestMismatch, NotStored, StoreError
from engine.kernel import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from engine.config import EngineConfig
    from engine.digest import DiffId

_MODE = 0o440
_CHUNK_BYTES = 1 << 20


def adopt_layer(
    config: EngineConfig, *, incoming: str, diff_id: DiffId, file_sha256: str, file_bytes: int, first_id: int = 0
) -> None:
    """Move `incoming/<incoming>` to `layers/<diff id>.sqfs`: root's, 0440, synced, and with exactly this content.

    `first_id`: the id from which on its owners were written, if they were moved up; then the file has a name of its own.

    Idempotent: when an earlier call got as far as the rename, the file in place is verified instead. A file of that
    layer that is there already is replaced; who has it mounted keeps the old one.

    Raises:
        NotStored: there is no such file in `incoming/`, nor the right one in `layers/`.
        DigestMismatch: other bytes than the row says.
        StoreError: a link, no regular file, or somebody still has it open for writing.
        In each case `layers/` is as it was; the file in `incoming/` stays, for its writer to remove.
    """
    files.ensure_folder(config.layers, 0o700)
    source = config.incoming / _plain_name(incoming)
    target = config.layer_file(diff_id.hex, first_id)
    file = _open(source)
    if file is None:
        _verify_in_place(target, diff_id, file_sha256, file_bytes)
        return
    try:
        _take_over(file, diff_id)
        with _no_writer(file, diff_id):
            _verify(file, diff_id, file_sha256, file_bytes)
            os.fsync(file)
            _name(file, target)
    finally:
        os.close(file)
    source.unlink(missing_ok=True)
    files.sync_folder(config.incoming)


def remove_layers(config: EngineConfig, diff_ids: Iterable[DiffId]) -> None:
    """Remove layers' files, however their owners were written. Idempotent.

    Their space comes back when the last container that has them mounted is gone. The folder is synced once, after the
    last: a sync costs as much as removing ten files.
    """
    removed = False
    for diff_id in diff_ids:
        for path in config.layers.glob(f"{diff_id.hex}*.sqfs"):
            path.unlink(missing_ok=True)
            removed = True
    if removed:
        files.sync_folder(config.layers)


def file_sha256(path: Path) -> str:
    """Of all bytes of a file; "" when it is not there.

    Raises:
        StoreError: it is a link, or cannot be opened.
    """
    file = _open(path)
    if file is None:
        return ""
    try:
        return _sha256(file)
    finally:
        os.close(file)


def _plain_name(name: str) -> str:
    if not name or "/" in name or "\0" in name or name in {".", ".."}:
        msg = "The name of an incoming layer file must be a plain one."
        raise StoreError(msg)
    return name


def _open(path: Path) -> int | None:
    """For reading, never through a link, never waiting for a FIFO's writer."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        msg = f"The incoming layer file cannot be opened: {error.strerror}."
        raise StoreError(msg) from error


def _take_over(file: int, diff_id: DiffId) -> None:
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        msg = f"The incoming file of layer {diff_id.short} is not a regular file with one name; it was refused."
        raise StoreError(msg, subject=diff_id)
    os.fchown(file, 0, 0)  # owner before mode: from here on the former owner cannot change the mode back
    os.fchmod(file, _MODE)


@contextlib.contextmanager
def _no_writer(file: int, diff_id: DiffId) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.read_lease(file))
        except BlockingIOError as error:
            msg = f"The incoming file of layer {diff_id.short} is still open for writing; it was refused."
            raise StoreError(msg, subject=diff_id) from error
        yield


def _verify(file: int, diff_id: DiffId, file_sha256: str, file_bytes: int) -> None:
    if os.fstat(file).st_size != file_bytes or _sha256(file) != file_sha256:
        msg = f"The file of layer {diff_id.short} is not the one that was written; it was refused."
        raise DigestMismatch(msg, subject=diff_id)


def _sha256(file: int) -> str:
    hasher = hashlib.sha256()
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    os.lseek(file, 0, os.SEEK_SET)
    while part := os.read(file, _CHUNK_BYTES):
        hasher.update(part)
    return hasher.hexdigest()


def _name(file: int, target: Path) -> None:
    """Give the open file its name in `layers/`. By descriptor: the name in `incoming/` is not ours to trust."""
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # with a folder's descriptor Python calls linkat(2) with AT_SYMLINK_FOLLOW, which this link in /proc needs
        os.link(f"/proc/self/fd/{file}", partial.name, src_dir_fd=folder, dst_dir_fd=folder)
        os.rename(partial.name, target.name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    finally:
        os.close(folder)


def _verify_in_place(target: Path, diff_id: DiffId, file_sha256: str, file_bytes: int) -> None:
    file = _open(target)
    if file is None:
        msg = f"The written file of layer {diff_id.short} is gone."
        raise NotStored(msg, subject=diff_id)
    try:
        _verify(file, diff_id, file_sha256, file_bytes)
    finally:
        os.close(file)
