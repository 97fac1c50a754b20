"""What of one Berth is on this host: everything that carries its tag or lies in its folders."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import subprocess
from pathlib import Path


def tag_of(data: Path) -> str:
    return hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:8]


def mounts_under(*folders: Path) -> list[str]:
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        if any(point == str(folder) or point.startswith(f"{folder}/") for folder in folders):
            found.append(point)
    return found


def loops_of(data: Path) -> list[str]:
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if (path := backing.read_text().strip()).startswith(f"{data}/"):
                found.append(f"{backing.parents[1].name} of {path}")
    return found


def groups_of(tag: str) -> list[Path]:
    tops = [path for path in Path("/sys/fs/cgroup").glob("*") if path.is_dir()] + [Path("/sys/fs/cgroup")]
    return [found for top in tops for found in top.glob(f"*berth-{tag}*") if found.is_dir()]


def processes_of(data: Path) -> list[str]:
    """Those whose command line names its data or run folder: monitors, workers, supervisord, Redis, the name server."""
    words = [f"{data}/".encode(), f"/run/berth-{tag_of(data)}/".encode()]
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes()
            if any(word in line for word in words) and b"pytest" not in line:
                found.append(f"{path.parent.name} {line[:120].replace(bytes(1), b' ').decode(errors='replace')}")
    return found


def left_of(data: Path) -> list[str]:
    """After its end and `clean_up`: this should be empty."""
    from pyroute2 import IPRoute

    tag = tag_of(data)
    run = Path("/run") / f"berth-{tag}"
    found = [f"mount {point}" for point in mounts_under(data, run) if point != str(data)]
    found += [f"loop device {loop}" for loop in loops_of(data)]
    found += [f"control group {path}" for path in groups_of(tag)]
    found += [
        f"interface {path.name}" for name in ("br-", "v") for path in Path("/sys/class/net").glob(f"{name}{tag}*")
    ]
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
    found += [f"firewall {line}" for line in tables.splitlines() if f"berth_{tag}" in line]
    with IPRoute() as netlink:
        found_rules = [
            rule
            for family in (socket.AF_INET, socket.AF_INET6)
            for rule in netlink.get_rules(family=family, priority=100)
        ]
        rules = [str(rule.get_attr("FRA_IIFNAME")) for rule in found_rules]
    found += [f"routing rule for {name}" for name in rules if name.startswith(f"br-{tag}")]
    found += [f"process {line}" for line in processes_of(data)]
    return found + ([f"folder {run}"] if run.exists() else [])
