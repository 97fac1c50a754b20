from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import HostUnfit
from engine.runtime.seccomp import build_profile, load_document, load_document_of_ours

OURS = load_document_of_ours()
BASE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "syscalls": [
        {"names": ["read", "mount", "clone", "clone3", "socket", "keyctl"], "action": "SCMP_ACT_ALLOW", "args": []},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}},
        {"names": ["arm_only"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        {"names": ["chroot"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_CHROOT"]}},
        {"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "excludes": {"caps": ["CAP_SYS_CHROOT"]}},
        {"names": ["new"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "5.10"}},
    ],
}


def profile(base=BASE, kernel=(6, 1), capabilities=("CAP_CHOWN",), machine="x86_64"):
    return build_profile(base, OURS, machine=machine, kernel=kernel, capabilities=capabilities)


def rules(document, name):
    return [rule for rule in document["syscalls"] if name in rule["names"]]


def test_what_we_refuse_is_in_no_allowing_rule():
    found = profile()
    refused = {name for group in OURS["refused"] for name in group["names"]}
    for rule in found["syscalls"]:
        if rule["action"] == "SCMP_ACT_ALLOW":
            assert not refused & set(rule["names"])
    assert [rule["errnoRet"] for rule in rules(found, "mount")] == [1]
    assert [rule["errnoRet"] for rule in rules(found, "clone3")] == [38]
    assert rules(found, "read")[0] == {"names": ["read"], "action": "SCMP_ACT_ALLOW"}


def test_clone_is_allowed_without_namespace_flags_only():
    allow, *refuse = rules(profile(), "clone")
    assert allow["args"] == [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    assert {rule["args"][0]["value"] for rule in refuse} == {1 << n for n in (17, 25, 26, 27, 28, 29, 30)}
    assert all(rule["errnoRet"] == 1 for rule in refuse)


def test_architecture_kernel_and_capabilities_choose_the_rules():
    found = profile()
    assert rules(found, "arch_prctl")
    assert not rules(found, "arm_only")
    assert rules(found, "chroot") == [{"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]
    assert rules(profile(capabilities=("CAP_SYS_CHROOT",)), "chroot")[0]["action"] == "SCMP_ACT_ALLOW"
    assert rules(found, "new")
    assert not rules(profile(kernel=(5, 9)), "new")
    assert rules(profile(machine="aarch64"), "arm_only")
    assert found["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]


OPERATORS = {
    "SCMP_CMP_LT": int.__lt__,
    "SCMP_CMP_GT": int.__gt__,
    "SCMP_CMP_EQ": int.__eq__,
    "SCMP_CMP_NE": int.__ne__,
}


def socket_answers(family: int, protocol: int, capabilities=("CAP_CHOWN",)) -> list[tuple[str, int | None]]:
    arguments = (family, 1, protocol)
    found = rules(profile(capabilities=capabilities), "socket")
    matching = [r for r in found if all(OPERATORS[a["op"]](arguments[a["index"]], a["value"]) for a in r["args"])]
    return [(rule["action"], rule.get("errnoRet")) for rule in matching]


def test_no_address_family_that_we_refuse_passes_and_no_two_rules_overlap():
    for family in range(60):
        expected = ("SCMP_ACT_ERRNO", 97) if family in (38, 40) else ("SCMP_ACT_ALLOW", None)
        assert socket_answers(family, 0) == [expected]


def test_audit_sockets_look_as_if_there_were_no_audit():
    assert socket_answers(16, 9) == [("SCMP_ACT_ERRNO", 22)]
    assert socket_answers(2, 9) == [("SCMP_ACT_ALLOW", None)]
    assert socket_answers(16, 9, ("CAP_AUDIT_WRITE",)) == [("SCMP_ACT_ALLOW", None)]


def test_a_missing_or_broken_base_file_is_said(tmp_path):
    with pytest.raises(HostUnfit, match="cannot be read"):
        load_document(tmp_path / "none")
    (tmp_path / "broken").write_text("[]")
    with pytest.raises(HostUnfit, match="is not a list"):
        load_document(tmp_path / "broken")


def test_an_unknown_machine_is_said():
    with pytest.raises(HostUnfit, match="riscv64"):
        profile(machine="riscv64")


@pytest.mark.skipif(not Path("/usr/share/containers/seccomp.json").exists(), reason="needs the installed base file")
def test_the_installed_base_file_gives_no_contradicting_rules():
    found = profile(base=load_document(Path("/usr/share/containers/seccomp.json")))
    unconditional = {}
    for rule in found["syscalls"]:
        if not rule.get("args"):
            for name in rule["names"]:
                unconditional.setdefault(name, set()).add((rule["action"], rule.get("errnoRet")))
    assert {name: actions for name, actions in unconditional.items() if len(actions) > 1} == {}
