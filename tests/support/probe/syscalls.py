"""System calls of x86-64 to try from inside, by number, with what they must answer there (RUN-10)."""

from __future__ import annotations

from dataclasses import dataclass

EPERM, EINVAL, ENOSYS, EAFNOSUPPORT = 1, 22, 38, 97


@dataclass(frozen=True)
class Call:
    number: int
    arguments: tuple[int, ...]
    errno: int = EPERM


_NAMESPACES = {"time": 0x80, "mnt": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000}
_NAMESPACES |= {"user": 0x10000000, "pid": 0x20000000, "net": 0x40000000}

REFUSED = {
    **{f"unshare-{name}": Call(272, (flag,)) for name, flag in _NAMESPACES.items()},
    **{f"clone-{name}": Call(56, (flag | 17, 0, 0, 0, 0)) for name, flag in _NAMESPACES.items() if name != "time"},
    "clone3": Call(435, (0, 88), ENOSYS),
    "setns": Call(308, (0, 0)),
    "mount": Call(165, (0, 0, 0, 0, 0)),
    "umount2": Call(166, (0, 0)),
    "pivot_root": Call(155, (0, 0)),
    "fsopen": Call(430, (0, 0)),
    "fsconfig": Call(431, (0, 0, 0, 0, 0)),
    "fsmount": Call(432, (0, 0, 0)),
    "fspick": Call(433, (0, 0, 0)),
    "open_tree": Call(428, (0, 0, 0)),
    "move_mount": Call(429, (0, 0, 0, 0, 0)),
    "mount_setattr": Call(442, (0, 0, 0, 0, 0)),
    "keyctl": Call(250, (0, 0)),
    "add_key": Call(248, (0, 0, 0, 0, 0)),
    "request_key": Call(249, (0, 0, 0, 0)),
    "bpf": Call(321, (0, 0, 0)),
    "perf_event_open": Call(298, (0, 0, 0, 0, 0)),
    "userfaultfd": Call(323, (0,)),
    "io_uring_setup": Call(425, (1, 0)),
    "io_uring_enter": Call(426, (0, 0, 0, 0, 0, 0)),
    "io_uring_register": Call(427, (0, 0, 0, 0)),
    "process_vm_readv": Call(310, (1, 0, 0, 0, 0, 0)),
    "process_vm_writev": Call(311, (1, 0, 0, 0, 0, 0)),
    "pidfd_getfd": Call(438, (0, 0, 0)),
    "open_by_handle_at": Call(304, (0, 0, 0)),
    "kexec_load": Call(246, (0, 0, 0, 0)),
    "kexec_file_load": Call(320, (0, 0, 0, 0, 0)),
    "init_module": Call(175, (0, 0, 0)),
    "finit_module": Call(313, (0, 0, 0)),
    "delete_module": Call(176, (0, 0)),
    "reboot": Call(169, (0, 0, 0, 0)),
    "swapon": Call(167, (0, 0)),
    "acct": Call(163, (0,)),
    "syslog": Call(103, (10, 0, 0)),
    "settimeofday": Call(164, (0, 0)),
    "clock_settime": Call(227, (0, 0)),
    "iopl": Call(172, (3,)),
    "quotactl": Call(179, (0, 0, 0, 0)),
    "socket-audit": Call(41, (16, 3, 9), EINVAL),
    "socket-alg": Call(41, (38, 5, 0), EAFNOSUPPORT),
    "socket-vsock": Call(41, (40, 1, 0), EAFNOSUPPORT),
}
ALLOWED = {
    "socket-inet": Call(41, (2, 1, 0)),
    "socket-inet6": Call(41, (10, 1, 0)),
    "socket-unix": Call(41, (1, 1, 0)),
    "socket-netlink": Call(41, (16, 3, 0)),
    "clone-plain": Call(56, (17, 0, 0, 0, 0)),
    "memfd_create": Call(319, (0x400000, 0)),  # a bad address is EFAULT: the call itself was let in
    "inotify_init1": Call(294, (0,)),
    "epoll_create1": Call(291, (0,)),
    "timerfd_create": Call(283, (1, 0)),
    "getrandom": Call(318, (0, 0, 0)),
    "chroot": Call(161, (0,)),
    "ptrace": Call(101, (16, 999999, 0, 0)),
    "pidfd_open": Call(434, (1, 0)),
    "personality": Call(135, (0xFFFFFFFF,)),
    "sched_setaffinity": Call(203, (0, 0, 0)),
}


def report_script(calls: dict[str, Call]) -> str:
    """perl that prints `name errno` for each call; "ok" when it was let through (whatever else the kernel then said)."""
    lines = ["$| = 1;"]
    for name, call in calls.items():
        numbers = ", ".join(str(number) for number in (call.number, *call.arguments))
        lines.append(
            f"$! = 0; $r = syscall({numbers}); $e = $! + 0; "
            f"if ($r == 0 && {call.number} == 56) {{ syscall(231, 0) }} "
            f'print "{name} ", ($r >= 0 || ($e != 1 && $e != {call.errno} && $e != 38 && $e != 97) ? "ok" : $e), "\\n";'
        )
    return " ".join(lines)
