"""Opening a connection to a web process that ends or has not begun yet."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
import threading

import pytest

from client.connection import Connection
from client.errors import Failed
from client.locate import NOT_RUNNING, locate


@pytest.fixture
def place(berth, monkeypatch):
    monkeypatch.setattr("client.locate.RUN_PARENT", berth.folder)
    for name, value in berth.environment().items():
        monkeypatch.setenv(name, value)
    return locate()


def reset_everybody(listener):
    """As the kernel does for a process that was killed: whoever was let in is reset."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


@pytest.fixture
def resetting(berth):
    """In the place of the server; ends when it is called."""
    berth.stop()
    listener = socket.create_server(("127.0.0.1", berth.port))
    thread = threading.Thread(target=reset_everybody, args=(listener,))
    thread.start()

    def end():
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()

    yield end
    end()


def test_whoever_listens_and_breaks_off_is_not_running(place, resetting, monkeypatch):
    connect = socket.create_connection

    def until_reset(*arguments, **options):
        made = connect(*arguments, **options)
        select.select([made], [], [], 30)
        return made

    monkeypatch.setattr(socket, "create_connection", until_reset)  # the reset is there before our first byte
    with pytest.raises(Failed, match=re.escape(NOT_RUNNING)):
        Connection.open(place, "/ws/command")


def test_it_is_asked_again_until_it_listens_in_earnest(berth, place, resetting):
    def replace():
        resetting()
        berth.start()

    later = threading.Timer(0.5, replace)
    later.start()
    Connection.reopen(place, "/ws/command", patience_s=60).close()
    later.join()
