"""What a container sees of the host and of others (the primer's steps 3 and 8), looked at from inside."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.ports import CLAIM
from tests.support.server import ROOT
from tests.support.shell_image import FOLDERS, PASSWD

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(120)]
IMAGE = "ubuntu:14.04"


@pytest.fixture
def two(berth):
    first = berth.start_long("--name", "first", "-e", "CANARY=of-first", IMAGE, "sleep", "500")
    second = berth.start_long("--name", "second", IMAGE, "sleep", "500")
    yield first, second
    berth.ok("rm", "-f", "first", "second")


def inside(berth, script: str, *flags: str) -> str:
    return berth.ok("run", "--rm", *flags, IMAGE, "sh", "-c", script)


def test_nothing_of_the_host_is_seen(berth):
    """Processes, host name, network interfaces, shared memory, files and users are the container's own."""
    looks = (
        *(
            "ps -o args | cut -d' ' -f1 | tail -n +2",
            "hostname",
            "ls /sys/class/net",
            "ls -A /dev/shm",
            "ls -A /",
            "ls -A /home",
        ),
        *("cut -d: -f1 /etc/passwd", "id -un", f"ls -d {ROOT} {berth.data} 2>/dev/null || true"),
    )
    canary = Path(f"/dev/shm/berth-canary-{os.getpid()}")
    canary.write_text("host")
    try:
        said = inside(berth, "; echo --; ".join(looks))
    finally:
        canary.unlink()
    processes, (name,), interfaces, shared, top, homes, users, (user,), folders_of_the_host = (
        part.split() for part in re.split(r"^--$", said, flags=re.MULTILINE)
    )
    # Braces: busybox's ps caught a name and its command line on the two sides of an exec (of /proc/self/exe).
    assert {process.strip("{}") for process in processes} <= {"sh", "ps", "cut", "tail", "exe"}
    assert re.fullmatch("[0-9a-f]{12}", name)
    assert name != socket.gethostname()
    assert sorted(interfaces) == ["eth0", "lo"]
    assert shared == []
    assert set(top) == {folder.split("/")[0] for folder in FOLDERS.split()} | {"tmp"}
    assert homes == ["tester"]
    assert users == [line.split(":")[0] for line in PASSWD.splitlines()]
    assert user == "root"
    assert folders_of_the_host == []


def test_two_containers_see_nothing_of_each_other(berth, two):
    first, second = two
    roots = [f"/proc/{berth.init_pid(name)}" for name in two]
    for kind in ("mnt", "pid", "net", "ipc", "uts", "cgroup"):
        links = {os.readlink(f"{root}/ns/{kind}") for root in roots} | {os.readlink(f"/proc/self/ns/{kind}")}
        assert len(links) == 3, kind
    said = inside(berth, "ps; env; hostname; ls /dev/shm; cat /proc/*/environ 2>/dev/null")
    assert "of-first" not in said
    assert "sleep 500" not in said
    assert first[:12] not in said
    assert second[:12] not in said


def test_what_containers_write_stays_theirs_and_changes_no_image(berth):
    before = berth.ok("images", "--digests", "--no-trunc")
    sums = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in _layer_files(berth)}
    assert sums
    script = (
        "echo mine >> /mark; rm -f /etc/passwd; echo x >> /etc/group; wc -l < /mark; ls /etc/passwd; wc -l < /etc/group"
    )
    first = berth.run_command("run", "--name", "writer", IMAGE, "sh", "-c", script)
    assert (first.stdout.split(), first.returncode) == (["1", "7"], 0)
    assert inside(berth, "ls /mark /etc/passwd 2>&1; wc -l < /etc/group").splitlines()[1:] == ["/etc/passwd", "6"]
    assert {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in _layer_files(berth)} == sums
    assert berth.ok("images", "--digests", "--no-trunc") == before
    again = berth.run_command("start", "-a", "writer")
    assert (again.stdout.split(), again.returncode) == (["2", "8"], 0), "its own writes of before, and only those"
    assert "/etc/passwd: No such file" in again.stderr
    berth.ok("rm", "writer")
    assert berth.ok("images", "--digests", "--no-trunc") == before


def _layer_files(berth) -> list[Path]:
    return [path for path in (berth.data / "layers").rglob("*") if path.is_file()]


@pytest.mark.threat("NET-01")
def test_no_service_of_the_host_answers_a_container(berth):
    """The web port on every address of the host, and a port that listens everywhere."""
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", 0))
        listener.listen()
        everywhere = listener.getsockname()[1]
        addresses = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
        targets = [address for address in addresses if ":" not in address][:4]
        script = "gw=$(ip route | sed -n 's/default via \\([0-9.]*\\).*/\\1/p'); echo gateway $gw; "
        script += f"for a in $gw 127.0.0.1 169.254.169.254 {' '.join(targets)}; do for p in {berth.port} {everywhere} 6379 5000 22; do "
        script += "nc -z -w 1 $a $p </dev/null 2>/dev/null && echo OPEN $a $p; done & done; wait; echo done"
        said = inside(berth, script)
    assert re.search(r"gateway \d+\.\d+", said), said
    assert "OPEN" not in said
    assert said.endswith("done\n")


@pytest.mark.threat("RUN-16")
def test_no_abstract_socket_is_ours(berth, two):
    names = subprocess.run(["ss", "-xlH"], capture_output=True, text=True, check=True).stdout
    abstract = [line for line in names.splitlines() if " @" in line and f" @{CLAIM}" not in line]
    assert [line for line in abstract if re.search("berth|conmon|runc|redis|attach", line)] == []
    assert inside(berth, "cat /proc/net/unix | tail -n +2 | wc -l").strip() == "0"


@pytest.mark.threat("CEL-02")
def test_the_sockets_and_secrets_of_berth_are_not_in_any_container(berth):
    said = inside(
        berth, "find / -xdev \\( -type s -o -name 'admin-token' -o -name 'secret-key' \\) 2>/dev/null; cat /proc/mounts"
    )
    assert "admin-token" not in said
    assert "redis" not in said
    mounts = [line.split()[1] for line in said.splitlines() if len(line.split()) >= 6]
    assert "/run" not in mounts
    for line in said.splitlines():
        assert str(berth.run) not in line


@pytest.mark.threat("RUN-08")
@pytest.mark.threat("RUN-10")
@pytest.mark.threat("RUN-02")
def test_root_inside_is_not_root_outside(berth):
    said = inside(
        berth,
        "grep -E '^(CapInh|CapAmb|CapEff|NoNewPrivs|Seccomp):' /proc/self/status; "
        "mount -t tmpfs none /mnt 2>&1; mknod /tmp/sda b 8 0 2>&1; hostname other 2>&1; "
        "(echo x > /proc/sysrq-trigger) 2>&1; ls -l /proc/self/fd | wc -l; unshare -U true 2>&1; head -c1 /proc/kcore 2>/dev/null | wc -c",
    )
    assert re.search(r"CapInh:\s+0{16}", said)
    assert re.search(r"CapAmb:\s+0{16}", said)
    assert re.search(r"Seccomp:\s+2", said)
    assert re.search("mount:.*(denied|not permitted)", said)
    assert re.search("mknod:.*not permitted", said)
    assert re.search("hostname:.*not permitted|sethostname", said)
    assert "sysrq" in said
    assert re.search("unshare.*not permitted", said, re.S)
    assert said.rstrip().endswith("0")


def test_a_container_has_limits_and_a_fork_bomb_stays_inside(berth):
    said = berth.run_command(
        "run", "--rm", "--pids-limit", "20", "-m", "64m", IMAGE,
        "sh", "-c", "i=0; while [ $i -lt 40 ]; do sleep 2 & i=$((i+1)); done; wait", timeout_s=60,
    )  # fmt: skip
    assert "fork" in said.stderr
    assert berth.ok("ps", "-q") == ""


@pytest.mark.fault("F52")
def test_a_memory_hog_is_killed_inside_and_told_as_such(berth):
    done = berth.run_command(
        "run",
        "--name",
        "hog",
        "-m",
        "16m",
        IMAGE,
        "sh",
        "-c",
        "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo $x | wc -c",
    )
    state = berth.state("hog")
    berth.ok("rm", "hog")
    assert done.returncode == 137
    assert state["OOMKilled"] is True
