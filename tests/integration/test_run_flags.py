"""Flags of `run` and `create`, as a program in the container finds what they ask for."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.support.server import ROOT
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(180)]
IMAGE = "ubuntu:14.04"
BERTH = str(ROOT / "script" / "berth")


@pytest.fixture(autouse=True)
def no_container_stays(berth):
    yield
    berth.remove_all()


def inside(berth, *flags: str, script: str) -> list[str]:
    return berth.ok("run", "--rm", *flags, IMAGE, "sh", "-c", script).splitlines()


def inspected(berth, *flags: str) -> dict:
    made = berth.ok("create", *flags, IMAGE, "true").strip()
    return json.loads(berth.ok("inspect", made))[0]


def test_labels_are_kept_shown_and_asked_for(berth, tmp_path):
    (tmp_path / "labels").write_text("# of the team\nowner=haeun\nempty\ntier=low\n")
    flags = ("-l", "tier=web", "--label", "bare", "--label-file", str(tmp_path / "labels"))
    found = inspected(berth, "--name", "labelled", *flags)["Config"]["Labels"]
    assert found.pop("org.berth.test")  # the image's own
    assert found == {"owner": "haeun", "empty": "", "tier": "web", "bare": ""}
    berth.ok("create", "--name", "plain", IMAGE, "true")
    names = ("ps", "-a", "--format", "{{.Names}}")
    assert berth.ok(*names, "--filter", "label=tier=web") == "labelled\n"
    assert berth.ok(*names, "--filter", "label=owner", "--filter", "label=tier=web") == "labelled\n"
    assert berth.ok(*names, "--filter", "label=owner", "--filter", "label=tier=low") == ""
    shown = berth.ok("ps", "-a", "--filter", "label=owner", "--format", "{{.Labels}}").strip()
    assert [label for label in shown.split(",") if "org" not in label] == ["bare=", "empty=", "owner=haeun", "tier=web"]


def test_variables_come_from_a_file_where_the_command_line_runs(berth, tmp_path):
    path = tmp_path / "env"
    path.write_text("\ufeff# comment\n  A=from file\nB=from file\nPASSED_ON\nNOT_THERE\n")
    argv = [BERTH, "run", "--rm", f"--env-file={path}", "-e", "B=flag", IMAGE, "sh", "-c",
            'echo "$A,$B,$PASSED_ON,${NOT_THERE-none}"']  # fmt: skip
    environment = berth.environment | {"PASSED_ON": "outside"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("from file,flag,outside,none\n", "")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "no such file or directory"),
        ("a b=c\n", "variable 'a b' contains whitespaces"),
        ("=c\n", "no variable name on line '=c'"),
    ],
)
def test_a_bad_file_of_variables_is_said(berth, tmp_path, content, sentence):
    path = tmp_path / "env"
    if content is not None:
        path.write_text(content)
    done = berth.run_command("run", "--rm", "--env-file", str(path), IMAGE, "true")
    assert done.returncode == 125
    assert sentence in done.stderr
    assert berth.ok("ps", "-aq") == ""


def test_the_id_is_written_where_the_command_line_runs(berth, tmp_path):
    path = tmp_path / "cid"
    made = berth.ok("run", "-d", "--cidfile", str(path), IMAGE, "sleep", "60").strip()
    assert path.read_text() == made
    done = berth.run_command("run", "-d", "--cidfile", str(path), IMAGE, "sleep", "60")
    assert done.returncode == 125
    assert f"container ID file found, make sure the other container isn't running or delete {path}" in done.stderr
    assert path.read_text() == made
    failed = tmp_path / "failed"
    assert berth.run_command("run", "--cidfile", str(failed), "--pull", "never", "nothing:1").returncode == 125
    assert not failed.exists()


def test_names_and_name_servers(berth):
    flags = (
        *("--add-host", "db:10.9.8.7", "--add-host", "gate=host-gateway", "--add-host", "six:fd00::1"),
        *("--dns", "9.9.9.9", "--dns-search", "a.example", "--dns-search", "b.example", "--dns-option", "ndots:3"),
        *("-h", "web", "--domainname", "quay.example"),
    )
    script = "cat /etc/hosts /etc/resolv.conf; hostname; cat /proc/sys/kernel/domainname; ip route"
    lines = inside(berth, *flags, script=script)
    assert "10.9.8.7\tdb" in lines
    assert "fd00::1\tsix" in lines
    gateway = next(line.split()[2] for line in lines if line.startswith("default via"))
    assert f"{gateway}\tgate" in lines
    assert any(line.endswith("\tweb.quay.example web") for line in lines)
    start = next(i for i, line in enumerate(lines) if line.startswith("nameserver"))
    assert [line for line in lines[start:] if line.startswith("nameserver")] == ["nameserver 9.9.9.9"]
    assert "search a.example b.example" in lines
    assert "options ndots:3" in lines
    assert lines[lines.index("web") + 1] == "quay.example"
    assert not any(
        line.startswith("search") for line in inside(berth, "--dns-search", ".", script="cat /etc/resolv.conf")
    )


def test_a_read_only_root_leaves_volumes_and_memory_writable(berth):
    script = """for p in / /etc /root /etc/hosts /etc/resolv.conf; do
        [ -d $p ] && p=$p/x; (echo x >> $p) 2>/dev/null && echo "written $p"; done
        for p in /v/x /scratch/x /dev/shm/x; do echo kept > $p && cat $p; done"""
    lines = inside(berth, "--read-only", "-v", "/v", "--tmpfs", "/scratch", script=script)
    assert lines == ["kept", "kept", "kept"]
    assert inspected(berth, "--read-only")["HostConfig"]["ReadonlyRootfs"] is True


def test_shared_memory_has_the_size_asked_for(berth):
    script = "df -k /dev/shm | tail -1 | awk '{print $2}'"
    assert inside(berth, script=script) == [str(64 * 1024)]
    assert inside(berth, "--shm-size", "1500k", script=script) == ["1500"]
    assert inspected(berth, "--shm-size", "1500k")["HostConfig"]["ShmSize"] == 1500 << 10


def test_an_init_is_the_first_program_and_reaps(berth):
    script = "cat /proc/1/cmdline | tr '\\0' ' '; echo; (sh -c 'sleep 0 & exec true' &); sleep 0.3; ps -o stat,comm"
    lines = inside(berth, "--init", script=script)
    assert lines[0].startswith("/sbin/docker-init -- sh -c")
    assert not any(line.startswith("Z") for line in lines)
    container = berth.start_long("--init", IMAGE, "sleep", "1000")
    assert berth.ok("stop", "-t", "20", container)  # `sleep` as first program would not hear it
    assert berth.state(container)["ExitCode"] == 143
    assert inside(berth, "--init", script="touch /sbin/docker-init 2>/dev/null || echo no") == ["no"]


def test_more_groups(berth):
    assert inside(berth, "--group-add", "staff", "--group-add", "4321", "-u", "www-data", script="id -G") == [
        "33 50 4321"
    ]
    box = berth.start_long("--group-add", "4321", IMAGE, "sleep", "1000")
    assert berth.ok("exec", box, "id", "-G") == "0 4321\n"
    done = berth.run_command("run", "--rm", "--group-add", "no-such-group", IMAGE, "true")
    assert "unable to find group no-such-group" in done.stderr


def test_its_own_signal_and_time_to_stop(berth):
    script = "trap 'exit 9' USR1; trap '' TERM; while :; do sleep 0.1; done"
    box = berth.start_long("--stop-signal", "SIGUSR1", IMAGE, "sh", "-c", script)
    berth.ok("stop", box)
    assert berth.state(box)["ExitCode"] == 9
    box = berth.start_long(
        "--stop-timeout", "1", IMAGE, "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"
    )
    berth.wait_output(box, "up")
    config = json.loads(berth.ok("inspect", box))[0]["Config"]
    assert (config["StopSignal"], config["StopTimeout"]) == ("SIGTERM", 1)
    berth.ok("stop", box)
    assert berth.state(box)["ExitCode"] == 137
    done = berth.run_command("create", "--stop-signal", "SIGNOPE", IMAGE, "true")
    assert "Invalid signal: SIGNOPE" in done.stderr


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--add-host", "db"), 'bad format for add-host: "db"'),
        (("--add-host", "db:10.0.0.300"), 'invalid IP address in add-host: "10.0.0.300"'),
        (("--dns", "somewhere"), "somewhere is not an ip address"),
        (("--dns", "fd00::53"), "containers have no IPv6 address"),
        (("--dns-search", "a b"), "a b is not a valid domain"),
        (("-l", "=x"), "invalid label: '=x'"),
        (("--shm-size", "lots"), "invalid size: 'lots'"),
        (("--domainname", "d" * 65), "A domain name has at most 64 characters."),
        (("--mac-address", "02:42:ac:11:00:02"), "does not take --mac-address: a container's hardware address follows"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(berth, flags, sentence):
    done = berth.run_command("create", *flags, IMAGE, "true")
    assert done.returncode == 125
    assert sentence in done.stderr


def test_a_local_image_is_never_or_always_asked_for(berth):
    assert "No such image" in berth.run_command("run", "--pull", "never", "centos:7", "true").stderr
    done = berth.run_command("run", "--rm", "--pull=always", IMAGE, "true")
    assert "Image is up to date" in done.stderr
    assert "invalid pull option" in berth.run_command("run", "--pull=often", IMAGE).stderr


def test_nothing_is_read_but_what_the_words_name(berth, tmp_path):
    """The same flag behind the image is the program's, whatever file it names."""
    secret = tmp_path / "secret"
    secret.write_text("not=asked\n")
    said = berth.ok("run", "--rm", IMAGE, "echo", "--env-file", str(secret))
    assert said == f"--env-file {secret}\n"
    assert os.path.exists(secret)
    until("nothing left", lambda: berth.ok("ps", "-aq") == "")
