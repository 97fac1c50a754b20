from __future__ import annotations

import copy
import dataclasses
import os
from pathlib import Path

import pytest

from engine.errors import HostUnfit, RequestRefused
from engine.ids import IdRange
from engine.runtime.policy import Policy, load_policy, parse_policy
from engine.runtime.rights import RightsRequest
from engine.runtime.specpolicy import check_spec
from tests.engine.runtime.test_spec import PLACE, make_spec

HOST_PLACE = dataclasses.replace(PLACE, userns=None, ids=None)
MAP = {"containerID": 0, "hostID": 200_000, "size": 65_536}


def test_without_a_file_the_safe_defaults_hold(tmp_path):
    assert load_policy(tmp_path / "none") == Policy()
    assert Policy().capabilities == {"CAP_NET_RAW", "CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SETFCAP"}
    assert Policy().seccomp_unconfined is False


def test_ceilings_are_read():
    text = (
        "[ceilings]\nmemory_mib = 64\ncpus = 1.5\npids = 9\ncapabilities = ['CAP_NET_RAW']\nno_new_privileges = true\n"
    )
    assert parse_policy(text) == Policy(
        memory_bytes=64 << 20,
        nano_cpus=1_500_000_000,
        pids=9,
        capabilities=frozenset({"CAP_NET_RAW"}),
        no_new_privileges=True,
    )


@pytest.mark.parametrize(
    "text",
    [
        "[ceilings]\nmemory_mb = 1",
        "[other]\nx = 1",
        "privileged = true",
        "[ceilings]\npids = -1",
        "[ceilings]\npids = true",
        "[ceilings]\npids = 'many'",
        "[ceilings]\ncapabilities = ['CAP_SYS_ADMIN']",
        "[ceilings]\nno_new_privileges = 1",
        "[ceilings]\nuserns_host = true\nuser_namespaces = true",
        "[ceilings]\nhost_paths = '/srv'",
        "[ceilings]\nhost_paths = ['srv']",
        "[ceilings]\nhost_paths = ['/']",
        "[ceilings]\nhost_paths = ['/srv/../etc']",
        "[ceilings]\nhost_paths = [1]",
        "not toml",
    ],
)
def test_what_it_does_not_know_is_refused(text):
    with pytest.raises(HostUnfit):
        parse_policy(text)


@pytest.mark.root
@pytest.mark.parametrize("fault", ["writable", "owner", "folder"])
def test_a_file_that_others_could_change_is_refused(tmp_path, fault):
    path = tmp_path / "engine.toml"
    if fault == "folder":
        path.mkdir()
    else:
        path.write_text("[ceilings]\n")
        path.chmod(0o666 if fault == "writable" else 0o600)
        if fault == "owner":
            os.chown(path, 1000, 1000)
    with pytest.raises((HostUnfit, IsADirectoryError)):
        load_policy(path)


def test_the_spec_that_we_build_passes():
    check_spec(make_spec(), Policy(), PLACE)


def _set(spec, path, value):
    *parents, last = path
    for key in parents:
        spec = spec[key]
    if value is None:
        del spec[last]
    elif last == "+":
        spec.append(value)
    else:
        spec[last] = value


INIT = {"destination": "/sbin/docker-init", "type": "bind", "source": "/usr/bin/tini-static",
        "options": ["bind", "rprivate", "ro", "nosuid", "nodev"]}  # fmt: skip
BIND = {"destination": "/host", "type": "bind", "source": "/", "options": ["rbind"]}


@pytest.mark.threat("RUN-07")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["hooks"], {"prestart": [{"path": "/bin/sh"}]}),
        (["annotations"], {"a": "b"}),
        (["root", "path"], "/"),
        (["process", "capabilities", "effective"], ["CAP_SYS_ADMIN"]),
        (["process", "capabilities", "bounding"], ["CAP_NET_ADMIN"]),
        (["process", "capabilities", "permitted"], ["CAP_SYS_PTRACE"]),
        (["process", "rlimits"], None),
        (["process", "rlimits"], []),
        (["process", "rlimits", "+"], {"type": "RLIMIT_RTPRIO", "soft": 0, "hard": 1}),
        (["process", "rlimits", "+"], {"type": "RLIMIT_NPROC", "soft": 1, "hard": 2**64 - 1}),
        (["process", "rlimits", "+"], {"type": "RLIMIT_OTHER", "soft": 1, "hard": 1}),
        (["linux", "resources", "memory", "swap"], -1),
        (["linux", "resources", "memory", "swap"], 1),
        (["linux", "resources", "memory", "disableOOMKiller"], True),
        (["linux", "resources", "cpu", "realtimeRuntime"], 900_000),
        (["linux", "resources", "blockIO"], {"weight": 1000}),
        (["process", "capabilities", "inheritable"], ["CAP_CHOWN"]),
        (["process", "capabilities", "ambient"], []),
        (["process", "oomScoreAdj"], 0),
        (["process", "oomScoreAdj"], None),
        (["process", "selinuxLabel"], "x"),
        (["process", "cwd"], "/proc/self"),
        (["mounts", "+"], BIND),
        (["mounts", "+"], {**BIND, "source": f"{PLACE.etc}/../../x"}),
        (["mounts", "+"], {**BIND, "source": f"{PLACE.etc}/hosts", "destination": "/proc/x", "options": ["bind"]}),
        (["mounts", "+"], INIT),
        (["mounts", 6, "options"], ["nosuid", "noexec", "nodev", "mode=1777", "size=9", "exec"]),
        (["mounts", "+"], {"destination": "/x", "type": "tmpfs", "source": "x", "options": []}),
        (["mounts", 0], {"destination": "/proc", "type": "proc", "source": "proc", "options": []}),
        (["mounts", 4], {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]}),
        (["linux", "namespaces"], [{"type": "pid"}]),
        (["linux", "namespaces", 0], {"type": "pid", "path": "/proc/1/ns/pid"}),
        (["linux", "namespaces", 5], {"type": "network"}),
        (["linux", "namespaces", 5], {"type": "network", "path": "/proc/1/ns/net"}),
        (["linux", "namespaces", 6], {"type": "user"}),
        (["linux", "namespaces", 6], {"type": "user", "path": "/proc/1/ns/user"}),
        (["linux", "namespaces", 6], None),
        (["linux", "uidMappings"], None),
        (["linux", "gidMappings"], None),
        (["linux", "uidMappings", 0, "hostID"], 0),
        (["linux", "gidMappings", 0, "hostID"], 0),
        (["linux", "uidMappings", 0, "hostID"], 265_536),
        (["linux", "uidMappings", 0, "size"], 4_294_967_295),
        (["linux", "uidMappings"], [MAP, {"containerID": 65_536, "hostID": 0, "size": 1}]),
        (["linux", "cgroupsPath"], "/"),
        (["linux", "maskedPaths"], []),
        (["linux", "readonlyPaths"], None),
        (["linux", "seccomp"], None),
        (["linux", "seccomp", "defaultAction"], "SCMP_ACT_ALLOW"),
        (["linux", "sysctl"], {"kernel.core_pattern": "|/x"}),
        (["linux", "devices"], [{"path": "/dev/sda", "type": "b", "major": 8, "minor": 0}]),
        (["linux", "rootfsPropagation"], "shared"),
        (["linux", "mountLabel"], "x"),
        (["linux", "resources", "devices"], [{"allow": True, "access": "rwm"}]),
        (["linux", "resources", "memory"], {}),
        (["linux", "resources", "memory", "limit"], -1),
        (["linux", "resources", "cpu", "quota"], None),
        (["linux", "resources", "pids", "limit"], 0),
        (["linux", "resources", "pids", "limit"], 10**6),
        (["linux", "resources", "unified"], {"memory.max": "max"}),
    ],
)
def test_whatever_would_weaken_a_container_is_refused_on_the_final_spec(path, value):
    spec = copy.deepcopy(make_spec())
    _set(spec, path, value)
    with pytest.raises(RequestRefused, match="policy does not allow"):
        check_spec(spec, Policy(), PLACE)


@pytest.mark.threat("RUN-07")
@pytest.mark.parametrize(
    "policy",
    [
        Policy(memory_bytes=1 << 20),
        Policy(nano_cpus=1000),
        Policy(pids=2),
        Policy(no_new_privileges=True),
    ],
)
def test_ceilings_hold_whatever_built_the_spec(policy):
    with pytest.raises(RequestRefused):
        check_spec(make_spec(), policy, PLACE)


@pytest.mark.threat("RUN-19")
def test_root_of_the_host_is_root_in_a_container_only_if_the_hosts_policy_says_so():
    spec = make_spec(ids=None)
    for policy in (Policy(), Policy(user_namespaces=True)):
        with pytest.raises(RequestRefused, match="user namespace"):
            check_spec(spec, policy, HOST_PLACE)
    check_spec(spec, Policy(userns_host=True), HOST_PLACE)
    for policy in (Policy(), Policy(userns_host=True)):
        with pytest.raises(RequestRefused, match="somebody else"):
            check_spec(make_spec(), policy, HOST_PLACE)
        with pytest.raises(RequestRefused, match="no user namespace of its own"):
            check_spec(spec, policy, PLACE)


@pytest.mark.threat("RUN-19")
def test_a_container_made_before_there_were_user_namespaces_goes_on_unless_the_policy_forbids_it():
    place = dataclasses.replace(HOST_PLACE, made_before=True)
    check_spec(make_spec(ids=None), Policy(), place)
    with pytest.raises(RequestRefused, match="user namespace"):
        check_spec(make_spec(ids=None), Policy(user_namespaces=True), place)


@pytest.mark.threat("RUN-19")
def test_ids_of_the_hosts_own_users_are_refused_even_if_they_are_the_containers():
    place = dataclasses.replace(PLACE, ids=IdRange(0))
    with pytest.raises(RequestRefused, match="users of the host"):
        check_spec(make_spec(ids=IdRange(0)), Policy(), place)


@pytest.mark.threat("RUN-07")
def test_of_the_hosts_programs_a_container_gets_the_init_alone_and_only_where_it_is_meant():
    place = dataclasses.replace(PLACE, init=Path("/usr/bin/tini-static"))
    spec = make_spec(init=True)
    check_spec(spec, Policy(), place)
    for change in ({"source": "/bin/sh"}, {"destination": "/proc/x"}, {"options": ["bind", "rw"]}):
        spec["mounts"][-1] = INIT | change
        with pytest.raises(RequestRefused):
            check_spec(spec, Policy(), place)


@pytest.mark.threat("RUN-07")
@pytest.mark.threat("RUN-08")
def test_a_right_is_had_if_the_policy_gives_it_and_refused_on_the_final_spec_if_not():
    wide = Policy(capabilities=frozenset({"CAP_NET_ADMIN"}))
    check_spec(make_spec(policy=wide, rights=RightsRequest(cap_add=("CAP_NET_ADMIN",))), wide, PLACE)
    raw = make_spec(rights=RightsRequest(cap_add=("CAP_NET_RAW",)))
    check_spec(raw, Policy(), PLACE)
    for narrow in (wide, Policy(capabilities=frozenset())):
        with pytest.raises(RequestRefused, match="CAP_NET_RAW"):
            check_spec(raw, narrow, PLACE)


@pytest.mark.threat("RUN-10")
def test_a_container_goes_without_a_filter_of_system_calls_only_where_the_policy_says_so():
    spec = make_spec(rights=RightsRequest(unconfined=True))
    assert "seccomp" not in spec["linux"]
    check_spec(spec, Policy(seccomp_unconfined=True), PLACE)
    with pytest.raises(RequestRefused, match="no filter of system calls"):
        check_spec(spec, Policy(), PLACE)


def test_shared_memory_of_any_size_and_a_read_only_root_are_no_more_than_the_default():
    check_spec(make_spec(shm_bytes=123, read_only=True), Policy(), PLACE)


def test_a_container_of_another_place_is_refused():
    other = dataclasses.replace(PLACE, etc=Path("/other"))
    with pytest.raises(RequestRefused):
        check_spec(make_spec(), Policy(), other)
