from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import RequestRefused
from engine.runtime.command import DEFAULT_PATH, command_line, environment
from tests.support.examples import examples


@pytest.mark.parametrize(
    ("image_entrypoint", "image_command", "entrypoint", "command", "line"),
    [
        ((), ("/bin/bash",), None, (), ("/bin/bash",)),
        ((), ("/bin/bash",), None, ("ls", "-l"), ("ls", "-l")),
        (("tini", "--"), ("app",), None, (), ("tini", "--", "app")),
        (("tini", "--"), ("app",), None, ("other",), ("tini", "--", "other")),
        (("tini",), ("app",), ("/bin/sh",), (), ("/bin/sh",)),
        (("tini",), ("app",), ("/bin/sh", "-c"), ("id",), ("/bin/sh", "-c", "id")),
        (("tini",), ("app",), (), ("id",), ("id",)),
        (("tini",), ("app",), ("",), ("id",), ("id",)),
        (None, None, None, ("id",), ("id",)),
    ],
)
def test_entrypoint_and_command_combine_as_dockers(image_entrypoint, image_command, entrypoint, command, line):
    found = command_line(
        image_entrypoint=image_entrypoint, image_command=image_command, entrypoint=entrypoint, command=command
    )
    assert found == line


@pytest.mark.parametrize("entrypoint", [None, (), ("",)])
def test_nothing_to_run_is_refused_in_dockers_words(entrypoint):
    with pytest.raises(RequestRefused, match=r"No command specified\."):
        command_line(image_entrypoint=(), image_command=(), entrypoint=entrypoint, command=())


def test_the_environment_stands_in_dockers_order():
    found = environment(image_env=("LANG=C", "PATH=/x"), env=("A=1",), hostname="box", home="/root", tty=True)
    assert found == ("PATH=/x", "HOSTNAME=box", "TERM=xterm-256color", "LANG=C", "A=1", "HOME=/root")


def test_without_a_terminal_there_is_no_term_and_a_path_is_always_there():
    found = environment(image_env=(), env=(), hostname="box", home="/", tty=False)
    assert found == (f"PATH={DEFAULT_PATH}", "HOSTNAME=box", "HOME=/")


def test_a_name_without_value_takes_a_variable_away_and_home_can_be_given():
    found = environment(image_env=("A=1", "broken"), env=("A", "HOME=/h", "PATH"), hostname="b", home="/", tty=False)
    assert found == ("HOSTNAME=b", "HOME=/h")


names = st.text(st.characters(exclude_characters="=\0"), min_size=1, max_size=8)
entries = st.lists(st.tuples(names, st.text(st.characters(exclude_characters="\0"), max_size=8)), max_size=8)


@settings(max_examples=examples(100))
@given(entries, entries)
def test_each_name_stands_once_and_the_last_value_wins(image, request_):
    found = environment(
        image_env=[f"{n}={v}" for n, v in image],
        env=[f"{n}={v}" for n, v in request_],
        hostname="b",
        home="/",
        tty=False,
    )
    keys = [entry.partition("=")[0] for entry in found]
    assert len(keys) == len(set(keys))
    for name, value in {**dict(image), **dict(request_)}.items():
        assert f"{name}={value}" in found


@pytest.mark.parametrize("env", [[f"V{number}=x" for number in range(50_000)], ["A=" + "x" * 1024 * 1024]])
def test_an_environment_that_would_hold_the_engine_up_is_refused(env):
    with pytest.raises(RequestRefused, match="at most 4096 in 1048576"):
        environment(image_env=env, env=(), hostname="b", home="/", tty=False)
