"""The golden matrix of RUN-07: every option that reaches for the host × every ceiling, against a file that people read and review.

`tests/vectors/specs.json` has, for each option, what it changes in the final spec, and for each ceiling whether that spec passes the
last look, or why not. After a change that is meant: `python -m tests.engine.runtime.test_golden_specs`, and read the difference.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import RequestRefused
from engine.runtime import confinement
from engine.runtime.access import AccessRequest, Device, refuse_unfit_access
from engine.runtime.policy import Policy
from engine.runtime.request import IdMode
from engine.runtime.rights import RightsRequest, refuse_unfit_rights
from engine.runtime.shares import SharesRequest
from engine.runtime.specpolicy import check_spec
from tests.engine.runtime.test_spec import PLACE, make_spec

GOLDEN = Path(__file__).resolve().parents[2] / "vectors" / "specs.json"
EVERYTHING = Policy(
    capabilities=confinement.GRANTABLE_CAPABILITIES,
    seccomp_unconfined=True,
    userns_host=True,
    privileged=True,
    host_namespaces=frozenset(confinement.HOST_NAMESPACES),
    devices=frozenset({"/dev/full"}),
    sysctls=frozenset({"net.ipv4.ip_forward"}),
)
POLICIES = {
    "defaults": Policy(),
    "capabilities = []": Policy(capabilities=frozenset()),
    "capabilities = [all]": Policy(capabilities=confinement.GRANTABLE_CAPABILITIES),
    "seccomp_unconfined": Policy(seccomp_unconfined=True),
    "no_new_privileges": Policy(no_new_privileges=True),
    "userns_host": Policy(userns_host=True),
    "user_namespaces": Policy(user_namespaces=True),
    "privileged": Policy(privileged=True),
    "host_namespaces, userns_host": Policy(host_namespaces=frozenset(confinement.HOST_NAMESPACES), userns_host=True),
    "devices": Policy(devices=frozenset({"/dev/full"})),
    "sysctls": Policy(sysctls=frozenset({"net.ipv4.ip_forward"})),
    "memory_mib = 1024": Policy(memory_bytes=1024 << 20),
    "everything": EVERYTHING,
}
HOSTS_USERS = {"id_mode": IdMode.HOST, "first_id": None}
OPTIONS: dict[str, dict[str, Any]] = {
    "(none)": {},
    "--userns host": HOSTS_USERS,
    "--privileged": HOSTS_USERS | {"access": AccessRequest(privileged=True)},
    **{
        f"--{flag} host --userns host": HOSTS_USERS | {"access": AccessRequest(namespaces=(kind,))}
        for flag, kind in (("pid", "pid"), ("ipc", "ipc"), ("uts", "uts"), ("network", "network"))
    },
    "--device /dev/full:/dev/x:rw": {"access": AccessRequest(devices=(("/dev/full", "/dev/x", "rw"),))},
    "--sysctl net.core.somaxconn=9": {"access": AccessRequest(sysctls=(("net.core.somaxconn", "9"),))},
    "--sysctl net.ipv4.ip_forward=1": {"access": AccessRequest(sysctls=(("net.ipv4.ip_forward", "1"),))},
    "--cap-add NET_ADMIN": {"rights": RightsRequest(cap_add=("CAP_NET_ADMIN",))},
    "--cap-add NET_RAW": {"rights": RightsRequest(cap_add=("CAP_NET_RAW",))},
    "--cap-drop ALL": {"rights": RightsRequest(cap_drop=("ALL",))},
    "--security-opt seccomp=unconfined": {"rights": RightsRequest(unconfined=True)},
    "--security-opt no-new-privileges": {"rights": RightsRequest(no_new_privileges=True)},
    "--memory 1537m": {"memory_bytes": 1537 << 20},
    "--cpu-period 50000": {"shares": SharesRequest(cpu_period_us=50_000)},
    "--cpuset-mems 0": {"shares": SharesRequest(memory_nodes="0")},
    "--oom-score-adj 900": {"shares": SharesRequest(oom_score=900)},
    "--read-only": {"read_only": True},
    "--init": {"init": True},
}


def spec_of(fields: dict[str, Any], policy: Policy) -> dict[str, Any]:
    access = fields.get("access", AccessRequest())
    places: dict[str, Any] = {}
    if "network" in access.namespaces:
        places["netns"] = None
    if access.devices:
        places["nodes"] = {"/dev/x": PLACE.etc / "device-0"}
    if access.privileged:
        places["all_devices"] = {"/dev/fuse": Device("c", 10, 229)}
    ids = {"ids": None} if fields.get("id_mode") is IdMode.HOST else {}
    return make_spec(policy=policy, places=places, **ids, **fields)


def place_of(fields: dict[str, Any], policy: Policy):
    """As a start makes it: with devices that the policy allows only."""
    access = fields.get("access", AccessRequest())
    changes: dict[str, Any] = {"privileged": access.privileged, "shared": frozenset(access.namespaces)}
    if fields.get("id_mode") is IdMode.HOST:
        changes |= {"ids": None, "userns": None}
    if "network" in access.namespaces:
        changes["netns"] = None
    if fields.get("init"):
        changes["init"] = Path("/usr/bin/tini-static")
    if access.devices and "/dev/full" in policy.devices:
        changes["nodes"] = {"/dev/x": PLACE.etc / "device-0"}
        changes["device_rules"] = [{"allow": True, "type": "c", "major": 1, "minor": 7, "access": "rw"}]
    return dataclasses.replace(PLACE, **changes)


def difference(before: Any, after: Any, at: str = "") -> dict[str, Any]:
    """Path → (before, after), of everything that is not the same."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: dict[str, Any] = {}
        for key in sorted(before.keys() | after.keys()):
            found |= difference(before.get(key), after.get(key), f"{at}/{key}")
        return found
    if isinstance(before, list) and isinstance(after, list):
        gone, new = [one for one in before if one not in after], [one for one in after if one not in before]
        return {at: {"-": gone, "+": new}} if gone or new else {}
    return {} if before == after else {at: {"-": before, "+": after}}


def verdict(fields: dict[str, Any], policy: Policy) -> str:
    """Of the last look at the spec that the widest policy would let somebody build: as if every check before it were forgotten."""
    try:
        check_spec(spec_of(fields, EVERYTHING), policy, place_of(fields, policy))
    except RequestRefused as error:
        return str(error).removeprefix("The host's policy does not allow this container: ")
    return "allowed"


def matrix() -> dict[str, Any]:
    plain = spec_of({}, EVERYTHING)
    return {
        name: {
            "changes": difference(plain, spec_of(fields, EVERYTHING)),
            "last look": {ceiling: verdict(fields, policy) for ceiling, policy in POLICIES.items()},
        }
        for name, fields in OPTIONS.items()
    }


@pytest.mark.threat("RUN-07")
def test_what_each_option_changes_and_each_ceiling_lets_through_is_what_was_reviewed():
    found = json.loads(json.dumps(matrix()))
    golden = json.loads(GOLDEN.read_text())
    assert found.keys() == golden.keys()
    for name in golden:
        assert found[name] == golden[name], name


# Said elsewhere: who asks for the host's users is told by `ids.refuse_new`; the others are no wishes, or given unasked.
_NO_WISHES = {"no_new_privileges", "user_namespaces", "memory_mib = 1024"}


@pytest.mark.threat("RUN-07")
@pytest.mark.parametrize("name", [name for name in OPTIONS if name not in {"--userns host", "--memory 1537m"}])
def test_who_asks_is_told_no_exactly_where_the_last_look_would_say_no(name):
    """The sentence that a person reads comes first; the last look is for what slipped past it."""
    fields = OPTIONS[name]
    for ceiling, policy in POLICIES.items():
        if ceiling in _NO_WISHES:
            continue
        access, refused = fields.get("access", AccessRequest()), ""
        try:
            refuse_unfit_access(access, policy, has_host_users=fields.get("id_mode") is IdMode.HOST)
            if not access.privileged:
                refuse_unfit_rights(fields.get("rights", RightsRequest()), policy)
        except RequestRefused as error:
            refused = str(error)
        assert bool(refused) is (verdict(fields, policy) != "allowed"), (ceiling, refused)


def main() -> None:
    GOLDEN.write_text(json.dumps(matrix(), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
