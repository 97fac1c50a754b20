"""Volumes and limited layers on a whole Berth, from the command line and a page to the disk."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.support.images import Entry, folder, image, layer, push
from tests.support.shell_image import PATH, _base_layer
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(180)]
IMAGE = "ubuntu:14.04"


@pytest.fixture(autouse=True)
def nothing_stays(berth):
    yield
    berth.remove_all()
    berth.ok("volume", "prune", "-af")
    assert os.listdir(berth.data / "volumes") == []


@pytest.fixture(scope="module")
def database_image(berth, registry) -> str:
    """An image that keeps its data in a VOLUME and runs as another user."""
    seed = [
        folder("var/lib/db/", 0o700, uid=1000, gid=1000),
        Entry("var/lib/db/seed", data=b"seed\n", uid=1000, gid=1000),
    ]
    made = image([layer([*_base_layer(), folder("var/lib/"), *seed])], Cmd=["sh", "-c", "echo $HOSTNAME >> /var/lib/db/log; cat /var/lib/db/seed /var/lib/db/log"],
                 Env=[PATH], User="tester", Volumes={"/var/lib/db": {}})  # fmt: skip
    push(registry.url, "library/keeper:1", made)
    berth.ok("pull", "-q", "keeper:1")
    return "keeper:1"


def test_data_survives_recreating_its_container(berth):
    assert berth.ok("volume", "create", "data") == "data\n"
    berth.ok("run", "--rm", "-v", "data:/data", IMAGE, "sh", "-c", "echo kept > /data/file")
    assert berth.ok("run", "--rm", "-v", "data:/elsewhere:ro", IMAGE, "cat", "/elsewhere/file") == "kept\n"
    assert berth.ok("volume", "ls", "-q") == "data\n"
    (shape,) = json.loads(berth.ok("volume", "inspect", "data"))
    assert (Path(shape["Mountpoint"]) / "file").read_text() == "kept\n"
    assert berth.ok("volume", "rm", "data") == "data\n"
    assert not Path(shape["Mountpoint"]).exists()


def test_an_image_with_a_volume_keeps_its_files_apart_and_owned(berth, database_image):
    assert berth.ok("run", "--name", "first", "-h", "one", database_image) == "seed\none\n"
    assert berth.ok("run", "--rm", "-h", "two", database_image) == "seed\ntwo\n"
    (own,) = berth.ok("volume", "ls", "-q").split()
    assert re.fullmatch("[0-9a-f]{64}", own)
    assert berth.ok("start", "-a", "first") == "seed\none\none\n"
    assert berth.ok("rm", "-v", "first") == "first\n"
    assert berth.ok("volume", "ls", "-q") == ""
    berth.ok("run", "--rm", "-v", "named:/var/lib/db", "-h", "a", database_image)
    assert berth.ok("run", "--rm", "-v", "named:/var/lib/db", "-h", "b", database_image) == "seed\na\nb\n"


def test_a_volume_in_use_is_not_removed_and_says_by_whom(berth):
    container = berth.start_long("-v", "busy:/busy", IMAGE, "sleep", "1000")
    done = berth.run_command("volume", "rm", "busy")
    assert (done.returncode, done.stderr) == (1, f"Error: remove busy: volume is in use - [{container}]\n")
    assert berth.ok("volume", "prune", "-af") == "Total reclaimed space: 0B\n"
    assert json.loads(berth.ok("inspect", container))[0]["Mounts"][0]["Name"] == "busy"


def test_memory_and_mount_spellings(berth):
    words = ["--tmpfs", "/t:size=1m", "--mount", "type=tmpfs,target=/u,tmpfs-size=2m,tmpfs-mode=0700",
             "--mount", "type=volume,source=vv,target=/v,readonly"]  # fmt: skip
    said = berth.ok("run", "--rm", *words, IMAGE, "sh", "-c",
                    "df -k /t /u | tail -n2 | tr -s ' ' | cut -d' ' -f2; stat -c %a /u; touch /v/x 2>&1; true")  # fmt: skip
    assert said.splitlines() == ["1024", "2048", "700", "touch: /v/x: Read-only file system"]


@pytest.mark.threat("RUN-06")
@pytest.mark.parametrize("path", ["/etc", "/", "/var/run/docker.sock", "/srv"])
def test_a_path_of_the_host_is_refused_with_a_sentence(berth, path):
    done = berth.run_command("run", "--rm", "-v", f"{path}:/x", IMAGE, "ls", "/x")
    assert done.returncode == 125
    assert "host path" in done.stderr
    assert done.stdout == ""


@pytest.mark.fault("F53")
def test_a_limit_of_the_layer_holds_and_nothing_of_it_is_left(berth):
    done = berth.run_command("run", "--storage-opt", "size=32m", "--name", "small", IMAGE,
                             "sh", "-c", "dd if=/dev/zero of=/big bs=1M count=100")  # fmt: skip
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    document = json.loads(berth.ok("inspect", "small"))[0]
    assert document["HostConfig"]["StorageOpt"] == {"size": str(32 << 20)}
    assert (berth.container_folder(document["Id"]) / "layer.img").stat().st_size == 32 << 20
    berth.ok("rm", "small")
    berth.assert_clean()


@pytest.mark.fault("F13")
def test_a_limited_container_with_a_volume_outlives_the_engine_worker(berth):
    script = "while true; do echo tick >> /v/log; echo tick >> /log; sleep 0.2; done"
    container = berth.start_long("--storage-opt", "size=32m", "-v", "ticks:/v", IMAGE, "sh", "-c", script)
    berth.wait_back("engine", berth.kill_program("engine"))
    log = berth.data / "volumes" / "ticks" / "_data" / "log"
    size = log.stat().st_size
    until("it goes on", lambda: log.stat().st_size > size)
    assert berth.state(container)["Running"] is True
    berth.ok("restart", "-t", "0", container)
    assert berth.state(container)["Running"] is True
    berth.ok("rm", "-f", container)
    berth.assert_clean()


def test_the_page_shows_a_volume_with_its_size(berth):
    berth.ok("run", "--rm", "-v", "sized:/v", IMAGE, "dd", "if=/dev/urandom", "of=/v/x", "bs=1M", "count=3")
    with berth.browser() as client:
        body = until("its size", lambda: "3.15MB" in (found := client.get("/volumes/").text) and found, every_s=0.3)
        assert "Remove the volume sized?" in body
        answer = client.post("/volumes/sized/remove/", headers={"HX-Request": "true"})
        assert answer.status_code == 204, answer.text
    assert berth.ok("volume", "ls", "-q") == ""
