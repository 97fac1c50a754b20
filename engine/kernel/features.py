"""What this host's kernel can do: probed once, by trying. Facts only; `engine.containers.hostcheck` judges them.

Where a try fails for want of something (a module, a loop device, memory, a program), that need not stay so: it is kept
for half a minute and then tried again.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.ids import IdRange
from engine.kernel import cgroups, loop, mounts, namespaces
from engine.kernel.process import run

if TYPE_CHECKING:
    from collections.abc import Iterator

FORCE_OVERLAY = "BERTH_FORCE_OVERLAY"
FORCE_SHARED_IDS = "BERTH_FORCE_SHARED_IDS"
CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_SYS_RESOURCE = 12, 21, 24


class OverlayMethod(Enum):
    """How lower layers are given to overlayfs (runtime.md 11), best first."""

    FDS = "fds"
    PATHS = "paths"
    OPTIONS = "options"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """`idmapped_layers`: squashfs can be mounted with translated owners and stacked (from kernel 6.2, runtime.md 11).

    `ids_problem` says why there are no user namespaces or no such layers; unless `ids_are_known`, that may be about
    something else than the kernel, and change.
    """

    kernel: str
    overlay: OverlayMethod
    overlay_problem: str
    squashfs: bool
    loop: bool
    cgroup_mode: cgroups.Mode
    cgroup_controllers: frozenset[str]
    seccomp: bool
    apparmor: bool
    capabilities: frozenset[int]
    user_namespaces: bool
    idmapped_layers: bool
    ids_problem: str
    ids_are_known: bool

    @property
    def kernel_version(self) -> tuple[int, int]:
        match = re.match(r"(\d+)\.(\d+)", self.kernel)
        return (int(match[1]), int(match[2])) if match else (0, 0)

    @property
    def is_all_answered(self) -> bool:
        """Nothing is missing that could be there in a moment: a free loop device, a module that somebody loads."""
        return self.overlay is not OverlayMethod.NONE and self.squashfs and self.loop and self.ids_are_known

    def has_capability(self, number: int) -> bool:
        return number in self.capabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ids:
    user_namespaces: bool = True
    idmapped_layers: bool = False
    ids_problem: str = ""
    ids_are_known: bool = True


class _Never(Exception):
    """The kernel's answer that it does not do such a thing."""


_TRY_AGAIN_S = 30.0
_NEVER = (errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.ENOSYS)
_kept: list[tuple[Features, float]] = []
"""What was found last, and until when that holds."""
_forced: list[OverlayMethod] = []
_forced_shared: list[bool] = []


@contextlib.contextmanager
def forced_overlay(method: OverlayMethod) -> Iterator[None]:
    """Use this method whatever the kernel could do better. For tests of the fallbacks."""
    _forced.append(method)
    try:
        yield
    finally:
        _forced.pop()


@contextlib.contextmanager
def forced_shared_ids() -> Iterator[None]:
    """Do as if squashfs could not be idmapped. For tests of the fallback."""
    _forced_shared.append(True)
    try:
        yield
    finally:
        _forced_shared.pop()


def features() -> Features:
    """What was found by the first call of this process; the environment may force what older kernels can do."""
    found = _probed()
    if _forced_shared or os.environ.get(FORCE_SHARED_IDS):
        found = replace(found, idmapped_layers=False, ids_problem="forced by the environment", ids_are_known=True)
    wanted = _forced[-1] if _forced else os.environ.get(FORCE_OVERLAY)
    if wanted is None or found.overlay is OverlayMethod.NONE:
        return found
    return replace(found, overlay=OverlayMethod(wanted))


def forget() -> None:
    """Have all of it probed again, as a new process does. For tests."""
    _kept.clear()


def _probed() -> Features:
    if not _kept or time.monotonic() >= _kept[0][1]:
        found = _probe()
        _kept[:] = [(found, math.inf if found.is_all_answered else time.monotonic() + _TRY_AGAIN_S)]
    return _kept[0][0]


def _probe() -> Features:
    status = _own_status()
    overlay, problem = _probe_overlay()
    return Features(
        kernel=os.uname().release,
        overlay=overlay,
        overlay_problem=problem,
        squashfs=_has_file_system("squashfs"),
        loop=_has_loop(),
        cgroup_mode=cgroups.mode(),
        cgroup_controllers=cgroups.controllers(),
        seccomp=Path("/proc/sys/kernel/seccomp/actions_avail").exists(),
        apparmor=_reads("/sys/module/apparmor/parameters/enabled", "Y"),
        capabilities=_bits(int(status.get("CapEff", "0"), 16)),
        **asdict(_probe_ids()),
    )


def _own_status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text("utf-8", "replace").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _bits(mask: int) -> frozenset[int]:
    return frozenset(number for number in range(64) if mask >> number & 1)


def _reads(path: str, expected: str) -> bool:
    with contextlib.suppress(OSError):
        return Path(path).read_text("ascii", "replace").strip() == expected
    return False


def _has_file_system(name: str) -> bool:
    """Whether the kernel has it now or after loading its module; fsopen loads modules itself."""
    try:
        mounts.FileSystemContext(name).close()
    except OSError as error:
        if error.errno == errno.EPERM:
            return name in Path("/proc/filesystems").read_text("ascii").split()
        return False
    return True


def _has_loop() -> bool:
    return Path("/dev/loop-control").exists()


def _probe_overlay() -> tuple[OverlayMethod, str]:
    """Really mounts small overlays; the first method that works wins.

    In a memory file system of its own: the temporary folder of a worker that runs in a container is on an overlay, and
    that could not hold another one's writable layer.
    """
    problems = [""]
    try:
        with tempfile.TemporaryDirectory(prefix="berth-probe-") as name, _memory_folder(Path(name)):
            for number, probe in enumerate((_probe_fds, _probe_paths, _probe_options)):
                try:
                    return probe(_probe_folders(Path(name) / str(number))), ""
                except OSError as error:
                    problems.append(error.strerror or str(error))
    except OSError as error:
        problems.append(error.strerror or str(error))
    return OverlayMethod.NONE, problems[-1]


def _probe_ids() -> _Ids:
    """Whether there are user namespaces, whether a layer can be shown with their owners, and why not."""
    ids = IdRange(1 << 20)
    try:
        user = namespaces.create_userns(ids)
    except (OSError, EngineError) as error:  # also a setting of the host that may be changed
        return _Ids(user_namespaces=False, ids_problem=_sentence(error), ids_are_known=False)
    try:
        with tempfile.TemporaryDirectory(prefix="berth-probe-") as name, _memory_folder(Path(name)):
            shown = _probe_idmapped(_probe_folders(Path(name)), user)
    except _Never as error:
        return _Ids(ids_problem=str(error))
    except (OSError, EngineError) as error:
        return _Ids(ids_problem=_sentence(error), ids_are_known=False)
    finally:
        os.close(user)
    is_shown = shown == ids.first
    return _Ids(idmapped_layers=is_shown, ids_problem="" if is_shown else "owners are not translated")


@contextlib.contextmanager
def _asking_the_kernel() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NEVER:
            raise
        raise _Never(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _probe_idmapped(place: Path, user_namespace: int) -> int:
    """Who owns the root of an overlay above an idmapped squashfs."""
    layer = place / "layer"
    run(["tar2sqfs", "-q", "-j", "1", "-c", "lz4", "-f", str(layer)], input=bytes(1024), timeout_s=10.0)
    with open(layer, "rb") as file:
        device = loop.bind(file.fileno())
    try:
        lower = mounts.mount_squashfs(device.path)
    finally:
        device.close()
    try:
        with _asking_the_kernel():
            mounts.idmap(lower, user_namespace)
        mounts.attach(lower, place / "lower-a")
    finally:
        os.close(lower)
    try:
        with _asking_the_kernel():
            _probe_options(place)
        return (place / "lower-a").stat().st_uid
    finally:
        mounts.unmount(place / "lower-a", lazy=True)


@contextlib.contextmanager
def _memory_folder(place: Path) -> Iterator[None]:
    tmpfs = mounts.mount_tmpfs(size_bytes=1 << 20)
    try:
        mounts.attach(tmpfs, place)
    finally:
        os.close(tmpfs)
    try:
        mounts.make_private(place)
        yield
    finally:
        mounts.unmount(place, lazy=True)


def overlay_problem_on(folder: Path) -> str:
    """Why a writable layer cannot be on the file system of `folder`, or an empty text. Tried with a real overlay.

    The method that `features` found is used; the folder is left as it was.
    """
    probes = {OverlayMethod.FDS: _probe_fds, OverlayMethod.PATHS: _probe_paths, OverlayMethod.OPTIONS: _probe_options}
    probe = probes.get(_probed().overlay, _probe_options)
    try:
        with tempfile.TemporaryDirectory(prefix=".probe-", dir=folder) as name:
            probe(_probe_folders(Path(name)))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _probe_folders(place: Path) -> Path:
    for part in ("lower-a", "lower-b", "upper", "work", "target"):
        (place / part).mkdir(parents=True)
    return place


def _overlay(place: Path) -> mounts.Overlay:
    return mounts.Overlay(upper=place / "upper", work=place / "work", index=False)


def _probe_fds(place: Path) -> OverlayMethod:
    lowers: list[int] = []
    try:
        lowers.extend(mounts.clone(place / part) for part in ("lower-a", "lower-b"))
        os.close(mounts.overlay_of_fds(lowers, _overlay(place)))
    finally:
        for lower in lowers:
            os.close(lower)
    return OverlayMethod.FDS


def _probe_paths(place: Path) -> OverlayMethod:
    os.close(mounts.overlay_of_paths([place / "lower-a", place / "lower-b"], _overlay(place)))
    return OverlayMethod.PATHS


def _probe_options(place: Path) -> OverlayMethod:
    lowers = [str(place / "lower-a"), str(place / "lower-b")]
    mounts.mount_overlay_by_options(lowers, _overlay(place), place / "target")
    mounts.unmount(place / "target")
    return OverlayMethod.OPTIONS
