"""A real systemd as the first process of a pid namespace, over this machine's own file system; what it changes is in memory.

It has units of its own only, so none of this machine's services is started. The network is the host's. Needs root, and
systemd's own control group hierarchy, in which it makes groups that are taken away at the end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import until

SYSTEMD = Path("/lib/systemd/systemd")
COMMAND_S = 120
PLAIN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
UNITS = "/etc/berth-test-units"
_TARGETS = ("multi-user", "basic", "sysinit", "local-fs", "network-online", "shutdown")
_BOOT = r"""
set -e
root=$1; shift
mkdir -p "$root/up" "$root/root"
mount -t tmpfs none "$root/up"
mkdir "$root/up/upper" "$root/up/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$root/up/upper,workdir=$root/up/work" "$root/root"
cd "$root/root"
for place in run tmp etc/systemd/system usr/local/bin; do mount -t tmpfs none "$PWD/$place"; done
mount --rbind /sys "$PWD/sys"; mount --rbind /dev "$PWD/dev"; mount -t proc proc "$PWD/proc"
mount -t tmpfs none "$PWD/sys/fs/cgroup"  # systemd makes folders and mounts in it
for hierarchy in /sys/fs/cgroup/*/; do
  mkdir "$PWD$hierarchy"; mount --bind "$hierarchy" "$PWD$hierarchy"
done
mkdir -p "$PWD$UNITS"
for target in $TARGETS; do printf '[Unit]\nDefaultDependencies=no\n' > "$PWD$UNITS/$target.target"; done
for kept in "$@"; do mkdir -p "$PWD$kept"; mount --bind "$kept" "$PWD$kept"; done
[ -z "$UNIT_FILE" ] || { cp "$UNIT_FILE" etc/systemd/system/berth.service
  mkdir -p etc/systemd/system/multi-user.target.wants; ln -s ../berth.service etc/systemd/system/multi-user.target.wants/; }
[ -z "$ENV_FILE" ] || cp "$ENV_FILE" "$PWD$ENV_TARGET"
mkdir run/before
pivot_root . run/before  # in a chroot no user namespace can be made
cd /
umount -l /run/before
exec env -i container=unshare PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH="/etc/systemd/system:$UNITS" \
  /lib/systemd/systemd --system --unit=multi-user.target --log-target=null --show-status=0
"""


@dataclass
class Machine:
    """`run` is done inside."""

    pid: int

    def run(
        self, *argv: str, env: dict[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        words = ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-r", "-w", *argv]
        return subprocess.run(
            words, capture_output=True, text=True, check=check, env=PLAIN | (env or {}), timeout=COMMAND_S
        )


@contextlib.contextmanager
def booted(kept: Path, *, unit: Path | None = None, env_file: tuple[Path, Path] | None = None) -> Iterator[Machine]:
    """`kept`: a folder that is the host's own in there. `unit`: enabled from the start, as after an earlier install."""
    before, hierarchies = _groups(), _hierarchies()
    with tempfile.TemporaryDirectory(prefix="berth-systemd-") as folder:
        env = {**os.environ, "UNITS": UNITS, "TARGETS": " ".join(_TARGETS), "UNIT_FILE": str(unit or "")}
        env |= {"ENV_FILE": str(env_file[0]), "ENV_TARGET": str(env_file[1])} if env_file else {"ENV_FILE": ""}
        argv = [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--uts",
            "--ipc",
            "--kill-child",
            "sh",
            "-c",
            _BOOT,
            "boot",
            folder,
            str(kept),
        ]
        with (Path(folder) / "log").open("wb") as log:
            outer = subprocess.Popen(argv, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            inner = until("systemd runs", lambda: _systemd_below(outer.pid))
            machine = Machine(inner)
            until(
                "it answers",
                lambda: machine.run("systemctl", "is-active", "multi-user.target", check=False).stdout == "active\n",
            )
            yield machine
        finally:
            outer.send_signal(signal.SIGKILL)
            outer.wait()
            _remove_groups(before)
            _end_hierarchies(hierarchies)


def _systemd_below(pid: int) -> int:
    try:
        (child,) = (Path(f"/proc/{pid}/task/{pid}/children")).read_text().split()
        return int(child) if Path(f"/proc/{child}/comm").read_text() == "systemd\n" else 0
    except (OSError, ValueError):
        return 0


def _groups() -> set[Path]:
    return {path for top in Path("/sys/fs/cgroup").iterdir() if top.is_dir() for path in top.iterdir() if path.is_dir()}


def _remove_groups(before: set[Path]) -> None:
    """Those of systemd's that were made meanwhile, deepest first."""
    for top in _groups() - before:
        if not top.name.endswith((".slice", ".scope", ".mount", ".service")):
            continue
        for _try in range(20):
            for path in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    path.rmdir()
            with contextlib.suppress(OSError):
                top.rmdir()
            if not top.exists():
                break
            time.sleep(0.1)


def _hierarchies() -> dict[str, int]:
    """Numbers of the hierarchies by controller; 0 for one that has none."""
    lines = [line.split() for line in Path("/proc/cgroups").read_text().splitlines()[1:]]
    return {name: int(number) for name, number, *_ in lines}


def _end_hierarchies(before: dict[str, int]) -> None:
    """Those that systemd made of controllers that had none: they end when they are mounted nowhere and have no groups."""
    made: dict[int, list[str]] = {}
    for name, number in _hierarchies().items():
        if number and not before[name]:
            made.setdefault(number, []).append(name)
    place = tempfile.mkdtemp()
    for names in made.values():
        for _removing_takes_a_moment in range(2):
            subprocess.run(["mount", "-t", "cgroup", "-o", ",".join(names), "none", place], check=True)
            until("no group is left", lambda: _without_groups(Path(place)))
            subprocess.run(["umount", place], check=True)
            time.sleep(0.3)
    Path(place).rmdir()


def _without_groups(top: Path) -> bool:
    for path in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
        with contextlib.suppress(OSError):  # a process of it is just ending
            path.rmdir()
    return not any(path.is_dir() for path in top.iterdir())
