"""Looking from inside a real container at what it is kept from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import CommandNotExecutable, ImageUnfit, RequestRefused
from engine.runtime import confinement
from tests.support.images import Entry, folder, program, symlink
from tests.support.probe.elf import socketcall_program
from tests.support.probe.syscalls import ALLOWED, REFUSED, report_script

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.uname().machine != "x86_64", reason="calls by x86-64 numbers")]


@pytest.mark.threat("RUN-02")
def test_a_container_inherits_no_descriptor_but_its_three(lab):
    for tty in (False, True):
        result = lab.perl('opendir(D, "/proc/self/fd"); print join(" ", sort grep {!/\\./} readdir D), "\\n"', tty=tty)
        fds = result.out.split()
        assert fds[:3] == ["0", "1", "2"], result
        assert len(fds) == 4  # the fourth is the open folder itself


@pytest.mark.threat("RUN-02")
@pytest.mark.parametrize("place", ["/proc/self/fd/7", "/proc/self/cwd", "/sys", "/dev/shm", "/proc"])
def test_a_working_directory_of_the_system_is_refused(lab, place):
    container_id = lab.create("/bin/true", working_dir=place)
    with pytest.raises(ImageUnfit):
        lab.engine.start(container_id)
    lab.take_away(container_id)


@pytest.mark.threat("RUN-02")
def test_a_working_directory_is_resolved_inside_the_root_and_made_if_missing(lab):
    trap = lab.layer([symlink("out", "../../../../../../etc"), symlink("up", "/../../srv")])
    assert lab.run("/bin/pwd", working_dir="/new/deep", extra_layers=[trap]).out == "/new/deep\n"
    assert (
        lab.run("/bin/sh", "-c", "pwd -P; ls passwd", working_dir="/out", extra_layers=[trap]).out == "/etc\npasswd\n"
    )
    assert lab.run("/bin/pwd", working_dir="/up/inside", extra_layers=[trap]).out == "/srv/inside\n"


@pytest.mark.threat("RUN-04")
@pytest.mark.parametrize(
    "entries",
    [
        [symlink("dev", "/etc")],
        [symlink("proc", "/tmp")],
        [symlink("sys", "tmp")],
        [Entry("proc", data=b"a file")],
        [folder("dev/"), symlink("dev/null", "/etc/passwd")],
        [folder("dev/"), symlink("dev/pts", "/proc")],
        [folder("dev/"), symlink("dev/console", "/proc/self/fd/1")],
        [folder("dev/"), Entry("dev/shm", data=b"")],
    ],
)
def test_an_image_with_disguised_system_folders_is_refused_before_runc_sees_it(lab, entries):
    without = [entry for entry in entries if "/" in entry.name.rstrip("/")]
    whiteout = [
        Entry(f"{entry.name}", kind="char") for entry in entries if entry not in without and entry.kind != "dir"
    ]
    layers = [lab.layer(whiteout)] if whiteout else []
    container_id = lab.create("/bin/true", extra_layers=[*layers, lab.layer(entries)])
    with pytest.raises(ImageUnfit, match="not a plain"):
        lab.engine.start(container_id)
    assert not lab.config.container(container_id).joinpath("pidfile").exists()
    lab.take_away(container_id)


@pytest.mark.threat("RUN-04")
def test_an_exported_image_with_plain_device_files_still_works(lab):
    plain = lab.layer([folder("dev/"), folder("dev/pts/"), Entry("dev/console"), Entry("dev/null")])
    assert lab.run("/bin/true", extra_layers=[plain]).code == 0


@pytest.mark.threat("RUN-04")
@pytest.mark.threat("RUN-20")
def test_masked_paths_show_nothing_and_take_nothing(lab):
    paths = " ".join(confinement.MASKED_PATHS)
    script = f"""for p in {paths}; do
        [ -e $p ] || continue
        if [ -d $p ]; then [ -z "$(ls -A $p)" ] || echo "full $p"; (: > $p/x) 2>/dev/null && echo "writable $p"
        else [ -z "$(head -c 1 $p)" ] || echo "full $p"; fi
        echo seen $p; done"""
    result = lab.script(script)
    assert "full" not in result.out
    assert "writable" not in result.out
    assert "seen /proc/keys" in result.out


@pytest.mark.threat("RUN-04")
def test_read_only_paths_cannot_be_written_nor_mounted_again(lab):
    script = """for p in /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/sysrq-trigger /proc/irq/default_smp_affinity \
        /sys/kernel/uevent_helper /sys/kernel/mm/ksm/run; do
        [ -e $p ] && { (echo 0 > $p) 2>/dev/null && echo "written $p"; }; done
        mount -o remount,rw /proc/sys 2>/dev/null && echo remounted; echo done"""
    assert lab.script(script).out == "done\n"


@pytest.mark.threat("RUN-05")
@pytest.mark.threat("RUN-15")
@pytest.mark.parametrize(
    "target", ["/proc/sys/kernel/hostname", "/tmp/elsewhere", "../../../../../../../../etc/passwd", "nowhere"]
)
def test_links_at_our_mount_points_never_lead_out(lab, target):
    trap = lab.layer([folder("etc/"), symlink("etc/resolv.conf", target), symlink("etc/hosts", target)])
    result = lab.script("grep -c localhost /etc/hosts; hostname", extra_layers=[trap])
    assert result.code == 0
    assert result.lines[0] == "2"


@pytest.mark.threat("RUN-15")
def test_hosts_hostname_and_resolv_conf_are_mounted_and_not_written_into_the_root(lab):
    with lab.started("/bin/sleep", "60", hostname="box.example") as container_id:
        upper = lab.config.container(container_id) / "upper" / "diff" / "etc"
        for name in ("hosts", "hostname", "resolv.conf"):
            assert not upper.joinpath(name).exists() or upper.joinpath(name).stat().st_size == 0
        etc = lab.config.container(container_id) / "etc"
        assert etc.joinpath("hostname").read_text() == "box.example\n"
    result = lab.script("cat /etc/hostname /etc/hosts; hostname", hostname="box.example")
    assert result.lines[0] == "box.example"
    assert result.lines[1] == "127.0.0.1\tlocalhost"
    assert result.lines[-2].endswith("\tbox.example box")
    assert result.lines[-1] == "box.example"


@pytest.mark.threat("RUN-08")
def test_the_capabilities_are_the_reduced_ten_and_nothing_is_inherited(lab):
    mask = sum(1 << CAPABILITY_NUMBERS[name] for name in confinement.DEFAULT_CAPABILITIES)
    result = lab.script("grep Cap /proc/1/status")
    found = dict(line.split(":\t") for line in result.lines)
    assert found == {
        "CapInh": "0" * 16,
        "CapPrm": f"{mask:016x}",
        "CapEff": f"{mask:016x}",
        "CapBnd": f"{mask:016x}",
        "CapAmb": "0" * 16,
    }


@pytest.mark.threat("RUN-08")
def test_a_user_other_than_root_starts_without_capabilities(lab):
    result = lab.script("grep -E 'Cap(Eff|Prm|Inh|Amb)' /proc/1/status", user="tester")
    assert {line.split(":\t")[1] for line in result.lines} == {"0" * 16}


@pytest.mark.threat("RUN-10")
@pytest.mark.threat("NET-07")
def test_refused_system_calls_are_refused(lab):
    result = lab.perl(report_script(REFUSED))
    found = dict(line.split(" ", 1) for line in result.lines)
    assert found == {name: str(call.errno) for name, call in REFUSED.items()}


@pytest.mark.threat("RUN-10")
def test_what_programs_need_is_still_allowed(lab):
    result = lab.perl(report_script(ALLOWED))
    found = dict(line.split(" ", 1) for line in result.lines)
    assert found == dict.fromkeys(ALLOWED, "ok")


@pytest.mark.threat("RUN-10")
def test_new_namespaces_are_refused_to_real_programs(lab):
    result = lab.script("unshare -U true 2>&1; unshare -n true 2>&1; mount -t tmpfs x /mnt 2>&1; echo end")
    assert result.out.count("Operation not permitted") + result.out.count("permission denied") == 3, result


@pytest.mark.threat("RUN-10")
def test_an_old_32_bit_program_still_gets_its_sockets(lab):
    layer = lab.layer([folder("opt/"), program("opt/old", socketcall_program())])
    assert lab.run("/opt/old", extra_layers=[layer]).code == 42


@pytest.mark.threat("RUN-11")
def test_device_nodes_cannot_be_made_and_hold_no_device(lab):
    script = """for d in 'b 253 0' 'c 1 1' 'c 10 237' 'b 7 0'; do mknod /tmp/x $d 2>/dev/null && echo "made $d"; done
        ls /dev | tr '\\n' ' '; echo; echo zero > /dev/null && head -c 2 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c"""
    result = lab.script(script)
    assert "made" not in result.out
    expected = {"fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout"}
    assert set(result.lines[0].split()) - {"core"} == expected | {"tty", "urandom", "zero"}
    assert result.lines[1:] == ["2", "4"]


@pytest.mark.threat("RUN-11")
def test_a_device_node_in_the_image_opens_nothing(lab):
    nodes = [Entry("tmp/mem", "char", major=1, minor=1), Entry("tmp/disk", "block", major=253, minor=0, mode=0o666)]
    result = lab.script(
        "for n in /tmp/mem /tmp/disk; do head -c 1 $n && echo read $n; done; echo end", extra_layers=[lab.layer(nodes)]
    )
    assert "read" not in result.out
    assert result.out.endswith("end\n")


@pytest.mark.threat("RUN-12")
def test_control_groups_are_read_only_and_show_no_path_of_the_host(lab):
    script = """cat /proc/self/cgroup
        find /sys/fs/cgroup -name release_agent | while read f; do (echo /x > $f) 2>/dev/null && echo "written $f"; done
        for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/x 2>/dev/null && [ $d != /sys/fs/cgroup ] && echo "made $d"; done
        for f in /sys/fs/cgroup/*/cgroup.procs; do (echo 1 > $f) 2>/dev/null && echo "written $f"; done; echo end"""
    result = lab.script(script)
    assert "written" not in result.out
    assert "made" not in result.out
    assert lab.config.tag not in result.out
    assert result.out.endswith("end\n")


@pytest.mark.threat("RUN-13")
def test_limits_are_always_set_and_hold(lab):
    with lab.started("/bin/sleep", "60") as container_id:
        pid = lab.engine.observe(container_id).pid
        groups = dict(line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
        assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) > 0
        if "memory" in groups:
            assert int(Path(f"/sys/fs/cgroup/memory{groups['memory']}/memory.limit_in_bytes").read_text()) == 2 << 30
            assert int(Path(f"/sys/fs/cgroup/pids{groups['pids']}/pids.max").read_text()) == 512
            assert int(Path(f"/sys/fs/cgroup/cpu{groups['cpu']}/cpu.cfs_quota_us").read_text()) == 200_000


@pytest.mark.threat("RUN-13")
def test_a_fork_bomb_stops_at_its_limit(lab):
    result = lab.perl(
        'my $n=0; while (defined(my $p = fork)) { if (!$p) { sleep 30; exit } $n++ } print "$n $!\n"', pids=20
    )
    count, _, reason = result.out.strip().partition(" ")
    assert 5 < int(count) < 20
    assert reason == "Resource temporarily unavailable"


@pytest.mark.threat("RUN-13")
def test_a_memory_hog_is_killed_alone_and_told_so(lab):
    result = lab.perl('my $x = "x" x 200_000_000; print "lives\\n"', memory_bytes=32 * 1024 * 1024)
    assert result.code == 137
    assert result.exit.oom_killed
    assert "lives" not in result.out


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"memory_bytes": 1024 * 1024}, "Minimum memory limit allowed is 6MB"),
        ({"nano_cpus": 10**15}, "range of CPUs is from 0.01"),
        ({"pids": 10**6}, "at most 32768 processes"),
    ],
)
def test_limits_out_of_range_are_refused_before_anything_is_made(lab, limits, sentence):
    request = lab.request("/bin/true", **limits)
    with pytest.raises(RequestRefused, match=sentence):
        lab.engine.create(request)
    assert not lab.config.container(request.container_id).exists()


@pytest.mark.threat("RUN-16")
def test_nothing_of_ours_listens_on_an_abstract_socket(lab):
    before = {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if "@" in line}
    with lab.started("/bin/sleep", "60", tty=True) as container_id:
        after = {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if "@" in line}
        assert not [name for name in after - before if lab.config.tag in name or container_id[:12] in name]
        inside = lab.script("grep -c @ /proc/net/unix")
        assert inside.out == "0\n"


@pytest.mark.threat("RUN-16")
def test_the_sockets_of_a_container_are_for_root_and_our_group_only(lab):
    with lab.started("/bin/sleep", "60", tty=True) as container_id:
        io = lab.config.io(container_id)
        modes = {
            name: (oct(info.st_mode & 0o777), info.st_uid, info.st_gid)
            for name in ("attach", "ctl", "ctr.log", "winsz", "exit", ".")
            for info in [io.joinpath(name).stat()]
        }
        gid = lab.config.gid
        assert modes == {
            "attach": ("0o660", 0, gid),
            "ctl": ("0o660", 0, gid),
            "ctr.log": ("0o640", 0, gid),
            "winsz": ("0o600", 0, 0),
            "exit": ("0o750", 0, gid),
            ".": ("0o750", 0, gid),
        }
        folder_mode = lab.config.container(container_id).stat().st_mode & 0o777
        assert folder_mode == 0o711
        for name in ("config.json", "request.json", "image.json", "state.json"):
            assert lab.config.container(container_id).joinpath(name).stat().st_mode & 0o777 == 0o600


@pytest.mark.threat("RUN-18")
def test_the_environment_of_one_container_is_never_in_another(lab):
    with lab.started("/bin/sleep", "60", env=("CANARY=first-container",)) as first:
        second = lab.script("env; cat /proc/*/environ | tr '\\0' '\\n'", env=("OTHER=second-container",))
        assert "first-container" not in second.out
        assert "second-container" in second.out
        spec = lab.config.container(first) / "config.json"
        assert "first-container" in spec.read_text()
        assert spec.stat().st_mode & 0o077 == 0
        monitor = int(lab.config.container(first).joinpath("conmon.pid").read_text())
        assert b"CANARY" not in Path(f"/proc/{monitor}/environ").read_bytes()


@pytest.mark.threat("RUN-18")
def test_the_environment_is_exactly_what_image_and_request_say(lab, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_WORKER", "leaked")
    config = lab.image(Cmd=["/bin/sh"], Env=["PATH=/bin", "LANG=C.UTF-8", "GONE=1"])
    result = lab.run("/bin/env", env=("A=1", "LANG=ko", "GONE"), config_digest=config, tty=True)
    found = dict(line.split("=", 1) for line in result.out.replace("\r", "").splitlines())
    hostname = found.pop("HOSTNAME")
    assert len(hostname) == 12
    assert found == {"PATH": "/bin", "TERM": "xterm-256color", "LANG": "ko", "A": "1", "HOME": "/root"}


def test_nothing_of_the_host_or_of_another_container_is_visible(lab):
    with lab.started("/bin/sleep", "61"):
        result = lab.script("ps -o pid,args; ls /sys/class/net; ipcs 2>/dev/null | grep -c 0x; hostname; ls /home")
        assert "sleep 61" not in result.out
        assert len([line for line in result.lines if line.strip()[:1].isdigit() and "/bin/" in line]) <= 3
        assert {"eth0", "lo"} <= set(result.lines)
        assert not {"docker0", lab.config.bridge} & set(result.lines)


def test_ping_works_without_raw_sockets(lab):
    gateway = lab.engine._network.gateway
    result = lab.perl(
        'socket(S, 2, 2, 1) or die "socket: $!"; print "datagram\\n"; socket(R, 2, 3, 1) and print "raw\\n";',
        user="tester",
    )
    assert result.out == "datagram\n", (result, gateway)


def test_ping_with_a_file_capability_still_runs_and_gets_none(lab):
    capability = "\x01\x00\x00\x02\x00\x20" + "\x00" * 14  # cap_net_raw+ep, as Debian's ping
    data = Path("/bin/busybox").read_bytes()
    names = {"bin/ping": "bin/ping", "usr/bin/fping": "usr/bin/fping"}
    entries = [Entry(name, data=data, mode=0o755, xattrs={"security.capability": capability}) for name in names]
    layer = lab.layer(
        [*entries, Entry("usr/bin/other", data=data, mode=0o755, xattrs={"security.capability": capability})]
    )
    for user in ("root", "tester"):
        result = lab.script("ping --help 2>&1 | head -1; /usr/bin/other true; echo $?", user=user, extra_layers=[layer])
        assert "BusyBox" in result.out, result
        assert "Operation not permitted" in result.err  # what is no ping is left as the image has it
    assert lab.run("/bin/ping", "--help", extra_layers=[layer], env=("X=1",)).code == 0


def test_a_program_for_another_machine_is_not_executable(lab):
    foreign = bytearray(socketcall_program())
    foreign[18:20] = (183).to_bytes(2, "little")  # ARM
    layer = lab.layer([folder("opt/"), program("opt/arm", bytes(foreign)), program("opt/text", b"no program\n")])
    for path in ("/opt/arm", "/opt/text"):
        container_id = lab.create(path, extra_layers=[layer])
        with pytest.raises(CommandNotExecutable, match="exec format error"):
            lab.engine.start(container_id)
        lab.take_away(container_id)


CAPABILITY_NUMBERS = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_FSETID": 4,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_SYS_CHROOT": 18,
}
