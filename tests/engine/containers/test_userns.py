"""Root in a container is nobody on the host: looked at from inside and from the host (RUN-19, RUN-14)."""

from __future__ import annotations

import dataclasses
import gc
import gzip
import json
import os
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from engine.api import Engine
from engine.config import Limits
from engine.containers import ids as container_ids
from engine.containers.states import State
from engine.digest import DiffId, Digest
from engine.errors import HostUnfit, NotStored, RequestRefused, UserUnknown
from engine.ids import IdRange
from engine.kernel import cgroups, features
from engine.kernel.features import forced_shared_ids
from engine.layers.write import write_layer
from engine.runtime.request import IdMode
from tests.engine.layers.conftest import GZIP, Blob
from tests.engine.test_api import attach
from tests.support import shell_image
from tests.support.images import Entry, folder, tar_of
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.threat("RUN-19")]
BASH = Path("/bin/bash").read_bytes()
PERL = Path("/usr/bin/perl").read_bytes()
PING = r"""socket(S, 2, 2, 1) or die $!; connect(S, pack("SnC4x8", 2, 0, ADDRESS)) or die $!;
for (1 .. 5) { send(S, pack("CCnnn", 8, 0, 0, 0, $_), 0) or die $!; vec($r = "", fileno(S), 1) = 1;
  if (select($r, undef, undef, 1)) { recv(S, $x, 99, 0); print ord $x ? "no" : "pong", "\n"; last } }"""
NET_BIND = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service+ep


def ids_of(lab, container_id) -> IdRange:
    return lab.engine._folder(container_id).request().ids


def upper(lab, container_id) -> Path:
    return lab.config.container(container_id) / "upper" / "diff"


def host_uids(lab, container_id) -> set[int]:
    """Every uid (real, effective, saved, file system) of every process of a container, as the host sees it."""
    pids = cgroups.pids(f"{lab.config.cgroup}/{container_id}")
    assert pids
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return {int(number) for line in lines if line.startswith(("Uid:", "Gid:")) for number in line.split()[1:]}


def test_root_inside_is_nobody_of_the_host_and_every_range_is_another(lab):
    with lab.started("/bin/sleep", "60") as one, lab.started("/bin/sleep", "60") as two:
        first, second = ids_of(lab, one), ids_of(lab, two)
        assert not first.overlaps(second)
        assert host_uids(lab, one) == {first.first}
        assert host_uids(lab, two) == {second.first}
        for container_id, ids in ((one, first), (two, second)):
            init = lab.engine.observe(container_id).pid
            for kind in ("uid_map", "gid_map"):
                assert Path(f"/proc/{init}/{kind}").read_text().split() == ["0", str(ids.first), "65536"]
            assert os.stat(f"/proc/{init}/ns/user").st_ino != os.stat("/proc/self/ns/user").st_ino
    seen = lab.script("cat /proc/self/uid_map /proc/self/gid_map; id -u; cat /proc/self/setgroups")
    assert seen.out.split()[2::3][:2] == ["65536", "65536"]
    assert seen.lines[2:] == ["0", "allow"]


def test_files_inside_belong_to_whom_the_image_says_and_outside_to_nobody(lab):
    script = "cd /; stat -c '%u:%g %n' / /etc /etc/passwd /etc/shadow /home/tester /etc/hosts /dev /tmp"
    seen = lab.script(script)
    assert seen.lines == [
        "0:0 /",
        "0:0 /etc",
        "0:0 /etc/passwd",
        "0:42 /etc/shadow",
        "1000:1000 /home/tester",
        *(f"0:0 {path}" for path in ("/etc/hosts", "/dev", "/tmp")),
    ]
    script = (
        "touch /new; chown 33:33 /new; echo x >> /etc/group; mkdir -p /srv/a/b; mknod /fifo p; ln -s x /link; sleep 60"
    )
    with lab.started("/bin/sh", "-c", script, working_dir="/made/for/it") as container_id:
        ids, top = ids_of(lab, container_id), upper(lab, container_id)
        until("the link is made", (top / "link").is_symlink)
        owners = {str(path.relative_to(top)): path.lstat() for path in top.rglob("*")}
        assert (owners["new"].st_uid, owners["new"].st_gid) == (ids.first + 33, ids.first + 33)
        for name in ("etc/group", "srv/a/b", "fifo", "link", "made/for/it"):
            assert (owners[name].st_uid, owners[name].st_gid) == (ids.first, ids.first), name
        assert all(found.st_uid in ids and found.st_gid in ids for found in [*owners.values(), top.lstat()])


def test_layers_are_never_changed_and_shared_by_containers_with_other_ids(lab):
    files = {path: (path.stat().st_uid, path.read_bytes()) for path in lab.config.layers.iterdir()}
    with lab.started("/bin/sleep", "60") as one, lab.started("/bin/sleep", "60") as two:
        devices = [subprocess.run(["losetup", "-n", "-O", "NAME", "-j", str(path)], capture_output=True, text=True, check=True).stdout.split() for path in files]  # fmt: skip
        assert {len(names) for names in devices if names} == {1}
        assert ids_of(lab, one) != ids_of(lab, two)
    assert {path: (path.stat().st_uid, path.read_bytes()) for path in files} == files


def test_owners_can_be_given_and_taken_inside_the_range_only(lab):
    script = (
        "touch /f; chown 33 /f && stat -c %u /f; chown 65535 /f && stat -c %u /f; chown 70000 /f 2>/dev/null || echo no"
    )
    assert lab.script(script).lines == ["33", "65535", "no"]


def test_another_user_can_be_become(lab):
    assert lab.script("su -s /bin/sh www-data -c 'id -u; touch /tmp/x; stat -c %u /tmp/x'").lines == ["33", "33"]
    seen = lab.script(
        "id -u; stat -c %u:%g /home/tester; echo x > /home/tester/x; stat -c %u /home/tester/x", user="tester"
    )
    assert seen.lines == ["1000", "1000:1000", "1000"]


def test_a_set_user_id_program_makes_root_of_the_container_and_of_nothing_else(lab):
    suid = lab.layer(
        [
            folder("opt/"),
            Entry("opt/rootbash", data=BASH, mode=0o4755),
            Entry("opt/daemonbash", data=BASH, mode=0o6755, uid=1, gid=1),
        ]
    )
    script = "/opt/rootbash -p -c 'echo $EUID'; /opt/daemonbash -p -c 'echo $EUID'; exec /opt/rootbash -p -c ': > /made; sleep 60; :'"
    with lab.started("/bin/sh", "-c", script, user="tester", extra_layers=[suid]) as container_id:
        lab.wait_for_output(container_id, "0\n1\n")
        ids = ids_of(lab, container_id)
        until("it is made", (upper(lab, container_id) / "made").exists)
        assert (upper(lab, container_id) / "made").stat().st_uid == ids.first
        assert {0, 1, 1000}.isdisjoint(host_uids(lab, container_id))
        assert host_uids(lab, container_id) <= {ids.first, ids.first + 1, ids.first + 1000}


def test_files_with_capabilities_keep_them_and_only_for_their_container(lab):
    """A package with setcap files, as a layer carries it: in the layer, and after a copy into the writable layer."""
    xattrs = {"security.capability": NET_BIND.decode("ascii")}
    layer = lab.layer([folder("opt/"), Entry("opt/perl", data=PERL, mode=0o755, xattrs=xattrs)])
    show = "/opt/perl -e 'open F, \"/proc/self/status\"; print grep /CapEff/, <F>'"
    with lab.started("/bin/sh", "-c", f"{show}; read x; {show}; sleep 60", user="tester", open_stdin=True, extra_layers=[layer]) as container_id:  # fmt: skip
        lab.wait_for_output(container_id, "CapEff:\t0000000000000400\n")
        shown = lab.root(container_id) / "opt" / "perl"
        assert not (upper(lab, container_id) / "opt" / "perl").exists()
        shown.chmod(0o755)  # brings it into the writable layer
        os.utime(shown)
        kept = os.getxattr(upper(lab, container_id) / "opt" / "perl", "security.capability")
        first = ids_of(lab, container_id).first
        assert struct.unpack("<IIIIII", kept) == (0x03000001, 1 << 10, 0, 0, 0, first)
        attach(lab, container_id).send(b"go\n")
        lab.wait_for_output(container_id, "CapEff:\t0000000000000400\n" * 2)


def test_no_device_and_no_whiteout_can_be_made(lab):
    seen = lab.script(
        "for n in 'c 1 3' 'b 8 0' 'c 0 0'; do mknod /node $n 2>&1; ls /node 2>/dev/null; done; mknod /p p && echo pipe"
    )
    assert seen.out.count("not permitted") == 3
    assert seen.lines[-1] == "pipe"


def test_what_is_removed_is_whiteouts_that_a_commit_can_read(lab):
    with lab.started(
        "/bin/sh", "-c", "rm /etc/shells; rm -r /home; mkdir -p /home/x; echo done; sleep 60"
    ) as container_id:
        lab.wait_for_output(container_id, "done")
        top, ids = upper(lab, container_id), ids_of(lab, container_id)
        gone = (top / "etc" / "shells").lstat()
        assert stat.S_ISCHR(gone.st_mode)
        assert gone.st_rdev == 0
        assert os.getxattr(top / "home", "trusted.overlay.opaque") == b"y"
        assert (top / "home").stat().st_uid == ids.first


@pytest.mark.parametrize("user", ["", "tester", "www-data"])
def test_its_own_pipes_and_devices_can_be_opened_by_name(lab, user):
    script = "echo a > /dev/stdout; echo b > /dev/stderr; echo c > /dev/null && cat /dev/null; head -c 1 /dev/urandom | wc -c; echo d >> /proc/self/fd/1"
    seen = lab.script(script, user=user)
    assert (seen.code, seen.lines, seen.err) == (0, ["a", "1", "d"], "b\n")


@pytest.mark.parametrize("user", ["", "tester"])
def test_a_terminal_is_its_users_with_the_terminals_group(lab, user):
    script = "stat -c %u:%g:%a /dev/pts/0; stat -L -c %a /dev/ptmx; echo x > /dev/tty; echo y > /dev/console; stty size; [ -r /dev/pts/0 ] && echo ours"
    seen = lab.script(script, tty=True, user=user)
    uid = 1000 if user else 0
    assert seen.out.split() == [f"{uid}:5:620", "666", "x", "y", "24", "80", "ours"]


def test_low_ports_and_ping_need_no_root(lab):
    script = "cat /proc/sys/net/ipv4/ping_group_range; stat -c %u:%g /proc/sys/net/ipv4/ping_group_range"
    assert lab.script(script).out.split() == ["0", "65535", "0:0"]
    call = (
        "for n in $(seq 100); do nc -w 20 127.0.0.1 80 </dev/null 2>/dev/null | grep served && break; sleep 0.1; done"
    )
    seen = lab.script(f"(echo served | nc -l -p 80 -w 20 &) ; {call}", user="www-data")
    assert seen.out == "served\n", seen
    for user in ("", "www-data"):
        for address in ("127.0.0.1", lab.engine._network.gateway):
            assert lab.perl(PING.replace("ADDRESS", address.replace(".", ",")), user=user).out == "pong\n"


def test_root_inside_may_change_its_hosts_and_no_kernel_setting_of_the_host(lab):
    script = "echo '10.0.0.9 other' >> /etc/hosts && tail -1 /etc/hosts; for f in /proc/sys/kernel/hostname /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/core_pattern; do (echo 0 > $f) 2>/dev/null && echo written $f; done; hostname x 2>/dev/null && echo renamed"
    assert lab.script(script).lines == ["10.0.0.9 other"]


def as_user(uid: int, script: str) -> str:
    """What a process of the host with these ids and no rights gets done: somebody who broke out of a container."""
    argv = [
        "setpriv",
        "--reuid",
        str(uid),
        "--regid",
        str(uid),
        "--clear-groups",
        "--inh-caps=-all",
        "sh",
        "-c",
        script,
    ]
    return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False).stdout


def test_who_breaks_out_of_one_container_cannot_touch_another_nor_the_host(lab):
    with lab.started("/bin/sleep", "60") as one, lab.started("/bin/sleep", "60", env=("CANARY=1",)) as two:
        (upper(lab, two) / "secret").write_text("x")
        uid, pid = ids_of(lab, one).first, lab.engine.observe(two).pid
        place = lab.config.container(two)
        reads = [
            f"/proc/{pid}/environ",
            f"/proc/{pid}/root/secret",
            place / "upper/diff/secret",
            place / "rootfs/merged/secret",
        ]
        reads += [
            place / "config.json",
            place / "io/ctr.log",
            "/etc/shadow",
            lab.config.run / "runc" / two / "state.json",
        ]
        tries = "; ".join(f"cat {path} >/dev/null 2>&1 && echo read {path}" for path in reads)
        script = f"id -u; {tries}; kill -0 {pid} 2>/dev/null && echo signalled; kill -0 1 2>/dev/null && echo signalled; touch {place} && echo touched"
        assert as_user(uid, script) == f"{uid}\n"
        assert (
            as_user(ids_of(lab, two).first, f"kill -0 {pid} && echo signalled") == "signalled\n"
        )  # the test can see it


def test_a_user_beyond_the_containers_ids_is_refused_in_a_sentence(lab):
    for user in ("70000", "0:70000"):
        container_id = lab.create("/bin/true", user=user)
        with pytest.raises(UserUnknown, match="must be in range 0-65535"):
            lab.engine.start(container_id)
        lab.take_away(container_id)


def test_an_owner_beyond_them_is_nobody(lab):
    odd = lab.layer([folder("odd/", uid=70_000, gid=70_000), Entry("odd/file", data=b"x", uid=1_000_000)])
    assert lab.script("stat -c %u:%g /odd; stat -c %u /odd/file; cat /odd/file", extra_layers=[odd]).lines == ["65534:65534", "65534", "x"]  # fmt: skip


def test_ids_that_are_not_ours_to_give_are_refused_whatever_the_database_says(lab):
    pool = lab.config.ids
    for first in (65_536, 100_000, pool.base + 1, pool.base + pool.ranges * 65_536, pool.base):
        with pytest.raises(RequestRefused, match="not of those"):
            lab.create("/bin/true", first_id=first)
    for mode, match in ((IdMode.HOST, "--userns host"), (IdMode.BEFORE, "ids of its own")):
        with pytest.raises(RequestRefused, match=match):
            lab.create("/bin/true", id_mode=mode)


def policed(lab, tmp_path, text: str) -> Engine:
    path = tmp_path / "engine.toml"
    path.write_text(f"[ceilings]\n{text}\n")
    return Engine(dataclasses.replace(lab.config, policy_file=path))


def test_root_of_the_host_is_had_by_the_hosts_policy_only_and_asked_for_again_at_each_start(lab, tmp_path):
    allowing = policed(lab, tmp_path, "userns_host = true")
    request = lab.request("/bin/cat", "/proc/self/uid_map", id_mode=IdMode.HOST)
    allowing.create(request)
    allowing.start(request.container_id)
    assert lab.result(request.container_id).out.split() == ["0", "0", "4294967295"]
    with pytest.raises(RequestRefused, match="user namespace"):
        lab.engine.start(request.container_id)
    lab.take_away(request.container_id)


def test_a_container_made_before_there_were_user_namespaces_goes_on_as_it_was(lab, tmp_path):
    """Its files belong to the host's root; so does it, until it is removed or the policy says otherwise."""
    allowing = policed(lab, tmp_path, "userns_host = true")
    request = lab.request(
        "/bin/sh", "-c", "cat /kept 2>/dev/null; echo line >> /kept; cat /proc/self/uid_map", id_mode=IdMode.HOST
    )
    allowing.create(request)
    stored = lab.config.container(request.container_id) / "request.json"
    document = json.loads(stored.read_text())
    del document["id_mode"], document["first_id"]
    stored.write_text(json.dumps(document))
    for number in range(2):
        lab.engine.start(request.container_id)
        assert lab.result(request.container_id).out.split()[-3:] == ["0", "0", "4294967295"]
        assert (upper(lab, request.container_id) / "kept").stat().st_uid == 0
        assert (upper(lab, request.container_id) / "kept").read_text() == "line\n" * (number + 1)
    strict = policed(lab, tmp_path, "user_namespaces = true")
    with pytest.raises(RequestRefused, match="user namespace"):
        strict.start(request.container_id)
    lab.take_away(request.container_id)


def test_a_container_keeps_its_ids_over_restarts_whatever_the_settings_say_later(lab):
    container_id = lab.create(
        "/bin/sh", "-c", "cat /kept; echo x >> /kept; stat -c %u /kept; cut -c1-60 /proc/self/uid_map"
    )
    moved = Engine(dataclasses.replace(lab.config, ids=dataclasses.replace(lab.config.ids, base=900_000_000)))
    first = ids_of(lab, container_id).first
    for engine in (lab.engine, moved):
        engine.start(container_id)
        assert lab.result(container_id).out.split()[-4:] == ["0", "0", str(first), "65536"]
    assert (upper(lab, container_id) / "kept").read_text() == "x\nx\n"
    lab.take_away(container_id)


def test_while_nobody_knows_what_the_kernel_can_do_no_ids_are_given_and_what_is_there_starts(lab, monkeypatch):
    """A container keeps its ids for good: it must not share them because the host had no loop device for a moment."""
    container_id = lab.create("/bin/cut", "-c1-60", "/proc/self/uid_map")
    unknown = dataclasses.replace(
        features.features(), idmapped_layers=False, ids_are_known=False, ids_problem="no loop device."
    )
    monkeypatch.setattr(features, "features", lambda: unknown)
    with pytest.raises(HostUnfit, match=r"could not be tried: no loop device\. Try again later"):
        lab.engine.choose_ids(())
    lab.engine.start(container_id)
    assert lab.result(container_id).out.split()[1] == str(ids_of(lab, container_id).first)
    lab.take_away(container_id)


def test_ids_that_the_host_has_given_to_a_user_since_are_refused(lab, tmp_path, monkeypatch):
    container_id = lab.create("/bin/true")
    ids = ids_of(lab, container_id)
    monkeypatch.setattr(container_ids, "ETC", tmp_path)
    for name, line in (("subuid", f"alice:{ids.first - 5}:10\n"), ("group", f"big:x:{ids.end - 1}:\n")):
        (tmp_path / name).write_text(line)
        with pytest.raises(RequestRefused, match="belong to users of this host now"):
            lab.engine.start(container_id)
        assert lab.engine.choose_ids({ids.first}).first_id != ids.first
        (tmp_path / name).unlink()
    (tmp_path / "subgid").write_text(f"alice:{lab.config.ids.base}:{lab.config.ids.ranges * 65_536}\n")
    with pytest.raises(HostUnfit, match="ranges of ids"):
        lab.engine.choose_ids(())
    (tmp_path / "subgid").unlink()
    lab.engine.start(container_id)
    lab.take_away(container_id)


def test_a_data_folder_that_nobody_may_enter_is_said_so(lab):
    container_id = lab.create("/bin/true")
    lab.config.data.chmod(0o700)
    try:
        with pytest.raises(HostUnfit, match="lets nobody else pass"):
            lab.engine.start(container_id)
    finally:
        lab.config.data.chmod(0o711)
    lab.engine.start(container_id)
    lab.take_away(container_id)


def test_nothing_is_left_of_the_namespaces_when_a_start_fails_or_a_container_ends(lab):
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    container_id = lab.create("/nope")
    for _ in range(3):
        with pytest.raises(Exception, match="nope"):
            lab.engine.start(container_id)
    lab.take_away(container_id)
    lab.run("/bin/true")
    assert len(os.listdir("/proc/self/fd")) <= before  # fewer: an earlier test's were collected meanwhile
    assert lab.engine.observe(container_id).state is State.ABSENT


def test_the_unprivileged_group_still_types_resizes_and_reads(lab):
    """What the web process does: it is neither root nor anybody in the container."""
    with lab.started("/bin/sh", tty=True, open_stdin=True, rows=20, columns=70) as container_id:
        io, gid = lab.config.io(container_id), lab.config.gid
        argv = ["setpriv", "--reuid", str(lab.config.uid), "--regid", str(gid), "--clear-groups", "--inh-caps=-all"]
        script = f"printf '1 41 121\\n' > {io}/ctl && head -c 1 {io}/ctr.log > /dev/null; id -u"
        sock = attach(lab, container_id)
        sock.send(b"echo here\n")
        lab.wait_for_output(container_id, "here")
        done = subprocess.run([*argv, "sh", "-c", script], capture_output=True, text=True, timeout=20, check=True)
        assert done.stdout.strip() == str(lab.config.uid)
        sock.send(b"stty size\n")
        lab.wait_for_output(container_id, "41 121")
        sock.close()


def moved(lab, entries=None, tar: bytes = b"") -> DiffId:
    """A layer as a pull writes it on a kernel that cannot translate owners."""
    tar = tar or tar_of(entries)
    diff_id, ids = DiffId(Digest.of(tar)), lab.config.ids.shared
    output = lab.config.layer_file(diff_id.hex, ids.first)
    source = Blob(gzip.compress(tar, 1))
    write_layer(
        source, media_type=GZIP, diff_id=diff_id, output=output, limits=Limits(), on_bytes=lambda _count: None,
        cancelled=lambda: False, ids=ids,
    )  # fmt: skip
    output.chmod(0o440)
    return diff_id


def test_on_a_kernel_that_cannot_translate_owners_all_works_with_one_range(lab):
    xattrs = {"security.capability": NET_BIND.decode("ascii")}
    special = [folder("opt/"), Entry("opt/rootbash", data=BASH, mode=0o4755), Entry("opt/cat", data=Path("/bin/busybox").read_bytes(), mode=0o755, xattrs=xattrs)]  # fmt: skip
    layers = (*(moved(lab, tar=layer.tar) for layer in shell_image.shell_image().layers), moved(lab, special))
    first = lab.config.ids.base
    script = "id -u; stat -c %u:%g /etc/shadow /root; /opt/rootbash -p -c 'echo $EUID; : > /made'; cat /made; ping -c1 -W1 x 2>/dev/null; /opt/cat cat /proc/self/status | grep CapEff; sleep 60"
    with forced_shared_ids(), lab.started("/bin/sh", "-c", script, user="tester", layers=layers) as one:
        lab.wait_for_output(one, "CapEff")
        assert lab.output(one)[0].splitlines()[:4] == ["1000", "0:42", "0:0", "0"]
        assert "CapEff:\t0000000000000400" in lab.output(one)[0]
        assert (upper(lab, one) / "made").stat().st_uid == first
        with lab.started("/bin/sleep", "60", layers=layers) as two:
            assert host_uids(lab, one) == {first + 1000}
            assert host_uids(lab, two) == {first}
        container_id = lab.create("/bin/true")  # of layers that were written under another kernel
        with pytest.raises(NotStored, match="pull its image again"):
            lab.engine.start(container_id)
        lab.take_away(container_id)
