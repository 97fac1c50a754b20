"""Rights that the host's policy gives beyond the default, looked at from inside."""

from __future__ import annotations

import os

import pytest

from engine.errors import RequestRefused
from engine.runtime.rights import RightsRequest
from tests.support.probe.lab import open_lab

pytestmark = [pytest.mark.root, pytest.mark.threat("RUN-07")]
UNSHARE = "print syscall(272, 0x10000000) == 0 ? 'made' : 'refused';"  # unshare(CLONE_NEWUSER)


@pytest.fixture(scope="module")
def policy_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("policy") / "engine.toml"
    path.write_text('[ceilings]\ncapabilities = ["CAP_NET_ADMIN"]\nseccomp_unconfined = true\n')
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def wide(policy_file):
    with open_lab(policy_file=policy_file) as opened:
        yield opened


def test_a_capability_that_the_policy_gives_works_inside_and_no_other_comes_with_it(wide):
    script = "ip link set lo mtu 1400 2>/dev/null && ip link show lo | grep -o 'mtu [0-9]*'; grep CapBnd /proc/1/status"
    done = wide.script(script, rights=RightsRequest(cap_add=("CAP_NET_ADMIN",)))
    assert done.lines[0] == "mtu 1400"
    assert int(done.lines[-1].split()[1], 16) & (1 << 12)
    assert not wide.script(script).lines[0].startswith("mtu")
    with pytest.raises(RequestRefused, match="CAP_NET_RAW"):  # a list of one's own takes the place of Docker's
        wide.create("/bin/true", rights=RightsRequest(cap_add=("CAP_NET_RAW",)))


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="calls by x86-64 numbers")
def test_without_the_filter_only_where_the_policy_says_so_at_the_start_too(wide, policy_file):
    rights = RightsRequest(unconfined=True)
    assert wide.perl(UNSHARE, rights=rights).out == "made"
    assert wide.perl(UNSHARE).out == "refused"
    container_id = wide.create("/bin/true", rights=rights)
    before = policy_file.read_text()
    policy_file.write_text("[ceilings]\n")
    try:
        with pytest.raises(RequestRefused, match="no filter of system calls"):
            wide.engine.start(container_id)
    finally:
        policy_file.write_text(before)
    wide.take_away(container_id)
