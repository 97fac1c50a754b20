"""`berth team …` about coming in and rights: what scripts set classes up with, so each may be said twice."""

from __future__ import annotations

import re

import pytest
import pytest_asyncio
from channels.db import database_sync_to_async

from tests.dashboard.commandline.conftest import Door
from tests.dashboard.people import make_member, make_team

pytestmark = pytest.mark.django_db(transaction=True)


@pytest_asyncio.fixture
async def say():
    """(exit code, output, errors) of a command of a team's admin."""
    teacher = await database_sync_to_async(lambda: make_member("teacher", "admin", make_team("class-1")))()
    door = await (await database_sync_to_async(Door)(teacher)).open()

    async def said(*words: str) -> tuple[int, str, str]:
        return await door.say(*words), door.out, door.err

    yield said
    await door.socket.disconnect()


async def test_invite_prints_a_link_that_is_listed_and_taken_back(say):
    code, out, _ = await say("team", "invite", "--uses", "30", "--days", "5", "--note", "Monday")
    assert code == 0
    assert re.fullmatch(r"http://\S+/join/[\w-]{43}/\n", out)
    code, out, _ = await say("team", "invitations")
    assert re.search(r"^\d+ +Monday +operator +0/30 +20\d\d-\d\d-\d\d \d\d:\d\d \S+ +teacher$", out, re.M), out
    number = out.splitlines()[1].split()[0]
    assert (await say("team", "revoke", number))[:2] == (0, f"{number}\n")
    assert (await say("team", "revoke", number))[:2] == (0, f"{number}\n")
    assert len((await say("team", "invitations"))[1].splitlines()) == 1
    code, _, err = await say("team", "revoke", "x")
    assert (code, "x is not a whole number." in err) == (1, True)


async def test_import_says_who_is_new(say):
    code, out, _ = await say("team", "import", "--role", "viewer", "haeun", "minsu")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["haeun", "minsu"]
    assert all("/welcome/" in line for line in out.splitlines())
    assert (await say("team", "import", "haeun", "minsu"))[1] == "haeun\nminsu\n"


async def test_roles_and_can(say):
    assert (await say("team", "role", "watcher", "--allow", "image.view", "--allow", "team.view"))[0] == 0
    out = (await say("team", "roles"))[1]
    assert re.search(r"^watcher +0 +image.view,team.view$", out, re.M)
    assert re.search(r"^admin +1 +", out, re.M)
    await say("team", "import", "--role", "watcher", "haeun")
    code, out, _ = await say("team", "can", "haeun", "image.view")
    assert (code, out.splitlines()[1].split(maxsplit=2)) == (0, ["image.view", "yes", "The role watcher gives it."])
    assert (await say("team", "can", "haeun", "container.run"))[0] == 1
    assert len((await say("team", "can", "haeun"))[1].splitlines()) > 30
    assert "Not a permission: x." in (await say("team", "can", "haeun", "x"))[2]
    assert "No such user: nobody" in (await say("team", "can", "nobody"))[2]
    code, _, err = await say("team", "remove-role", "watcher")
    assert (code, "still somebody's: haeun" in err) == (1, True)
    await say("team", "add", "--role", "viewer", "haeun")
    assert (await say("team", "remove-role", "watcher"))[:2] == (0, "watcher\n")
