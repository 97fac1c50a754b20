"""A registry that wants a password: logging in, pulling with it, who sees what came, and where the password stands (REG-10, REG-11)."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from tests.integration.conftest import make_berth
from tests.support.images import Entry, image, layer, push
from tests.support.registry import Registry
from tests.support.shell_image import shell_image
from tests.support.somebody import Somebody
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services]
CORP = "registry.corp.example"
CANARY = "canary-Pa55word-7f3a"
APP = f"{CORP}/team/app:1"
SECRET = "only-for-the-team"


@pytest.fixture(scope="module")
def corp():
    """A private image on a shell, and the public twin of its shell."""
    with Registry(user="robot", password=CANARY) as registry:
        base = shell_image()
        top = layer([Entry("srv/secret", data=SECRET.encode())])
        registry.secret = top
        push(registry.url, "team/app:1", image([*base.layers, top], Cmd=["/bin/sh"]), registry.auth)
        yield registry


@pytest.fixture(scope="module")
def berth(registry, corp, tmp_path_factory):
    with make_berth(registry, mirrors={"docker.io": registry.url, CORP: corp.url}) as berth:
        for team, name in (("ours", "haeun"), ("theirs", "minsu")):
            berth.ok("team", "create", team)
            berth.ok("user", "create", name)
            berth.ok("team", "add", "--team", team, "--role", "maintainer", name)
            token = berth.ok("token", "create", "--user", name, "desk").strip()
            setattr(berth, name, Somebody(berth, token, tmp_path_factory.mktemp(name)))
        yield berth


@pytest.fixture(scope="module")
def logged_in(berth):
    said = berth.haeun.say("login", "-u", "robot", "--password-stdin", "--for", "team", CORP, input=f"{CANARY}\n")
    assert (said.returncode, said.stdout) == (0, "Login Succeeded\n"), said
    return berth


def test_a_wrong_password_is_said_and_kept_nowhere(berth):
    said = berth.haeun.say("login", "-u", "robot", "-p", "wrong", CORP)
    assert said.returncode == 1
    assert "WARNING! Using --password via the CLI is insecure. Use --password-stdin." in said.stderr
    assert "incorrect username or password" in said.stderr
    assert berth.haeun.ok("registry", "ls").count("\n") == 1


def test_without_a_login_the_registry_denies_it(berth):
    berth.minsu.refused(r"pull access denied for .*team/app.*docker login|wants a name and a password", "pull", APP)


@pytest.mark.threat("REG-11")
def test_what_came_with_the_teams_password_is_the_teams(logged_in, registry, corp):
    ours, theirs = logged_in.haeun, logged_in.minsu
    assert ours.ok("run", "--rm", APP, "cat", "/srv/secret") == SECRET
    assert "team/app" in ours.ok("images")
    assert "team/app" not in theirs.ok("images")
    image_id = ours.ok("images", "-q", "--no-trunc").split()[0]
    for name in (image_id, image_id[7:19], APP):
        theirs.refused("No such image|denied|wants a name", "image", "inspect", name)
        theirs.refused("No such image|denied|wants a name|Unable to find", "run", "--rm", name, "cat", "/srv/secret")
    # the digest alone: an image of minsu's own that names the layer and does not have it
    base = shell_image()
    stolen = image([*base.layers, corp.secret], Cmd=["/bin/true"])
    push(registry.url, "minsu/thief:1", stolen)
    digest = stolen.layers[-1].digest
    blob = registry.blob_file(digest)
    kept = blob.read_bytes()
    blob.write_bytes(bytes(len(kept)))
    theirs.refused("does not have the digest|no layer|damaged|broken", "pull", "minsu/thief:1")
    theirs.refused(
        "No such image|Unable to find", "run", "--pull", "never", "--rm", "minsu/thief:1", "cat", "/srv/secret"
    )
    blob.write_bytes(kept)
    assert theirs.ok("run", "--rm", "minsu/thief:1", "cat", "/srv/secret") == SECRET  # who has the bytes may have them
    # until the team shares it
    ours.ok("image", "share", APP)
    assert theirs.ok("run", "--rm", APP, "cat", "/srv/secret") == SECRET
    ours.ok("image", "unshare", APP)
    theirs.refused("denied|wants a name", "run", "--rm", APP, "true")


@pytest.mark.threat("REG-10")
def test_the_password_stands_in_no_file_no_process_and_no_answer(logged_in):
    """All that Berth keeps and says, while a pull goes on with it."""
    seen: list[str] = []
    done = threading.Event()

    def watch():
        while not done.is_set():
            listing = subprocess.run(["ps", "axwwe", "-o", "args"], capture_output=True, text=True, check=True).stdout
            seen.extend(line for line in listing.splitlines() if CANARY in line)

    watcher = threading.Thread(target=watch)
    watcher.start()
    logged_in.haeun.ok("rmi", "-f", APP)
    logged_in.haeun.ok("pull", APP)
    said = logged_in.haeun.ok("registry", "ls", "--format", "json")
    done.set()
    watcher.join()
    assert seen == []
    files = [path for path in logged_in.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    files += [path for path in Path(logged_in.run).rglob("*") if path.is_file()]
    assert len(files) > 20
    needle = CANARY.encode()
    assert [path for path in files if needle in path.read_bytes()] == []
    assert CANARY not in said + logged_in.logs()
    redis = subprocess.run(
        ["redis-cli", "-s", str(logged_in.run / "redis" / "redis.sock"), "--scan"], capture_output=True, check=True
    ).stdout
    for key in redis.split(b"\n")[:-1]:
        dumped = subprocess.run(
            ["redis-cli", "-s", str(logged_in.run / "redis" / "redis.sock"), "dump", key],
            capture_output=True,
            check=False,
        ).stdout
        assert needle not in dumped


def test_a_log_out_ends_it(logged_in):
    logged_in.haeun.ok("logout", "--for", "team", CORP)
    logged_in.haeun.ok("rmi", "-f", APP)
    logged_in.haeun.refused("denied|wants a name", "pull", APP)
    until("no credentials", lambda: CORP not in logged_in.haeun.ok("registry", "ls"), within_s=5)
