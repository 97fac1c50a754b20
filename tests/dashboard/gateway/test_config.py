"""Every setting that the engine has reaches it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

SHOW = (
    "import dataclasses, json, django; django.setup();"
    "from dashboard.gateway.config import engine_config; from dashboard.networks.addresses import definition_of;"
    "from dashboard.networks.models import Network; c = engine_config();"
    "print(json.dumps({'config': dataclasses.asdict(c), 'network': c.network, 'first': next(definition_of(Network(name='bridge', number=0, team_id=1)).subnet.usable())},"
    " default=lambda v: sorted(v) if isinstance(v, frozenset) else str(v)))"
)


def engine_config_with(**environment: str) -> dict:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BERTH_")}
    surroundings = kept | {"DJANGO_SETTINGS_MODULE": "dashboard.settings", "BERTH_TESTING": "unit"} | environment
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=settings.BASE_DIR,
        env=surroundings,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def shown() -> dict:
    return engine_config_with(
        BERTH_DATA="/srv/berth",
        BERTH_SUBNET="10.77.0.0/24",
        BERTH_RUNC="/opt/runc",
        BERTH_CONMON="/opt/conmon",
        BERTH_AARDVARK="/opt/aardvark-dns",
        BERTH_POLICY="/opt/engine.toml",
        BERTH_MIRRORS="docker.io=http://127.0.0.1:5000/, ghcr.io=https://mirror.example",
        BERTH_PLAIN_HTTP="127.0.0.1:5000, registry.lan:80",
        BERTH_DEFAULT_MEMORY="512m",
        BERTH_DEFAULT_CPUS="1.5",
        BERTH_DEFAULT_PIDS="77",
        BERTH_LOG_SIZE="1m",
        BERTH_LOG_FILES="5",
        BERTH_RESERVE="3g",
        BERTH_LAYER_SIZE="9g",
        BERTH_LAYER_FILES="1234",
        BERTH_PULL_PARALLEL="7",
        BERTH_ID_BASE="300000",
        BERTH_ID_RANGES="9",
    )


@pytest.mark.slow
def test_places_programs_and_network_reach_the_engine(shown):
    config = shown["config"]
    assert (config["data"], config["runc"], config["conmon"]) == ("/srv/berth", "/opt/runc", "/opt/conmon")
    assert (config["aardvark"], config["policy_file"]) == ("/opt/aardvark-dns", "/opt/engine.toml")
    assert (shown["network"], shown["first"]) == ("10.77.0.0/24", "10.77.0.2")
    assert config["pull_parallel"] == 7
    assert config["ids"] == {"base": 300_000, "ranges": 9}


@pytest.mark.parametrize(
    "wrong", [{"BERTH_ID_BASE": "1000"}, {"BERTH_ID_RANGES": "1"}, {"BERTH_ID_BASE": "4294000000"}]
)
def test_ids_of_the_host_cannot_be_given_to_containers(wrong):
    with pytest.raises(subprocess.CalledProcessError) as caught:
        engine_config_with(**wrong)
    assert "BERTH_ID_BASE must be" in caught.value.stderr


@pytest.mark.slow
def test_registries_reach_the_engine(shown):
    assert shown["config"]["mirrors"] == {"docker.io": "http://127.0.0.1:5000", "ghcr.io": "https://mirror.example"}
    assert shown["config"]["plain_http"] == ["127.0.0.1:5000", "registry.lan:80"]


@pytest.mark.slow
def test_limits_reach_the_engine(shown):
    limits = shown["config"]["limits"]
    wanted = {
        "memory_bytes": 512 * 2**20,
        "nano_cpus": 1_500_000_000,
        "pids": 77,
        "log_segment_bytes": 2**20,
        "log_segments": 5,
        "reserve_bytes": 3 * 2**30,
        "layer_bytes": 9 * 2**30,
        "layer_entries": 1234,
    }
    assert {name: limits[name] for name in wanted} == wanted


def test_every_setting_is_in_both_readmes():
    text = (Path(settings.BASE_DIR) / "dashboard" / "settings.py").read_text()
    names = {line.split()[1] for line in text.splitlines() if line.startswith("# ") and line.split()[1].isupper()}
    names = {name for name in names if "_" in name}
    assert len(names) > 15
    for readme in ("README.md", "README.ko.md"):
        shown = (Path(settings.BASE_DIR) / readme).read_text()
        assert {name for name in names if f"`{name}`" not in shown} == set()
