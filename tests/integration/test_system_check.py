"""`system check` finds what is planted, mends what can be mended, and never touches what may be somebody's work."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.conftest import make_berth

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


def lines(berth, *flags: str) -> list[str]:
    return [
        " ".join(one[k] for k in ("invariant", "kind", "name", "problem")) for one in check(berth, *flags)["findings"]
    ]


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


def test_what_is_left_of_what_does_not_run_is_found_and_mended(berth):
    ended = Path(berth.container_folder(berth.ok("ps", "-aq", "-f", "name=ended").strip()))
    place = ended / "rootfs" / "merged"
    subprocess.run(["mount", "-t", "tmpfs", "leftover", str(place)], check=True)
    group = "f" * 64
    for top in [path for path in Path("/sys/fs/cgroup").iterdir() if (path / f"berth-{berth.tag}").is_dir()]:
        (top / f"berth-{berth.tag}" / group).mkdir()
    try:
        found = check(berth, "--repair")
        said = {(one["invariant"], one["kind"], one["name"]) for one in found["repaired"]}
        assert {("I3", "mount", str(place)), ("I3", "control group", "f" * 12)} <= said
        assert found["findings"] == []
    finally:
        subprocess.run(["umount", str(place)], check=False, capture_output=True)


def test_a_damaged_layer_is_found_by_reading_it(berth):
    layer = max((berth.data / "layers").iterdir(), key=lambda path: path.stat().st_size)
    whole = layer.read_bytes()
    try:
        with open(layer, "r+b") as file:
            file.seek(len(whole) // 2)
            file.write(bytes([whole[len(whole) // 2] ^ 1]))
        assert lines(berth) == []
        assert lines(berth, "--deep") == [
            f"I1 layer {layer.name} has other bytes than when it was written; pull its image again"
        ]
        layer.rename(layer.with_name("aside"))
        assert f"I1 layer {layer.name} is not there; pull its image again" in lines(berth)
    finally:
        (berth.data / "layers" / "aside").rename(layer)
        with open(layer, "r+b") as file:
            file.write(whole)
    assert lines(berth, "--deep") == []


def test_what_has_no_row_is_an_orphan_and_stays(berth):
    folder, volume = berth.data / "containers" / ("e" * 64), berth.data / "volumes" / "strange"
    for path in (folder, volume):
        path.mkdir(mode=0o700)
        (path / "work").write_text("somebody's")
    try:
        found = check(berth, "--repair")
        assert sorted((one["kind"], one["is_orphan"]) for one in found["findings"]) == [
            ("container", True),
            ("volume", True),
        ]
        assert all((path / "work").read_text() == "somebody's" for path in (folder, volume))
    finally:
        for path in (folder, volume):
            (path / "work").unlink()
            path.rmdir()
    assert lines(berth) == []


def test_a_download_that_nobody_wants_any_more_is_found_and_goes(berth):
    path = berth.data / "ingest" / f"sha256:{'a' * 64}"
    path.touch()
    os.chown(path, *(getattr((berth.data / "ingest").stat(), name) for name in ("st_uid", "st_gid")))
    long_ago = time.time() - 3 * 3600
    os.utime(path, (long_ago, long_ago))
    found = check(berth, "--repair")
    assert [(one["invariant"], one["name"]) for one in found["repaired"]] == [("I6", f"ingest/{path.name}")]
    assert not path.exists()


def test_a_container_without_its_control_group_network_or_monitor_is_noticed(berth):
    """Rows that say so and a reality that does not: the reconciler ends such a container, and then nothing is left."""
    os.kill(berth.monitor_pid(berth.ok("ps", "-q", "-f", "name=web").strip()), 9)
    berth.wait_state("web", "exited")
    assert lines(berth, "--repair") == []
