"""A Berth whose runtime breaks, whose programs may open, start or keep too little, or whose host's clock is set."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from engine.kernel import cgroups
from tests.integration.conftest import make_berth
from tests.support.checked import assert_sound
from tests.support.server import ROOT
from tests.support.terminal import Person
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
IMAGE = "ubuntu:14.04"
BERTH = str(ROOT / "script" / "berth")
MIB = 1 << 20
FINDINGS_S = 90  # they are written every half minute


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> Path:
    """Copies of runc and conmon, to be broken."""
    folder = tmp_path_factory.mktemp("programs")
    for place in (folder, *folder.parents[:2]):
        place.chmod(0o755)
    for path in (shutil.which("runc"), shutil.which("conmon")):
        shutil.copy2(path, folder)
    return folder


@pytest.fixture(scope="module")
def berth(registry, programs):
    settings = {"BERTH_RUNC": str(programs / "runc"), "BERTH_CONMON": str(programs / "conmon")}
    with make_berth(registry, settings=settings) as server:
        server.ok("pull", "-q", IMAGE)
        yield server
        server.remove_all()
        server.assert_clean()


@pytest.fixture
def shell(berth):
    """A container with a shell on a terminal; afterwards it must still be the same one, and all must be well."""
    container = berth.start_long("-it", IMAGE)
    init = berth.init_pid(container)
    with Person([BERTH, "attach", container], berth.environment) as person:
        person.expect(r"root@.*# ")
        yield person
        person.type("echo still-$((40+2))\n")
        person.expect("\nstill-42\n", 60)
    assert berth.init_pid(container) == init
    berth.ok("run", "--rm", IMAGE, "true")
    berth.remove_all()
    berth.assert_clean()
    assert_sound(berth)


# The runtime


@pytest.mark.fault("F45")
def test_a_runtime_that_breaks_is_a_finding_and_a_refusal_and_what_runs_goes_on(berth, shell, programs):
    runc, conmon = programs / "runc", programs / "conmon"
    conmon.rename(programs / "conmon.right")
    old = "#!/bin/sh\necho conmon version 1.0.9\n"
    conmon.write_text(old)
    conmon.chmod(0o755)
    runc.chmod(0o644)
    try:
        assert_refused(berth, "runc")
        with berth.browser() as client:

            def is_told() -> bool:
                page = client.get("/system/").text
                return "runc was not found" in page and "conmon version 1.0.9 is too old" in page

            until("the system page says so", is_told, FINDINGS_S, every_s=0.5)
        runc.chmod(0o755)
        assert_refused(berth, "conmon")
        conmon.unlink()
        assert_refused(berth, "conmon")
        shutil.copy2(programs / "conmon.right", conmon)
        conmon.chmod(0o644)
        assert_refused(berth, "conmon")
        shell.type("echo meanwhile-$((1+1))\n")
        shell.expect("\nmeanwhile-2\n")
    finally:
        runc.chmod(0o755)
        (programs / "conmon.right").replace(conmon)


def assert_refused(berth, program: str) -> None:
    done = berth.run_command("run", "--rm", IMAGE, "true")
    assert done.returncode == 125, done.stderr
    assert program in done.stderr
    assert "Traceback" not in done.stderr
    assert len(berth.ok("ps", "-aq").split()) == 1


# What our own programs may take


@contextlib.contextmanager
def few_files(pid: int, most: int):
    """The soft limit, set by the process's own user: raising the hard one again is not everybody's right."""
    owner = Path(f"/proc/{pid}").stat()
    us = ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups", "prlimit", f"--pid={pid}"]
    before = re.search(r"Max open files +(\d+) +(\d+)", Path(f"/proc/{pid}/limits").read_text()).groups()
    subprocess.run([*us, f"--nofile={most}:{before[1]}"], check=True)
    try:
        yield
    finally:
        subprocess.run([*us, f"--nofile={before[0]}:{before[1]}"], check=True)


@pytest.mark.fault("F47")
def test_more_connections_than_the_web_process_may_open_wait_or_are_refused_and_it_recovers(berth, shell):
    web = berth.pid_of("web")
    with few_files(web, 256), contextlib.ExitStack() as opened:
        for _ in range(300):
            one = opened.enter_context(socket.socket())
            one.settimeout(1)
            with contextlib.suppress(OSError):
                one.connect(("127.0.0.1", berth.port))
        until("it is full", lambda: len(os.listdir(f"/proc/{web}/fd")) >= 250)
        opened.close()
        berth.wait_healthy()
        berth.ok("ps")
    assert berth.pid_of("web") == web


def refused_or_late(command: subprocess.Popen) -> None:
    """A worker without room either says so, or leaves the job in the queue for when it has some. Never half of it."""
    said, wrong = command.communicate(timeout=120)
    assert (said, command.returncode) in {("", 125), ("done\n", 0)}, wrong
    assert "Traceback" not in wrong
    assert command.returncode == 0 or re.search(
        "no more open files, processes|Too many open files|temporarily unavailable", wrong
    ), wrong


def begin(berth) -> subprocess.Popen:
    """A run that says "done", under way."""
    argv = [BERTH, "run", "--rm", IMAGE, "echo", "done"]
    return subprocess.Popen(argv, env=berth.environment, stdin=-3, stdout=-1, stderr=-1, text=True)


@pytest.mark.fault("F47")
@pytest.mark.parametrize("room", [1, 12])
def test_a_start_that_the_engine_worker_has_no_files_for_is_refused_or_waits(berth, shell, room):
    engine = berth.pid_of("engine")
    with few_files(engine, len(os.listdir(f"/proc/{engine}/fd")) + room):
        command = begin(berth)
        time.sleep(5)
    refused_or_late(command)
    assert len(berth.ok("ps", "-aq").split()) == 1


@contextlib.contextmanager
def confined(controller: str, name: str, pid: int, **limits: int):
    """The process in a control group of its own with these limits; back where it was afterwards."""
    (top,) = (one.mount for one in cgroups.hierarchies() if controller in one.controllers)
    group = top / name
    group.mkdir()
    try:
        for file, limit in limits.items():
            (group / f"{controller}.{file}").write_text(str(limit))
        (group / "cgroup.procs").write_text(str(pid))
        yield group
    finally:
        for line in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (top / "cgroup.procs").write_text(line)
        until("the group is empty", lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


@pytest.mark.fault("F47")
def test_a_start_that_the_engine_worker_has_no_processes_for_is_refused_or_waits(berth, shell):
    engine = berth.pid_of("engine")
    with confined("pids", f"berth-{berth.tag}-few", engine, max=len(os.listdir(f"/proc/{engine}/task"))):
        command = begin(berth)
        time.sleep(5)
    refused_or_late(command)
    assert len(berth.ok("ps", "-aq").split()) == 1


@pytest.mark.fault("F47")
def test_programs_that_memory_ends_for_are_back_when_there_is_some_and_so_are_terminals(berth, shell):
    """Those that supervisord starts are in its control group: the web process is ended there before it can begin."""
    above = int((berth.run / "supervisord.pid").read_text())
    is_v1 = any("memory" in one.controllers and one.version == 1 for one in cgroups.hierarchies())
    limit = {"limit_in_bytes" if is_v1 else "max": 24 * MIB}
    with confined("memory", f"berth-{berth.tag}-little", above, **limit) as group:
        web = berth.kill_program("web")
        counts = group / ("memory.oom_control" if is_v1 else "memory.events")
        until("memory ends", lambda: int(re.search(r"oom_kill (\d+)", counts.read_text())[1]) > 0)
    berth.wait_back("web", web)
    shell.expect("connected again", 60)
