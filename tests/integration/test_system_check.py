"""`system check` finds what is planted, mends what can be mended, and never touches what may be somebody's work."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.conftest import make_berth
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services]


@pytest.fixture(scope="module")
def berth(registry):
    """Its own: what is planted here must not trouble others."""
    with make_berth(registry) as server:
        server.ok("pull", "-q", "ubuntu:14.04")
        yield server


def check(berth, *flags: str) -> dict:
    done = berth.run_command("system", "check", "--format", "json", *flags)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert done.returncode == (1 if found["count"] else 0)
    return found


def test_a_berth_with_everything_in_use_is_clean(berth):
    berth.ok("network", "create", "front")
    berth.ok("run", "-d", "--name", "web", "-p", "8080", "ubuntu:14.04", "sleep", "1000")
    berth.ok("run", "-d", "--name", "data", "--network", "front", "-v", "kept:/data", "--storage-opt", "size=64m",
             "ubuntu:14.04", "sleep", "1000")  # fmt: skip
    berth.ok("run", "--name", "ended", "ubuntu:14.04", "true")
    berth.ok("exec", "-d", "web", "sleep", "900")
    berth.ok("pause", "data")
    done = berth.run_command("system", "check", "--deep")
    assert (done.returncode, done.stdout) == (0, "Everything is as it must be.\n")
    figures = check(berth)["figures"]
    assert (figures["network_namespaces"], figures["monitors"], figures["interfaces"]) == (2, 3, 2)
    berth.ok("unpause", "data")


@contextlib.contextmanager
def planted(berth, ended: Path):
    """One of each: what a run, a download, a writer, an older database and a bad disk may leave. By their names in findings."""
    long_ago = time.time() - 3 * 3600
    place, group = ended / "rootfs" / "merged", "f" * 64
    subprocess.run(["mount", "-t", "tmpfs", "leftover", str(place)], check=True)
    for top in [path for path in Path("/sys/fs/cgroup").iterdir() if (path / f"berth-{berth.tag}").is_dir()]:
        (top / f"berth-{berth.tag}" / group).mkdir()
    partial, download = berth.data / "layers" / ".abc.sqfs.01234567", berth.data / "ingest" / f"sha256:{'a' * 64}"
    socket, published = ended / "io" / "attach", berth.run / "ports" / ended.name
    for path in (partial, download, socket, published):
        path.touch()
    for path in (partial, download):
        os.utime(path, (long_ago, long_ago))
    orphans = [berth.data / "containers" / ("e" * 64), berth.data / "volumes" / "strange"]
    for path in orphans:
        path.mkdir(mode=0o700)
        (path / "work").write_text("somebody's")
    layer = max((berth.data / "layers").glob("*.sqfs"), key=lambda path: path.stat().st_size)
    whole = layer.read_bytes()
    with open(layer, "r+b") as file:
        file.seek(len(whole) // 2)
        file.write(bytes([whole[len(whole) // 2] ^ 1]))
    try:
        yield {
            "mended": {
                ("I2", "file", f"layers/{partial.name}"),
                ("I3", "control group", group[:12]),
                ("I3", "mount", str(place)),
                ("I3", "socket", f"{ended.name[:12]}/attach"),
                ("I6", "file", f"ingest/{download.name}"),
            },
            "orphans": {("I4", "container", "e" * 12), ("I4", "volume", "strange")},
            "damage": {("I1", "layer", layer.name)},
        }
        assert not any(path.exists() for path in (partial, download, socket, published))
        assert [(path / "work").read_text() for path in orphans] == ["somebody's"] * 2
    finally:
        subprocess.run(["umount", str(place)], check=False, capture_output=True)
        for path in orphans:
            (path / "work").unlink()
            path.rmdir()
        with open(layer, "r+b") as file:
            file.write(whole)


def named(findings) -> set[tuple[str, str, str]]:
    return {(one["invariant"], one["kind"], one["name"]) for one in findings}


def test_everything_wrong_is_found_what_can_be_is_mended_and_what_has_no_row_stays(berth):
    ended = berth.container_folder(berth.ok("ps", "-aq", "-f", "name=ended").strip())
    with planted(berth, ended) as wrong:
        found = check(berth, "--repair", "--deep")
        assert named(found["repaired"]) >= wrong["mended"]
        assert named(found["findings"]) == wrong["orphans"] | wrong["damage"]
        assert named(one for one in found["findings"] if one["is_orphan"]) == wrong["orphans"]
    done = berth.run_command("system", "check", "--deep")
    assert (done.returncode, done.stdout) == (0, "Everything is as it must be.\n")


def test_interfaces_of_nobody_go_by_themselves(berth):
    names = [f"v{berth.tag}abc", f"br-{berth.tag}0999"]
    subprocess.run(["ip", "link", "add", names[0], "type", "veth", "peer", "name", f"w{berth.tag}x"], check=True)
    subprocess.run(["ip", "link", "add", names[1], "type", "bridge"], check=True)
    until("they are gone", lambda: not any(Path(f"/sys/class/net/{name}").exists() for name in names))
    assert check(berth)["findings"] == []


def test_a_container_without_its_control_group_network_or_monitor_is_noticed(berth):
    """Rows that say so and a reality that does not: the reconciler ends such a container, and then nothing is left."""
    os.kill(berth.monitor_pid(berth.ok("ps", "-q", "-f", "name=web").strip()), 9)
    berth.wait_state("web", "exited")
    assert check(berth)["findings"] == []
