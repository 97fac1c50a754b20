"""A writable layer with a limit, in real containers and after crashes."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from engine.config import Limits
from engine.containers.states import State
from engine.errors import HostUnfit, RequestRefused, StoreError, StoreFull
from engine.kernel import loop, mounts
from engine.rootfs import limited
from tests.engine.containers.test_faults import die_at
from tests.engine.test_api import assert_nothing_runs, attach
from tests.support.probe.lab import open_lab
from tests.support.waiting import until

pytestmark = pytest.mark.root
MIB = 1 << 20


@pytest.fixture(scope="module")
def lab():
    with open_lab() as opened:
        yield opened


def loops_of(lab) -> list[str]:
    found = []
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            backing = path.read_text().strip()
        except OSError:
            continue
        if backing.startswith(str(lab.config.containers)):
            found.append(backing)
    return found


@pytest.fixture(autouse=True)
def no_loop_stays(lab):
    yield
    until(lambda: f"no loop device is left: {loops_of(lab)}", lambda: not loops_of(lab), 3)


FILL = "dd if=/dev/zero of=/big bs=1M count=200; ls -l /big"


@pytest.mark.fault("F53")
def test_a_program_that_reaches_the_limit_is_told_that_no_space_is_left(lab):
    result = lab.script(FILL, writable_bytes=32 * MIB)
    assert "No space left on device" in result.err
    written = int(result.out.split()[4])
    assert 24 * MIB < written < 32 * MIB
    assert "No space" not in lab.script(FILL).err


@pytest.mark.fault("F53")
def test_inodes_run_out_inside_only(lab):
    result = lab.script("i=0; while echo > /f$i; do i=$((i+1)); done; echo $i", writable_bytes=16 * MIB)
    assert "No space left on device" in result.err
    assert 500 < int(result.lines[-1]) < 1100


@pytest.mark.threat("TAR-12")
def test_no_user_of_the_host_reaches_the_programs_in_it(lab):
    with lab.started("/bin/sleep", "60", writable_bytes=16 * MIB) as container_id:
        upper = lab.config.container(container_id) / "upper"
        assert os.path.ismount(upper)
        assert stat.S_IMODE(upper.stat().st_mode) == 0o700
        assert stat.S_IMODE(limited.image(lab.config, container_id).stat().st_mode) == 0o600


def test_one_that_is_full_does_not_keep_another_from_writing(lab):
    with lab.started("/bin/sh", "-c", f"{FILL} 2>/dev/null; sleep 60", writable_bytes=16 * MIB) as full:
        lab.wait_for_output(full, "/big")
        assert "No space" not in lab.script("dd if=/dev/zero of=/x bs=1M count=20", writable_bytes=48 * MIB).err
        assert len(loops_of(lab)) == 1


def test_everything_works_on_it_as_on_an_unlimited_one(lab):
    script = (
        "rm /etc/shells; mkdir /a; mv /etc/bash.bashrc /a; ln /a/bash.bashrc /b; chown 33:33 /b; chmod 4755 /b;"
        "stat -c '%h %u %a' /b; ls /etc/shells; mkfifo /p; ln -s x /l; df -k / | tail -n1 | wc -w"
    )
    limited_one, plain = (lab.script(script, writable_bytes=limit) for limit in (64 * MIB, None))
    assert (limited_one.out, limited_one.err) == (plain.out, plain.err)
    assert limited_one.lines[0] == "2 33 4755"


def test_what_was_written_survives_a_restart_and_the_limit_stays(lab):
    script = "cat /kept; echo mine >> /kept; df -k / | tail -n1"
    container_id = lab.create("/bin/sh", "-c", script, writable_bytes=20 * MIB)
    try:
        for seen in (0, 1, 3):  # the log keeps all runs
            lab.engine.start(container_id)
            result = lab.result(container_id)
            assert result.out.count("mine") == seen
            assert int(result.lines[-1].split()[1]) < 20 * 1024
            lab.engine.release(container_id)
            assert_nothing_runs(lab, container_id)
    finally:
        lab.take_away(container_id)
    assert not lab.config.container(container_id).exists()


def test_it_takes_the_space_that_is_used_and_gives_back_what_is_deleted(lab):
    script = "dd if=/dev/urandom of=/x bs=1M count=40 2>/dev/null; sync; echo full; read go; rm /x; sync; echo empty; sleep 60"
    with lab.started("/bin/sh", "-c", script, writable_bytes=1 << 30, tty=True, open_stdin=True) as container_id:
        image = limited.image(lab.config, container_id)
        lab.wait_for_output(container_id, "full")
        assert image.stat().st_size == 1 << 30
        assert 40 * MIB <= image.stat().st_blocks * 512 < 50 * MIB
        attach(lab, container_id).send(b"go\n")
        lab.wait_for_output(container_id, "empty")
        until(lambda: f"the space is given back: {image.stat()}", lambda: image.stat().st_blocks * 512 < 8 * MIB, 10)


def test_what_was_written_is_counted_whether_it_runs_or_not(lab):
    script = "dd if=/dev/zero of=/x bs=1k count=300 2>/dev/null; echo written; sleep 60"
    container_id = lab.create("/bin/sh", "-c", script, writable_bytes=16 * MIB)
    assert lab.engine.writable_bytes(container_id) == 0
    lab.engine.start(container_id)
    lab.wait_for_output(container_id, "written")
    running = lab.engine.writable_bytes(container_id)
    assert 300 << 10 <= running < 310 << 10
    lab.engine.stop(container_id, 0)
    lab.engine.release(container_id)
    assert lab.engine.writable_bytes(container_id) == running
    assert_nothing_runs(lab, container_id)
    until("no loop device is left", lambda: not loops_of(lab))
    lab.take_away(container_id)


def test_counting_is_in_nobodys_way(lab):
    """While a stopped one is counted it is started, stopped and removed."""
    container_id = lab.create("/bin/sh", "-c", "echo x > /x; cat /x", writable_bytes=16 * MIB)
    lab.engine.start(container_id)
    lab.result(container_id)
    lab.engine.release(container_id)
    with limited.opened(lab.config, container_id) as top:
        lab.engine.start(container_id)
        assert len(loops_of(lab)) == 1
        assert lab.result(container_id).out == "x\nx\n"
        assert os.stat("diff/x", dir_fd=top).st_size == 2
        lab.engine.release(container_id)
        lab.engine.remove(container_id)
    assert not lab.config.container(container_id).exists()


def test_one_that_cannot_be_opened_is_not_counted_as_empty(lab, monkeypatch):
    container_id = lab.create("/bin/true", writable_bytes=16 * MIB)
    lab.engine.start(container_id)
    lab.result(container_id)
    lab.engine.release(container_id)

    def none(*_args, **_options):
        raise OSError(errno.ENOENT, "no loop device")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "bind", none)
        with pytest.raises(StoreError, match=r"cannot be counted: .* gives none: no loop device\.$"):
            lab.engine.writable_bytes(container_id)
    lab.take_away(container_id)


def test_the_default_limit_is_kept_with_the_container():
    with open_lab(limits=Limits(writable_bytes=24 * MIB)) as other:
        container_id = other.create("/bin/true")
        assert '"writable_bytes":25165824' in (other.config.container(container_id) / "request.json").read_text()
        other.take_away(container_id)


def test_too_small_a_limit_is_refused(lab):
    with pytest.raises(RequestRefused, match="Minimum size of the writable layer is 16MB"):
        lab.create("/bin/true", writable_bytes=15 * MIB)


def test_without_its_tool_a_limit_is_refused_and_not_forgotten(lab, monkeypatch):
    monkeypatch.setattr(limited, "_MAKE", ("/usr/sbin/mkfs.none",))
    container_id = lab.create("/bin/true", writable_bytes=16 * MIB)
    with pytest.raises(HostUnfit, match=r"needs mkfs\.ext4"):
        lab.engine.start(container_id)
    assert list(lab.config.container(container_id).glob("layer.img*")) == []
    assert_nothing_runs(lab, container_id)
    lab.take_away(container_id)


@pytest.mark.fault("F33")
def test_on_a_full_disk_nothing_of_it_is_left(lab):
    container_id = "7" * 64
    place = lab.config.container(container_id)
    place.mkdir(mode=0o711)
    small = mounts.mount_tmpfs(size_bytes=16 << 10)
    mounts.attach(small, place)
    os.close(small)
    try:
        with pytest.raises(StoreFull, match="could not be made"):
            limited.make(lab.config, container_id, 64 * MIB)
        assert os.listdir(place) == []
    finally:
        mounts.unmount(place)
        place.rmdir()


@pytest.mark.fault("F13")
@pytest.mark.parametrize("moment", ["network", "create", "start"])
def test_a_start_that_was_cut_off_leaves_no_mount_and_no_loop_device(lab, moment):
    container_id = lab.create("/bin/sh", "-c", "echo ran", writable_bytes=16 * MIB)
    die_at(lab, container_id, moment)
    assert len(loops_of(lab)) == 1
    lab.engine.sweep([container_id])
    assert_nothing_runs(lab, container_id)
    lab.engine.start(container_id)
    assert lab.result(container_id).out == "ran\n"
    lab.take_away(container_id)


@pytest.mark.fault("F13")
def test_a_half_made_file_system_is_made_anew(lab):
    container_id = lab.create("/bin/sh", "-c", "echo ran", writable_bytes=16 * MIB)
    image = limited.image(lab.config, container_id)
    image.with_name("layer.img.partial").write_bytes(b"half")
    lab.engine.start(container_id)
    assert lab.result(container_id).out == "ran\n"
    assert not image.with_name("layer.img.partial").exists()
    lab.take_away(container_id)


@pytest.mark.fault("F43")
def test_one_that_is_still_held_is_mounted_again_from_the_same_device(lab):
    """Two devices on one file would be two file systems that know nothing of each other."""
    container_id = lab.create("/bin/sh", "-c", "cat /kept; echo mine >> /kept", writable_bytes=16 * MIB)
    lab.engine.start(container_id)
    lab.result(container_id)
    upper = lab.config.container(container_id) / "upper"
    held = os.open(upper / "diff", os.O_RDONLY)
    try:
        lab.engine.release(container_id)
        assert len(loops_of(lab)) == 1
        lab.engine.start(container_id)
        assert len(loops_of(lab)) == 1
        assert lab.result(container_id).out == "mine\n"
    finally:
        os.close(held)
    lab.take_away(container_id)


def test_a_container_that_is_observed_after_the_worker_is_gone_goes_on(lab):
    with lab.started("/bin/sleep", "60", writable_bytes=16 * MIB) as container_id:
        lab.engine.sweep([container_id])
        assert lab.engine.observe(container_id).state is State.RUNNING
        assert len(loops_of(lab)) == 1


def test_a_hundred_limited_containers_hold_no_device_unless_they_run(lab):
    made = [lab.create("/bin/true", writable_bytes=16 * MIB) for _ in range(100)]
    assert loops_of(lab) == []
    for container_id in made[:3]:
        lab.engine.start(container_id)
        lab.result(container_id)
        assert len(loops_of(lab)) == 1
        lab.engine.release(container_id)
        until("no loop device is left", lambda: not loops_of(lab))
    for container_id in made:
        lab.engine.remove(container_id)
    until("no loop device is left", lambda: not loops_of(lab))
    assert not mounts.mounts_below(lab.config.containers)
