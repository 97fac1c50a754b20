"""Berths on other machines: addresses and tokens that are kept, and which one a command is for (WEB-11)."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from client.contexts import Context, Contexts, checked_host, choose, take_flags
from client.errors import Failed
from client.kept import contexts_file
from client.locate import locate_other
from tests.client.server import LAUNCH, ROOT

pytestmark = pytest.mark.threat("WEB-11")
TOKEN = "berth_" + "a" * 43


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("BERTH_HOST", "BERTH_CONTEXT", "BERTH_TOKEN", "XDG_CONFIG_HOME", "BERTH_INSECURE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def call(server, *words, token="", stdin=b""):
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | ({"BERTH_TOKEN": token} if token else {})
    argv = [sys.executable, "-c", LAUNCH, str(server.folder), *words]
    done = subprocess.run(argv, check=False, input=stdin, capture_output=True, env=environment, timeout=60)
    assert not server.errors, server.errors
    return done


def sent(server):
    return {name.lower(): value for name, value in server.headers[-1].items()}


def test_a_command_goes_to_the_address_with_the_token_and_without_an_origin(berth, home):
    heard = []

    def door(talk):
        heard.append(talk.hear())
        talk.say(t="out", text="there\n")
        talk.say(t="exit", code=0)

    berth.door = door
    url = f"http://127.0.0.1:{berth.port}"
    done = call(berth, "--host", url, "--team", "class-1", "ps", "-a", token=TOKEN)
    assert (done.returncode, done.stdout) == (0, b"there\n"), done
    assert heard[0]["argv"] == ["--team", "class-1", "ps", "-a"]
    assert sent(berth)["authorization"] == f"Bearer {TOKEN}"
    assert "origin" not in sent(berth)
    assert all(TOKEN not in path for path in berth.paths)


def test_a_context_is_made_used_listed_and_forgotten(berth, home):
    url = f"http://127.0.0.1:{berth.port}"
    assert call(berth, "context", "create", "office", "--host", url, stdin=f"{TOKEN}\n".encode()).stdout == b"office\n"
    kept = home / ".config" / "berth" / "contexts.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert TOKEN not in call(berth, "context", "ls").stdout.decode()
    assert call(berth, "context", "use", "office").returncode == 0
    assert f"office * {url}" in " ".join(call(berth, "context", "ls").stdout.decode().split())
    assert call(berth, "ps").returncode == 0
    assert sent(berth)["authorization"] == f"Bearer {TOKEN}"
    assert call(berth, "context", "rm", "office").returncode == 0
    assert TOKEN not in kept.read_text()
    missing = call(berth, "--context", "office", "ps")
    assert (missing.returncode, b"There is no context 'office'" in missing.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--host", "http://192.0.2.7", "ps"), "is not encrypted"),
        (("--host", "http://127.evil.example", "ps"), "is not encrypted"),
        (("--host", "http://localhost.evil.example", "ps"), "is not encrypted"),
        (("--host", "ftp://x", "ps"), "is not the address of a Berth"),
        (("--host", "https://user@x", "ps"), "is not the address of a Berth"),
        (("--host", "https://x/path", "ps"), "is not the address of a Berth"),
        (("--host", "https://x:99999", "ps"), "is not the address of a Berth"),
        (("--context", "none", "ps"), "There is no context"),
    ],
)
def test_what_is_refused_before_anything_is_sent(home, monkeypatch, words, sentence):
    monkeypatch.setenv("BERTH_TOKEN", TOKEN)
    with pytest.raises(Failed, match=sentence):
        locate_other(words)


def test_without_a_token_nothing_is_sent(home):
    with pytest.raises(Failed, match=r"no access token for https://berth\.example"):
        choose("berth.example", "", {"HOME": str(home)})
    with pytest.raises(Failed, match="needs an argument: --host"):
        take_flags(["--host"])


def test_flags_stand_before_variables_and_these_before_what_was_chosen(home):
    kept = Contexts(Path(contexts_file({"HOME": str(home)})))
    for name in ("one", "two"):
        kept.keep(Context(name=name, host=f"https://{name}.example", token=f"token-{name}"))
    kept.use("one")

    def chosen(host="", name="", **more):
        return choose(host, name, {"HOME": str(home), **more})

    assert chosen().token == "token-one"
    assert chosen(BERTH_CONTEXT="two").token == "token-two"
    assert chosen(name="one", BERTH_CONTEXT="two").token == "token-one"
    assert chosen(BERTH_HOST="https://two.example").token == "token-two"
    assert chosen(host="https://two.example", BERTH_TOKEN="other").token == "other"
    assert chosen(name="local") is None
    kept.use("local")
    assert chosen() is None


def test_a_file_that_is_none_of_ours_says_so(home):
    path = Path(contexts_file({"HOME": str(home)}))
    path.parent.mkdir(parents=True)
    path.write_text("[]")
    with pytest.raises(Failed, match="cannot be read"):
        Contexts(path)


@pytest.mark.parametrize(
    ("text", "host"), [("berth.example", "https://berth.example"), ("http://[::1]:8000/", "http://[::1]:8000")]
)
def test_an_address_in_one_spelling(text, host):
    assert checked_host(text) == host
