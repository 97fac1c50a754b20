from __future__ import annotations

import os
import queue
import select
import signal
import subprocess
import sys
import threading

import pytest

from engine.kernel import pidfd
from engine.kernel.pidfd import PidFd, ProcessIdentity, start_time


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "300"])
    yield process
    process.kill()
    process.wait()


def test_it_becomes_readable_when_the_process_ends(sleeper):
    with PidFd(sleeper.pid) as process:
        assert not process.has_ended()
        assert process.signal(signal.SIGKILL)
        assert select.select([process], [], [], 5)[0]
        assert process.wait(5)
        sleeper.wait()
        assert not process.signal(signal.SIGKILL)


def test_there_is_none_of_no_process(sleeper):
    sleeper.kill()
    sleeper.wait()
    with pytest.raises(ProcessLookupError):
        PidFd(sleeper.pid)
    assert start_time(sleeper.pid) is None
    assert ProcessIdentity.of(sleeper.pid) is None


@pytest.fixture
def other_thread():
    """The number of a thread that is no process's first."""
    may_end, numbers = threading.Event(), queue.Queue()
    thread = threading.Thread(target=lambda: (numbers.put(threading.get_native_id()), may_end.wait()))
    thread.start()
    yield numbers.get(timeout=5)
    may_end.set()
    thread.join()


@pytest.mark.fault("F41")
def test_another_process_with_the_same_number_is_never_opened(sleeper):
    identity = ProcessIdentity.of(sleeper.pid)
    assert identity.is_alive()
    planted = ProcessIdentity(identity.boot_id, identity.pid, identity.starttime - 1)
    assert planted.open() is None
    assert not planted.is_alive()


@pytest.mark.fault("F41")
def test_a_number_that_a_thread_has_now_is_no_process(other_thread):
    with pytest.raises(ProcessLookupError):
        PidFd(other_thread)
    planted = ProcessIdentity(pidfd.boot_id(), other_thread, start_time(other_thread))
    assert planted.open() is None
    assert not planted.is_alive()


@pytest.mark.fault("F40")
def test_after_a_restart_of_the_host_no_process_is_the_same(sleeper, tmp_path, monkeypatch):
    identity = ProcessIdentity.of(sleeper.pid)
    (tmp_path / "boot_id").write_text("00000000-0000-0000-0000-000000000000\n")
    monkeypatch.setattr(pidfd, "BOOT_ID_FILE", tmp_path / "boot_id")
    assert identity.open() is None


def test_an_identity_survives_being_written_down(sleeper):
    identity = ProcessIdentity.of(sleeper.pid)
    assert ProcessIdentity.from_text(identity.to_text()) == identity


def test_a_zombie_has_ended(sleeper):
    identity = ProcessIdentity.of(sleeper.pid)
    sleeper.kill()
    with PidFd(sleeper.pid) as process:
        process.wait(5)
    assert not identity.is_alive()


def test_names_with_brackets_do_not_confuse_the_start_time(tmp_path):
    program = tmp_path / "a) R 1 2"
    program.symlink_to(sys.executable)
    process = subprocess.Popen([program, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert start_time(process.pid) >= start_time(os.getpid())
    finally:
        process.communicate(b"\n")


@pytest.mark.root
def test_a_descriptor_of_another_process_can_be_copied():
    reading, writing = os.pipe()
    process = subprocess.Popen(["sleep", "300"], stdout=writing)
    os.close(writing)
    try:
        with PidFd(process.pid) as found:
            copy = found.copy_fd(1)
        os.write(copy, b"hello")
        os.close(copy)
        assert os.read(reading, 5) == b"hello"
    finally:
        process.kill()
        process.wait()
        os.close(reading)
