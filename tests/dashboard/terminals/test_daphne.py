"""The stream behind the real Daphne, with a real client over TCP: memory, speed, echo."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from dashboard.terminals import protocol
from tests.engine.terminal.logs import records
from tests.engine.terminal.real_conmon import RealContainer, wait_for
from tests.support.pace import Pace, best_median
from tests.support.ports import free_port
from tests.support.waiting import WAIT_S

ROOT = Path(__file__).parents[3]
CONTAINER = "ab" * 32
MIB = 1024 * 1024
ROWS = """
import sys, hashlib
import django
django.setup()
from django.contrib.auth import get_user_model
from dashboard.accounts.models import Token
from dashboard.catalog.models import Image
from dashboard.containers.models import Container
user = get_user_model().objects.create_superuser("root-of-host")
Token.objects.create(purpose="host", sha256=hashlib.sha256(sys.argv[1].encode()).hexdigest(), user=user)
image = Image.objects.create(image_id="sha256:" + "1" * 64, config={}, architecture="amd64", os="linux", size_bytes=1, is_public=True)
Container.objects.create(container_id=sys.argv[2], name="c", image=image, state="running", tty=True, open_stdin=True)
"""


class Server:
    """Daphne as script/server starts it, on a free port, with its own data folder."""

    def __init__(self, folder):
        self.port = free_port()
        self.io = folder / "containers" / CONTAINER / "io"
        self.io.parent.mkdir(parents=True)
        self.secret = secrets.token_urlsafe()
        self.env = os.environ | {
            "BERTH_DATA": str(folder),
            "BERTH_TESTING": "unit",
            "BERTH_LISTEN": f"127.0.0.1:{self.port}",
            "BERTH_LOG_LEVEL": "WARNING",
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            "DJANGO_SETTINGS_MODULE": "dashboard.settings",
        }
        self._python("manage.py", "migrate", "-v0")
        self._python("-c", ROWS, self.secret, CONTAINER)
        daphne = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(self.port), "--access-log", "/dev/null"]
        daphne += ["--websocket_timeout", "-1", "--websocket-max-message-size", "65536"]
        daphne += ["--websocket-max-frame-size", "65536", "dashboard.asgi:application"]
        self.log = open(folder / "daphne.log", "wb")  # noqa: SIM115
        self.process = subprocess.Popen(daphne, cwd=ROOT, env=self.env, stdout=self.log, stderr=self.log)

    def _python(self, *words):
        subprocess.run([sys.executable, *words], cwd=ROOT, env=self.env, check=True, timeout=120)

    def connect(self, query="", **options):
        headers = {"Authorization": f"Bearer {self.secret}"}
        address = f"ws://127.0.0.1:{self.port}/ws/terminals/{CONTAINER}?{query}"
        return connect(
            address, additional_headers=headers, compression=None, max_size=None, open_timeout=WAIT_S, **options
        )

    def is_ready(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def rss_bytes(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


@pytest.fixture
def server(tmp_path):
    running = Server(tmp_path)
    try:
        wait_for(running.is_ready, 90)
        yield running
    finally:
        running.stop()


class Log:
    def __init__(self, io):
        io.mkdir()
        self.path = io / "ctr.log"
        self.path.touch()

    def say(self, data):
        with open(self.path, "ab") as file:
            file.write(records(data))


def until_live(client):
    while not isinstance(message := client.recv(WAIT_S), str) or json.loads(message)["t"] != "live":
        pass


def read(client, total, *, before=0, every=protocol.WINDOW_BYTES // 4):
    """(sha256, pace) of that many bytes, acknowledged as a client does; `before`: had on this connection already."""
    digest, consumed, acked, pace = hashlib.sha256(), before, before, Pace()
    while consumed < before + total:
        frame = client.recv(WAIT_S)
        if isinstance(frame, str):
            continue
        payload = frame[protocol.HEADER.size :]
        digest.update(payload)
        consumed += len(payload)
        pace.had(consumed - before)
        if consumed - acked >= every or consumed >= before + total:
            client.send(json.dumps({"t": "ack", "bytes": consumed}))
            acked = consumed
    return digest.hexdigest(), pace


@pytest.mark.services
@pytest.mark.threat("WS-06")
def test_giant_and_endless_messages_cost_no_memory(server):
    Log(server.io)
    with server.connect("stdin=1") as warm:
        until_live(warm)
    before = server.rss_bytes
    with server.connect("stdin=1") as client:
        until_live(client)
        with pytest.raises((ConnectionClosed, OSError)):
            send_a_gibibyte(client)
    for fragment, count in ((b"", 200_000), (b"y" * 1024, 20_000)):
        with server.connect("stdin=1") as client:
            until_live(client)
            send_fragments(client.socket, fragment, count)
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"GET /ws/terminals/ HTTP/1.1\r\nHost: x\r\n")  # a handshake that never ends
        with server.connect() as client:
            until_live(client)
    assert server.rss_bytes - before < 20 * MIB


def send_a_gibibyte(client):
    for _ in range(64):
        client.send(b"x" * 16 * MIB)


def send_fragments(sock, fragment, count):
    """One message that never finishes: unmasked length, mask of zeros, FIN never set."""
    length = (
        struct.pack("!B", 0x80 | len(fragment))
        if len(fragment) < 126
        else struct.pack("!BH", 0x80 | 126, len(fragment))
    )
    first, rest = (struct.pack("!B", opcode) + length + b"\0\0\0\0" + fragment for opcode in (0x2, 0x0))
    sock.settimeout(10)
    try:
        sock.sendall(first + rest * count)
    except OSError:
        return  # closed in our face: what it should do


@pytest.mark.services
@pytest.mark.threat("WS-07")
def test_a_stopped_tab_under_a_flood_costs_no_memory_and_slows_nobody(server):
    log = Log(server.io)
    with server.connect() as stopped, server.connect("kind=cli&from=end") as quick:
        until_live(stopped)
        until_live(quick)
        before = server.rss_bytes
        block = b"".join(b"line %d of a flood that nobody stops\r\n" % n for n in range(25_000))
        for number in range(20):
            log.say(block)
            read(quick, len(block), before=number * len(block))
        assert server.rss_bytes - before < 20 * MIB


@pytest.mark.services
@pytest.mark.threat("WS-12")
def test_fifty_streams_each_get_their_own_bytes_back(server):
    """Every stream asks from another position: each must get what belongs there and nothing else."""
    log = Log(server.io)
    lines = [b"canary %03d\r\n" % n for n in range(50)]
    log.say(b"".join(lines))
    width = len(records(lines[0]))
    clients = [server.connect(f"kind=cli&from=1.{n * width}") for n in range(50)]
    try:
        for number, client in enumerate(clients):
            expected = b"".join(lines[number:])
            assert read(client, len(expected))[0] == hashlib.sha256(expected).hexdigest()
    finally:
        for client in clients:
            client.close()


@pytest.mark.services
@pytest.mark.root
def test_speed_and_echo_over_tcp(server, record_property):
    """The figures of the issue, through Daphne: a real shell's echo, and 50 MB of output with the right sha256."""
    line = b"a line of the usual length, seventy bytes or so, as programs print them\n"
    expected = (line * 700_000)[:50_000_000].replace(b"\n", b"\r\n")
    flood = f"yes '{line.decode().strip()}' | head -c 50000000"
    script = f"stty -icanon -echo; echo ready; dd bs=1 count=200 status=none; read -r x; {flood}; sleep 60"
    with RealContainer(["bash", "-c", script], tty=True, io=server.io) as container:
        container.start()
        with server.connect("kind=cli&from=start&stdin=1") as client:
            read(client, len(b"ready\r\n"))
            until_live(client)
            times, consumed = [], 7
            for number in range(200):
                started = time.perf_counter()
                client.send(b"%c" % (97 + number % 26))
                frame = client.recv(WAIT_S)
                times.append((time.perf_counter() - started) * 1000)
                consumed += len(frame) - protocol.HEADER.size
            p50, p99 = statistics.median(times), sorted(times)[-3]
            client.send(json.dumps({"t": "ack", "bytes": consumed}))
        with server.connect("kind=cli&from=end&stdin=1") as client:
            until_live(client)
            client.send(b"\n")
            digest, pace = read(client, len(expected))
            rss = server.rss_bytes
    print(f"\necho p50 {p50:.2f} p99 {p99:.2f} ms; 50 MB at {pace.mean:.1f} MB/s; web process {rss / MIB:.0f} MiB")
    record_property("echo_p50_ms", p50)
    record_property("megabytes_per_second", pace.mean)
    assert digest == hashlib.sha256(expected).hexdigest()
    assert best_median(times) < 30
    assert pace.best > 3
    assert rss < 150 * MIB
