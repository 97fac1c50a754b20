"""Signals by name, and what runc says."""

from __future__ import annotations

import json
import signal

import pytest

from engine.errors import CommandNotExecutable, CommandNotFound, RequestRefused, RuntimeFailed
from engine.runtime.etcfiles import hosts_text
from engine.runtime.messages import error_of, last_error_of_log
from engine.runtime.signals import parse_signal

CREATE = "runc create failed: unable to start container process: "


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("KILL", 9),
        ("SIGKILL", 9),
        ("sigterm", 15),
        ("9", 9),
        (2, 2),
        ("RTMIN", 34),
        ("RTMIN+3", 37),
        ("RTMAX-1", 63),
        ("SIGCLD", 17),
    ],
)
def test_signals_are_known_by_all_their_names(text, number):
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "FOO", "-1", "65", "RTMIN+99", "SIG", "9 ", "SIG_DFL", "１"])
def test_other_signals_are_refused(text):
    with pytest.raises(RequestRefused, match="Invalid signal"):
        parse_signal(text)


def test_every_signal_of_python_is_known():
    for entry in signal.valid_signals():
        assert parse_signal(int(entry)) == int(entry)


@pytest.mark.parametrize(
    ("message", "kind", "sentence"),
    [
        (
            f'{CREATE}exec: "nope": executable file not found in $PATH\n',
            CommandNotFound,
            'exec: "nope": executable file not found in $PATH',
        ),
        (
            f'{CREATE}exec: "/nope": stat /nope: no such file or directory',
            CommandNotFound,
            'exec: "/nope": stat /nope: no such file or directory',
        ),
        (
            f'{CREATE}exec: "/etc/passwd": permission denied',
            CommandNotExecutable,
            'exec: "/etc/passwd": permission denied',
        ),
        (f'{CREATE}exec: "/etc": is a directory', CommandNotExecutable, 'exec: "/etc": is a directory'),
        (
            f'{CREATE}chdir to cwd ("/root") set in config.json failed: permission denied',
            CommandNotExecutable,
            'chdir to cwd ("/root") failed: permission denied',
        ),
        (
            f"{CREATE}container init was OOM-killed (memory limit too low?)",
            RequestRefused,
            "The memory limit is too low for the container to start.",
        ),
        ("something else", RuntimeFailed, "The container could not be started: something else"),
        ("", RuntimeFailed, "The container could not be started: no reason was given"),
    ],
)
def test_what_runc_says_becomes_the_right_error(message, kind, sentence):
    error = error_of(message, container_id="ab")
    assert type(error) is kind
    assert str(error) == sentence
    assert error.subject == "ab"


def test_the_last_error_of_a_log_is_found():
    lines = [json.dumps({"level": level, "msg": level}) for level in ("error", "warning", "fatal", "info")]
    assert last_error_of_log("\n".join([*lines, "broken"]).encode()) == "fatal"
    assert last_error_of_log(b"[]\n1\n") == ""


def test_hosts_has_each_address_of_the_container():
    assert hosts_text(["10.0.0.2", "fd00::2"], "web").endswith("10.0.0.2\tweb\nfd00::2\tweb\n")


def test_hosts_names_the_container():
    assert hosts_text(["10.0.0.2"], "web").endswith("10.0.0.2\tweb\n")
    assert "10.0.0.9\tdb\n10.0.0.2\tweb\n" in hosts_text(["10.0.0.2"], "web", [("db", "10.0.0.9")])
    assert hosts_text(["10.0.0.2"], "web.example.org").endswith("10.0.0.2\tweb.example.org web\n")
