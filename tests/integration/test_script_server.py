"""script/server: what it starts, as whom, and what happens when parts of it die."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import httpx
import pytest

from tests.support.ports import free_port
from tests.support.server import ROOT, BerthServer, clean_up
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
PROGRAMS = ("redis", "web", "images", "layers", "engine")


@pytest.fixture(scope="module")
def berth():
    with BerthServer() as server:
        yield server


@pytest.fixture
def other_data():
    """A data folder on which nothing runs."""
    path = Path(tempfile.mkdtemp(prefix="berth-other-", dir="/tmp"))
    path.chmod(0o755)
    yield str(path / "data")
    clean_up(path / "data")
    shutil.rmtree(path)


def _uid(pid: int) -> int:
    return int(re.search(r"^Uid:\t(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])


def _server(berth: BerthServer, **settings: str) -> subprocess.CompletedProcess[str]:
    argv = [str(ROOT / "script" / "server")]
    return subprocess.run(
        argv, env=berth.environment | settings, capture_output=True, text=True, timeout=120, check=False
    )


def test_it_says_once_that_it_is_ready_and_how_to_get_in(berth):
    said = "\n".join(berth.output)
    assert said.count("Berth is ready at ") == 1
    assert f"Berth is ready at {berth.url}" in said
    assert berth.setup_link.startswith(f"{berth.url}/setup/")
    assert f"ssh -L {berth.port}:127.0.0.1:{berth.port}" in said


def test_only_the_engine_is_root(berth):
    owners = {name: _uid(berth.pid_of(name)) for name in PROGRAMS}
    assert owners.pop("engine") == 0
    assert 0 not in owners.values()
    assert len(set(owners.values())) == 1


@pytest.mark.threat("CEL-02")
def test_redis_listens_on_a_socket_that_only_berth_reaches(berth):
    place = berth.run / "redis"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert place.stat().st_uid == _uid(berth.pid_of("web"))
    assert stat.S_ISSOCK((place / "redis.sock").stat().st_mode)
    listening = subprocess.run(
        ["redis-cli", "-s", str(place / "redis.sock"), "CONFIG", "GET", "port"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "unknown command" in (listening.stdout + listening.stderr).lower()
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", "ls", str(place)], capture_output=True, check=False
    )
    assert done.returncode != 0


def test_it_opens_no_port_but_its_own(berth):
    mine = {f"socket:[{line.split()[9]}]": int(line.split()[1].rpartition(":")[2], 16) for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:] if line.split()[3] == "0A"}  # fmt: skip
    opened = set()
    for name in PROGRAMS:
        for descriptor in Path(f"/proc/{berth.pid_of(name)}/fd").iterdir():
            try:
                opened.add(mine.get(os.readlink(descriptor)))
            except OSError:
                continue
    assert opened - {None} == {berth.port}


@pytest.mark.threat("WEB-09")
def test_secrets_are_for_root_and_the_data_folder_has_its_modes(berth):
    modes = {
        name: stat.S_IMODE((berth.run / name).stat().st_mode)
        for name in ("admin-token", "supervisord.conf", "supervisor.sock")
    }
    assert modes == {"admin-token": 0o600, "supervisord.conf": 0o600, "supervisor.sock": 0o700}
    key = berth.data / "secret-key"
    assert (stat.S_IMODE(key.stat().st_mode), key.stat().st_uid) == (0o640, 0)
    database = berth.data / "db" / "berth.sqlite3"
    assert database.stat().st_uid == _uid(berth.pid_of("web"))
    assert stat.S_IMODE((berth.data / "db").stat().st_mode) == 0o750
    for path in (berth.data / "db").iterdir():
        assert path.stat().st_uid != 0, path
    secret = berth.admin_token
    for log in (berth.data / "logs").glob("*.log"):
        assert secret not in log.read_text(errors="replace")
        assert berth.setup_link.split("/")[4] not in log.read_text(errors="replace")


def test_a_second_one_on_the_same_data_says_that_it_runs_already(berth):
    done = _server(berth, BERTH_LISTEN="127.0.0.1:1")
    assert done.returncode == 2
    assert f"already running on {berth.data} (process " in done.stderr
    assert done.stderr.strip().endswith(f", at {berth.url}"), "the running one's address, not the one of these settings"
    assert all(berth.health().values())


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"BERTH_LISTEN": "nowhere"}, "BERTH_LISTEN must be address:port"), ({"BERTH_DATA": "relative"}, "absolute path"),
     ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL"), ({"BERTH_DEFAULT_MEMORY": "much"}, "BERTH_DEFAULT_MEMORY"),
     ({"BERTH_LISTEN": "127.0.0.1:99999"}, "BERTH_LISTEN must be address:port"),
     ({"BERTH_SUBNET": "bogus"}, "BERTH_SUBNET must be an IPv4 network")],
)  # fmt: skip
def test_settings_that_make_no_sense_are_one_sentence(berth, settings, words):
    done = _server(berth, **settings)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def _dead(name: str) -> dict[str, str]:
    """The setting, with a port of this machine on which nothing listens."""
    place = f"127.0.0.1:{free_port()}"
    values = {"DATABASE_URL": f"postgres://berth:s3cret@{place}/berth", "REDIS_URL": f"redis://:s3cret@{place}/0"}
    return {name: values[name]}


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
def test_a_store_that_does_not_answer_is_one_sentence_at_once(berth, name, other_data):
    done = _server(berth, BERTH_DATA=other_data, BERTH_LISTEN=f"127.0.0.1:{free_port()}", **_dead(name))
    assert done.returncode == 2
    assert re.fullmatch(rf"Berth: the \w+ of {name} .*(?i:refused).*\.\n", done.stderr)
    assert "s3cret" not in done.stderr


def test_what_an_earlier_engine_found_is_gone_before_anything_is_started(berth):
    berth.stop()
    (berth.run / "findings.json").write_text("{}")
    assert _server(berth, **_dead("REDIS_URL")).returncode == 2
    assert not (berth.run / "findings.json").exists()
    berth.start()


def test_a_taken_port_is_one_sentence(berth, other_data):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = _server(berth, BERTH_LISTEN=f"127.0.0.1:{taken.getsockname()[1]}", BERTH_DATA=other_data)
    assert done.returncode == 2
    assert "is taken by another program" in done.stderr


def test_nobody_but_root_may_start_it(berth):
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", str(ROOT / "script" / "server")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "must be run as root" in done.stderr


def test_a_second_engine_worker_refuses_to_start(berth):
    argv = [
        str(ROOT / ".venv/bin/celery"),
        "-A",
        "dashboard.celery",
        "worker",
        "-Q",
        "engine",
        "-P",
        "threads",
        "-c",
        "1",
        "-n",
        "second@test",
    ]
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env=berth.environment | {"BERTH_WORKER": "engine"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "There may be only one" in done.stdout + done.stderr


@pytest.mark.fault("F20")
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_killed_program_is_started_again(berth, program):
    berth.wait_back(program, berth.kill_program(program))
    assert berth.run_command("images").returncode == 0


def test_the_link_makes_the_administrator_and_the_next_start_prints_none(berth):
    with httpx.Client(base_url=berth.url, trust_env=False, follow_redirects=True, timeout=60) as browser:
        assert browser.get("/").url.path == "/accounts/login/"
        page = browser.get(berth.setup_link)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
        words = {
            "csrfmiddlewaretoken": token,
            "username": "haeun",
            "password1": "a quiet harbour 7",
            "password2": "a quiet harbour 7",
        }
        answer = browser.post(berth.setup_link, data=words, headers={"Origin": berth.url})
        assert (answer.status_code, answer.url.path) == (200, "/")
    first = berth.admin_token
    assert berth.stop() == 0
    assert all(berth.pid_of(name) == 0 for name in PROGRAMS)
    berth.start()
    assert berth.setup_link == ""
    assert berth.admin_token != first
    assert berth.run_command("ps").returncode == 0


def test_open_pages_hear_again_after_redis_was_killed(berth):
    from websockets.sync.client import connect

    headers = {"Authorization": f"Bearer {berth.admin_token}"}
    address = f"ws://127.0.0.1:{berth.port}/ws/live"
    with connect(address, origin=berth.url, additional_headers=headers, proxy=None, open_timeout=60) as live:
        live.send(json.dumps({"t": "subscribe", "topics": ["jobs"]}))
        assert json.loads(live.recv(60))["t"] == "subscribed"
        berth.wait_back("redis", berth.kill_program("redis"))

        def hears() -> bool:
            berth.run_command("pull", "127.0.0.1:1/nothing:here")  # makes a job, which fails
            try:
                return json.loads(live.recv(2))["topic"] == "jobs"
            except TimeoutError:
                return False

        until(lambda: f"news of a job\n{berth.logs()}", hears)
