"""Settings from the environment, each read in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ASK = "import json, sys; from dashboard import settings as s; print(json.dumps({n: getattr(s, n) for n in sys.argv[1:]}, default=str))"


def read(*names: str, **values: str) -> dict:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BERTH_", "DATABASE_URL", "REDIS_URL"))
    }
    done = subprocess.run(
        [sys.executable, "-c", ASK, *names], cwd=ROOT, env=kept | values, capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr.strip().splitlines()[-1]}


def test_the_defaults():
    found = read(
        "BERTH_DATA",
        "BERTH_PUBLIC_URL",
        "BERTH_ORIGINS",
        "IS_HTTPS",
        "OWN_REDIS",
        "BERTH_LIMITS",
        "ALLOWED_HOSTS",
        "DEBUG",
    )
    assert found["BERTH_DATA"] == "/var/lib/berth"
    assert found["BERTH_PUBLIC_URL"] == "http://127.0.0.1:8000"
    assert found["BERTH_ORIGINS"] == ["http://127.0.0.1:8000", "http://localhost:8000"]
    assert (found["IS_HTTPS"], found["OWN_REDIS"], found["DEBUG"]) == (False, True, False)
    assert found["BERTH_LIMITS"]["memory_bytes"] == 2 * 1024**3
    assert "*" not in found["ALLOWED_HOSTS"]


def test_where_ports_are_published_is_the_administrators_word():
    assert read("BERTH_PUBLISH_ADDRESS") == {"BERTH_PUBLISH_ADDRESS": "127.0.0.1"}
    assert read("BERTH_PUBLISH_ADDRESS", BERTH_PUBLISH_ADDRESS="0.0.0.0") == {"BERTH_PUBLISH_ADDRESS": "0.0.0.0"}
    for wrong in ("::", "localhost"):
        said = read("BERTH_PUBLISH_ADDRESS", BERTH_PUBLISH_ADDRESS=wrong)["error"]
        assert f"BERTH_PUBLISH_ADDRESS must be an IPv4 address such as 127.0.0.1 or 0.0.0.0, not '{wrong}'." in said


@pytest.mark.threat("WS-13")
def test_behind_tls_cookies_are_bound_to_the_host_and_one_origin_is_ours():
    found = read(
        "BERTH_ORIGINS",
        "SESSION_COOKIE_NAME",
        "CSRF_COOKIE_NAME",
        "SESSION_COOKIE_SECURE",
        "CSRF_TRUSTED_ORIGINS",
        BERTH_PUBLIC_URL="https://berth.example.org/",
    )
    assert found["BERTH_ORIGINS"] == found["CSRF_TRUSTED_ORIGINS"] == ["https://berth.example.org"]
    assert found["SESSION_COOKIE_NAME"].startswith("__Host-")
    assert found["CSRF_COOKIE_NAME"].startswith("__Host-")
    assert found["SESSION_COOKIE_SECURE"]


def test_a_unix_socket_is_spelled_for_celery_and_for_channels():
    found = read("CELERY_BROKER_URL", "CHANNEL_LAYERS", "CACHES", REDIS_URL="unix:///run/x/redis.sock?db=3")
    assert found["CELERY_BROKER_URL"] == "redis+socket:///run/x/redis.sock?virtual_host=3"
    assert found["CHANNEL_LAYERS"]["default"]["CONFIG"]["hosts"] == ["unix:///run/x/redis.sock?db=3"]
    assert found["CACHES"]["default"]["LOCATION"] == "unix:///run/x/redis.sock?db=3"


def test_postgres_by_address_and_by_socket():
    found = read("DATABASES", DATABASE_URL="postgres://kim:a%40b@db.example.org:5433/berth")["DATABASES"]["default"]
    assert (found["USER"], found["PASSWORD"], found["HOST"], found["PORT"], found["NAME"]) == (
        "kim",
        "a@b",
        "db.example.org",
        "5433",
        "berth",
    )
    found = read("DATABASES", DATABASE_URL="postgres://berth@/berth?host=/var/run/postgresql")["DATABASES"]["default"]
    assert (found["HOST"], found["NAME"], found["OPTIONS"]) == (
        "/var/run/postgresql",
        "berth",
        {"connect_timeout": "10"},
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("DATABASE_URL", "mysql://x"), ("REDIS_URL", "http://x"), ("BERTH_DEFAULT_MEMORY", "lots"), ("BERTH_DEFAULT_CPUS", "0"), ("BERTH_DEFAULT_PIDS", "-1"),
     ("BERTH_SUBNET", "bogus"), ("BERTH_SUBNET", "10.1.2.3/20"), ("BERTH_SUBNET", "10.0.0.0/30"), ("BERTH_SUBNET", "fd00::/64"),
     ("BERTH_LISTEN", "nowhere"), ("BERTH_LISTEN", "127.0.0.1:99999"), ("BERTH_LISTEN", "127.0.0.1:0"),
     ("BERTH_PUBLIC_URL", "https://b.example:99999"), ("BERTH_PUBLIC_URL", "b.example"), ("BERTH_PUBLIC_URL", "ftp://b.example"),
     ("DATABASE_URL", "postgres://kim:secret/x@db/berth"), ("REDIS_URL", "redis://:secret/x@cache:6379")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name(name, value):
    error = read("DEBUG", **{name: value})["error"]
    assert error.startswith(f"django.core.exceptions.ImproperlyConfigured: {name} ")
    assert "secret" not in error


@pytest.mark.parametrize(
    ("said", "host"), [(":80", "0.0.0.0"), ("*:80", "0.0.0.0"), ("[::1]:80", "::1"), ("192.0.2.7:80", "192.0.2.7")]
)
def test_the_address_to_listen_on_is_read_in_one_place(said, host):
    found = read("BERTH_HOST", "BERTH_PORT", BERTH_LISTEN=said)
    assert (found["BERTH_HOST"], found["BERTH_PORT"]) == (host, 80)


def test_a_network_of_ones_own_is_taken_as_it_is():
    assert read("BERTH_SUBNET", BERTH_SUBNET="10.120.0.0/20")["BERTH_SUBNET"] == "10.120.0.0/20"


def test_listening_everywhere_shows_an_address_that_can_be_opened():
    found = read("BERTH_PUBLIC_URL", "BERTH_ORIGINS", BERTH_LISTEN="0.0.0.0:8080")
    assert found["BERTH_PUBLIC_URL"] == "http://127.0.0.1:8080"
    assert "http://0.0.0.0:8080" in found["BERTH_ORIGINS"]


@pytest.mark.slow
@pytest.mark.threat("WEB-09")
def test_django_s_own_checks_for_a_deployment_find_nothing():
    kept = os.environ | {
        "BERTH_TESTING": "unit",
        "BERTH_PUBLIC_URL": "https://berth.example.org",
        "DJANGO_SETTINGS_MODULE": "dashboard.settings",
    }
    argv = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(argv, cwd=ROOT, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
