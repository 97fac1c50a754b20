"""What a command asks of the person: shown or not, from a terminal or standard input, and of log-ins only (REG-10)."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import termios

import pytest

from tests.client.test_session import read_all

pytestmark = pytest.mark.threat("REG-10")


@pytest.fixture
def asked(berth):
    """A door that asks for a password; what it was answered."""
    heard = []

    def door(talk):
        talk.hear()
        talk.say(t="ask", prompt="Password: ", secret=True, stdin=asked_for["stdin"])
        heard.append(talk.hear())
        talk.say(t="exit", code=0)

    asked_for = {"stdin": False}
    berth.door = door
    return heard, asked_for


def test_a_password_is_typed_and_not_shown(berth, asked):
    leader, follower = pty.openpty()
    process = berth.popen("login", "ghcr.io", stdin=follower, stdout=follower, stderr=follower)
    seen = b""
    while b"Password: " not in seen:
        seen += os.read(leader, 1000)
    assert not termios.tcgetattr(follower)[3] & termios.ECHO
    os.write(leader, b"s3cret\n")
    os.close(follower)
    seen += read_all(leader)
    assert process.wait(10) == 0
    os.close(leader)
    assert asked[0] == [{"t": "answer", "text": "s3cret"}]
    assert b"s3cret" not in seen


def test_ctrl_c_leaves_the_terminal_as_it_was(berth, asked):
    leader, follower = pty.openpty()
    process = berth.popen("login", stdin=follower, stdout=follower, stderr=follower)
    seen = b""
    while b"Password: " not in seen:
        seen += os.read(leader, 1000)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert termios.tcgetattr(follower)[3] & termios.ECHO
    os.close(leader)
    os.close(follower)


def test_standard_input_is_taken_whole_without_its_last_line_feed(berth, asked):
    asked[1]["stdin"] = True
    process = berth.popen("--team", "crew", "registry", "login", "--password-stdin", stdin=subprocess.PIPE)
    process.communicate(b"s3 cret\n")
    assert process.returncode == 0
    assert asked[0] == [{"t": "answer", "text": "s3 cret"}]


def test_without_a_terminal_there_is_nobody_to_ask(berth, asked):
    berth.call("login")
    assert asked[0][0]["error"] == "Error: Cannot perform an interactive login from a non TTY device"


@pytest.mark.parametrize("words", [("run", "-i", "ubuntu", "cat"), ("run", "-i", "login"), ("exec", "login", "sh")])
def test_no_other_command_gives_anything_away(words, berth, asked):
    asked[1]["stdin"] = True
    process = berth.popen(*words, stdin=subprocess.PIPE)
    process.communicate(b"s3cret\n")
    assert asked[0] == [{"t": "answer", "error": "Error: this command asks for nothing"}]
