"""A Debian on a whole Berth, as its people use it: packages from a web server in the same network, `su`, `ping`, a shared volume."""

from __future__ import annotations

import pytest

from tests.support.debian import TO_INSTALL, debian_tar
from tests.support.images import image, layer, push
from tests.support.shell_image import PATH

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
DEBIAN = "debian:bookworm"
SOURCE = "deb [trusted=yes] http://packages/ ./"
# What answers is the server of another container; it gets files over port 80, whose owner in there is no root of the host's.
INSTALL = rf"""
set -e
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo '{SOURCE}' > /etc/apt/sources.list
apt-get -q update > /tmp/said 2>&1 || {{ cat /tmp/said; exit 1; }}
apt-get -q install -y {TO_INSTALL} >> /tmp/said 2>&1 || {{ cat /tmp/said; exit 1; }}
dpkg -s {TO_INSTALL} | grep ^Status
dpkg -V {TO_INSTALL} && echo verified
stat -c %A /usr/bin/mtr-packet
"""


@pytest.fixture(scope="module")
def net(berth):
    """A network `lan` in which `packages` serves /repo of the image from a volume that another container filled."""
    push(
        berth.registry.url,
        "library/debian:bookworm",
        image([layer(debian_tar().read_bytes(), compression="zstd")], Cmd=["/bin/bash"], Env=[PATH]),
    )
    berth.ok("pull", "-q", DEBIAN, timeout_s=300)
    berth.ok("network", "create", "lan")
    berth.ok("run", "--rm", "-v", "repo:/srv", DEBIAN, "cp", "-a", "/repo/.", "/srv/")
    serve = ("httpd", "-f", "-p", "80", "-h", "/srv")
    berth.ok("run", "-d", "--name", "packages", "--network", "lan", "-v", "repo:/srv:ro", "ubuntu:14.04", *serve)
    yield "lan"
    berth.remove_all()
    berth.ok("network", "rm", "lan")
    berth.ok("volume", "rm", "repo")
    berth.ok("rmi", DEBIAN)


@pytest.mark.threat("RUN-19")
def test_a_package_with_a_file_capability_comes_from_a_server_of_the_network_and_works(berth, net):
    berth.ok("run", "-d", "--name", "desk", "--network", net, DEBIAN, "sleep", "1000")
    said = berth.ok("exec", "desk", "sh", "-c", INSTALL).splitlines()
    assert said[:2] == ["Status: install ok installed", "verified"]
    # No overlay can be given file capabilities from inside (ADR 8): Debian's package then falls back to setuid, which works
    assert said[2:] == ["-rwsr-xr-x"]
    # and is used by somebody who is not root: the one hop to the server
    report = berth.ok("exec", "-u", "www-data", "desk", "mtr", "--report", "--report-cycles", "1", "--raw", "packages")
    assert report.splitlines()[0].startswith("x 0 "), report
    berth.ok("rm", "-f", "desk")


@pytest.mark.parametrize("user", ["root", "www-data"])
def test_ping_is_answered_by_name(berth, net, user):
    said = berth.ok("run", "--rm", "--network", net, "-u", user, DEBIAN, "ping", "-c", "1", "-W", "5", "packages")
    assert "1 packets transmitted, 1 received, 0% packet loss" in said


def test_su_changes_who_one_is_both_ways(berth, net):
    script = "useradd -m haeun; su - haeun -c 'id -un; pwd; touch mine'; stat -c %U /home/haeun/mine; passwd -d haeun >&2; su -s /bin/sh haeun -c 'su - haeun -c whoami'"
    said = berth.ok("run", "--rm", DEBIAN, "sh", "-c", script).split()
    assert said == ["haeun", "/home/haeun", "haeun", "haeun"]
