from __future__ import annotations

import os
import pty
import termios

import pytest

from engine.kernel.tty import get_winsize, raw_mode, set_winsize


@pytest.fixture
def terminal():
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def test_a_size_set_on_one_side_shows_on_the_other(terminal):
    set_winsize(terminal[0], 40, 132)
    assert get_winsize(terminal[1]) == (40, 132)


@pytest.mark.parametrize("size", [(0, 80), (24, 0), (-1, 80), (70000, 80)])
def test_a_size_that_is_none_is_refused(terminal, size):
    with pytest.raises(ValueError, match="no size"):
        set_winsize(terminal[0], *size)


def test_raw_mode_ends_with_its_block_also_after_an_error(terminal):
    before = termios.tcgetattr(terminal[1])

    def fail_inside():
        with raw_mode(terminal[1]):
            assert not termios.tcgetattr(terminal[1])[3] & termios.ICANON
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert termios.tcgetattr(terminal[1]) == before
