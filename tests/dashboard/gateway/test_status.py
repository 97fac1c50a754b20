from __future__ import annotations

import importlib
import pkgutil

import pytest

import engine
from dashboard import gateway
from dashboard.gateway.status import _STATUS
from engine.errors import CommandNotExecutable, CommandNotFound, EngineError, LayerRejected


def _every_module() -> None:
    for module in pkgutil.walk_packages(engine.__path__, "engine."):
        importlib.import_module(module.name)


def _descendants(kind: type[EngineError]) -> set[type[EngineError]]:
    found = set(kind.__subclasses__())
    return found.union(*(_descendants(child) for child in found)) if found else found


def test_every_error_of_the_engine_has_a_status():
    _every_module()
    kinds = _descendants(EngineError)
    assert len(kinds) >= 20
    for kind in kinds:
        error = kind.__new__(kind)
        assert 400 <= gateway.status_of(error) <= 507, kind


def test_no_status_is_mapped_for_a_class_that_is_gone():
    assert set(_STATUS) <= _descendants(EngineError)


def test_a_family_that_nobody_mapped_is_noticed():
    with pytest.raises(LookupError):
        gateway.status_of(EngineError("new"))


@pytest.mark.parametrize(
    ("error", "code"), [(CommandNotFound("x"), 127), (CommandNotExecutable("x"), 126), (LayerRejected("x"), 125), (ValueError("x"), 125)]
)  # fmt: skip
def test_exit_codes(error, code):
    assert gateway.exit_code_of(error) == code


@pytest.mark.parametrize("name", sorted(gateway._MODULE_OF))
def test_every_name_of_the_gateway_is_there(name):
    assert getattr(gateway, name) is not None


@pytest.mark.slow
def test_a_web_process_loads_no_http_client_and_no_netlink():
    """Memory and start time of the web process: what only workers need is loaded by workers."""
    import subprocess
    import sys

    code = (
        "import os, sys; os.environ['BERTH_TESTING']='unit'; import dashboard.asgi; from dashboard import gateway; gateway.parse('ubuntu');"
        "print([name for name in ('httpx', 'pyroute2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_engine_is_made_once_from_the_settings(settings, tmp_path):
    settings.BERTH_DATA = tmp_path
    settings.BERTH_MIRRORS = {"docker.io": "http://127.0.0.1:5000"}
    config = gateway.engine_config()
    assert config.data == tmp_path
    assert config.mirrors == {"docker.io": "http://127.0.0.1:5000"}
    assert gateway.engine_config() is config


def test_routes_of_the_host_need_no_rights_and_are_not_our_own():
    tag = gateway.engine_config().tag
    assert all(network.prefixlen > 0 for network in gateway.routed_networks())
    assert len(tag) == 8


def test_discarding_takes_what_was_begun_under_a_name_and_nothing_else(settings, tmp_path):
    settings.BERTH_DATA = tmp_path
    (tmp_path / "incoming").mkdir()
    for name in ("abc", "abc.1.2", "abcd", "x"):
        (tmp_path / "incoming" / name).touch()
    gateway.discard_incoming("abc")
    gateway.discard_incoming("gone")
    assert sorted(path.name for path in (tmp_path / "incoming").iterdir()) == ["abcd", "x"]
