"""Files into and out of containers: `engine.copies`, what `cp` is made of.

The work is done by a process of its own with the rights of the container's root (`archives.inside`), in what the container
sees as its files: volumes and memory are among them. One that does not run is mounted as for a start, and taken down again.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import rootfs
from engine.archives import files as archives
from engine.archives.inside import Wanted
from engine.archives.pack import Packed
from engine.archives.unpack import Unpacked
from engine.containers import lifecycle
from engine.containers.mounting import mount_all
from engine.containers.observe import observe
from engine.containers.states import Action, State, require
from engine.errors import (
    ArchiveRejected,
    Cancelled,
    EngineError,
    FileUnknown,
    RequestRefused,
    RuntimeFailed,
    StoreFull,
    WrongState,
)
from engine.kernel.namespaces import create_isolation
from engine.kernel.process import Process
from engine.runtime.policy import load_policy
from engine.runtime.rootfiles import opened_root, opened_root_of
from engine.store.space import ensure_room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.containers.folder import ContainerFolder
    from engine.containers.lifecycle import Parts
    from engine.containers.locks import ContainerLocks
    from engine.kernel.pidfd import ProcessIdentity

_ERRORS = {kind.code: kind for kind in (ArchiveRejected, FileUnknown, RequestRefused, StoreFull)}
_LOOK_S = 0.5
_CODE = Path(__file__).resolve().parents[2]
PATH_LIMIT = 4096


class Copies:
    """One container that does not run is worked on by one thread at a time; a start waits meanwhile."""

    def __init__(self, parts: Parts, locks: ContainerLocks, open_folder: Callable[[str], ContainerFolder]) -> None:
        self._parts = parts
        self._locks = locks
        self._container = open_folder

    def copy_out(
        self,
        container_id: str,
        path: str,
        key: str,
        *,
        follow: bool,
        on_bytes: Callable[[int], None],
        cancelled: Callable[[], bool],
    ) -> Packed:
        """Write what lies at `path` as a tar to `transfers/<key>`, for the unprivileged user to send.

        The top entry has the last part of the path as its name; where that is `.`, it is `./`. Owners are the container's.
        `follow`: what a link at `path` leads to, and not the link.

        Raises:
            FileUnknown: there is nothing.
            RequestRefused: it is the system's (/proc, /sys, /dev), or the container's root may not read it.
            ArchiveRejected: there is more than an archive may hold.
            StoreFull, StoreError: the disk refuses.
            Cancelled: `cancelled` said so. After each of them there is no such file.
            WrongState: there is no such container.
        """
        with archives.new_archive(self._parts.config, key) as archive, self._root(container_id) as (root, user):
            wanted = self._wanted(root, user, archive, path, is_out=True, follow=follow)
            done = self._do(wanted, on_bytes, cancelled)
        return Packed(done["entries"], done["left_out"], done["changed"], done["bytes"])

    def copy_in(
        self,
        container_id: str,
        path: str,
        key: str,
        *,
        keep_owners: bool,
        is_plain: bool,
        on_bytes: Callable[[int], None],
        cancelled: Callable[[], bool],
    ) -> Unpacked:
        """Put what is in the tar `transfers/<key>` at `path`, by the rules of Docker's `cp`.

        With `is_plain` the archive is a person's own, and `path` has to be a folder. Without `keep_owners` all is root's.

        Raises:
            FileUnknown: `path`, or the folder that it would be in, is not there.
            RequestRefused: it is read-only, the system's, or the container's root may not write there.
            NotStored, StoreError: there is no such archive.
            ArchiveRejected: broken, hostile, beyond a limit, or a folder is in the way of a file or a file of a folder.
            StoreFull: no space in the container or on the host.
            Cancelled: `cancelled` said so.
            WrongState: there is no such container. Each file is then the old one or the new one.
        """
        with archives.opened_archive(self._parts.config, key) as archive, self._root(container_id) as (root, user):
            wanted = self._wanted(root, user, archive, path, is_out=False, keep_owners=keep_owners, is_plain=is_plain)
            done = self._do(wanted, on_bytes, cancelled)
        return Unpacked(done["entries"], done["bytes"], done["dropped"])

    @contextlib.contextmanager
    def _root(self, container_id: str) -> Iterator[tuple[int, int]]:
        """The container's root and user namespace (-1: none) as descriptors, of one that runs or not."""
        with contextlib.ExitStack() as stack:
            with self._locks.hold(container_id):
                folder = self._container(container_id)
                seen = observe(self._parts.config, folder, self._parts.runc)
                if seen.state is State.ABSENT:
                    require(Action.STOP, seen.state, container_id)
                init = self._init_of(folder) if seen.pid is not None else None
                if init is None:
                    with self._mounted(folder) as opened:
                        yield opened
                    return
                root = stack.enter_context(opened_root_of(init.pid))
                user = -1
                if folder.request().ids is not None:
                    user = os.open(f"/proc/{init.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
                    stack.callback(os.close, user)
                if not init.is_alive():  # looked at after opening: what is open is this container's
                    msg = f"Container {container_id} has just ended. Try again."
                    raise WrongState(msg, subject=container_id)
            yield root, user  # without the lock: it can be stopped meanwhile

    def _init_of(self, folder: ContainerFolder) -> ProcessIdentity | None:
        known = self._parts.runc.state(folder.container_id)
        return known.init if known is not None and known.init.is_alive() else None

    @contextlib.contextmanager
    def _mounted(self, folder: ContainerFolder) -> Iterator[tuple[int, int]]:
        config, request = self._parts.config, folder.request()
        lifecycle.clear_way(self._parts, folder)
        with contextlib.ExitStack() as stack:
            owners = None
            if request.ids is not None:
                isolation = create_isolation(request.ids)
                for fd in (isolation.user, isolation.network):
                    stack.callback(os.close, fd)
                owners = rootfs.Owners(request.ids, isolation.user)
            stack.callback(rootfs.unmount_rootfs, config, folder.container_id)
            root = rootfs.mount_rootfs(
                config, folder.container_id, request.layers, owners, limit_bytes=request.writable_bytes
            )
            mount_all(config, folder, request, root, load_policy(config.policy_file), owners=owners)
            with opened_root(root) as opened:
                yield opened, owners.user_namespace if owners is not None else -1

    def _wanted(self, root: int, user: int, archive: int, path: str, *, is_out: bool, **how: bool) -> Wanted:
        limits = self._parts.config.limits
        return Wanted(
            is_out=is_out,
            root=root,
            archive=archive,
            user_namespace=user,
            path=_checked(path),
            archive_bytes=limits.archive_bytes,
            archive_entries=limits.archive_entries,
            **how,
        )

    def _do(
        self, wanted: Wanted, on_bytes: Callable[[int], None], cancelled: Callable[[], bool]
    ) -> dict[str, Any]:  # JSON's numbers by name
        passed = [fd for fd in (wanted.root, wanted.archive, wanted.user_namespace) if fd >= 0]
        argv = [sys.executable, "-m", "engine.archives.inside", wanted.to_json()]
        environment = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
        with Process(argv, stdout="pipe", env=environment, cwd=_CODE, pass_fds=passed) as process:
            for line in _lines(process, lambda: self._look(cancelled)):
                said = json.loads(line)
                if "bytes" in said:
                    on_bytes(said["bytes"])
                elif "error" in said:
                    raise _ERRORS.get(said["error"], RuntimeFailed)(said["message"])
                else:
                    return dict(said["done"])
            process.wait()
            msg = "The copy was cut off. Try again."
            raise RuntimeFailed(msg) from EngineError(process.stderr_tail())

    def _look(self, cancelled: Callable[[], bool]) -> None:
        if cancelled():
            msg = "The copy was cancelled."
            raise Cancelled(msg)
        ensure_room(self._parts.config, 0, "the copy")


def _checked(path: str) -> str:
    """From the container's root, as `docker cp` has it.

    Raises:
        RequestRefused: empty, too long, or with a character that no path has.
    """
    if not path or len(os.fsencode(path)) > PATH_LIMIT or "\0" in path:
        msg = "The path in the container is empty, longer than 4096 bytes, or has a NUL in it."
        raise RequestRefused(msg)
    return f"/{path.lstrip('/')}"


def _lines(process: Process, look: Callable[[], None]) -> Iterator[bytes]:
    """What it says, a line each, until it ends; `look` may raise, and is called twice a second."""
    poller = select.poll()
    poller.register(process.stdout, select.POLLIN)
    pending = b""
    while True:
        look()
        if not poller.poll(_LOOK_S * 1000):
            continue
        part = process.stdout.read(65_536)
        if not part:
            return
        *whole, pending = (pending + part).split(b"\n")
        yield from whole
