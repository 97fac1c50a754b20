from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.config import Limits
from engine.digest import DiffId, Digest
from engine.errors import RequestRefused
from engine.ids import IdRange
from engine.oci.image_config import ImageConfig
from engine.runtime.host import HostFacts
from engine.runtime.passwd import ResolvedUser
from engine.runtime.policy import Policy
from engine.runtime.request import ContainerRequest
from engine.runtime.rights import RightsRequest
from engine.runtime.shares import ShareFacts, SharesRequest
from engine.runtime.spec import SpecPaths, build_spec, default_limits
from engine.runtime.specpolicy import Place

ID = "ab" * 32
FACTS = ShareFacts(cpus=frozenset({0, 1}), hard_limits={"nofile": 20_000, "nproc": 1000, "core": -1, "rtprio": 0})
HOST = HostFacts(
    machine="x86_64",
    kernel=(6, 1),
    cpus=2,
    memory_bytes=8 << 30,
    cgroup_version=1,
    controllers=frozenset({"memory", "cpu", "pids"}),
    swap_limit=True,
    apparmor=False,
    seccomp=True,
    shares=FACTS,
)
IDS = IdRange(200_000)
PLACE = Place(
    rootfs=Path("/d/rootfs"),
    etc=Path("/d/etc"),
    netns=Path("/r/netns/ab"),
    cgroup=f"/berth-x/{ID}",
    userns=Path("/proc/7/fd/9"),
    ids=IDS,
    hard_limits=FACTS.hard_limits,
)
ROOT = ResolvedUser(0, 0, (0,), "/root", "root")


def image(**wishes) -> ImageConfig:
    document = {"architecture": "amd64", "os": "linux", "config": wishes, "rootfs": {"type": "layers", "diff_ids": []}}
    return ImageConfig.parse(json.dumps(document).encode())


def request(**fields) -> ContainerRequest:
    given = {
        "container_id": ID,
        "name": "box",
        "image_reference": "box",
        "address": "10.1.2.3",
        "layers": (DiffId(Digest(f"sha256:{'0' * 64}")),),
        "config_digest": Digest(f"sha256:{'1' * 64}"),
        "command": ("/bin/sh",),
    }
    return ContainerRequest(**(given | fields))


def make_spec(*, policy=None, host=HOST, user=ROOT, ids=IDS, wishes=None, places=None, **fields):
    paths = SpecPaths(
        rootfs=PLACE.rootfs,
        hosts=PLACE.etc / "hosts",
        hostname=PLACE.etc / "hostname",
        resolv_conf=PLACE.etc / "resolv.conf",
        hosts_at="/etc/hosts",
        hostname_at="/etc/hostname",
        resolv_conf_at="/run/resolv.conf",
        working_dir="/work",
        netns=PLACE.netns,
        cgroup=PLACE.cgroup,
        ids=ids,
        userns=None if ids is None else PLACE.userns,
        init=Path("/usr/bin/tini-static") if fields.get("init") else None,
        init_at="/usr/sbin/docker-init",
        devices={"/dev/sda": (8, 0)},
    )
    paths = dataclasses.replace(paths, **(places or {}))
    return build_spec(
        image=image(**(wishes or {})),
        request=request(**fields),
        policy=policy or Policy(),
        host=host,
        user=user,
        paths=paths,
        limits=Limits(),
        seccomp={"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]},
    )


def test_the_same_input_gives_the_same_spec_and_shares_nothing():
    first, second = make_spec(), make_spec()
    assert first == second
    first["mounts"][0]["options"].append("x")
    first["linux"]["resources"]["devices"].clear()
    first["process"]["capabilities"]["bounding"].clear()
    assert make_spec() == second


def test_a_terminal_has_its_size_from_the_first_moment():
    process = make_spec(tty=True, rows=50, columns=132)["process"]
    assert process["terminal"] is True
    assert process["consoleSize"] == {"height": 50, "width": 132}
    assert "consoleSize" not in make_spec()["process"]


def test_a_read_only_root_has_read_only_files_of_ours():
    spec = make_spec(read_only=True)
    assert spec["root"]["readonly"] is True
    assert all("ro" in mount["options"] for mount in spec["mounts"] if mount["destination"].startswith("/etc"))
    assert make_spec()["root"]["readonly"] is False


def test_an_init_comes_before_the_command_and_from_the_host():
    spec = make_spec(init=True, command=("/bin/sh", "-c", "x"))
    assert spec["process"]["args"] == ["/sbin/docker-init", "--", "/bin/sh", "-c", "x"]
    assert spec["mounts"][-1]["destination"] == "/usr/sbin/docker-init"
    assert "ro" in spec["mounts"][-1]["options"]


def test_rights_are_added_and_dropped():
    def bounding(**rights):
        return set(make_spec(rights=RightsRequest(**rights))["process"]["capabilities"]["bounding"])

    default = bounding()
    assert "CAP_NET_RAW" not in default
    assert bounding(cap_add=("CAP_NET_RAW",)) == default | {"CAP_NET_RAW"}
    assert bounding(cap_drop=("CAP_CHOWN",)) == default - {"CAP_CHOWN"}
    assert bounding(cap_drop=("ALL",)) == set()
    assert bounding(cap_drop=("ALL",), cap_add=("CAP_CHOWN",)) == {"CAP_CHOWN"}
    assert make_spec(rights=RightsRequest(no_new_privileges=True))["process"]["noNewPrivileges"] is True
    assert make_spec(policy=Policy(no_new_privileges=True))["process"]["noNewPrivileges"] is True


def test_shares_stand_beside_the_limits_that_all_have():
    shares = SharesRequest(
        cpu_shares=512,
        cpus="0-1",
        memory_swap_bytes=300 << 20,
        memory_reservation_bytes=50 << 20,
        oom_score=900,
        ulimits=(("nofile", 10, 20), ("core", 0, -1)),
        rates=(("read_bps", "/dev/sda", 1000), ("write_iops", "/dev/sda", 7)),
    )
    spec = make_spec(shares=shares, memory_bytes=100 << 20)
    resources = spec["linux"]["resources"]
    assert resources["memory"] == {"limit": 100 << 20, "swap": 300 << 20, "reservation": 50 << 20}
    assert resources["cpu"] == {"quota": 200_000, "period": 100_000, "shares": 512, "cpus": "0-1"}
    assert resources["blockIO"] == {
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1000}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 7}],
    }
    assert spec["process"]["oomScoreAdj"] == 900
    assert spec["process"]["rlimits"] == [
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 2**64 - 1},
        {"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20},
    ]


def test_shared_memory_has_its_size():
    sizes = [mount["options"][-1] for fields in ({}, {"shm_bytes": 12345}) for mount in make_spec(**fields)["mounts"]
             if mount["destination"] == "/dev/shm"]  # fmt: skip
    assert sizes == [f"size={64 << 20}", "size=12345"]


def test_hostname_and_names_come_from_the_id_or_the_request():
    assert make_spec()["hostname"] == ID[:12]
    assert make_spec(hostname="web")["hostname"] == "web"


@pytest.mark.fault("F46")
@pytest.mark.parametrize("missing", ["cpu", "memory", "pids"])
def test_a_host_that_cannot_limit_a_container_makes_none(missing):
    poor = replace(HOST, controllers=HOST.controllers - {missing})
    with pytest.raises(RequestRefused, match=f"its control groups have no {missing} controller"):
        make_spec(host=poor)


def test_limits_default_to_the_settings_and_to_no_more_than_the_host_has():
    resources = make_spec()["linux"]["resources"]
    assert resources["memory"] == {"limit": 2 << 30, "swap": 2 << 30}
    assert resources["cpu"] == {"quota": 200_000, "period": 100_000}
    assert resources["pids"] == {"limit": 512}
    small = HostFacts(
        **{**{f: getattr(HOST, f) for f in HOST.__dataclass_fields__}, "cpus": 1, "memory_bytes": 1 << 30}
    )
    resources = make_spec(host=small)["linux"]["resources"]
    assert resources["memory"]["limit"] == 1 << 30
    assert resources["cpu"]["quota"] == 100_000
    strict = Policy(memory_bytes=256 << 20, nano_cpus=500_000_000, pids=64)
    assert default_limits(strict, small, Limits()) == Limits(memory_bytes=256 << 20, nano_cpus=500_000_000, pids=64)
    resources = make_spec(policy=strict)["linux"]["resources"]
    assert (resources["memory"]["limit"], resources["cpu"]["quota"], resources["pids"]["limit"]) == (
        256 << 20,
        50_000,
        64,
    )


def test_without_swap_accounting_only_memory_is_limited():
    host = HostFacts(**{**{f: getattr(HOST, f) for f in HOST.__dataclass_fields__}, "swap_limit": False})
    assert "swap" not in make_spec(host=host)["linux"]["resources"]["memory"]


def test_requested_limits_are_exact():
    resources = make_spec(memory_bytes=64 << 20, nano_cpus=500_000_000, pids=7)["linux"]["resources"]
    assert resources["memory"]["limit"] == 64 << 20
    assert resources["cpu"]["quota"] == 50_000
    assert resources["pids"]["limit"] == 7


@pytest.mark.parametrize(
    ("limits", "policy", "sentence"),
    [
        ({"memory_bytes": (6 << 20) - 1}, Policy(), "Minimum memory limit allowed is 6MB"),
        (
            {"nano_cpus": 3_000_000_000},
            Policy(),
            r"range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
        ),
        ({"nano_cpus": 1}, Policy(), "range of CPUs"),
        ({"memory_bytes": 65 << 20}, Policy(memory_bytes=64 << 20), "at most 64 MiB"),
        ({"nano_cpus": 1_500_000_000}, Policy(nano_cpus=1_000_000_000), "at most 1.00 CPUs"),
        ({"pids": 11}, Policy(pids=10), "at most 10 processes"),
    ],
)
def test_limits_that_cannot_be_given_are_refused(limits, policy, sentence):
    with pytest.raises(RequestRefused, match=sentence):
        make_spec(policy=policy, **limits)


def test_open_files_are_clamped_to_what_the_host_may_give():
    assert make_spec()["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 20_000}]


def test_the_image_says_what_runs_unless_the_request_does():
    spec = make_spec(command=(), wishes={"Entrypoint": ["tini"], "Cmd": ["app"], "Env": ["A=1"]})
    assert spec["process"]["args"] == ["tini", "app"]
    assert "A=1" in spec["process"]["env"]


@pytest.mark.threat("RUN-19")
def test_a_container_has_a_user_namespace_unless_it_has_no_ids():
    off, on = make_spec(ids=None)["linux"], make_spec()["linux"]
    assert "uidMappings" not in off
    assert "user" not in {namespace["type"] for namespace in off["namespaces"]}
    assert {"type": "user", "path": "/proc/7/fd/9"} in on["namespaces"]
    assert on["uidMappings"] == on["gidMappings"] == [{"containerID": 0, "hostID": 200_000, "size": 65_536}]
    assert off["sysctl"]["net.ipv4.ping_group_range"] == "0 2147483647"
    assert on["sysctl"]["net.ipv4.ping_group_range"] == "0 65535"


def test_a_user_other_than_root_holds_no_capability_at_start():
    capabilities = make_spec(user=ResolvedUser(5, 6, (6,), "/"))["process"]["capabilities"]
    assert capabilities["effective"] == capabilities["permitted"] == []
    assert set(capabilities) == {"bounding", "effective", "permitted"}
