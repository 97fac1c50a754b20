"""What people do as root in a real Debian, whose root is nobody on the host: install packages, become others, ping."""

from __future__ import annotations

import pytest

from tests.support.debian import debian_tar
from tests.support.probe.lab import open_lab, store_tar

pytestmark = [pytest.mark.root, pytest.mark.threat("RUN-19"), pytest.mark.timeout(300)]
PACKAGE = r"""
set -e
mkdir -p /tmp/p/DEBIAN /tmp/p/opt && cd /tmp/p
printf 'Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n' > DEBIAN/control
cp /bin/cat opt/cat; cp /bin/bash opt/rootbash; cp /bin/true opt/www; chmod 4755 opt/rootbash; chown www-data:games opt/www
printf '#!/bin/sh\nset -e\nif setcap cap_net_raw+ep /opt/cat 2>/dev/null; then echo capable; else chmod u+s /opt/cat; fi\nadduser --system --quiet xuser\nchown xuser /opt/www\n' > DEBIAN/postinst
chmod 755 DEBIAN/postinst; chmod 755 /tmp/p; cd /tmp
dpkg-deb -b p x.deb > /dev/null; chmod 644 x.deb
apt-get -q install -y ./x.deb > /tmp/said 2>&1 || { cat /tmp/said; exit 1; }
stat -c '%U:%G %a' /opt/cat /opt/rootbash /opt/www
dpkg -V x && echo verified
su -s /bin/bash www-data -c "/opt/rootbash -p -c 'id -un'"
apt-get -q purge -y x > /dev/null 2>&1 && ls /opt | wc -l
"""


@pytest.fixture(scope="module")
def debian():
    with open_lab() as lab:
        lab.layers = (store_tar(lab.config, debian_tar().read_bytes()),)
        yield lab


def test_a_package_with_owners_setuid_and_setcap_files_can_be_installed_and_removed(debian):
    seen = debian.run("/bin/bash", "-c", PACKAGE)
    assert seen.code == 0, seen
    assert seen.lines == ["root:root 4755", "root:root 4755", "xuser:games 755", "verified", "root", "0"]


@pytest.mark.parametrize("user", ["", "www-data"])
def test_debians_ping_runs_and_is_answered(debian, user):
    seen = debian.script(
        "ping -c 1 -W 5 127.0.0.1 > /tmp/said 2>&1 && grep -c 'bytes from' /tmp/said || cat /tmp/said", user=user
    )
    assert seen.out == "1\n", seen


def test_users_are_made_and_become_each_other(debian):
    script = (
        "useradd -m haeun && echo haeun:secret | chpasswd && su - haeun -c 'id -un; touch mine; stat -c %U mine' && passwd -S haeun | cut -d' ' -f2;"
        "ls -ld /home/haeun | cut -d' ' -f3,4"
    )
    assert debian.script(script).lines == ["haeun", "haeun", "P", "haeun haeun"]
