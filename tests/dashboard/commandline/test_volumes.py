"""Volumes through the command door: Docker's words, columns and exit codes; who has them; when they go."""

from __future__ import annotations

import asyncio
import json

import pytest
from channels.db import database_sync_to_async

from dashboard.containers.models import Container
from dashboard.volumes.models import Volume
from engine.errors import StoreError
from tests.support.waiting import WAIT_S

pytestmark = pytest.mark.django_db(transaction=True)


@database_sync_to_async
def names() -> list[str]:
    return list(Volume.objects.order_by("name").values_list("name", flat=True))


@database_sync_to_async
def anonymous() -> list[str]:
    return list(Volume.objects.filter(is_anonymous=True).values_list("name", flat=True))


@database_sync_to_async
def give_image_a_volume(image, *places) -> None:
    image.config["config"]["Volumes"] = {place: {} for place in places}
    image.save()


@pytest.fixture
async def image(pulled):
    return await database_sync_to_async(pulled)("ubuntu:14.04")


async def made_id(door, *words) -> str:
    assert await door.say("create", *words) == 0, door.err
    return door.out.strip()


async def test_a_volume_is_made_listed_inspected_and_removed(door):
    assert await door.say("volume", "create", "--label", "tier=db", "data") == 0
    assert door.out == "data\n"
    assert await door.say("volume", "create", "data") == 0  # as Docker: what is there is there
    assert await door.say("volume", "ls") == 0
    assert door.out == "DRIVER    VOLUME NAME\nlocal     data\n"
    assert await door.say("volume", "ls", "--format", "{{.Name}} {{.Labels}} {{.Links}}") == 0
    assert door.out == "data tier=db 0\n"
    assert await door.say("volume", "inspect", "data") == 0
    shape = json.loads(door.out)[0]
    assert (shape["Name"], shape["Driver"], shape["Labels"]) == ("data", "local", {"tier": "db"})
    assert shape["Mountpoint"].endswith("/volumes/data/_data")
    assert await door.say("volume", "rm", "data") == 0
    assert door.out == "data\n"
    assert await names() == []


async def test_a_volume_without_a_name_gets_one(door):
    assert await door.say("volume", "create") == 0
    assert len(door.out.strip()) == 64
    assert await door.say("volume", "ls", "-q") == 0
    assert [door.out.strip()] == await anonymous()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("volume", "create", "a b"), 1, "includes invalid characters for a local volume name"),
        (("volume", "create", "x"), 1, "volume name is too short"),
        (("volume", "create", "../x"), 1, "includes invalid characters"),
        (("volume", "create", "-d", "nfs", "data"), 1, 'plugin "nfs" not found'),
        (("volume", "create", "-o", "type=none", "data"), 125, "does not take -o, --opt: volumes are folders"),
        (("volume", "rm", "nope"), 1, "Error: get nope: no such volume\n"),
        (("volume", "inspect", "nope"), 1, "Error: get nope: no such volume\n"),
        (("volume", "ls", "-f", "shiny=1"), 1, "invalid filter 'shiny'"),
        (("volume", "rm"), 1, '"berth volume rm" requires at least 1 argument.'),
        (("volume", "mend"), 1, "'volume mend' is not a berth command"),
    ],
)
@pytest.mark.threat("RUN-06")
async def test_what_cannot_be_is_said_in_dockers_words(door, words, code, said):
    assert await door.say(*words) == code
    assert said in door.err
    assert await names() == []


async def test_force_does_not_mind_a_volume_that_is_not_there(door):
    assert await door.say("volume", "rm", "-f", "nope") == 0


async def test_a_volume_that_a_container_has_stays(door, image):
    made = await made_id(door, "-v", "data:/data", "ubuntu:14.04")
    assert await door.say("volume", "rm", "data") == 1
    assert door.err == f"Error: remove data: volume is in use - [{made}]\n"
    assert await door.say("volume", "ls", "-q", "-f", "dangling=true") == 0
    assert door.out == ""
    assert await door.say("rm", made) == 0
    assert await door.say("volume", "ls", "-q", "-f", "dangling=true") == 0
    assert door.out == "data\n"
    assert await door.say("volume", "rm", "data") == 0


async def test_the_engine_is_asked_for_what_was_typed(door, image, engine):
    words = [
        "-v",
        "data:/data:ro",
        "--mount",
        "type=volume,src=cache,dst=/c,volume-nocopy",
        "--tmpfs",
        "/t:size=1m,exec",
    ]
    assert await door.say("run", "-d", *words, "--storage-opt", "size=64m", "ubuntu:14.04") == 0, door.err
    (request,) = engine.requests.values()
    assert request.writable_bytes == 64 << 20
    assert [(m.kind, m.source, m.target, m.read_only, m.copies) for m in request.mounts] == [
        ("volume", "cache", "/c", False, False),
        ("volume", "data", "/data", True, True),
        ("tmpfs", "", "/t", False, True),
    ]
    assert (request.mounts[2].size, request.mounts[2].allows) == ("1m", ("exec",))
    assert await door.say("inspect", "-f", "{{json .Mounts}}", door.out.strip()) == 0
    shapes = json.loads(door.out)
    assert [(s["Type"], s.get("Name"), s["Destination"], s["Mode"], s["RW"]) for s in shapes] == [
        ("volume", "cache", "/c", "nocopy", True),
        ("volume", "data", "/data", "ro", False),
        ("tmpfs", None, "/t", "", True),
    ]
    assert await door.say("ps", "--format", "{{.Mounts}} {{.LocalVolumes}}") == 0
    assert door.out == "cache,data 2\n"
    assert await door.say("ps", "-q", "-f", "volume=data") == 0
    assert len(door.out.splitlines()) == 1


async def test_the_images_volumes_are_anonymous_ones(door, image, engine):
    await give_image_a_volume(image, "/var/lib/db", "/logs/")
    assert await door.say("run", "-d", "-v", "logs:/logs", "ubuntu:14.04") == 0
    (request,) = engine.requests.values()
    (own,) = await anonymous()
    assert [(m.source, m.target) for m in request.mounts] == [("logs", "/logs"), (own, "/var/lib/db")]


async def test_removal_takes_anonymous_volumes_only_when_asked(door, image, engine):
    first = await made_id(door, "-v", "data:/data", "-v", "/own", "ubuntu:14.04")
    second = await made_id(door, "-v", "/own", "ubuntu:14.04")
    assert len(await names()) == 3
    assert await door.say("rm", first) == 0
    assert len(await names()) == 3
    assert await door.say("rm", "-v", second) == 0
    assert len(await names()) == 2
    assert [call[0] for call in engine.calls].count("remove_volume") == 1
    assert await door.say("volume", "prune") == 1
    assert "WARNING! This will remove anonymous local volumes not used by at least one container." in door.err
    (left,) = await anonymous()
    engine.volumes[left] = 5000
    assert await door.say("volume", "prune", "-f") == 0
    assert door.out == f"Deleted Volumes:\n{left}\n\nTotal reclaimed space: 5kB\n"
    assert await names() == ["data"]
    assert await door.say("volume", "prune", "-af") == 0
    assert door.out == "Deleted Volumes:\ndata\n\nTotal reclaimed space: 0B\n"
    assert await door.say("volume", "prune", "-af") == 0
    assert door.out == "Total reclaimed space: 0B\n"


async def test_a_removed_container_of_rm_takes_its_anonymous_volumes(door, image, engine):
    assert await door.say("run", "-d", "--rm", "-v", "data:/data", "-v", "/own", "ubuntu:14.04") == 0
    await database_sync_to_async(engine.end)(door.out.strip())
    async with asyncio.timeout(WAIT_S):
        while await names() != ["data"]:
            await asyncio.sleep(0.01)


async def test_a_volume_that_refuses_keeps_neither_its_container_nor_the_next_volume(door, image, engine, monkeypatch):
    made = await made_id(door, "-v", "/one", "-v", "/two", "ubuntu:14.04")
    first, second = await anonymous()
    remove = engine.remove_volume

    def refuse_first(name):
        if name == first:
            raise StoreError("The disk refuses.")
        remove(name)

    monkeypatch.setattr(engine, "remove_volume", refuse_first)
    assert await door.say("rm", "-v", made) == 0
    assert await anonymous() == [first]
    assert second not in await names()
    assert await door.say("ps", "-aq") == 0
    assert door.out == ""


async def test_a_volume_that_two_containers_have_outlives_the_first(door, image):
    first = await made_id(door, "-v", "/own", "ubuntu:14.04")
    (shared,) = await anonymous()
    second = await made_id(door, "-v", f"{shared}:/other", "ubuntu:14.04")
    assert await door.say("rm", "-v", first) == 0
    assert await anonymous() == [shared]
    assert await door.say("rm", "-v", second) == 0
    assert await anonymous() == []


async def test_a_removal_that_fails_says_why_and_leaves_the_volume(door, engine):
    await door.say("volume", "create", "data")
    engine.remove_volume_fails = StoreError("The disk refuses.")
    assert await door.say("volume", "rm", "data") == 1
    assert door.err == "Error: The disk refuses.\n"
    assert await names() == ["data"]
    engine.remove_volume_fails = None
    assert await door.say("volume", "rm", "data") == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-v", "a1:/x", "-v", "b1:/x"), "Duplicate mount point: /x"),
        (("-v", "data:/proc/x"), "Nothing can be mounted at /proc/x"),
        (("-v", "/srv/x:/x"), "This host's policy does not allow the host path /srv/x"),
        (("-v", "/:/x"), "The host path / is never given to a container"),
        (("--mount", "type=bind,source=/etc,target=/x"), "never given to a container"),
        (("-v", "/var/run/docker.sock:/d"), "never given to a container"),
        (("--storage-opt", "size=1m"), "Minimum size of the writable layer is 16MB"),
        (("-v", "data:relative"), "mount path must be absolute"),
        (("--storage-opt", "speed=1"), "Unknown option speed"),
    ],
)
@pytest.mark.threat("RUN-06")
async def test_a_mount_that_cannot_be_is_refused_before_anything_is_made(door, image, words, said):
    assert await door.say("create", *words, "ubuntu:14.04") == 125
    assert said in door.err
    assert await database_sync_to_async(Container.objects.count)() == 0
    assert await names() == []
