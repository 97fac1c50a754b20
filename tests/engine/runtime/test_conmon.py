"""Starting a monitor, when a step of it fails."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

import pytest

from engine.containers.folder import ContainerFolder
from engine.errors import HostUnfit
from engine.kernel import cgroups
from engine.runtime import conmon
from tests.engine.test_api import command_of

pytestmark = pytest.mark.root


def launched(lab, container_id, **settings):
    config = dataclasses.replace(lab.config, **settings)
    folder = ContainerFolder(config, container_id)
    folder.make_io(24, 80)
    where = {"container_id": container_id, "runc_root": config.run / "runc"}
    return conmon.Launch(config, folder.bundle, tty=False, open_stdin=False, **where)


def failing_at(number, function):
    calls = []

    def call(*args):
        calls.append(args)
        if len(calls) == number:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return function(*args)

    return call


@pytest.mark.fault("F47")
@pytest.mark.parametrize(
    ("place", "number", "settings", "expected"),
    [
        ("os.pipe", 1, {}, OSError),
        ("os.pipe", 2, {}, OSError),
        ("engine.kernel.cgroups.move", 1, {}, OSError),
        ("", 0, {"conmon": Path("/no/such/conmon")}, HostUnfit),
    ],
)
def test_a_monitor_that_is_not_started_whole_leaves_no_descriptor_and_no_process(
    lab, monkeypatch, place, number, settings, expected
):
    container_id = lab.create("/bin/true")
    launched(lab, container_id).abort()
    before = os.listdir("/proc/self/fd")
    with monkeypatch.context() as patch:
        if place:
            function = os.pipe if place == "os.pipe" else cgroups.move
            patch.setattr(place, failing_at(number, function))
        with pytest.raises(expected):
            launched(lab, container_id, **settings)
    assert os.listdir("/proc/self/fd") == before
    assert not [pid for pid in os.listdir("/proc") if pid.isdecimal() and container_id in command_of(pid)]
    lab.take_away(container_id)
