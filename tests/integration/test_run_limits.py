"""Rights and shares that `run` asks for, as a program in the container finds them."""

from __future__ import annotations

import json
import os
import resource

import pytest

from engine.kernel import cgroups

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(180)]
IMAGE = "ubuntu:14.04"
ON_V1 = any(hierarchy.version == 1 and "memory" in hierarchy.controllers for hierarchy in cgroups.hierarchies())


@pytest.fixture(autouse=True)
def no_container_stays(berth):
    yield
    berth.remove_all()


def inside(berth, *flags: str, script: str) -> list[str]:
    return berth.ok("run", "--rm", *flags, IMAGE, "sh", "-c", script).splitlines()


def bounding(berth, *flags: str) -> int:
    return int(inside(berth, *flags, script="grep CapBnd /proc/1/status")[0].split()[1], 16)


@pytest.mark.threat("RUN-08")
def test_capabilities(berth):
    default = bounding(berth)
    assert bounding(berth, "--cap-add", "net_raw") == default | 1 << 13
    assert bounding(berth, "--cap-drop", "CAP_CHOWN", "--cap-drop", "setuid") == default & ~(1 << 0 | 1 << 7)
    assert bounding(berth, "--cap-drop", "ALL", "--cap-add", "KILL") == 1 << 5
    assert inside(berth, "--cap-drop=chown", script="chown 5 /etc/passwd 2>/dev/null || echo no") == ["no"]
    box = berth.start_long("--cap-drop=ALL", IMAGE, "sleep", "1000")
    assert berth.ok("exec", box, "grep", "CapBnd", "/proc/self/status").split()[1].strip("0") == ""
    host = json.loads(berth.ok("inspect", box))[0]["HostConfig"]
    assert (host["CapAdd"], host["CapDrop"]) == (None, ["ALL"])


@pytest.mark.threat("RUN-07")
@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--cap-add", "SYS_ADMIN"), "No container here can have CAP_SYS_ADMIN"),
        (("--cap-add", "NET_ADMIN"), "policy does not allow CAP_NET_ADMIN in containers"),
        (("--cap-add", "ALL"), "No container here has all capabilities"),
        (("--cap-add", "nope"), 'unknown capability: "CAP_NOPE"'),
        (("--privileged",), "This host does not allow privileged containers"),
        (("--device", "/dev/sda"), "This host does not give /dev/sda to containers"),
        (("--pid", "host"), "This host does not let containers into its own pid namespace"),
        (("--security-opt", "seccomp=unconfined"), "without a filter of system calls"),
        (("--security-opt", "seccomp=/etc/passwd"), "a list of system calls of one's own is not taken"),
        (("--security-opt", "apparmor=mine"), "containers have no apparmor profile or label here"),
        (("--security-opt", "systempaths=unconfined"), 'invalid --security-opt: "systempaths=unconfined"'),
        (("--ulimit", "rtprio=99"), "at most 0 for the limit rtprio"),
        (("--ulimit", "nofile=2:1"), "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
        (("--ulimit", "files=1"), "invalid ulimit type: files"),
        (("--memory-swap", "1g"), "You should always set the Memory limit"),
        (("-m", "64m", "--memory-swap", "-1"), "A container always has a limit here"),
        (("-m", "64m", "--memory-reservation", "65m"), "can not be less than memory reservation limit"),
        (("--oom-score-adj", "-1000"), "1 to 1000 here"),
        (("--oom-score-adj", "2000"), "range for oom score adj is [-1000, 1000]"),
        (("-c", "1"), "The minimum allowed cpu-shares is 2"),
        (("--cpuset-cpus", "0-99"), "Requested CPUs are not available"),
        (("--device-read-bps", "/dev/null:1mb"), "/dev/null is not a block device of this host"),
        (("--device-read-bps", "/etc/passwd:1mb"), "bad format for device path"),
        (("--device-write-iops", "/dev/sda:0"), "Number must be a positive integer"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_reason_and_nothing_is_made(berth, flags, sentence):
    for verb in ("run", "create"):
        done = berth.run_command(verb, *flags, IMAGE, "true")
        assert done.returncode == 125
        assert sentence in done.stderr
    assert berth.ok("ps", "-aq") == ""


@pytest.mark.threat("RUN-09")
def test_no_new_privileges(berth):
    assert inside(berth, "--security-opt", "no-new-privileges", script="grep NoNewPrivs /proc/1/status") == [
        "NoNewPrivs:\t1"
    ]
    assert inside(berth, script="grep NoNewPrivs /proc/1/status") == ["NoNewPrivs:\t0"]
    box = berth.start_long("--security-opt=no-new-privileges:true", IMAGE, "sleep", "1000")
    assert berth.ok("exec", box, "grep", "NoNewPrivs", "/proc/self/status") == "NoNewPrivs:\t1\n"


def test_limits_of_processes(berth):
    flags = ("--ulimit", "nofile=100:200", "--ulimit", "core=0", "--ulimit", "nproc=50")
    lines = inside(berth, *flags, script="ulimit -Sn; ulimit -Hn; ulimit -c; grep processes /proc/self/limits")
    assert (lines[:3], lines[3].split()[2:4]) == (["100", "200", "0"], ["50", "50"])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    done = berth.run_command("run", "--rm", "--ulimit", f"nofile={hard + 1}", IMAGE, "true")
    if hard != resource.RLIM_INFINITY:
        assert "The host allows at most" in done.stderr
    box = berth.start_long("--ulimit", "nofile=100:200", IMAGE, "sleep", "1000")
    assert berth.ok("exec", box, "sh", "-c", "ulimit -Hn") == "200\n"
    ulimits = json.loads(berth.ok("inspect", box))[0]["HostConfig"]["Ulimits"]
    assert ulimits == [{"Name": "nofile", "Hard": 200, "Soft": 100}]


@pytest.mark.threat("RUN-13")
@pytest.mark.skipif(not ON_V1, reason="reads version 1 control groups")
def test_shares_as_the_control_groups_have_them(berth):
    flags = ("-m", "64m", "--memory-swap", "96m", "--memory-reservation", "32m", "-c", "333", "--cpuset-cpus", "0",
             "--oom-score-adj", "777")  # fmt: skip
    script = """cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes
        cat memory/memory.soft_limit_in_bytes cpu/cpu.shares cpuset/cpuset.cpus /proc/1/oom_score_adj; nproc"""
    mib = 1 << 20
    assert inside(berth, *flags, script=script) == [
        *(str(64 * mib), str(96 * mib), str(32 * mib)),
        *("333", "0", "777", "1"),
    ]


def _block_device() -> str | None:
    found = sorted(os.listdir("/sys/block"))
    return next((f"/dev/{name}" for name in found if os.path.exists(f"/dev/{name}")), None)


@pytest.mark.skipif(not ON_V1 or _block_device() is None, reason="needs a block device and version 1 control groups")
def test_rates_of_a_device(berth):
    device = _block_device()
    flags = ("--device-read-bps", f"{device}:1mb", "--device-write-bps", f"{device}:2mb",
             "--device-read-iops", f"{device}:100", "--device-write-iops", f"{device}:200")  # fmt: skip
    names = ("read_bps", "write_bps", "read_iops", "write_iops")
    script = "; ".join(f"cat /sys/fs/cgroup/blkio/blkio.throttle.{name}_device" for name in names)
    number = os.stat(device).st_rdev
    at = f"{os.major(number)}:{os.minor(number)}"
    assert inside(berth, *flags, script=script) == [f"{at} {1 << 20}", f"{at} {2 << 20}", f"{at} 100", f"{at} 200"]
    made = berth.ok("create", *flags, IMAGE, "true").strip()
    host = json.loads(berth.ok("inspect", made))[0]["HostConfig"]
    assert host["BlkioDeviceReadBps"] == [{"Path": device, "Rate": 1 << 20}]
