"""What the host's policy lets a container have of the host, looked at from inside; and what a start refuses without it (RUN-06, 07, 11)."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from pathlib import Path

import pytest

from engine.api import Engine
from engine.errors import RequestRefused
from engine.runtime.access import AccessRequest
from engine.runtime.execrequest import ExecRequest
from engine.runtime.namerequest import NameRequest
from engine.runtime.policy import Policy
from engine.runtime.request import IdMode
from tests.support.probe.lab import Lab
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.threat("RUN-07")]
DEVICE = "/dev/loop-control"  # every host that runs this has it, and nobody else's data is behind it


@pytest.fixture
def allowing(lab, tmp_path):
    """The same engine under other ceilings."""

    def under(text: str) -> Lab:
        path = tmp_path / "engine.toml"
        path.write_text(f"[ceilings]\n{text}\n")
        engine = Engine(dataclasses.replace(lab.config, policy_file=path))
        other = Lab(engine.config, engine, lab.layers, lab.numbers)
        other._given, other._addresses = lab._given, lab._addresses
        return other

    return under


def host_users(**wishes) -> dict:
    return {"id_mode": IdMode.HOST, "access": AccessRequest(**wishes)}


def inode(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{kind}")


def test_a_privileged_container_has_everything_of_the_host_but_its_limits(allowing):
    other = allowing("privileged = true")
    script = (
        "grep -E 'CapBnd|Seccomp:|NoNewPrivs' /proc/self/status; cat /proc/self/uid_map; ls /dev | wc -l; "
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; "
        "mkdir /m && mount -t tmpfs none /m && echo mounted; test -w /proc/sys/kernel/hostname && echo writable; "
        "head -c 1 /proc/interrupts | wc -c; mknod /n c 1 3 && echo made"
    )
    seen = other.script(script, memory_bytes=64 << 20, **host_users(privileged=True))
    own = Path("/proc/self/status").read_text().partition("CapBnd:")[2].split()[0]
    lines = seen.lines
    assert lines[0].split() == ["CapBnd:", own], seen
    assert lines[1].split() == ["NoNewPrivs:", "0"]
    assert lines[2].split() == ["Seccomp:", "0"]
    assert lines[3].split() == ["0", "0", "4294967295"]
    assert int(lines[4]) > 30
    assert lines[5:] == [str(64 << 20), "mounted", "writable", "1", "made"], seen


def test_a_command_in_it_has_what_it_has_and_no_more_once_the_policy_is_narrower(allowing, lab):
    other = allowing("privileged = true")
    with other.started("/bin/sleep", "60", **host_users(privileged=True)) as container_id:
        own = Path("/proc/self/status").read_text().partition("CapBnd:")[2].split()[0].encode()
        wanted = ExecRequest(exec_id="e" * 64, command=("/bin/grep", "CapEff", "/proc/self/status"))
        other.engine.execs.start(container_id, wanted)
        log = lab.config.exec_folder(container_id, "e" * 64) / "io" / "ctr.log"
        until("what it says", lambda: log.exists() and own in log.read_bytes())
        with pytest.raises(RequestRefused, match="capabilities"):
            lab.engine.execs.start(container_id, dataclasses.replace(wanted, exec_id="f" * 64))


@pytest.mark.parametrize("kind", ["pid", "ipc", "uts"])
def test_a_namespace_of_the_host_is_shared_alone(allowing, kind):
    other = allowing("userns_host = true\nhost_namespaces = ['pid', 'ipc', 'uts']")
    script = (
        "for k in pid ipc uts mnt net cgroup; do readlink /proc/self/ns/$k; done; hostname; ls /proc | grep -c '^[0-9]'"
    )
    seen = other.script(script, **host_users(namespaces=(kind,)))
    assert seen.code == 0, seen
    shared = {
        line for line in seen.lines[:6] if line in {inode(k) for k in ("pid", "ipc", "uts", "mnt", "net", "cgroup")}
    }
    assert shared == {inode(kind)}
    assert (seen.lines[6] == os.uname().nodename) is (kind == "uts")
    assert (int(seen.lines[7]) > 20) is (kind == "pid")


def test_the_hosts_network_is_shared_with_its_names_and_nothing_is_left_of_it(allowing):
    other = allowing("userns_host = true\nhost_namespaces = ['network']")
    script = "readlink /proc/self/ns/net; cat /etc/resolv.conf; grep -c added /etc/hosts; test -e /sys/class/net/BRIDGE && echo there"
    names = NameRequest(hosts=(("added", "10.9.9.9"),))
    seen = other.script(
        script.replace("BRIDGE", other.config.bridge), names=names, **host_users(namespaces=("network",))
    )
    assert seen.lines[0] == inode("net"), seen
    assert seen.out.split("\n", 1)[1].startswith(Path("/etc/resolv.conf").read_text())
    assert seen.lines[-2] == "1"
    assert seen.lines[-1] == "there"
    assert other.engine.networks.whereabouts() == {}


@pytest.mark.threat("RUN-11")
@pytest.mark.parametrize("mode", [IdMode.OWN, IdMode.HOST])
def test_a_device_is_the_containers_roots_and_only_with_the_access_that_was_asked_for(allowing, mode):
    other = allowing("userns_host = true\ndevices = ['/dev/full', '/dev/loop-control']")
    access = AccessRequest(devices=((DEVICE, "/dev/mine", "r"), ("/dev/full", "/dev/second", "rwm")))
    script = (
        "stat -c '%F %u:%g %a %t,%T' /dev/mine /dev/second; head -c 2 /dev/second | wc -c; "
        ": < /dev/mine && echo open; (: 0<> /dev/mine); : < /dev/kmsg"
    )
    seen = other.script(script, id_mode=mode, access=access)
    assert seen.lines[:2] == ["character special file 0:0 660 a,ed", "character special file 0:0 660 1,7"], seen
    assert seen.lines[2:] == ["2", "open"], seen
    assert "Operation not permitted" in seen.err  # only to be read
    assert "/dev/kmsg" in seen.err
    other_user = other.script(": < /dev/mine && echo open", user="1000", id_mode=mode, access=access)
    assert "Permission denied" in other_user.err


def test_settings_of_its_own_network_and_ipc(lab, allowing):
    sysctls = (("net.core.somaxconn", "77"), ("kernel.shmmax", "123456"), ("fs.mqueue.msg_max", "13"))
    script = "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shmmax /proc/sys/fs/mqueue/msg_max"
    seen = lab.script(script, access=AccessRequest(sysctls=sysctls))
    assert seen.lines == ["77", "123456", "13"], seen
    assert Path("/proc/sys/kernel/shmmax").read_text().strip() != "123456"
    more = AccessRequest(sysctls=(("net.ipv4.ip_forward", "0"),))
    with pytest.raises(RequestRefused, match="not one that containers may set"):
        lab.create("/bin/true", access=more)
    other = allowing("sysctls = ['net.ipv4.ip_forward']")
    assert other.script("cat /proc/sys/net/ipv4/ip_forward", access=more).lines == ["0"]


WISHES = {
    "privileged": ("privileged = true", host_users(privileged=True), "--privileged"),
    "pid": ("host_namespaces = ['pid']", host_users(namespaces=("pid",)), "pid namespace"),
    "ipc": ("host_namespaces = ['ipc']", host_users(namespaces=("ipc",)), "ipc namespace"),
    "uts": ("host_namespaces = ['uts']", host_users(namespaces=("uts",)), "uts namespace"),
    "network": ("host_namespaces = ['network']", host_users(namespaces=("network",)), "network namespace"),
    "device": (
        "devices = ['/dev/full']",
        {"access": AccessRequest(devices=(("/dev/full", "/dev/x", "rwm"),))},
        "devices",
    ),
}


@pytest.mark.parametrize("name", WISHES)
def test_what_was_allowed_once_is_refused_at_the_next_start_and_what_was_never_by_create(lab, allowing, name):
    """A row that somebody forged, or a policy that was narrowed: each start looks again, and undoes everything."""
    text, wishes, match = WISHES[name]
    other = allowing(f"userns_host = true\n{text}")
    request = other.request("/bin/true", **wishes)
    narrower = allowing("userns_host = true")
    with pytest.raises(RequestRefused, match=match):
        narrower.engine.create(request)
    allowing(f"userns_host = true\n{text}").engine.create(request)
    narrower = allowing("userns_host = true")
    with pytest.raises(RequestRefused, match=match):
        narrower.engine.start(request.container_id)
    assert not (lab.config.container(request.container_id) / "config.json").exists()
    lab.take_away(request.container_id)


@pytest.mark.parametrize("name", WISHES)
def test_a_start_within_less_than_the_host_allows_is_refused(allowing, name):
    text, wishes, match = WISHES[name]
    other = allowing(f"userns_host = true\n{text}")
    container_id = other.create("/bin/true", **wishes)
    with pytest.raises(RequestRefused, match=match):
        other.engine.start(container_id, within=Policy(userns_host=True))
    other.engine.start(container_id)
    other.result(container_id)
    other.take_away(container_id)


@pytest.mark.parametrize(
    "wishes",
    [
        {"namespaces": ("mount",)},
        {"namespaces": ("cgroup",)},
        {"devices": (("/etc/passwd", "/dev/x", "r"),)},
        {"devices": (("/dev/../etc/shadow", "/dev/x", "r"),)},
        {"devices": (("/dev/full", "/etc/passwd", "r"),)},
        {"devices": (("/dev/full", "/dev/full", "rr"),)},
        {"devices": (("/dev/full", "/dev/full", ""),)},
        {"sysctls": (("net.core.somaxconn\n", "1"),)},
        {"sysctls": (("net.core.somaxconn", "1\n2"),)},
        {"sysctls": (("../kernel", "1"),)},
    ],
)
def test_what_no_host_gives_is_no_request(wishes):
    with pytest.raises(RequestRefused):
        AccessRequest(**wishes)


@pytest.mark.parametrize(
    ("path", "match"), [("/dev/mem", "host's memory"), ("/dev/no-such", "no such device"), ("/dev/null/x", "no such")]
)
def test_a_listed_device_must_be_one_and_not_the_hosts_memory(allowing, path, match):
    other = allowing(f"devices = ['{path}']")
    if path == "/dev/mem" and not Path(path).exists():
        pytest.skip("this kernel has no /dev/mem")
    with pytest.raises(RequestRefused, match=match):
        other.create("/bin/true", access=AccessRequest(devices=((path, path, "rwm"),)))


def test_a_privileged_one_needs_no_range_and_a_range_no_privileges(allowing):
    other = allowing("privileged = true\nhost_namespaces = ['uts']\nuserns_host = true")
    for wishes in ({"privileged": True}, {"namespaces": ("uts",)}):
        with pytest.raises(RequestRefused, match="--userns host"):
            other.create("/bin/true", access=AccessRequest(**wishes))
    without = allowing("privileged = true")
    with pytest.raises(RequestRefused, match="--userns host"):
        without.create("/bin/true", id_mode=IdMode.HOST)  # the host's users, but not privileged


def test_it_is_kept_with_the_container_and_old_requests_have_none_of_it(lab):
    access = AccessRequest(sysctls=(("net.core.somaxconn", "77"),))
    container_id = lab.create("/bin/true", access=access)
    stored = lab.config.container(container_id) / "request.json"
    assert lab.engine._folder(container_id).request().access == access
    document = json.loads(stored.read_text())
    del document["access"]
    stored.write_text(json.dumps(document))
    assert lab.engine._folder(container_id).request().access == AccessRequest()
    with contextlib.suppress(RequestRefused):
        lab.take_away(container_id)
