"""Archives between the server and a file or a pipe: every byte, in a window, or nothing."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess

import pytest

from client.transfer import WINDOW_BYTES, is_named
from tests.support.waiting import until

PATH = "/ws/transfers/" + "0" * 32


def script(berth, transfer, *, direction, file="", code=0):
    """A door that asks for one transfer; what the client said of its end."""
    said = []

    def door(talk):
        talk.hear()
        talk.say(t="transfer", path=PATH, direction=direction, file=file)
        said.append(talk.hear_until("stream-ended"))
        talk.say(t="exit", code=code if said[-1]["how"] == "exited" else 1)

    berth.door = door
    berth.transfer = transfer
    return said


def sends(content, *, told=None, window=WINDOW_BYTES):
    def transfer(talk):
        sent = acknowledged = 0
        while sent < len(content):
            while sent - acknowledged >= window:
                acknowledged = talk.hear_until("ack")["bytes"]
            piece = content[sent : sent + 64 * 1024]
            talk.bytes(piece)
            sent += len(piece)
        talk.say(t="end", bytes=len(content) if told is None else told)

    return transfer


def takes(got, *, most=WINDOW_BYTES):
    def transfer(talk):
        talk.say(t="ready")
        while isinstance(message := talk.hear(), bytes):
            got.append(message)
            talk.say(t="taken", bytes=sum(map(len, got)))
        assert message == {"t": "eof", "bytes": sum(map(len, got))}
        talk.say(t="end", bytes=message["bytes"])

    return transfer


def test_a_pipe_gets_every_byte(berth):
    content = os.urandom(5 * WINDOW_BYTES + 3)
    said = script(berth, sends(content), direction="out")
    done = berth.call("volume", "backup", "data")
    assert (done.returncode, done.stderr) == (0, b"")
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(content).digest()
    assert said == [{"t": "stream-ended", "how": "exited", "code": 0}]
    assert berth.paths[-1] == PATH


def test_a_slow_pipe_holds_the_server_up(berth):
    acknowledged = []

    def transfer(talk):
        for _ in range(WINDOW_BYTES // 65536):
            talk.bytes(bytes(65536))
        while sum(acknowledged[-1:]) < WINDOW_BYTES:
            acknowledged.append(talk.hear_until("ack")["bytes"])
        talk.say(t="end", bytes=WINDOW_BYTES)

    script(berth, transfer, direction="out")
    with berth.popen("volume", "backup", "data", stdout=subprocess.PIPE) as client:
        until("the pipe is full", lambda: _is_full(client.stdout.fileno()))
        assert sum(acknowledged[-1:]) < WINDOW_BYTES
        assert len(client.stdout.read()) == WINDOW_BYTES
        assert client.wait(30) == 0


def _is_full(pipe):
    import array
    import fcntl
    import termios

    waiting = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return waiting[0] >= 65536


def test_a_file_appears_when_it_is_whole(berth, tmp_path):
    target = tmp_path / "x.tar"
    target.write_bytes(b"before")
    content = os.urandom(WINDOW_BYTES)
    script(berth, sends(content), direction="out", file=str(target))
    assert berth.call("volume", "backup", "-o", str(target), "data").returncode == 0
    assert target.read_bytes() == content
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if "x.tar" in path.name] == ["x.tar"]


@pytest.mark.parametrize("how", ["short", "broken", "refused"])
def test_an_archive_that_is_not_whole_is_none(berth, tmp_path, how):
    target = tmp_path / "x.tar"
    target.write_bytes(b"before")

    def transfer(talk):
        talk.bytes(b"half")
        if how == "refused":
            talk.say(t="error", message="The archive is gone.")
            talk.close(4404)
        elif how == "short":
            talk.say(t="end", bytes=5)
        else:
            talk.socket.socket.close()

    said = script(berth, transfer, direction="out", file=str(target))
    done = berth.call("volume", "backup", "-o", str(target), "data")
    assert done.returncode == 1
    assert said[0]["how"] == "lost"
    assert (b"The archive is gone." if how == "refused" else b"lost before the last byte") in done.stderr
    assert target.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir() if "x.tar" in path.name] == ["x.tar"]


def test_ctrl_c_leaves_no_half_file(berth, tmp_path):
    target = tmp_path / "x.tar"
    gone = []

    def transfer(talk):
        talk.bytes(b"half")
        try:
            talk.hear()
        finally:
            gone.append(True)

    script(berth, transfer, direction="out", file=str(target))
    with berth.popen("volume", "backup", "-o", str(target), "data", stderr=subprocess.DEVNULL) as client:
        until("it has begun", lambda: any("x.tar" in path.name for path in tmp_path.iterdir()))
        until("it has written", lambda: [p for p in tmp_path.iterdir() if "x.tar" in p.name and p.stat().st_size])
        client.send_signal(signal.SIGINT)
        assert client.wait(30) == 130
    until("the server notices", lambda: gone)
    assert not any("x.tar" in path.name for path in tmp_path.iterdir())


def test_standard_input_and_files_are_sent_whole(berth, tmp_path):
    content = os.urandom(3 * WINDOW_BYTES + 7)
    got = []
    script(berth, takes(got), direction="in")
    assert berth.call("volume", "restore", "data", stdin=content).returncode == 0
    assert b"".join(got) == content
    source = tmp_path / "x.tar"
    source.write_bytes(content[:100])
    got = []
    script(berth, takes(got), direction="in", file=str(source))
    assert berth.call("volume", "restore", f"--input={source}", "data").returncode == 0
    assert b"".join(got) == content[:100]


def test_no_more_than_a_window_is_sent_ahead(berth):
    ahead = []

    def transfer(talk):
        talk.say(t="ready")
        got = 0
        with contextlib.suppress(TimeoutError):
            while got < 2 * WINDOW_BYTES:
                got += len(talk.hear(1))
        ahead.append(got)
        talk.say(t="taken", bytes=got)
        while isinstance(message := talk.hear(), bytes):
            got += len(message)
            talk.say(t="taken", bytes=got)
        talk.say(t="end", bytes=got)

    script(berth, transfer, direction="in")
    assert berth.call("volume", "restore", "data", stdin=bytes(2 * WINDOW_BYTES)).returncode == 0
    assert WINDOW_BYTES // 2 < ahead[0] <= WINDOW_BYTES


def test_the_servers_reason_is_said(berth):
    def transfer(talk):
        talk.say(t="ready")
        talk.hear()
        talk.say(t="error", message="The disk is full.")
        talk.close(4507)

    said = script(berth, transfer, direction="in")
    done = berth.call("volume", "restore", "data", stdin=bytes(10 * WINDOW_BYTES))
    assert (done.returncode, done.stderr) == (1, b"berth: The disk is full.\n")
    assert said[0]["how"] == "lost"


@pytest.mark.parametrize(("direction", "word"), [("in", "-i"), ("out", "-o")])
def test_a_file_that_cannot_be_opened_is_said(berth, tmp_path, direction, word):
    path = str(tmp_path / "none" / "x.tar")
    script(berth, lambda talk: None, direction=direction, file=path)
    done = berth.call("volume", "backup", word, path, "data")
    assert done.returncode == 1
    assert done.stderr.decode() == f"berth: open {path}: no such file or directory\n"


def test_only_files_that_the_words_name_are_touched(berth, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"mine")
    for direction in ("in", "out"):
        script(berth, lambda talk: None, direction=direction, file=str(secret))
        done = berth.call("volume", "backup", "-o", "other", "data")
        assert (done.returncode, b"is not a file of this command" in done.stderr) == (1, True)
    assert secret.read_bytes() == b"mine"
    assert PATH not in berth.paths
    assert is_named("x", ["volume", "backup", "-ox", "data"])
    assert is_named("x", ["--output=x"])
    assert not is_named("x", ["-o", "xy"])
