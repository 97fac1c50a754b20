"""`berth trash` and `berth life`, through the door."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async

from dashboard.containers.models import LifeRules
from dashboard.teams.models import Team, make_main
from tests.dashboard.pages.conftest import make_container, make_image

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def kept(user, engine, queue):
    LifeRules.objects.create(team=make_main(Team.objects), trash_s=3600)
    image = make_image("ubuntu", "14.04", [1000], seed="13b6")
    for name in ("web", "db", "one"):
        make_container(image, name, "exited", owner=user)
    return image


async def test_ls_restore_rm_and_empty(door, kept, queue):
    assert await door.say("rm", "web", "db") == 0
    assert await door.say("ps", "-aq") == 0
    assert len(door.out.split()) == 1
    assert await door.say("trash", "ls", "--format", "{{.Name}} {{.RemovedBy}} {{.Goes}}") == 0
    assert set(door.out.splitlines()) == {"db admin in 59 minutes", "web admin in 59 minutes"}
    assert await door.say("trash", "ls") == 0
    assert door.out.split()[:4] == ["CONTAINER", "ID", "NAME", "IMAGE"]
    assert await door.say("trash", "restore", "web", "nothing") == 1
    assert door.out.split() == ["web"]
    assert "There is nothing called nothing in the trash." in door.err
    assert await door.say("rm", "web") == 0
    await sync_to_async(make_container)(kept, "webb", "exited")
    assert await door.say("rename", "webb", "web") == 0
    assert await door.say("trash", "restore", "web") == 0
    assert door.out.strip() == "web-2"
    assert "The name web is taken by now" in door.err
    assert await door.say("trash", "restore", "--name", "one", "db") == 1
    assert "already in use" in door.err
    assert await door.say("trash", "restore", "--name", "x", "db", "web") == 125
    assert await door.say("trash", "empty") == 1
    assert "Say --force" in door.err


async def test_rm_now_is_for_ever(door, kept, queue):
    drained = await _removed(door, queue, "rm", "--now", "web")
    assert drained == 0
    assert await door.say("trash", "ls", "-q") == 0
    assert door.out == ""


async def _removed(door, queue, *words):
    import asyncio

    asking = asyncio.ensure_future(door.say(*words))
    while not asking.done():
        await asyncio.sleep(0.05)
        await sync_to_async(queue.run)()
    return asking.result()


async def test_trash_rm_ends_it(door, kept, queue, engine):
    assert await door.say("rm", "web") == 0
    assert await _removed(door, queue, "trash", "rm", "web") == 0
    assert await _removed(door, queue, "rm", "db") == 0
    assert await _removed(door, queue, "trash", "empty", "-f") == 0
    assert len(door.out.strip()) == 64
    assert sum(call[0] == "remove" for call in engine.calls) == 2


async def test_rules_are_set_and_shown(door, user):
    assert await door.say("life", "show") == 0
    assert "trash" in door.out
    assert "default" in door.out
    assert await door.say("life", "set", "--trash", "1d12h") == 0
    assert await door.say("life", "show", "--format", "{{.Rule}}={{.Value}}") == 0
    assert "trash=1d12h" in door.out
    assert await door.say("life", "set", "--trash", "soon") == 125
    assert "is no length of time" in door.err
    assert await door.say("life", "set") == 1
    assert await door.say("life", "set", "--trash", "0") == 0
    assert await door.say("life", "set", "--trash", "default") == 0
    assert (await sync_to_async(LifeRules.objects.get)()).trash_s is None


async def test_a_container_is_extended_and_excepted(door, kept, user):
    await sync_to_async(make_container)(kept, "calm", "running", owner=user)
    assert await door.say("container", "extend", "calm") == 1
    assert "nothing to extend" in door.err
    assert await door.say("life", "set", "--expire", "8h", "--idle-stop", "never", "--extensions", "2") == 0
    assert await door.say("container", "extend", "calm", "10m") == 0
    assert door.out.strip().endswith("Z")
    assert await door.say("container", "extend", "calm", "2h") == 1
    assert "at most 1h" in door.err
    assert await door.say("container", "extend", "calm", "soon") == 1
    assert await door.say("container", "keep", "calm") == 0
    assert await door.say("inspect", "--format", "{{.LifeSpan.Keep}} {{.LifeSpan.ExtensionsLeft}}", "calm") == 0
    assert door.out.strip() == "true 1"
    assert await door.say("container", "keep", "--off", "calm") == 0
