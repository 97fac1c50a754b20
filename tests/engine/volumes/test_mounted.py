"""Volumes, host paths and memory in real containers, looked at from inside."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import struct
import threading

import pytest

from engine.containers import mounting
from engine.errors import ImageUnfit, RequestRefused, RuntimeFailed, WrongState
from engine.kernel import mounts
from engine.runtime.mountrequest import MountKind, MountRequest
from engine.runtime.policy import Policy
from engine.runtime.request import IdMode
from tests.engine.test_api import assert_nothing_runs
from tests.support.images import Entry, folder, program, symlink

pytestmark = pytest.mark.root


def volume(name: str, target: str, **more) -> MountRequest:
    return MountRequest(kind=MountKind.VOLUME, source=name, target=target, **more)


def memory(target: str, **more) -> MountRequest:
    return MountRequest(kind=MountKind.MEMORY, source="", target=target, **more)


def host(source, target: str, **more) -> MountRequest:
    return MountRequest(kind=MountKind.HOST, source=str(source), target=target, **more)


@pytest.fixture
def allowed(lab, tmp_path, monkeypatch):
    """A folder of the host that the policy allows."""
    place = tmp_path / "shared"
    place.mkdir()
    monkeypatch.setattr("engine.containers.lifecycle.load_policy", lambda _path: Policy(host_paths=(str(place),)))
    monkeypatch.setattr("engine.api.load_policy", lambda _path: Policy(host_paths=(str(place),)))
    return place


@pytest.fixture(autouse=True)
def nothing_stays_mounted(lab):
    yield
    assert not mounts.mounts_below(lab.config.data)


def test_what_is_written_outlives_the_container_and_is_shared(lab):
    assert (
        lab.script("echo kept > /data/x; ls -ld /data", mounts=(volume("one", "/data"),))
        .lines[0]
        .startswith("drwxr-xr-x")
    )
    with lab.started("/bin/sh", "-c", "while ! test -e /other/go; do sleep 0.05; done; cat /other/go",
                     mounts=(volume("one", "/other"),)) as first:  # fmt: skip
        assert lab.script("cat /data/x; echo went > /data/go", mounts=(volume("one", "/data"),)).out == "kept\n"
        assert lab.result(first).out == "went\n"


def test_a_read_only_one_cannot_be_written_but_read(lab):
    lab.script("echo kept > /data/x", mounts=(volume("ro", "/data"),))
    result = lab.script(
        "cat /d/x; echo no > /d/y; mount -o remount,rw /d; echo no > /d/y", mounts=(volume("ro", "/d", read_only=True),)
    )
    assert result.out == "kept\n"
    assert result.err.count("Read-only file system") == 2


def test_a_new_volume_gets_the_images_files_once(lab):
    layer = lab.layer([
        folder("srv/", 0o750, uid=33, gid=33), folder("srv/db/", 0o700, uid=1000, gid=1000),
        Entry("srv/db/seed", data=b"seed\n", uid=1000, gid=1000, mode=0o600), symlink("srv/out", "/etc/passwd"),
    ])  # fmt: skip
    script = "stat -c '%a %u %g %n' /srv /srv/db /srv/db/seed; readlink /srv/out; rm -rf /srv/db"
    container_id = lab.create("/bin/sh", "-c", script, extra_layers=[layer], mounts=(volume("fresh", "/srv"),))
    lab.engine.start(container_id)
    assert lab.result(container_id).lines == [
        "750 33 33 /srv", "700 1000 1000 /srv/db", "600 1000 1000 /srv/db/seed", "/etc/passwd",
    ]  # fmt: skip
    data = lab.config.volumes / "fresh" / "_data"
    (data / "out").unlink()
    lab.engine.start(container_id)  # empty again, but it is not new any more
    assert "No such file" in lab.result(container_id).err
    assert os.listdir(data) == []
    lab.take_away(container_id)
    fresh = lab.script("ls /srv", extra_layers=[layer], mounts=(volume("bare", "/srv", copies=False),))
    assert fresh.out == ""


@pytest.mark.threat("RUN-05")
def test_a_link_in_the_image_is_not_followed_out_of_it(lab, tmp_path):
    (tmp_path / "canary").write_text("alive")
    layer = lab.layer([symlink("data", f"../../../../../..{tmp_path}"), symlink("etc2", "../../../etc")])
    container_id = lab.create("/bin/true", extra_layers=[layer], mounts=(volume("a1", "/data"),))
    with pytest.raises(ImageUnfit, match="a link that leads nowhere"):
        lab.engine.start(container_id)
    lab.take_away(container_id)
    inside = lab.script("ls /etc2/passwd; echo x > /etc/mark", extra_layers=[layer], mounts=(volume("a2", "/etc2"),))
    assert inside.lines == ["/etc2/passwd"]
    assert "mark" in os.listdir(lab.config.volumes / "a2" / "_data")
    assert os.listdir(tmp_path) == ["canary"]


@pytest.mark.threat("RUN-05")
@pytest.mark.parametrize("target", ["/proc", "/proc/sys", "/sys/fs/cgroup", "/dev", "/dev/shm", "/", "data", "/a/../b"])
def test_places_of_the_system_are_refused(target):
    with pytest.raises(RequestRefused):
        volume("data", target)


@pytest.mark.parametrize("place", ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"])
def test_what_would_lie_hidden_below_a_file_of_ours_is_refused(lab, allowed, place):
    (allowed / "file").write_text("mine")
    own = (host(allowed / "file", place), volume("hidden", place), memory(place))
    for one in own:
        with pytest.raises(RequestRefused, match=f"Nothing can be mounted at {place}: Berth writes this file"):
            lab.create("/bin/true", mounts=(one,))
    layer = lab.layer([symlink("etc2", "/etc"), Entry("real", data=b"x"), symlink(f"{place[1:]}", "/real")])
    for target in (f"/etc2/{place.rpartition('/')[2]}", "/real"):
        container_id = lab.create("/bin/true", extra_layers=[layer], mounts=(host(allowed / "file", target),))
        with pytest.raises(RequestRefused, match="Nothing can be mounted at /real: Berth writes this file"):
            lab.engine.start(container_id)
        assert_nothing_runs(lab, container_id)
        lab.take_away(container_id)
    assert lab.script(f"cat {place}.mine", mounts=(host(allowed / "file", f"{place}.mine"),)).out == "mine"


@pytest.mark.threat("RUN-05")
@pytest.mark.parametrize("link", ["/proc/self/root", "/dev/shm/x", "/proc", "/sys/kernel"])
def test_a_link_to_a_place_of_the_system_is_refused(lab, link):
    layer = lab.layer([symlink("data", link)])
    container_id = lab.create("/bin/true", extra_layers=[layer], mounts=(volume("a3", "/data"),))
    with pytest.raises(ImageUnfit):
        lab.engine.start(container_id)
    assert_nothing_runs(lab, container_id)
    lab.take_away(container_id)


def test_a_file_where_a_folder_is_needed_is_said(lab):
    container_id = lab.create("/bin/true", mounts=(volume("a4", "/etc/passwd"),))
    with pytest.raises(ImageUnfit, match="not a directory"):
        lab.engine.start(container_id)
    lab.take_away(container_id)


def test_mounts_within_mounts_are_in_their_places(lab):
    nested = (volume("inner", "/x/in/deep"), volume("outer", "/x"), memory("/x/tmp", size="1m"), volume("etc", "/etc"))
    result = lab.script("echo i > /x/in/deep/f; echo o > /x/f; echo t > /x/tmp/f; id -un; tail -n1 /etc/hosts | wc -w",
                        mounts=nested)  # fmt: skip
    assert result.lines == ["root", "2"], result
    assert os.listdir(lab.config.volumes / "inner" / "_data") == ["f"]
    assert sorted(os.listdir(lab.config.volumes / "outer" / "_data")) == ["f", "in", "tmp"]
    assert os.listdir(lab.config.volumes / "outer" / "_data" / "tmp") == []
    assert (lab.config.volumes / "etc" / "_data" / "hosts").read_text().count("berth") == 0


@pytest.mark.threat("RUN-06")
def test_a_new_volume_below_a_mount_gets_nothing_of_what_is_mounted_but_the_images_files(lab, allowed):
    """What only the host's root may read would be the container's."""
    for secret in (allowed / "in" / "secret", allowed / "secret"):
        secret.parent.mkdir(exist_ok=True)
        secret.write_text("the host's")
        secret.chmod(0o600)
    layer = lab.layer([folder("x/"), folder("x/in/"), Entry("x/in/of-image", data=b"x"), symlink("y", "/x/in")])
    script = "ls /x/in /y /memory/in"
    mounted = (host(allowed, "/x"), volume("below", "/x/in"), memory("/memory"), volume("in-memory", "/memory/in"))
    assert lab.script(script, extra_layers=[layer], mounts=mounted).out.count("of-image") == 2
    assert os.listdir(lab.config.volumes / "below" / "_data") == ["of-image"]
    assert os.listdir(lab.config.volumes / "in-memory" / "_data") == []
    lab.script(script, extra_layers=[layer], mounts=(host(allowed, "/x"), volume("by-link", "/y")))
    assert os.listdir(lab.config.volumes / "by-link" / "_data") == ["of-image"]


def test_a_command_and_a_working_folder_may_lie_in_a_volume(lab):
    layer = lab.layer([folder("tools/"), program("tools/hello", b"#!/bin/sh\npwd\n")])
    lab.run("/bin/true", extra_layers=[layer], mounts=(volume("tools", "/tools"),))
    assert lab.run("/opt/t/hello", working_dir="/opt/t/sub", mounts=(volume("tools", "/opt/t"),)).out == "/opt/t/sub\n"
    assert "sub" in os.listdir(lab.config.volumes / "tools" / "_data")


def test_devices_do_not_work_in_a_volume(lab):
    lab.script("true", mounts=(volume("dev", "/d"),))
    os.mknod(lab.config.volumes / "dev" / "_data" / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    assert "Permission denied" in lab.script("echo x > /d/null", mounts=(volume("dev", "/d"),)).err


@pytest.mark.threat("RUN-06")
@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("way", ["the file", "its folder", "a link of the image"])
def test_a_ping_of_the_host_keeps_its_capability(lab, allowed, way, read_only):
    """In the image's own files the effective flag is taken off, so that it runs; not in what is mounted."""
    ping = allowed / "ping"
    ping.write_bytes(b"x")
    capability = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)  # cap_net_raw+ep
    os.setxattr(ping, "security.capability", capability)
    where = {
        "the file": (host(ping, "/usr/bin/fping", read_only=read_only),),
        "its folder": (host(allowed, "/bin", read_only=read_only),),
        "a link of the image": (host(allowed, "/opt/x", read_only=read_only),),
    }[way]
    layer = lab.layer([symlink("usr/bin/ping", "/opt/x/ping")])
    program = "/usr/bin/perl" if way == "its folder" else "/bin/true"
    assert lab.run(program, *(("-e", "1") if way == "its folder" else ()), extra_layers=[layer], mounts=where).code == 0
    assert os.getxattr(ping, "security.capability") == capability


@pytest.mark.fault("F33")
def test_a_ping_that_cannot_be_changed_because_the_layer_is_full_keeps_nobody_from_starting(lab):
    capability = "\x01\x00\x00\x02\x00\x20" + "\x00" * 14
    large = Entry("bin/ping", data=os.urandom(20 << 20), mode=0o755, xattrs={"security.capability": capability})
    assert lab.script("echo ran", extra_layers=[lab.layer([large])], writable_bytes=16 << 20).out == "ran\n"


def test_set_user_id_programs_work_in_a_volume_as_with_docker(lab):
    lab.script("cp /bin/id /d/id; chmod 4755 /d/id", mounts=(volume("suid", "/d"),))
    options = lab.script("grep ' /d ' /proc/self/mountinfo", mounts=(volume("suid", "/d"),)).out.split()[5]
    assert "nosuid" not in options.split(",")


def test_memory_has_its_size_mode_and_no_programs(lab):
    script = "df -k /t | tail -n1; stat -c %a /t; cp /bin/true /t; chmod +x /t/true; /t/true; dd if=/dev/zero of=/t/x bs=1M count=9"
    result = lab.script(script, mounts=(memory("/t", size="4m", mode=0o1700),))
    assert result.lines[0].split()[1] == "4096"
    assert result.lines[1] == "1700"
    assert "Permission denied" in result.err
    assert "No space left" in result.err
    assert lab.script("cp /bin/true /t; /t/true && echo ran", mounts=(memory("/t", allows=("exec",)),)).out == "ran\n"
    assert lab.script("stat -c %a /root /new", mounts=(memory("/root"), memory("/new"))).lines[1] == "1777"
    assert "Read-only" in lab.script("echo > /t/x", mounts=(memory("/t", read_only=True),)).err


@pytest.mark.threat("RUN-13")
def test_memory_counts_as_the_containers(lab):
    result = lab.script("dd if=/dev/zero of=/t/x bs=1M count=64 2>/dev/null; echo survived",
                        mounts=(memory("/t"),), memory_bytes=32 << 20)  # fmt: skip
    assert result.exit.oom_killed, result


@pytest.mark.threat("RUN-06")
def test_a_host_path_needs_the_policy(lab, tmp_path):
    with pytest.raises(RequestRefused, match="policy does not allow the host path"):
        lab.create("/bin/true", mounts=(host(tmp_path, "/x"),))


@pytest.mark.threat("RUN-06")
def test_an_allowed_host_path_is_given_with_what_is_in_it(lab, allowed):
    (allowed / "sub").mkdir()
    (allowed / "sub").chmod(0o777)  # a container's root may be nobody on the host
    (allowed / "sub" / "file").write_text("hello\n")
    script = "cat /x/file /f; echo no > /f; echo new > /x/new"
    result = lab.script(script, mounts=(host(allowed / "sub", "/x"), host(allowed / "sub/file", "/f", read_only=True)))
    assert result.out == "hello\nhello\n"
    assert "Read-only" in result.err
    assert (allowed / "sub" / "new").read_text() == "new\n"


def refused(lab, match: str, *command: str, **options) -> None:
    container_id = lab.create(*(command or ("/bin/true",)), **options)
    with pytest.raises(ImageUnfit, match=match):
        lab.engine.start(container_id)
    assert_nothing_runs(lab, container_id)
    lab.take_away(container_id)


@pytest.mark.threat("RUN-06")
@pytest.mark.parametrize("way", ["working folder", "place of a mount", "place of a file", "by a link of the image"])
def test_the_hosts_root_makes_nothing_in_a_folder_of_the_host(lab, allowed, way):
    (allowed / "file").write_text("x")
    linked = lab.layer([symlink("w", "/x")])
    options = {
        "working folder": {"working_dir": "/x/sub"},
        "place of a mount": {"mounts": (volume("below", "/x/sub"),)},
        "place of a file": {"mounts": (host(allowed / "file", "/x/sub"),)},
        "by a link of the image": {"working_dir": "/w/sub", "extra_layers": [linked]},
    }[way]
    options["mounts"] = (host(allowed, "/x"), *options.get("mounts", ()))
    refused(lab, "is missing.* and cannot be made: permission denied for the container's root", **options)
    assert os.listdir(allowed) == ["file"]


@pytest.mark.threat("RUN-06")
@pytest.mark.parametrize("name", ["resolv.conf", "hosts"])
def test_nothing_is_made_or_removed_for_files_of_etc_in_a_folder_of_the_host(lab, allowed, name):
    """Even where the container's root may write: a link of the host is the host's."""
    allowed.chmod(0o777)
    for other in {"resolv.conf", "hosts", "hostname"} - {name}:
        (allowed / other).write_text("the host's")
    (allowed / "passwd").write_text("root:x:0:0::/:/bin/sh")
    (allowed / name).symlink_to("/run/nowhere")
    refused(
        lab, f"/etc/{name} is a link that leads nowhere, in something that is mounted", mounts=(host(allowed, "/etc"),)
    )
    assert os.readlink(allowed / name) == "/run/nowhere"
    (allowed / name).unlink()
    allowed.chmod(0o755)
    refused(lab, f"/etc/{name} is missing in the container", mounts=(host(allowed, "/etc"),))
    assert not (allowed / name).exists()


@pytest.mark.threat("RUN-06")
def test_where_the_containers_root_may_write_what_is_made_is_its_own(lab, allowed):
    allowed.chmod(0o777)
    with lab.started("/bin/sleep", "60", working_dir="/x/a/b", mounts=(host(allowed, "/x"),)) as container_id:
        first = lab.engine._folder(container_id).request().first_id
        found = [path.stat() for path in (allowed / "a", allowed / "a" / "b")]
        assert [(one.st_uid, one.st_gid, stat.S_IMODE(one.st_mode)) for one in found] == [(first, first, 0o755)] * 2


@pytest.mark.threat("RUN-06")
def test_with_the_hosts_ids_nothing_is_made_in_a_folder_of_the_host_but_in_a_volume(lab, allowed, monkeypatch):
    policy = Policy(host_paths=(str(allowed),), userns_host=True)
    monkeypatch.setattr("engine.containers.lifecycle.load_policy", lambda _path: policy)
    monkeypatch.setattr("engine.api.load_policy", lambda _path: policy)
    on_host = {"id_mode": IdMode.HOST, "mounts": (host(allowed, "/x"), volume("hosts", "/v"))}
    refused(lab, "/x/sub is missing and cannot be made: in a folder of the host", working_dir="/x/sub", **on_host)
    assert os.listdir(allowed) == []
    assert lab.run("/bin/pwd", working_dir="/v/sub", **on_host).out == "/v/sub\n"
    (allowed / "sub").mkdir()
    assert lab.run("/bin/pwd", working_dir="/x/sub", **on_host).out == "/x/sub\n"


@pytest.mark.threat("RUN-06")
@pytest.mark.parametrize("what", ["link", "link on the way", "socket", "device", "missing"])
def test_what_an_allowed_folder_holds_of_links_and_sockets_is_refused(lab, allowed, what):
    (allowed / "real").mkdir()
    (allowed / "link").symlink_to("/etc")
    path = {"link": "link", "link on the way": "link/ssl", "socket": "s", "device": "d", "missing": "none"}[what]
    if what == "socket":
        os.mknod(allowed / "s", stat.S_IFSOCK | 0o666)
    if what == "device":
        os.mknod(allowed / "d", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    container_id = lab.create("/bin/true", mounts=(host(allowed / path, "/x"),))
    with pytest.raises(RequestRefused):
        lab.engine.start(container_id)
    assert_nothing_runs(lab, container_id)
    lab.take_away(container_id)


@pytest.mark.threat("RUN-07")
@pytest.mark.parametrize("source", ["/etc", "/run", "tmpfs", "another volume"])
def test_a_mount_that_nobody_may_have_is_found_in_the_root_whoever_made_it(lab, monkeypatch, source):
    """As if the code that mounts were fooled: what the kernel says counts."""
    real = mounting.check_mounts

    def fooled(config, request, root, policy):
        (root / "trap").mkdir(exist_ok=True)
        if source == "tmpfs":
            strange = mounts.mount_tmpfs(size_bytes=4096)
        else:
            other = config.volumes / "other" / "_data"
            other.mkdir(parents=True, exist_ok=True)
            strange = mounts.clone(other if source == "another volume" else type(root)(source))
            mounts.set_attributes(strange, mounts.Attribute.NODEV)
        mounts.attach(strange, root / "trap")
        os.close(strange)
        real(config, request, root, policy)

    monkeypatch.setattr(mounting, "check_mounts", fooled)
    container_id = lab.create("/bin/true", mounts=(volume("data", "/data"),))
    with pytest.raises(RequestRefused, match="policy does not allow what is mounted at /trap"):
        lab.engine.start(container_id)
    assert_nothing_runs(lab, container_id)
    lab.take_away(container_id)


@pytest.mark.threat("RUN-05")
def test_a_neighbour_that_swaps_a_link_in_a_shared_volume_leads_no_mount_astray(lab, tmp_path):
    """CVE-2021-30465: a volume at /s, another below it, and somebody who swaps that place all the time."""
    (tmp_path / "canary").mkdir()
    lab.script("mkdir /s/real", mounts=(volume("swap", "/s"),))
    data = lab.config.volumes / "swap" / "_data"
    ending = threading.Event()

    def swap():
        while not ending.is_set():
            with contextlib.suppress(OSError):
                os.symlink(f"../../../../../../../..{tmp_path}/canary", data / "trap")
                os.rename(data / "trap", data / "in")
                (data / "in").unlink()
                (data / "in").mkdir()
                (data / "in").rmdir()

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(25):
            container_id = lab.create(
                "/bin/sh", "-c", "echo x > /s/in/y", mounts=(volume("swap", "/s"), volume("below", "/s/in"))
            )
            with contextlib.suppress(ImageUnfit, RuntimeFailed):
                lab.engine.start(container_id)
                lab.result(container_id)
            lab.take_away(container_id)
            assert os.listdir(tmp_path / "canary") == []
            assert not mounts.mounts_below(tmp_path)
    finally:
        ending.set()
        thread.join()


@pytest.mark.threat("RUN-06")
def test_a_neighbour_that_swaps_links_in_a_folder_of_the_host_has_the_hosts_root_make_nothing(lab, allowed, tmp_path):
    """Its place may be nothing, a link out, or a link to another mount, and another thing at each look."""
    canary = tmp_path / "canary"
    canary.mkdir()
    (allowed / "closed").mkdir()
    ending = threading.Event()

    def swap():
        links = ("/x/closed/new", f"../../../../../../../..{canary}/new", "/v/new", "/etc")
        for link in itertools.cycle(links):
            if ending.is_set():
                return
            with contextlib.suppress(OSError):
                os.symlink(link, allowed / "trap")
                os.rename(allowed / "trap", allowed / "in")
                (allowed / "in").unlink()
            ending.wait(0.0005)  # and for a moment it is nothing

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for number in range(15):
            mounted = (host(allowed, "/x"), volume("trap", "/v"), volume("below", f"/x/in/{number}"))
            container_id = lab.create("/bin/true", working_dir=f"/x/in/w{number}", mounts=mounted)
            with contextlib.suppress(ImageUnfit, RuntimeFailed):
                lab.engine.start(container_id)
                lab.result(container_id)
            lab.take_away(container_id)
            assert allowed.joinpath("in").is_symlink() or not allowed.joinpath("in").is_dir()
            assert os.listdir(canary) == os.listdir(allowed / "closed") == []
    finally:
        ending.set()
        thread.join()


def test_a_volume_that_a_container_on_disk_has_is_not_removed(lab):
    container_id = lab.create("/bin/true", mounts=(volume("held", "/d"),))
    with pytest.raises(WrongState, match=rf"volume is in use - \[{container_id}\]"):
        lab.engine.remove_volume("held")
    lab.take_away(container_id)
    lab.engine.remove_volume("held")


@pytest.mark.fault("F13")
def test_a_start_that_was_cut_off_with_volumes_mounted_is_swept(lab, monkeypatch):
    def die(*_ignored):
        raise SystemExit

    container_id = lab.create("/bin/true", mounts=(volume("cut", "/d"), memory("/t")))
    with monkeypatch.context() as patch:
        patch.setattr("engine.containers.lifecycle.Start._network", die)
        with pytest.raises(SystemExit):
            lab.engine.start(container_id)
    assert len(mounts.mounts_below(lab.root(container_id))) == 3
    lab.engine.sweep([container_id])
    assert_nothing_runs(lab, container_id)
    lab.engine.start(container_id)
    assert lab.result(container_id).code == 0
    lab.take_away(container_id)
