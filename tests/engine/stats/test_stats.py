"""Readings of control groups: v1 of this host, v2 and v1 of recorded trees; figures from two of them."""

from __future__ import annotations

import os

import pytest

from engine.kernel import cgroups, mounts
from engine.stats import Reading, Sampler, read, sampler
from engine.stats.reading import Group

MIB = 1 << 20
# As Linux 6.1 writes them, for a container under Debian 12's pure v2.
V2 = {
    "cpu.stat": "usage_usec 1234567\nuser_usec 1000000\nsystem_usec 234567\nnr_periods 10\nnr_throttled 0\n",
    "memory.current": f"{100 * MIB}\n",
    "memory.max": f"{512 * MIB}\n",
    "memory.stat": f"anon {60 * MIB}\nfile {40 * MIB}\ninactive_anon 0\nactive_anon 1\ninactive_file {30 * MIB}\n",
    "pids.current": "7\n",
    "io.stat": (
        "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n"
        "259:1 rbytes=1000 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n"
    ),
}
V1 = {
    "cpuacct.usage": "1234567000\n",
    "memory.usage_in_bytes": f"{100 * MIB}\n",
    "memory.limit_in_bytes": f"{512 * MIB}\n",
    "memory.stat": f"cache 1\ninactive_file 5\ntotal_cache 1\ntotal_inactive_file {30 * MIB}\n",
    "pids.current": "7\n",
    "blkio.throttle.io_service_bytes_recursive": (
        "8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 0\n8:0 Total 12288\n259:1 Read 1000\nTotal 13288\n"
    ),
}


@pytest.fixture(autouse=True)
def fresh():
    cgroups.hierarchies.cache_clear()
    yield
    cgroups.hierarchies.cache_clear()


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def tree(request, tmp_path, monkeypatch):
    """A recorded group `/berth/one` of either version; its folder."""
    if request.param == 2:
        (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
        lines = f"31 23 0:28 / {tmp_path} rw - cgroup2 cgroup2 rw\n"
    else:
        lines = f"31 23 0:28 / {tmp_path} rw - cgroup cgroup rw,cpuacct,memory,pids,blkio\n"
    monkeypatch.setattr(mounts, "mountinfo", lambda: mounts.parse_mountinfo(lines))
    folder = tmp_path / "berth" / "one"
    folder.mkdir(parents=True)
    for name, text in (V2 if request.param == 2 else V1).items():
        (folder / name).write_text(text)
    return folder


def test_both_versions_say_the_same(tree):
    found = read("/berth/one")
    assert found == Reading(
        at_ns=found.at_ns,
        cpu_ns=1_234_567_000,
        memory_bytes=70 * MIB,
        memory_limit_bytes=512 * MIB,
        processes=7,
        read_bytes=5096,
        written_bytes=8192,
    )


def test_no_limit_and_what_is_not_there(tree):
    limit = next(name for name in ("memory.max", "memory.limit_in_bytes") if (tree / name).exists())
    (tree / limit).write_text("max\n" if limit == "memory.max" else "9223372036854771712\n")
    for name in ("io.stat", "blkio.throttle.io_service_bytes_recursive"):
        (tree / name).unlink(missing_ok=True)
    found = read("/berth/one")
    assert (found.memory_limit_bytes, found.read_bytes, found.written_bytes) == (None, 0, 0)
    assert read("/berth/none") is None


def _readings(monkeypatch, *steps):
    given = iter(steps)
    monkeypatch.setattr(Group, "read", lambda self: next(given))


def _reading(at_s: float, cpu_s: float) -> Reading:
    return Reading(
        at_ns=int(at_s * 1e9), cpu_ns=int(cpu_s * 1e9), memory_bytes=1, memory_limit_bytes=None, processes=1,
        read_bytes=0, written_bytes=0,
    )  # fmt: skip


def test_processors_are_counted_between_two_looks(tree, monkeypatch):
    _readings(monkeypatch, _reading(10, 5), _reading(12, 8), _reading(12, 8), _reading(14, 1))
    looks = Sampler()
    found = [looks.sample(["/berth/one"])["/berth/one"] for _ in range(4)]
    assert [one.cpu_percent for one in found] == [0.0, 150.0, 0.0, 0.0]
    assert found[0].memory_limit_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_descriptors_are_held_while_a_group_is_looked_at_and_no_longer(tree):
    before = len(os.listdir("/proc/self/fd"))
    looks = Sampler()
    looks.sample(["/berth/one"])
    held = len(os.listdir("/proc/self/fd"))
    looks.sample(["/berth/one"])
    assert len(os.listdir("/proc/self/fd")) == held > before
    assert looks.sample([]) == {}
    assert len(os.listdir("/proc/self/fd")) == before
    looks.sample(["/berth/one"])
    looks.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_group_that_is_made_anew_is_read_anew(tree, monkeypatch):
    looks = Sampler()
    looks.sample(["/berth/one"])
    real, failed = sampler.Group.read, []

    def read_once_gone(group):
        if not failed:
            failed.append(group)
            raise OSError(19, "No such device")
        return real(group)

    monkeypatch.setattr(sampler.Group, "read", read_once_gone)
    found = looks.sample(["/berth/one"])["/berth/one"]
    assert (found.cpu_percent, found.processes) == (0.0, 7)
    looks.close()
