from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time

import pytest

from engine.config import Limits
from engine.terminal import boundary, resize, rotation
from engine.terminal.input import InputAttach
from engine.terminal.log import Position
from engine.terminal.tail import LogTail
from engine.terminal.watch import LogWatch
from tests.engine.terminal.logs import records
from tests.engine.terminal.real_conmon import RealContainer, wait_for
from tests.engine.terminal.test_input import Output

GROUP = 12345
MIB = 1024 * 1024
SMALL = Limits(log_segment_bytes=MIB, log_segments=3)


class Rotator(threading.Thread):
    """The engine's clock, faster: so that many rotations happen in a short test."""

    def __init__(self, io, limits, every_s=0.1, on_rotated=lambda: None):
        super().__init__(daemon=True)
        self.io, self.limits, self.every_s, self.on_rotated = io, limits, every_s, on_rotated
        self.stopped, self.rotations = threading.Event(), 0

    def run(self):
        while not self.stopped.wait(self.every_s):
            if rotation.rotate(self.io, self.limits, gid=GROUP).was_rotated:
                self.rotations += 1
                self.on_rotated()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join(10)


def read_all(io, container, *, slow_s=0.0, pin=True):
    """The sha256 of everything a stream gets until the container has ended, woken as the web process is."""
    tail, watch, digest, total = LogTail(io, Position(1, 0), pin=pin), LogWatch(), hashlib.sha256(), 0
    watch.add(io, lambda is_folder: tail.rescan() if is_folder else None)
    while True:
        ended = (io / "exit" / container.id).exists()
        watch.dispatch()
        chunks = tail.read(256 * 1024)
        for chunk in chunks:
            digest.update(chunk.payload)
            total += len(chunk.payload)
        if chunks and slow_s:
            time.sleep(slow_s)
        if not chunks:
            if ended:
                tail.rescan()
                if tail.at_end:
                    break
            time.sleep(0.002)
    tail.close()
    watch.close()
    return digest.hexdigest(), total


@pytest.mark.root
def test_nothing_is_lost_or_doubled_across_many_rotations():
    script = "for n in $(seq 1 600000); do echo line $n of some length to fill the log; done"
    expected = hashlib.sha256(b"".join(b"line %d of some length to fill the log\n" % n for n in range(1, 600001)))
    with RealContainer(["bash", "-c", script], tty=False, stdin=False) as container:
        with Rotator(container.io, SMALL) as rotator:
            container.start()
            digest, _ = read_all(container.io, container)
        assert digest == expected.hexdigest()
        assert rotator.rotations >= 5
        assert container.wait_exit() == 0


@pytest.mark.root
def test_a_slow_stream_gets_every_byte_although_its_segments_were_deleted():
    """Each part is a segment of its own: the next is printed when the one before has been rotated."""
    command = "for n in $(seq 15); do yes line $n of much the same | head -c 1100000; read -r || true; done"
    data = subprocess.run(["bash", "-c", command], capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout
    with RealContainer(["bash", "-c", command], tty=False) as container:
        container.start()
        attach = InputAttach(container.io)
        with Rotator(container.io, SMALL, every_s=0.05, on_rotated=lambda: attach.send(b"\n")) as rotator:
            digest, total = read_all(container.io, container, slow_s=0.03)
        attach.close()
        assert (total, digest) == (len(data), hashlib.sha256(data).hexdigest())
        assert rotator.rotations > rotation.YOUNG_SEGMENTS
        assert len(list(container.io.glob("ctr.log*"))) <= rotation.YOUNG_SEGMENTS + 3


@pytest.mark.root
def test_a_new_segment_belongs_to_the_group_from_its_first_byte():
    with RealContainer(["bash"], tty=True) as container:
        rotation.prepare(container.io, resize.Size(24, 80), uid=0, gid=GROUP)
        container.start()
        for number in range(1, 4):
            assert rotation.rotate(container.io, SMALL, gid=GROUP, force=True).was_rotated
            found = (container.io / "ctr.log").stat()
            assert (found.st_gid, found.st_mode & 0o777) == (GROUP, 0o640)
            assert (container.io / f"ctr.log.{number}").exists()


@pytest.mark.root
def test_conmons_own_rotation_leaves_a_readable_log():
    """The engine may be down: then conmon replaces the log itself, by the file that we keep ready."""
    script = "for n in $(seq 1 40000); do echo line $n; done; sleep 60"
    with RealContainer(["bash", "-c", script], tty=False, stdin=False, log_size_max=MIB) as container:
        rotation.prepare(container.io, resize.Size(24, 80), uid=0, gid=GROUP)
        first = (container.io / "ctr.log").stat().st_ino
        container.start()
        wait_for(lambda: (container.io / "ctr.log").stat().st_ino != first)
        assert (container.io / "ctr.log").stat().st_gid == GROUP
        rotation.rotate(container.io, SMALL, gid=GROUP)
        assert (container.io / "ctr.log.tmp").exists()


@pytest.mark.root
def test_an_interrupted_rotation_is_finished_by_the_next():
    with RealContainer(["bash"], tty=True) as container:
        output = Output(container.io)
        container.start()
        (container.io / "ctr.log").rename(container.io / "ctr.log.1")
        attach = InputAttach(container.io)
        attach.send(b"echo in between\n")
        output.wait(b"\rin between\r\n")
        assert rotation.rotate(container.io, SMALL, gid=GROUP).was_rotated
        attach.send(b"echo after\n")
        output.wait(b"\rafter\r\n")
        assert output.tail.position.segment == 2
        attach.close()


def test_a_log_of_a_container_that_has_ended_is_left_alone(tmp_path):
    (tmp_path / "ctr.log").write_bytes(records(b"x" * 100) * 20_000)
    resize.create(tmp_path, resize.Size(24, 80), uid=os.getuid(), gid=os.getgid())
    assert not rotation.rotate(tmp_path, SMALL, gid=os.getgid()).was_rotated
    assert (tmp_path / "ctr.log").exists()


def test_old_segments_go_and_young_ones_stay_for_a_while(tmp_path):
    (tmp_path / "ctr.log").touch()
    resize.create(tmp_path, resize.Size(24, 80), uid=os.getuid(), gid=os.getgid())
    for number in range(1, 15):
        (tmp_path / f"ctr.log.{number}").write_bytes(records(b"x"))
    rotation.rotate(tmp_path, SMALL, gid=os.getgid())
    assert rotation._older(tmp_path) == list(range(7, 15))
    for path in tmp_path.glob("ctr.log.*"):
        os.utime(path, (0, 0))
    rotation.rotate(tmp_path, SMALL, gid=os.getgid())
    assert rotation._older(tmp_path) == [13, 14]


@pytest.mark.root
@pytest.mark.fault("F34")
def test_a_full_disk_loses_log_and_nothing_else(tmp_path):
    """A tmpfs of 2 MiB: output goes on being produced, the state says so, input and exit work, and it recovers."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=True)
    try:
        io = disk / "io"
        with RealContainer(["bash"], tty=True, io=io) as container:
            output = Output(io)
            container.start()
            attach = InputAttach(io)
            attach.send(b"head -c 6000000 /dev/zero | tr '\\0' z; touch /tmp/printed\n")
            printed = container.folder / "rootfs/tmp/printed"
            wait_for(printed.exists, 60)
            assert rotation.rotate(io, Limits(log_segment_bytes=64 * MIB), gid=GROUP).is_full
            attach.send(b"touch /tmp/typed\n")
            wait_for((container.folder / "rootfs/tmp/typed").exists)
            output.has(b"")
            subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
            state = rotation.rotate(io, Limits(log_segment_bytes=64 * MIB), gid=GROUP, force=True)
            assert (state.is_full, state.was_rotated) == (False, True)
            attach.send(b"echo back again\n")
            output.wait(b"\rback again\r\n")
            attach.send(b"exit 5\n")
            assert container.wait_exit() == 5
            attach.close()
            output.tail.close()
            assert boundary.log_end(io).segment == 2
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.root
def test_a_second_start_goes_on_in_the_same_log(tmp_path):
    (tmp_path / "io").mkdir()
    for number in range(2):
        for name in ("attach", "ctl", "winsz"):
            (tmp_path / "io" / name).unlink(missing_ok=True)
        start = boundary.log_end(tmp_path / "io") if number else Position(1, 0)
        with RealContainer(["echo", f"run {number}"], tty=False, io=tmp_path / "io") as container:
            container.start()
            container.wait_exit()
        tail = LogTail(tmp_path / "io", start)
        assert b"".join(c.payload for c in tail.read(65536)) == b"run %d\n" % number
        tail.close()


def test_what_a_reader_still_wants_is_not_deleted(tmp_path):
    """A web process that was killed holds nothing open; its streams come back for these."""
    limits = Limits(log_segments=3)
    for number in range(1, 8):
        (tmp_path / f"ctr.log.{number}").write_text("x\n")
        os.utime(tmp_path / f"ctr.log.{number}", (1, 1))
    (tmp_path / "ctr.log").write_text("now\n")
    rotation.rotate(tmp_path, limits, gid=os.getgid(), keep_from=3)
    assert sorted(path.name for path in tmp_path.glob("ctr.log.[0-9]")) == [f"ctr.log.{n}" for n in range(3, 8)]
    rotation.rotate(tmp_path, limits, gid=os.getgid())
    assert sorted(path.name for path in tmp_path.glob("ctr.log.[0-9]")) == ["ctr.log.6", "ctr.log.7"]
