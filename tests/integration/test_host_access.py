"""What of the host is had by two policies, through a whole Berth: privileged containers, its namespaces and devices (RUN-06, ADR 17)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300), pytest.mark.threat("RUN-06")]
IMAGE = "ubuntu:14.04"
CEILINGS = """[ceilings]
privileged = true
userns_host = true
host_namespaces = ["pid", "network", "ipc", "uts"]
devices = ["/dev/fuse"]
"""
RULES = ("--privileged", "--userns-host", "--host-namespaces", "pid,network,ipc,uts", "--devices", "/dev/fuse")
MADE = {
    "whole": ("--privileged",),
    "net": ("--network", "host", "--userns", "host"),
    "pids": ("--pid", "host", "--userns", "host"),
    "names": ("--ipc", "host", "--uts", "host", "--userns", "host"),
    "fuse": ("--device", "/dev/fuse"),
}


def lifted(berth) -> list[str]:
    return json.loads((berth.run / "findings.json").read_text())["info"]["lifted"]


@pytest.fixture
def wide(berth):
    """The host lifts its ceilings and the team has the rules; both are taken back."""
    path = Path(berth.environment["BERTH_POLICY"])
    path.parent.mkdir(mode=0o755, exist_ok=True)
    path.write_text(CEILINGS)
    path.chmod(0o600)
    until("the ceilings are known to pages", lambda: "userns_host" in lifted(berth), 10)
    with berth.browser() as person:
        page = person.get("/team/policy/").text
    assert page.count("the host allows it to nobody") == 2  # no filter of system calls, and folders
    berth.ok("policy", "set", *RULES)
    yield
    berth.ok("policy", "unset")
    path.unlink(missing_ok=True)
    until("the ceilings are gone", lambda: not lifted(berth), 10)


def test_all_that_is_done_with_containers_works_with_those_that_share_the_host(berth, wide):
    refused = berth.run_command("run", "-d", "--network", "host", IMAGE, "true")
    assert (refused.returncode, "name --userns host, too" in refused.stderr) == (125, True)
    assert berth.ok("ps", "-aq") == ""
    for name, flags in MADE.items():
        berth.start_long("--name", name, *flags, IMAGE, "sleep", "1000")
    stats = berth.ok("stats", "--no-stream")
    for name in MADE:
        assert name in stats
        assert "sleep 1000" in berth.ok("top", name)
        assert berth.ok("exec", name, "echo", "ok") == "ok\n"
    assert berth.ok("exec", "net", "cat", "/sys/class/net/lo/ifindex") == "1\n"
    assert berth.ok("exec", "names", "cat", "/proc/sys/kernel/hostname").strip() == os.uname().nodename
    assert berth.ok("exec", "pids", "cat", "/proc/1/comm") == Path("/proc/1/comm").read_text()
    networks = json.loads(berth.ok("inspect", "net"))[0]["NetworkSettings"]["Networks"]
    assert list(networks) == ["host"]
    berth.ok("network", "create", "lan")
    assert "host's own network" in berth.run_command("network", "connect", "lan", "net").stderr
    berth.ok("network", "connect", "lan", "pids")
    berth.ok("network", "disconnect", "lan", "pids")
    for name in ("whole", "net"):
        berth.ok("restart", "-t", "1", name)
    assert berth.findings() == []
    berth.wait_back("engine", berth.kill_program("engine"))
    assert {berth.state(name)["Status"] for name in MADE} == {"running"}
    assert berth.findings() == []
    # a rule that is taken back: what runs goes on, and is not stopped for a start that would be refused
    berth.ok("policy", "unset")
    refused = berth.run_command("restart", "-t", "1", "whole")
    assert "does not allow privileged containers" in refused.stderr
    assert berth.state("whole")["Status"] == "running"
    berth.remove_all()
    berth.ok("network", "rm", "lan")
    berth.assert_clean()
