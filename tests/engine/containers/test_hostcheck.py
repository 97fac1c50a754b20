from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from engine.config import Limits
from engine.containers import hostcheck
from engine.containers.hostcheck import check_host
from engine.kernel import features
from engine.kernel.cgroups import Mode
from engine.kernel.features import OverlayMethod, forced_overlay
from engine.network import resolvers
from tests.support.engines import temporary_engine
from tests.support.hosts import LAN_ADDRESS, fake_host, ip, program

pytestmark = pytest.mark.root


@pytest.fixture
def config():
    with temporary_engine() as config:
        yield config


def named(findings):
    return {finding.name: finding for finding in findings}


def test_this_host_has_all_that_is_needed(config):
    findings = check_host(config)
    assert [finding for finding in findings if finding.blocks] == []
    assert {
        "runc",
        "conmon",
        "kernel",
        "cgroups",
        "overlay",
        "squashfs",
        "loop",
        "seccomp",
        "nft",
        "subnet",
        "disk",
    } <= {finding.name for finding in findings}
    assert all(finding.summary and finding.meaning.endswith(".") for finding in findings)
    assert len(named(findings)) == len(findings)


@pytest.mark.fault("F45")
@pytest.mark.parametrize(("field", "name"), [("runc", "runc"), ("conmon", "conmon"), ("seccomp_base", "seccomp")])
def test_a_missing_program_or_file_blocks_and_says_what_to_install(config, field, name):
    finding = named(check_host(replace(config, **{field: Path("/nowhere/at/all")})))[name]
    assert (finding.level, finding.blocks) == ("error", True)
    assert "nstall" in finding.meaning


@pytest.mark.threat("RUN-01")
@pytest.mark.parametrize(("version", "level"), [("1.1.5+ds1", "error"), ("1.3.4", "warning"), ("1.5.0", "ok")])
def test_runc_shows_its_colour(config, tmp_path, version, level):
    fake = tmp_path / "runc"
    fake.write_text(f"#!/bin/sh\necho runc version {version}\n")
    fake.chmod(0o755)
    finding = named(check_host(replace(config, runc=fake)))["runc"]
    assert (finding.level, finding.blocks) == (level, False)


def test_a_broken_seccomp_file_blocks(config, tmp_path):
    (tmp_path / "seccomp.json").write_text("{")
    assert named(check_host(replace(config, seccomp_base=tmp_path / "seccomp.json")))["seccomp"].blocks


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"squashfs": False}, "squashfs"),
        ({"loop": False}, "loop"),
        ({"overlay": OverlayMethod.NONE, "overlay_problem": "No such device"}, "overlay"),
        ({"cgroup_controllers": frozenset({"cpu", "pids"})}, "cgroups"),
        ({"cgroup_mode": Mode.NONE, "cgroup_controllers": frozenset()}, "cgroups"),
        ({"capabilities": frozenset()}, "capabilities"),
        ({"seccomp": False}, "seccomp"),
    ],
)
def test_a_kernel_without_something_is_told_in_a_sentence(config, monkeypatch, change, name):
    found = replace(features.features(), **change)
    monkeypatch.setattr(features, "features", lambda: found)
    finding = named(check_host(config))[name]
    assert (finding.level, finding.blocks) == ("error", True)


@pytest.mark.parametrize("method", [OverlayMethod.FDS, OverlayMethod.PATHS, OverlayMethod.OPTIONS])
def test_each_overlay_method_is_named(config, method):
    with forced_overlay(method):
        assert method.value in named(check_host(config))["overlay"].summary


def test_a_data_folder_that_cannot_hold_writable_layers_blocks(config, monkeypatch):
    monkeypatch.setattr(features, "overlay_problem_on", lambda folder: "Invalid argument")
    assert named(check_host(config))["data-folder"].blocks


def test_trying_the_data_folder_leaves_it_as_it_was(config):
    before = sorted(os.listdir(config.data))
    assert features.overlay_problem_on(config.data) == ""
    assert features.overlay_problem_on(Path("/proc/sys")) != ""
    assert sorted(os.listdir(config.data)) == before


def test_little_space_warns_and_the_reserve_is_an_error(config, monkeypatch):
    full = replace(config, limits=Limits(reserve_bytes=1 << 60))
    assert named(check_host(full))["disk"].level == "error"
    monkeypatch.setattr(hostcheck, "LOW_SPACE_BYTES", 1 << 60)
    assert named(check_host(config))["disk"].level == "warning"


def test_a_network_that_overlaps_and_forwarding_that_is_off_are_found(config):
    with fake_host(config.run) as host:
        ip(host.netns, f"route add {config.network} via {LAN_ADDRESS}")
        program(host.netns, "sysctl", "-qw", "net.ipv4.ip_forward=0")
        program(host.netns, "iptables", "-P", "FORWARD", "DROP")
        program(host.netns, "nft", "add", "table", "inet", "firewalld")
        found = named(host.run(lambda: check_host(config)))
    assert found["subnet"].level == "error"
    assert "eth0" in found["subnet"].summary
    assert found["ip-forward"].level == "warning"
    assert found["other-firewall"].level == "ok"
    assert found["firewalld"].level == "warning"


def test_public_resolvers_are_warned_about(config, monkeypatch):
    monkeypatch.setattr(resolvers, "HOST_FILE", Path("/nowhere"))
    monkeypatch.setattr(resolvers, "UPSTREAM_FILE", Path("/nowhere"))
    assert named(check_host(config))["resolvers"].level == "warning"


def test_findings_are_plain_values(config):
    assert json.dumps([{"name": f.name, "level": f.level, "blocks": f.blocks} for f in check_host(config)])


@pytest.mark.threat("RUN-19")
def test_whether_root_in_a_container_is_nobody_is_said(config, monkeypatch):
    finding = named(check_host(config))["user-namespaces"]
    assert (finding.level, finding.blocks) == ("ok", False)
    assert finding.summary == "user namespaces are on: ids 1879048192 to 2147483647"
    with features.forced_shared_ids():
        finding = named(check_host(config))["user-namespaces"]
    assert (finding.level, finding.blocks) == ("warning", False)
    assert "share one range" in finding.meaning
    unknown = replace(features.features(), idmapped_layers=False, ids_problem="no loop device", ids_are_known=False)
    with monkeypatch.context() as patch:
        patch.setattr(features, "features", lambda: unknown)
        finding = named(check_host(config))["user-namespaces"]
    assert (finding.level, finding.blocks) == ("error", False)
    assert "kernel" not in finding.meaning
    assert "no loop device" in finding.summary
    without = replace(features.features(), user_namespaces=False, idmapped_layers=False, ids_problem="not here")
    monkeypatch.setattr(features, "features", lambda: without)
    finding = named(check_host(config))["user-namespaces"]
    assert (finding.level, finding.blocks, finding.summary) == ("error", True, "no user namespaces: not here")


@pytest.mark.threat("RUN-19")
def test_a_policy_that_gives_the_hosts_root_away_is_said(config, tmp_path):
    assert "userns-host" not in named(check_host(config))
    policy = tmp_path / "engine.toml"
    policy.write_text("[ceilings]\nuserns_host = true\n")
    finding = named(check_host(replace(config, policy_file=policy)))["userns-host"]
    assert (finding.level, str(policy) in finding.summary) == ("warning", True)


@pytest.mark.threat("RUN-07")
@pytest.mark.parametrize(
    "line", ["privileged = true", "seccomp_unconfined = true", "devices = ['/dev/fuse']", "host_namespaces = ['pid']"]
)
def test_a_ceiling_that_is_lifted_is_said(config, tmp_path, line):
    policy = tmp_path / "engine.toml"
    policy.write_text(f"[ceilings]\n{line}\n")
    found = [one for one in check_host(replace(config, policy_file=policy)) if "is on in" in one.summary]
    assert [(one.level, one.summary) for one in found] == [("warning", f"{line.split()[0]} is on in {policy}")]
