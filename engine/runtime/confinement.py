"""What every container is kept from: capabilities, devices, paths of /proc and /sys, mounts. Constants only.

If you loosen a list here, `policy.check_spec` and the tests that look from inside (RUN-04, 08, 11, 20) must agree.
"""

from __future__ import annotations

from typing import Any

from engine.ids import RANGE_IDS

DOCKER_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
# RUN-08: raw sockets spoof neighbours, device nodes and file capabilities are not needed, audit is the host's.
WITHHELD_CAPABILITIES = frozenset({"CAP_NET_RAW", "CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SETFCAP"})
DEFAULT_CAPABILITIES = tuple(c for c in DOCKER_CAPABILITIES if c not in WITHHELD_CAPABILITIES)
# What a host's policy may give beyond Docker's: each is worth something only inside the container's own namespaces.
# The others reach the host's devices, time, log, modules or security, or are SYS_ADMIN: no policy gives them.
GRANTABLE_CAPABILITIES = frozenset(DOCKER_CAPABILITIES) | {
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_ADMIN",
    "CAP_NET_BROADCAST",
    "CAP_SYS_NICE",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TTY_CONFIG",
}
KNOWN_CAPABILITIES = (
    *DOCKER_CAPABILITIES,
    *sorted(GRANTABLE_CAPABILITIES - set(DOCKER_CAPABILITIES)),
    *("CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_BLOCK_SUSPEND", "CAP_BPF", "CAP_CHECKPOINT_RESTORE"),
    *("CAP_DAC_READ_SEARCH", "CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE", "CAP_PERFMON", "CAP_SYSLOG", "CAP_SYS_ADMIN"),
    *("CAP_SYS_BOOT", "CAP_SYS_MODULE", "CAP_SYS_PACCT", "CAP_SYS_RAWIO", "CAP_SYS_TIME", "CAP_WAKE_ALARM"),
)

# In the kernel's order, so that the number of the last one says which a kernel has.
KERNEL_CAPABILITIES = (
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID"),
    *("CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN"),
    *("CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT"),
    *("CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE"),
    *("CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL"),
    *("CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND"),
    *("CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE"),
)

# RUN-20: Docker's list of 2026 (moby GHSA-6fw5-f8r9-fgfm, GHSA-7ww5-4wqc-m92c).
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
# What else of the host /proc would tell or take; masked when the kernel has it.
MASKED_WHEN_THERE = ("/sys/kernel/debug", "/sys/kernel/tracing", "/sys/fs/pstore", "/sys/fs/bpf")


def thermal_paths(cpus: int) -> tuple[str, ...]:
    """Per-CPU thermal counters: a side channel (GHSA-6fw5-f8r9-fgfm)."""
    return tuple(f"/sys/devices/system/cpu/cpu{number}/thermal_throttle" for number in range(cpus))


NAMESPACES = ("pid", "ipc", "uts", "mount", "network", "cgroup")
# Those that a host's policy may let containers share. Mounts and control groups are never the host's.
HOST_NAMESPACES = ("pid", "ipc", "uts", "network")

# RUN-11: null, zero, full, random, urandom, tty, ptmx and the terminals of this container's own devpts.
_DEVICES = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2))


def device_rules() -> list[dict[str, Any]]:
    """Deny all, then the eight. Making nodes is not allowed either: CAP_MKNOD is withheld."""
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    rules += [{"allow": True, "type": "c", "major": a, "minor": b, "access": "rwm"} for a, b in _DEVICES]
    return [*rules, {"allow": True, "type": "c", "major": 136, "access": "rwm"}]


SHM_BYTES = 64 * 1024 * 1024


INIT_PLACE = "/sbin/docker-init"  # where people know it from
# A node that was made for this container; its use is a rule of the device control group.
DEVICE_OPTIONS = ("bind", "rprivate", "nosuid", "noexec")
INIT_OPTIONS = ("bind", "rprivate", "ro", "nosuid", "nodev")


def system_mounts(
    shm_bytes: int = SHM_BYTES, *, is_privileged: bool = False, shares_ipc: bool = False
) -> list[dict[str, Any]]:
    """The mounts of the system's own file systems, in order. Who shares the host's IPC has its memory, too."""
    quiet = ["nosuid", "noexec", "nodev"]
    kept = [] if is_privileged else ["ro"]
    at = "/dev/shm"  # noqa: S108 - the container's own, or the host's
    if shares_ipc:
        memory = {"destination": at, "type": "bind", "source": at, "options": ["rbind", *quiet]}
    else:
        options = [*quiet, "mode=1777", f"size={shm_bytes}"]
        memory = {"destination": at, "type": "tmpfs", "source": "shm", "options": options}
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": quiet},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*quiet, *kept]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": [*quiet, "relatime", *kept]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": quiet},
        memory,
    ]


PING_GROUPS = "net.ipv4.ping_group_range"
# Docker gives both to every container with its own network namespace: ping without CAP_NET_RAW, low ports without root.
SYSCTLS = {PING_GROUPS: "0 2147483647", "net.ipv4.ip_unprivileged_port_start": "0"}
# In a user namespace the kernel takes only groups that exist there.
SYSCTLS_OF_OWN_IDS = SYSCTLS | {PING_GROUPS: f"0 {RANGE_IDS - 1}"}
IPC_SYSCTLS = frozenset(
    {
        *("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem"),
        *("kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"),
    }
)
# Of a container's own network and IPC, and nothing that would send packets another way or let others' in.
SAFE_SYSCTLS = IPC_SYSCTLS | {
    *("fs.mqueue.msg_default", "fs.mqueue.msg_max", "fs.mqueue.msgsize_default", "fs.mqueue.msgsize_max"),
    *("fs.mqueue.queues_max", "net.core.somaxconn", "net.ipv4.ip_local_port_range"),
    *("net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl"),
    *("net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_max_syn_backlog"),
    *("net.ipv4.tcp_syncookies", "net.ipv4.tcp_tw_reuse"),
}
OOM_SCORE_ADJUSTMENT = 200  # above 0: a container goes before our own services (RUN-13)
OPEN_FILES = (1024, 524_288)  # soft, hard; systemd's defaults; the hard one is clamped to the host's


def namespace_of(sysctl: str) -> str | None:
    """Which namespace of a container a setting belongs to; None for those of the whole host."""
    if sysctl.startswith("net."):
        return "network"
    if sysctl.startswith("fs.mqueue.") or sysctl in IPC_SYSCTLS:
        return "ipc"
    return None
