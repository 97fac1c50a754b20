from __future__ import annotations

import secrets
import subprocess
import threading

import pytest

from engine.config import Limits
from engine.errors import RequestRefused
from engine.kernel import cgroups, mounts
from engine.kernel.cgroups import Mode
from engine.runtime import shares
from engine.runtime.policy import Policy

V1 = """\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
41 31 0:37 / /run/elsewhere rw - cgroup cgroup rw,xattr,name=systemd
"""
HYBRID = V1 + "42 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
V2 = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"


@pytest.fixture(autouse=True)
def fresh():
    cgroups.hierarchies.cache_clear()
    yield
    cgroups.hierarchies.cache_clear()


@pytest.mark.fault("F46")
@pytest.mark.parametrize(
    ("text", "mode", "count"), [(V1, Mode.V1, 3), (HYBRID, Mode.HYBRID, 4), (V2, Mode.V2, 1), ("", Mode.NONE, 0)]
)
def test_every_kind_of_host_is_understood(monkeypatch, text, mode, count):
    monkeypatch.setattr(mounts, "mountinfo", lambda: mounts.parse_mountinfo(text))
    assert cgroups.mode() is mode
    assert len(cgroups.hierarchies()) == count


def test_controllers_mounted_together_are_one_hierarchy():
    found = cgroups.parse_hierarchies(mounts.parse_mountinfo(V1))
    assert found[0].controllers == {"cpu", "cpuacct"}
    assert found[2].controllers == frozenset()


@pytest.fixture
def group():
    path = f"/berth-test-{secrets.token_hex(4)}"
    cgroups.create(path)
    yield path
    cgroups.kill_all(path)
    assert cgroups.remove(path)
    assert not cgroups.exists(path)


@pytest.mark.root
def test_a_process_is_moved_in_every_hierarchy_and_killed_with_its_children(group):
    cgroups.create(f"{group}/conmon")
    cgroups.create(f"{group}/conmon")
    process = subprocess.Popen(["sh", "-c", "read x; sleep 300 & sleep 300 & wait"], stdin=subprocess.PIPE)
    cgroups.move(process.pid, f"{group}/conmon")
    with open(f"/proc/{process.pid}/cgroup") as file:
        assert all(line.rstrip().endswith(f"{group}/conmon") for line in file)
    process.stdin.write(b"\n")
    process.stdin.close()
    assert process.pid in cgroups.pids(group)
    assert cgroups.children(group) == {"conmon"}
    assert not cgroups.remove(group, timeout_s=0)
    reaper = threading.Thread(target=process.wait)
    reaper.start()
    assert cgroups.kill_all(group)
    reaper.join()
    assert cgroups.pids(group) == set()


@pytest.mark.root
def test_what_is_not_there_is_empty_and_can_be_removed():
    missing = f"/berth-test-{secrets.token_hex(4)}"
    assert cgroups.pids(missing) == set()
    assert cgroups.children(missing) == set()
    assert cgroups.oom_kills(missing) is None
    assert cgroups.kill_all(missing)
    assert cgroups.remove(missing)


@pytest.mark.root
def test_a_process_that_has_ended_cannot_be_moved(group):
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises(ProcessLookupError):
        cgroups.move(process.pid, group)


@pytest.mark.root
def test_kills_for_want_of_memory_are_counted(group):
    memory = next(h for h in cgroups.hierarchies() if "memory" in h.controllers)
    limit = "memory.limit_in_bytes" if memory.version == 1 else "memory.max"
    (memory.folder(group) / limit).write_text(str(20 * 1024 * 1024))
    assert cgroups.oom_kills(group) == 0
    process = subprocess.Popen(["sh", "-c", "read x; exec python3 -c 'b = bytearray(10**9)'"], stdin=subprocess.PIPE)
    cgroups.move(process.pid, group)
    process.communicate(b"\n", timeout=30)
    assert process.returncode == -9
    assert cgroups.oom_kills(group) == 1


@pytest.mark.fault("F46")
@pytest.mark.parametrize(
    "asked", [{"cpus": "0"}, {"memory_swap_bytes": 1 << 27}, {"memory_reservation_bytes": 1 << 25}]
)
def test_what_a_recorded_host_cannot_enforce_is_refused_with_the_reason(monkeypatch, tmp_path, asked):
    """A hybrid host without cpuset, blkio and the accounting of swap."""
    text = HYBRID.replace("/sys/fs/cgroup", str(tmp_path))
    monkeypatch.setattr(mounts, "mountinfo", lambda: mounts.parse_mountinfo(text))
    assert cgroups.controllers() == {"cpu", "cpuacct", "memory"}
    facts = shares.share_facts.__wrapped__()
    assert not facts.rates
    with pytest.raises(RequestRefused, match="This kernel cannot"):
        shares.refuse_unfit_shares(shares.SharesRequest(**asked), 1 << 26, Policy(), facts, Limits())


V2_FILES = {"cgroup.controllers": "cpu memory pids\n", "memory.events": "low 0\nhigh 3\nmax 9\noom 2\noom_kill 1\n"}


def test_kills_are_read_from_the_files_of_the_second_version(tmp_path, monkeypatch):
    (tmp_path / "berth").mkdir()
    for name, content in V2_FILES.items():
        (tmp_path / "berth" / name).write_text(content)
    (tmp_path / "cgroup.controllers").write_text(V2_FILES["cgroup.controllers"])
    text = f"31 23 0:28 / {tmp_path} rw - cgroup2 cgroup2 rw\n"
    monkeypatch.setattr(mounts, "mountinfo", lambda: mounts.parse_mountinfo(text))
    assert cgroups.controllers() == {"cpu", "memory", "pids"}
    assert cgroups.oom_kills("/berth") == 1


@pytest.mark.parametrize(
    ("version", "name", "word", "is_frozen"),
    [
        (1, "freezer.state", "FROZEN", True),
        (1, "freezer.state", "FREEZING", True),
        (1, "freezer.state", "THAWED", False),
        (2, "cgroup.freeze", "1", True),
        (2, "cgroup.freeze", "0", False),
        (2, "freezer.state", "FROZEN", False),
    ],
)
def test_a_frozen_group_is_known_in_both_versions(tmp_path, monkeypatch, version, name, word, is_frozen):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / name).write_text(f"{word}\n")
    kind = "cgroup cgroup rw,freezer" if version == 1 else "cgroup2 cgroup2 rw"
    line = f"40 31 0:37 / {tmp_path} rw - {kind}\n"
    monkeypatch.setattr(mounts, "mountinfo", lambda: mounts.parse_mountinfo(line))
    assert cgroups.is_frozen("/one") is is_frozen
    assert cgroups.is_frozen("/none") is False
