"""Working in another namespace, always in a thread that ends.

`setns` and `unshare` change the calling thread only and stick to it: in a thread of a pool the next job would run in
the wrong place (settled.md 6). Mount and user namespaces cannot be entered from a thread at all; for those a
short-lived program is started.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.kernel import mounts
from engine.kernel.libc import LIBRARY, checked
from engine.kernel.process import Process, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.ids import IdRange

T = TypeVar("T")
_NEWNET, _NEWUTS, _NEWUSER, _FS, _BIND = 0x40000000, 0x04000000, 0x10000000, 0x00000200, 4096
_MAKING_S = 5.0
# `excl` takes no name that is there, not even a link that leads nowhere: install(1) would go into a folder, or replace it.
_NEW_FILE = 'umask 022; exec /bin/dd if=/dev/null of="$0" conv=excl status=none'


def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own, wait for it, and return or raise what it did."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread
            errors.append(error)

    thread = threading.Thread(target=body, name="namespace")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def make_as_its_root(user_namespace: int, folder: int, name: str, *, is_folder: bool) -> None:
    """Make an empty folder (0755) or file (0644) as root of a user namespace would; both are open descriptors.

    For what is mounted in a container's root: no more than that root may. About 5 ms.

    Raises:
        ProcessFailed: that root may not, or the name is taken by whatever; nothing was changed.
    """
    path = f"/proc/self/fd/{folder}/{name}"
    make = ["/bin/mkdir", "-m", "0755", path] if is_folder else ["/bin/sh", "-c", _NEW_FILE, path]
    argv = ["/usr/bin/nsenter", f"--user=/proc/self/fd/{user_namespace}", "--", *make]
    run(argv, timeout_s=30.0, pass_fds=(user_namespace, folder))


def become_root_of(user_namespace: int) -> None:
    """Enter it for good, as its root, with no rights outside it. For a program that has one thread.

    Raises:
        OSError: EINVAL with more threads than one.
    """
    os.setgroups([])
    checked("setns user", LIBRARY.setns(user_namespace, _NEWUSER))
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def in_netns(path: Path, work: Callable[[], T]) -> T:
    """Run `work` inside the network namespace bound at `path`."""

    def body() -> T:
        namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            checked(f"setns {path}", LIBRARY.setns(namespace, _NEWNET))
        finally:
            os.close(namespace)
        return work()

    return in_thread(body)


def set_domainname(pid: int, name: str) -> None:
    """Give the UTS namespace of a process this NIS domain name.

    runc 1.1 cannot, and the kernel's own setting (kernel.domainname) is closed to root of a user namespace.
    """

    def body() -> None:
        namespace = os.open(f"/proc/{pid}/ns/uts", os.O_RDONLY | os.O_CLOEXEC)
        try:
            checked("setns uts", LIBRARY.setns(namespace, _NEWUTS))
        finally:
            os.close(namespace)
        text = name.encode()
        checked("setdomainname", LIBRARY.setdomainname(text, len(text)))

    in_thread(body)


def in_folder(folder: int, work: Callable[[], T]) -> T:
    """Run `work` with the open folder as its thread's working folder; the process's own does not change."""

    def body() -> T:
        checked("unshare", LIBRARY.unshare(_FS))
        os.fchdir(folder)
        return work()

    return in_thread(body)


def create_netns(path: Path) -> None:
    """Make a network namespace and bind it at `path`, where it lives until `delete_netns`.

    Idempotent: a namespace that is bound there stays.
    """
    if mounts.is_namespace_file(path):
        return
    os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))

    def body() -> None:
        checked("unshare", LIBRARY.unshare(_NEWNET))
        own = f"/proc/self/task/{threading.get_native_id()}/ns/net"
        checked("bind netns", LIBRARY.mount(own.encode(), os.fsencode(path), None, _BIND, None))

    try:
        in_thread(body)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def bind_netns(namespace: int, path: Path) -> None:
    """Bind an open network namespace at `path` in place of whatever one is there."""
    delete_netns(path)
    os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    try:
        source = f"/proc/self/fd/{namespace}".encode()
        checked("bind netns", LIBRARY.mount(source, os.fsencode(path), None, _BIND, None))
    except OSError:
        path.unlink(missing_ok=True)
        raise


def delete_netns(path: Path) -> None:
    """Unbind it; the namespace ends with its last process. Idempotent."""
    with contextlib.suppress(FileNotFoundError):
        while True:
            try:
                mounts.unmount(path, lazy=True)
            except OSError as error:
                if error.errno != errno.EINVAL:  # nothing is mounted there any more
                    raise
                break
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


@dataclass(frozen=True, slots=True)
class Isolation:
    """A new user namespace and a network namespace that belongs to it: two descriptors, which keep both alive.

    sysfs can only be mounted in a container whose network namespace belongs to its own user namespace.
    """

    user: int
    network: int

    @property
    def user_path(self) -> Path:
        """Where root's other processes find the user namespace until `close`."""
        return Path(f"/proc/{os.getpid()}/fd/{self.user}")

    def close(self) -> None:
        os.close(self.user)
        os.close(self.network)


def create_isolation(ids: IdRange) -> Isolation:
    """Both namespaces, empty; ids 0.. in the new one are `ids` outside. About 2 ms.

    Raises:
        OSError: the kernel has no user namespaces, allows no more of them, or none to us.
    """
    user, network = _create(("user", "net"), ids, inside=0)
    return Isolation(user, network)


def create_userns(ids: IdRange, *, inside: int = 0) -> int:
    """A descriptor of a user namespace that maps `inside`.. to `ids`, for idmapped mounts. The caller closes it."""
    return _create(("user",), ids, inside=inside)[0]


def _create(kinds: Sequence[str], ids: IdRange, *, inside: int) -> list[int]:
    """Made by a program that waits in them: a thread cannot leave its process's user namespace."""
    argv = ["/usr/bin/unshare", *(f"--{kind}" for kind in kinds), "/bin/sh", "-c", "echo; read -r _"]
    with Process(argv, stdin="pipe", stdout="pipe") as holder:
        poller = select.poll()  # select(2) takes only low descriptors
        poller.register(holder.stdout, select.POLLIN)
        if not poller.poll(_MAKING_S * 1000) or not holder.stdout.read(1):
            holder.kill()
            holder.wait()
            said = holder.stderr_tail().strip().removeprefix("unshare: ") or "no answer"
            raise OSError(errno.EPERM, f"no user namespace can be made: {said}")
        for kind in ("uid", "gid"):
            with open(f"/proc/{holder.pid}/{kind}_map", "w", encoding="ascii") as file:
                file.write(f"{inside} {ids.first} {ids.count}")
        opened: list[int] = []
        try:
            for kind in kinds:
                opened.append(os.open(f"/proc/{holder.pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            for fd in opened:
                os.close(fd)
            raise
        return opened
