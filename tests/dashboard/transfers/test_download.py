"""An archive to a browser: as a file and nothing else, once, at the reader's pace."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from dashboard.core.paced import PacedAnswers
from dashboard.jobs.models import JobState
from dashboard.transfers import services
from tests.support.ports import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).parents[3]
MIB = 1 << 20


@pytest.fixture
def page(client, user):
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.mark.threat("CPY-06")
async def test_it_is_a_file_and_nothing_else(outgoing, user, data):
    made = await sync_to_async(outgoing)(b"<script>tar</script>" * 100_000)
    page = AsyncClient()
    await page.aforce_login(user, backend="django.contrib.auth.backends.ModelBackend")
    answer = await page.get(f"/transfers/{made.key}/")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"] == 'attachment; filename="data.tar"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox")
    assert answer["Content-Length"] == "2000000"
    assert b"".join([chunk async for chunk in answer.streaming_content]) == b"<script>tar</script>" * 100_000
    assert not (data / "transfers" / made.key).exists()
    assert (await page.get(f"/transfers/{made.key}/")).status_code == 404


async def test_who_leaves_before_the_first_byte_leaves_no_open_file(outgoing, user, data):
    """As when a browser closes while the view still runs: Django throws the answer away, and nobody reads it."""
    made = await sync_to_async(outgoing)(b"tar")
    page = AsyncClient()
    await page.aforce_login(user, backend="django.contrib.auth.backends.ModelBackend")
    answer = await page.get(f"/transfers/{made.key}/")
    file = str(data / "transfers" / made.key)
    assert _open_files(file) == 1
    await sync_to_async(answer.close)()
    assert _open_files(file) == 0


def _open_files(name):
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [os.readlink(link) for link in links if link.is_symlink()].count(name)


def test_one_that_is_not_ready_says_so(page, outgoing):
    made = outgoing()
    made.job.state = JobState.RUNNING
    made.job.save()
    answer = page.get(f"/transfers/{made.key}/", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()) == (409, {"error": "The archive is not ready yet."})


def test_anothers_is_not_there(page, outgoing, stranger):
    made = outgoing(owner=stranger)
    assert page.get(f"/transfers/{made.key}/").status_code == 404
    assert page.post(f"/transfers/{made.key}/cancel/").status_code == 404
    assert services.find_open(stranger, made.key) == made


def test_cancelled_it_is_gone(page, outgoing, data):
    made = outgoing()
    assert page.post(f"/transfers/{made.key}/cancel/").status_code == 204
    assert not (data / "transfers" / made.key).exists()


ROWS = """
import sys, hashlib
import django
django.setup()
from django.contrib.auth import get_user_model
from django.test import Client
from dashboard.core.gate import Permission
from dashboard.jobs.models import Job
from dashboard.transfers import services
user = get_user_model().objects.create_superuser("haeun")
made = services.begin(user, "out", permission=Permission.VOLUME_BACKUP, team_id=1, subject="data", filename="data.tar")
services.attach(made, Job.objects.create(kind="backup_volume", state="succeeded", queue="engine"))
client = Client()
client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
print(made.key, "; ".join(f"{key}={morsel.value}" for key, morsel in client.cookies.items()))
"""


@pytest.fixture
def daphne(tmp_path):
    """(port, key, cookie, process) of the real server with an archive of 200 MiB."""
    port = free_port()
    env = os.environ | {
        "BERTH_DATA": str(tmp_path),
        "BERTH_TESTING": "unit",
        "BERTH_LISTEN": f"127.0.0.1:{port}",
        "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
        "DJANGO_SETTINGS_MODULE": "dashboard.settings",
        "SECRET": secrets.token_hex(8),
    }
    (tmp_path / "transfers").mkdir()
    how = {"cwd": ROOT, "env": env, "timeout": 120}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], check=True, **how)
    said = subprocess.run([sys.executable, "-c", ROWS], check=True, **how, capture_output=True, text=True).stdout
    key, _, cookie = said.strip().partition(" ")
    with (tmp_path / "transfers" / key).open("wb") as file:
        for number in range(200):
            file.write(number.to_bytes(4, "big") * (MIB // 4))
    words = ["-b", "127.0.0.1", "-p", str(port), "--access-log", "/dev/null", "dashboard.asgi:application"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "daphne", *words], cwd=ROOT, env=env, stdout=log, stderr=log)
        try:
            yield port, key, cookie, process
        finally:
            process.terminate()
            process.wait(60)


def _get(port, path, cookie):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers={"Cookie": cookie})
    return connection.getresponse()


def _answers(port):
    try:
        return _get(port, "/accounts/login/", "").status == 200
    except OSError:
        return False


def _rss(process):
    return int(Path(f"/proc/{process.pid}/status").read_text().partition("VmRSS:")[2].split()[0]) * 1024


@pytest.mark.services
@pytest.mark.timeout(180)
def test_a_slow_reader_costs_no_memory_and_gets_every_byte(daphne, tmp_path):
    port, key, cookie, process = daphne
    until("it answers", lambda: _answers(port), 90)
    before = _rss(process)
    answer = _get(port, f"/transfers/{key}/", cookie)
    assert answer.status == 200
    digest, most = hashlib.sha256(), 0
    for number in range(200):
        digest.update(answer.read(MIB))
        if number < 3:
            until("the server has stopped", lambda: _stands_still(process))
        most = max(most, _rss(process))
    wanted = hashlib.sha256()
    for number in range(200):
        wanted.update(number.to_bytes(4, "big") * (MIB // 4))
    assert digest.hexdigest() == wanted.hexdigest()
    assert most - before < 40 * MIB
    until("the file is gone", lambda: not (tmp_path / "transfers" / key).exists())


def _stands_still(process):
    """It reads no more of the file: what it has read is what fits into its own and the kernel's buffers."""
    before = _read_bytes(process)
    time.sleep(0.2)
    return _read_bytes(process) == before


def _read_bytes(process):
    return Path(f"/proc/{process.pid}/io").read_text().partition("rchar: ")[2].split()[0]


async def test_without_daphne_an_answer_is_left_alone():
    sent = []

    async def send(message):
        sent.append(message)

    async def application(scope, receive, send):
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    await asyncio.wait_for(PacedAnswers(application)({}, None, send), 5)
    assert len(sent) == 2
