"""Root in a container is nobody on the host, through a whole Berth; and on a kernel that can do less (RUN-19)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.conftest import Berth

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300), pytest.mark.threat("RUN-19")]
IMAGE = "ubuntu:14.04"
MAP = "cat /proc/self/uid_map"


def maps(berth, container: str) -> dict:
    return json.loads(berth.ok("inspect", container))[0]["HostConfig"]


def uids(pid: int) -> set[str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {number for line in lines if line.startswith(("Uid:", "Gid:")) for number in line.split()[1:]}


def test_each_container_has_other_ids_and_says_so(berth):
    firsts = []
    for name in ("first", "second"):
        berth.start_long("--name", name, IMAGE, "sleep", "500")
        said = maps(berth, name)
        container, host, count = said["IDMappings"]["UidMap"][0].split(":")
        assert (said["UsernsMode"], container, count) == ("", "0", "65536")
        assert uids(berth.init_pid(json.loads(berth.ok("inspect", name))[0]["Id"])) == {host}
        firsts.append(int(host))
    assert abs(firsts[0] - firsts[1]) >= 65_536
    berth.ok("rm", "-f", "first", "second")
    info = berth.ok("info")
    assert "  userns\n" in info
    assert "Ids: shared" not in info
    with berth.browser() as person:
        assert "each container has ids of its own" in person.get("/system/").text


def test_the_hosts_users_are_not_given_to_who_asks_for_them(berth):
    refused = berth.run_command("run", "--rm", "--userns", "host", IMAGE, "id")
    assert refused.returncode == 125
    assert "This host does not allow containers without a user namespace (--userns host)" in refused.stderr
    assert berth.run_command("run", "--userns", "other", IMAGE).returncode == 125
    assert berth.ok("ps", "-aq") == ""


@pytest.mark.long  # three starts of a second Berth; the engine tests force the same fallback on their own
@pytest.mark.timeout(600)
def test_a_kernel_that_cannot_show_other_owners_has_one_range_for_all_and_says_so(registry):
    """Layers are pulled with moved owners; under a newer kernel the same containers and images go on."""
    forced = {"BERTH_FORCE_SHARED_IDS": "1"}
    with Berth(mirrors={"docker.io": registry.url}, settings=dict(forced)) as berth:
        berth.ok("pull", IMAGE)
        names = [path.name.split(".")[1] for path in (berth.data / "layers").iterdir()]
        assert set(names) == {"1879048192"}
        script = f"{MAP}; stat -c %u:%g / /etc/shadow /home/tester; touch /made; su -s /bin/sh www-data -c 'id -u'"
        said = berth.ok("run", "--name", "first", IMAGE, "sh", "-c", script).split()
        assert said == ["0", "1879048192", "65536", "0:0", "0:42", "1000:1000", "33"]
        assert maps(berth, "first")["IDMappings"]["UidMap"] == ["0:1879048192:65536"]
        assert "   Ids: shared\n" in berth.ok("info")
        with berth.browser() as person:
            assert "all containers share one range of ids" in person.get("/system/").text
        berth.stop()
        berth.settings.clear()  # another kernel
        berth.start()
        assert berth.ok("start", "-a", "first").split() == said
        newer = berth.ok("run", "--name", "second", IMAGE, "sh", "-c", script).split()
        assert newer[1] != "1879048192"
        assert newer[3:] == said[3:]
        berth.stop()
        berth.settings.update(forced)  # and back
        berth.start()
        assert berth.ok("start", "-a", "first").split() == said
        refused = berth.run_command("start", "-a", "second")
        assert refused.returncode != 0
        assert "pull its image again" in refused.stdout + refused.stderr
