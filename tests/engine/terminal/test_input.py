from __future__ import annotations

import hashlib
import os
import socket

import pytest

from engine.errors import WrongState
from engine.terminal.input import PACKET_BYTES, InputAttach
from engine.terminal.log import Position
from engine.terminal.tail import LogTail
from tests.engine.terminal.real_conmon import RealContainer, wait_for
from tests.support.waiting import until


class Output:
    """What a container has printed so far."""

    def __init__(self, io):
        self.tail, self.text = LogTail(io, Position(1, 0), pin=True), b""

    def has(self, words, *, since=0):
        self.tail.rescan()
        self.text += b"".join(c.payload for c in self.tail.read(1 << 24))
        return words in self.text[since:]

    def wait(self, words, *, since=0):
        until(lambda: f"{words!r} in {self.text[-2000:]!r}", lambda: self.has(words, since=since), every_s=0.005)


@pytest.fixture
def listener(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        folder = os.open(tmp_path, os.O_PATH)
        server.bind(f"/proc/self/fd/{folder}/attach")
        os.close(folder)
        server.listen(4)
        yield server


def test_packets_are_small_and_in_order(tmp_path, listener):
    attach = InputAttach(tmp_path)
    conmon, _ = listener.accept()
    data = bytes(range(256)) * 40
    attach.send(data)
    packets = [conmon.recv(65536) for _ in range(3)]
    assert b"".join(packets) == data
    assert max(map(len, packets)) <= PACKET_BYTES
    attach.eof()
    assert conmon.recv(65536) == b""
    attach.close()
    conmon.close()


def test_a_program_that_does_not_read_leaves_the_rest_queued(tmp_path, listener):
    attach = InputAttach(tmp_path)
    conmon, _ = listener.accept()
    data = os.urandom(600_000)
    attach.send(data)
    assert attach.is_blocked
    assert attach.queued_bytes + attach.sent_bytes == len(data)
    got = b""
    conmon.settimeout(30)
    while len(got) < len(data):
        got += conmon.recv(65536)
        attach.flush()
    assert got == data
    assert not attach.is_blocked
    attach.close()
    conmon.close()


def test_an_interrupt_passes_what_is_stuck(tmp_path, listener):
    attach = InputAttach(tmp_path)
    conmon, _ = listener.accept()
    attach.send(b"x" * 600_000)
    dropped = attach.interrupt()
    second, _ = listener.accept()
    second.settimeout(30)
    assert second.recv(100) == b"\x03"
    assert dropped > 0
    for open_one in (attach, conmon, second):
        open_one.close()


def test_end_of_input_comes_after_what_was_queued(tmp_path, listener):
    attach = InputAttach(tmp_path)
    conmon, _ = listener.accept()
    conmon.settimeout(30)
    attach.send(b"x" * 600_000)
    attach.eof()
    got = 0
    while packet := conmon.recv(65536):
        got += len(packet)
        attach.flush()
    assert got == 600_000
    attach.close()
    conmon.close()


def test_a_container_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(WrongState, match="not running"):
        InputAttach(tmp_path)


@pytest.mark.root
def test_a_real_shell_is_typed_into_and_its_log_read():
    with RealContainer(["bash"], tty=True) as container:
        output = Output(container.io)
        container.start()
        attach = InputAttach(container.io)
        attach.send(b"echo $((40+2))\n")
        output.wait(b"42\r\n")
        attach.send(b"exit 7\n")
        assert container.wait_exit() == 7
        with pytest.raises(WrongState):
            attach.send(b"x" * 1_000_000)
        attach.close()


@pytest.mark.root
@pytest.mark.threat("WS-08")
def test_a_paste_of_10_mb_arrives_whole_in_a_pipe():
    with RealContainer(["sha256sum"], tty=False) as container:
        output = Output(container.io)
        container.start()
        attach, data = InputAttach(container.io), os.urandom(10_000_000)
        attach.send(data)
        attach.eof()
        wait_for(lambda: attach.flush() or not attach.is_blocked)
        output.wait(hashlib.sha256(data).hexdigest().encode())
        assert container.wait_exit() == 0
        attach.close()


@pytest.mark.root
def test_a_program_that_has_answered_already_still_sees_the_end_of_its_input():
    """conmon overlooks the end of a client that it could not write to."""
    with RealContainer(["cat"], tty=False) as container:
        output = Output(container.io)
        container.start()
        attach = InputAttach(container.io)
        attach.send(b"answered\n")
        output.wait(b"answered\n")
        attach.eof()
        assert container.wait_exit() == 0
        attach.close()


@pytest.mark.root
@pytest.mark.parametrize("size", [65_536 + 4096, 400_000])
def test_the_end_waits_for_a_slow_program_to_take_what_came_before_it(size):
    """The pipe is full, and conmon holds the last packet itself: the socket's queue is empty then."""
    with RealContainer(["bash", "-c", "echo first; sleep 0.5; exec sha256sum"], tty=False) as container:
        output, data = Output(container.io), os.urandom(size)
        container.start()
        output.wait(b"first\n")
        attach = InputAttach(container.io)
        attach.send(data)
        attach.eof()
        wait_for(lambda: attach.flush() or not attach.is_blocked)
        output.wait(hashlib.sha256(data).hexdigest().encode())
        assert container.wait_exit() == 0
        attach.close()


@pytest.mark.root
@pytest.mark.parametrize("words", [["cat"], ["bash", "-c", "yes | head -c 3000000 & cat; wait"]])
def test_the_end_is_seen_while_output_flows(words):
    for _ in range(4):
        with RealContainer(words, tty=False) as container:
            container.start()
            attach = InputAttach(container.io)
            attach.send(b"answered\n" * 2000)
            attach.eof()
            wait_for(lambda attach=attach: attach.flush() or not attach.is_blocked)
            assert container.wait_exit() == 0
            attach.close()


@pytest.mark.root
@pytest.mark.threat("WS-08")
def test_an_interrupt_overtakes_a_long_paste():
    """A program that reads a line every 200 ms would take 180 s to come to a Ctrl-C at the end of this paste."""
    script = "trap 'echo INTERRUPTED; exit 9' INT; while read -r line; do sleep 0.2; done"
    with RealContainer(["bash", "-c", script]) as container:
        output = Output(container.io)
        container.start()
        attach = InputAttach(container.io)
        attach.send((b"q" * 999 + b"\n") * 900)
        assert attach.queued_bytes > 500_000
        attach.interrupt()
        output.wait(b"INTERRUPTED")
        attach.close()


@pytest.mark.root
@pytest.mark.threat("RUN-17")
def test_two_hundred_attach_rounds_leave_nothing_behind():
    with RealContainer(["cat"], tty=True) as container:
        output = Output(container.io)
        container.start()
        keeper = InputAttach(container.io)
        keeper.send(b"first\n")
        output.wait(b"first\r\nfirst\r\n")

        def counts():
            return (len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{container.conmon_pid}/fd")))

        before = counts()
        for number in range(200):
            attach = InputAttach(container.io)
            attach.send(b"%d\n" % number)
            output.wait(b"\n%d\r\n%d\r\n" % (number, number))
            attach.close()
        keeper.send(b"last\n")
        output.wait(b"last\r\nlast\r\n")
        wait_for(lambda: counts() <= before)
        keeper.close()


@pytest.mark.root
def test_an_attached_client_that_never_reads_blocks_nobody():
    with RealContainer(
        ["bash", "-c", "read x; head -c 30000000 /dev/zero | tr '\\0' y; echo; echo DONE"], tty=True
    ) as c:
        output = Output(c.io)
        c.start()
        attach = InputAttach(c.io)
        attach.send(b"go\n")
        output.wait(b"DONE")
        assert c.wait_exit() == 0
        attach.close()
