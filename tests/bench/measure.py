"""Clocks and sums: from exec of a client to a byte on its terminal, space of a file system, medians."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CLOCK = struct.Struct("d")
PATIENCE_S = 300.0


@dataclass(frozen=True)
class Figure:
    """One line of the bench. `docker` is empty for works that only Berth does; the spread is lowest to highest."""

    work: str
    ours: Sequence[float]
    docker: Sequence[float] = ()
    unit: str = "s"
    note: str = ""

    def line(self) -> str:
        ours = statistics.median(self.ours)
        words = [self.work, f"ours={_short(ours)}{self.unit}"]
        if self.docker:
            theirs = statistics.median(self.docker)
            words += [f"docker={_short(theirs)}{self.unit}", f"ratio={ours / theirs:.3f}"]
        else:
            words += ["docker=-", "ratio=-"]
        words += [f"n={len(self.ours)}", f"ours_spread={_spread(self.ours)}"]
        if self.docker:
            words.append(f"docker_spread={_spread(self.docker)}")
        return " ".join([*words, self.note]).rstrip()


def _short(value: float) -> str:
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"


def _spread(values: Sequence[float]) -> str:
    return f"{_short(min(values))}..{_short(max(values))}"


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def seconds_of(argv: Sequence[str], env: Mapping[str, str]) -> float:
    """From exec to exit of a client without a terminal."""
    began = time.monotonic()
    done = subprocess.run(
        list(argv), env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    took = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout[-500:]}{done.stderr[-2000:]}")
    return took


def seconds_to_prompt(argv: Sequence[str], env: Mapping[str, str], prompt: bytes) -> float:
    """From the client's exec to the prompt on its PTY. The shell is left by `exit`, the client's end waited for."""
    clock_out, clock_in = os.pipe()
    pid, master = pty.fork()
    if pid == 0:
        os.write(clock_in, CLOCK.pack(time.monotonic()))
        os.execvpe(argv[0], list(argv), dict(env))
    try:
        os.close(clock_in)
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        seen = b""
        while prompt not in seen:
            seen += _read(master, seen)
        shown = time.monotonic()
        began = CLOCK.unpack(os.read(clock_out, CLOCK.size))[0]
        os.write(master, b"exit\n")
        _until_closed(master)
    finally:
        os.close(clock_out)
        os.close(master)
        os.waitpid(pid, 0)
    return shown - began


def _read(master: int, seen: bytes) -> bytes:
    if not select.select([master], [], [], 60)[0]:
        raise RuntimeError(f"no prompt came; the terminal shows {seen[-2000:]!r}")
    try:
        return os.read(master, 65536)
    except OSError:
        raise RuntimeError(f"the client ended without a prompt: {seen[-2000:]!r}") from None


def _until_closed(master: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([master], [], [], 1)[0]:
            try:
                if not os.read(master, 65536):
                    return
            except OSError:
                return


def disk_bytes(folder: Path) -> int:
    """Blocks of every file under a folder, hard links once, without crossing into what is mounted there."""
    done = subprocess.run(["du", "-s", "-x", "--block-size=1", str(folder)], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bfree * found.f_frsize


def seconds_until_free(argv: Sequence[str], env: Mapping[str, str], folder: Path, wanted_bytes: int) -> float:
    """From a client's exec until both it has ended and statvfs shows that much more free space than before."""
    os.sync()
    time.sleep(1)
    before = free_bytes(folder)
    began = time.monotonic()
    client = subprocess.Popen(list(argv), env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while True:
        has_ended = client.poll() is not None
        has_space = free_bytes(folder) - before >= wanted_bytes * 0.95
        if has_ended and has_space:
            break
        if time.monotonic() - began > PATIENCE_S:
            client.kill()
            raise RuntimeError(f"{' '.join(argv)}: the space did not come back")
        time.sleep(0.0005)
    took = time.monotonic() - began
    if client.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with {client.returncode}")
    return took


def warm(folder: Path) -> None:
    """Have a folder's files in the page cache, and nothing left to write."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while file.read(1 << 20):
                    pass
    os.sync()


def processes_below(pid: int) -> list[int]:
    found, level = [pid], [pid]
    while level:
        level = [child for parent in level for child in _children(parent)]
        found += level
    return found


def _children(pid: int) -> list[int]:
    try:
        return [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return []


def command_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def pss_bytes(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def peak_rss_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM:"))


def processes_named(name: str, part: str) -> list[int]:
    """Processes of that name whose command line has `part` in it."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and command_name(int(folder.name)) == name:
            try:
                if part in (folder / "cmdline").read_text():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found
