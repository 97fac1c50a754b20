"""Streams of the client: terminals, pipes, positions, reconnecting, signals."""

from __future__ import annotations

import hashlib
import os
import pty
import signal
import subprocess
import termios
import threading
import time
from urllib.parse import parse_qs, urlsplit

from tests.client.server import output
from tests.client.test_session import read_all
from tests.support.waiting import until

ID = "c" * 64


def door_for(*, tty: bool, interactive: bool, code: int = 0, ended: list | None = None):
    def door(talk):
        first = talk.hear()
        if first["argv"][0] == "kill":
            ended.append(first["argv"])
            talk.say(t="exit", code=0)
            return
        talk.say(
            t="stream",
            path=f"/ws/terminals/{ID}?mode=attach&stdin=1&from=start",
            container=ID,
            tty=tty,
            interactive=interactive,
        )
        frame = talk.hear_until("stream-ended", 30)
        if ended is not None:
            ended.append(frame["how"])
        talk.say(t="exit", code=code if frame["how"] == "exited" else 0)

    return door


def test_output_goes_to_the_right_descriptor_and_is_acknowledged(berth):
    ended, acks = [], []

    def terminal(talk):
        talk.say(t="hello", container=ID, tty=False, write=False, state="running", name="x", image="y")
        talk.bytes(output(b"to stdout\n", offset=10))
        talk.bytes(output(b"\xff\x00 raw", stream=2, offset=20))
        acks.append(talk.hear())
        talk.say(t="exit", code=7, reason="")

    berth.terminal = terminal
    berth.door = door_for(tty=False, interactive=False, code=7, ended=ended)
    done = berth.call("run", "x")
    assert (done.stdout, done.stderr, done.returncode) == (b"to stdout\n", b"\xff\x00 raw", 7)
    assert acks == [{"t": "ack", "bytes": 16}]
    assert ended == ["exited"]
    query = parse_qs(urlsplit(berth.paths[1]).query)
    assert query == {"mode": ["attach"], "stdin": ["1"], "from": ["start"], "kind": ["cli"]}


def test_standard_input_is_sent_whole_and_ends_with_eof(berth):
    data = os.urandom(1_500_000)
    got = bytearray()

    def terminal(talk):
        talk.say(t="hello", container=ID)
        while True:
            frame = talk.hear()
            if isinstance(frame, dict):
                assert frame == {"t": "eof"}
                break
            assert len(frame) <= 65536
            got.extend(frame)
            talk.say(t="taken", bytes=len(got))
        talk.say(t="exit", code=0)

    berth.terminal = terminal
    berth.door = door_for(tty=False, interactive=True)
    assert berth.call("run", "-i", "x", stdin=data).returncode == 0
    assert bytes(got) == data


def test_input_waits_for_what_the_program_takes(berth):
    counts = []

    def terminal(talk):
        talk.say(t="hello", container=ID)
        total = 0
        try:
            while True:
                total += len(talk.hear(0.7))
        except TimeoutError:
            counts.append(total)
        talk.say(t="exit", code=0)

    berth.terminal = terminal
    berth.door = door_for(tty=False, interactive=True)
    berth.call("run", "-i", "x", stdin=b"x" * 2_000_000)
    assert 200_000 < counts[0] <= 256 * 1024


def test_a_broken_connection_goes_on_from_the_last_byte_written(berth):
    parts = [os.urandom(20_000) for _ in range(6)]
    turn = iter(range(3))

    def terminal(talk):
        number = next(turn)
        for index in (2 * number, 2 * number + 1):
            talk.bytes(output(parts[index], segment=index + 1, offset=index * 100))
        total = 0
        while total < 40_000:
            total = talk.hear()["bytes"]
        if number < 2:
            talk.break_off()
        else:
            talk.say(t="exit", code=0)

    berth.terminal = terminal
    berth.door = door_for(tty=False, interactive=False)
    done = berth.call("run", "x")
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(b"".join(parts)).digest()
    starts = [parse_qs(urlsplit(path).query)["from"] for path in berth.paths if "terminals" in path]
    assert starts == [["start"], ["2.100"], ["4.300"]]
    assert done.stderr.count(b"berth: the connection was lost, reconnecting\n") == 2
    assert done.stderr.count(b"berth: connected again\n") == 2


def test_a_restarted_web_process_is_waited_for(berth):
    connected = threading.Event()

    def terminal(talk):
        if connected.is_set():
            talk.bytes(output(b"after\n", offset=2))
            talk.hear()
            talk.say(t="exit", code=5)
        else:
            talk.bytes(output(b"before\n", offset=1))
            connected.set()
            talk.hear(60)
            talk.hear(60)

    berth.terminal = terminal
    berth.door = door_for(tty=False, interactive=False)
    process = berth.popen("run", "x", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == b"before\n"
    berth.stop()
    (berth.run / "admin-token").write_text("a-new-secret")
    time.sleep(0.5)
    berth.start()
    assert process.stdout.readline() == b"after\n"
    assert process.wait(60) == 5, "the door was lost with the web process; the stream itself said the code"
    process.stdout.close()
    assert berth.headers[-1]["authorization"] == "Bearer a-new-secret"


def test_a_slow_reader_is_not_dropped(berth):
    blob = os.urandom(32 * 1024)

    def terminal(talk):
        sent = acknowledged = 0
        digest = hashlib.sha256()
        while sent < 200 * len(blob):
            while sent - acknowledged + len(blob) > 256 * 1024:
                acknowledged = talk.hear()["bytes"]
            talk.bytes(output(blob, offset=sent))
            digest.update(blob)
            sent += len(blob)
        while acknowledged < sent:
            acknowledged = talk.hear()["bytes"]
        assert acknowledged == sent
        talk.say(t="exit", code=0)

    berth.terminal = terminal
    berth.door = door_for(tty=False, interactive=False)
    process = berth.popen("run", "x", stdout=subprocess.PIPE)
    total = hashlib.sha256()
    while data := process.stdout.read(300_000):
        total.update(data)
        time.sleep(0.02)
    process.stdout.close()
    assert process.wait() == 0
    assert total.digest() == hashlib.sha256(blob * 200).digest()


def test_a_terminal_is_raw_while_attached_and_restored_after(berth):
    ended, keys = [], bytearray()
    sizes = []

    def terminal(talk):
        talk.say(t="hello", container=ID, tty=True, write=True)
        talk.bytes(output(b"root@cccccccccccc:/# ", offset=3))
        while b"\x10\x11" not in keys:
            frame = talk.hear()
            if isinstance(frame, bytes):
                keys.extend(frame)
            elif frame["t"] == "resize":
                sizes.append((frame["rows"], frame["cols"]))
        talk.say(t="detached")

    berth.terminal = terminal
    berth.door = door_for(tty=True, interactive=True, ended=ended)
    leader, follower = pty.openpty()
    before = termios.tcgetattr(follower)
    termios.tcsetwinsize(follower, (30, 100))
    process = berth.popen("attach", "x", stdin=follower, stdout=follower, stderr=follower, start_new_session=True)
    seen = b""
    while b"/# " not in seen:
        seen += os.read(leader, 1000)
    assert not termios.tcgetattr(follower)[3] & termios.ECHO
    termios.tcsetwinsize(follower, (40, 120))
    process.send_signal(signal.SIGWINCH)
    os.write(leader, b"ls\r\x03")
    until("size and keys have come", lambda: sizes and b"\x03" in keys)
    os.write(leader, b"\x10\x11")
    assert process.wait(60) == 0
    assert termios.tcgetattr(follower) == before
    os.close(follower)
    assert b"read escape sequence" in read_all(leader)
    os.close(leader)
    assert bytes(keys) == b"ls\r\x03\x10\x11"
    assert sizes == [(40, 120)]
    assert ended == ["detached"]
    query = parse_qs(urlsplit(berth.paths[1]).query)
    assert (query["rows"], query["cols"]) == (["30"], ["100"])


def test_signals_become_kills_where_there_is_no_terminal(berth):
    ended = []

    def terminal(talk):
        talk.bytes(output(b"ready\n", offset=1))
        talk.hear()
        until("both kills", lambda: len(ended) >= 2)
        talk.say(t="exit", code=143)

    berth.terminal = terminal
    berth.door = door_for(tty=False, interactive=False, code=143, ended=ended)
    process = berth.popen("run", "x", stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    until("the first kill", lambda: ended)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 143
    process.stdout.close()
    assert ended[:2] == [["kill", "-s", "15", ID], ["kill", "-s", "2", ID]]


def test_who_is_let_go_in_the_middle_of_output_does_not_come_back(berth):
    """The server closes behind its last words; an acknowledgement that comes too late is no lost connection."""
    ended = []

    def terminal(talk):
        talk.say(t="hello", container=ID)
        for number in range(1, 9):
            talk.bytes(output(b"x" * 65_536, offset=number * 65_536))
        talk.say(t="detached")
        talk.close(4000)

    berth.terminal = terminal
    berth.door = door_for(tty=False, interactive=False, ended=ended)
    for _ in range(5):
        done = berth.call("attach", "x")
        assert (len(done.stdout), done.stderr, done.returncode) == (8 * 65_536, b"read escape sequence\n", 0)
    assert ended == ["detached"] * 5
    assert len(berth.paths) == 10, "a door and a stream each time"


def test_a_refused_stream_says_why(berth):
    def terminal(talk):
        talk.say(t="error", message="Somebody else types into this container.")
        talk.close(4409)

    ended = []
    berth.terminal = terminal
    berth.door = door_for(tty=False, interactive=True, ended=ended)
    done = berth.call("attach", "x")
    assert b"Somebody else types into this container." in done.stderr
    assert ended == ["lost"]


def test_a_closed_standard_input_is_the_end_of_input(berth):
    def terminal(talk):
        assert talk.hear() == {"t": "eof"}
        talk.say(t="exit", code=0)

    berth.terminal = terminal
    berth.door = door_for(tty=False, interactive=True)
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$@" <&-', "sh", *berth.command("run", "-i", "x")], env=berth.environment()
    )
    assert process.wait(60) == 0
    assert not berth.errors


def test_ctrl_c_leaves_followed_logs(berth):
    def terminal(talk):
        talk.bytes(output(b"line\n", offset=1))
        while True:
            talk.hear(60)

    def door(talk):
        talk.hear()
        talk.say(
            t="stream",
            path=f"/ws/terminals/{ID}?mode=logs",
            container=ID,
            tty=False,
            interactive=False,
            sig_proxy=False,
        )
        talk.hear(60)

    berth.terminal, berth.door = terminal, door
    process = berth.popen("logs", "-f", "xx", stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"line\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    process.stdout.close()
