from __future__ import annotations

import base64
import subprocess
import time

import pytest

from engine.config import EngineConfig
from engine.errors import RegistryBusy, RegistryDenied, RegistryError, RegistryUnreachable
from engine.registry import addresses
from engine.registry.endpoints import Credentials
from engine.registry.wire import trusted_authorities
from tests.engine.registry.conftest import QUICK
from tests.support.fault_registry import FaultRegistry, answer, change, endless, redirect, reset

ME = Credentials("me", "s3cret-canary")
BASIC = "Basic " + base64.b64encode(b"me:s3cret-canary").decode()
MANIFEST = r"/manifests/"


def config_for(tmp_path, **more):
    return EngineConfig(data=tmp_path, uid=0, gid=0, **more)


def authorizations(registry, pattern=""):
    return [seen.headers.get("authorization") for seen in registry.seen if pattern in seen.path]


def test_basic_authentication_is_sent_when_asked_for(open_client, faults):
    faults.basic = BASIC
    client = open_client(credentials=ME)
    client.named_document()
    client.named_document()
    assert authorizations(faults) == [None, BASIC, BASIC]


def test_wrong_and_missing_credentials_get_a_sentence(open_client, faults):
    faults.basic = "Basic other"
    with pytest.raises(
        RegistryDenied, match=r"pull access denied for x, repository does not exist or may require"
    ) as caught:
        open_client(credentials=ME).named_document()
    assert "s3cret" not in str(caught.value)
    with pytest.raises(RegistryDenied, match=r"wants a name and a password"):
        open_client().named_document()


@pytest.mark.parametrize("credentials", [None, ME])
def test_a_token_is_fetched_for_pulling_from_this_repository_only(open_client, faults, credentials):
    faults.token = "t0ken"
    open_client(credentials=credentials).named_document()
    assert authorizations(faults) == [None, credentials and BASIC, "Bearer t0ken"]
    assert faults.paths("token") == ["/token?scope=repository%3Alibrary%2Fx%3Apull&service=test"]


def test_a_token_that_expired_is_renewed_once_per_request(open_client, faults):
    faults.token = "first"
    client = open_client()
    client.named_document()
    faults.token = "second"
    client.named_document()
    assert authorizations(faults, "manifests") == [None, "Bearer first", "Bearer first", "Bearer second"]
    faults.fail(MANIFEST, answer(401, www_authenticate=f'Bearer realm="{faults.url}/token"'))
    with pytest.raises(RegistryDenied):
        client.named_document()
    assert len(faults.paths("token")) == 3


@pytest.mark.threat("REG-08")
@pytest.mark.parametrize(
    "fault",
    [endless(b" "), answer(200, b'{"token":"' + b"x" * 70_000 + b'"}'), answer(200, b"{}"), answer(200, b"no"),
     answer(200, b'{"token":"a\\r\\nX-Evil: 1"}'), answer(200, b'{"token": 5}'), answer(403), answer(404, b"x" * 10_000_000)],
)  # fmt: skip
def test_a_token_server_that_talks_nonsense_gets_a_sentence(open_client, faults, fault):
    faults.token = "t"
    faults.fail("token", fault)
    with pytest.raises(RegistryError):
        open_client().named_document()


@pytest.mark.threat("REG-05")
@pytest.mark.parametrize(
    "realm", ["http://169.254.169.254/latest", "http://localhost:{port}/token", "https://evil.example/t"]
)
def test_a_realm_elsewhere_gets_no_request_and_no_credentials(open_client, faults, realm):
    faults.token = "t"
    faults.realm = realm.format(port=faults.port)
    with pytest.raises(RegistryError, match=r"for a token"):
        open_client(credentials=ME).named_document()
    assert authorizations(faults) == [None]


@pytest.mark.threat("REG-05")
def test_a_realm_that_redirects_elsewhere_is_not_followed(open_client, faults):
    faults.token = "t"
    faults.fail("token", redirect("http://169.254.169.254/latest/meta-data"))
    with pytest.raises(RegistryError, match=r"another owner's host"):
        open_client(credentials=ME).named_document()


@pytest.mark.threat("REG-05")
def test_the_connected_address_is_the_checked_one(open_client, faults, tmp_path, monkeypatch):
    """A stranger's name that resolves to this host is refused at the connection: no request arrives (DNS rebinding)."""
    name = f"localhost:{faults.port}"
    with pytest.raises(RegistryError, match=r"inside this network"):
        open_client(f"{name}/library/x:1", config=config_for(tmp_path)).named_document()
    resolved = []
    monkeypatch.setattr(
        addresses.socket, "getaddrinfo", lambda *a, **k: resolved.append(a) or [(2, 1, 6, "", ("127.0.0.1", 0))]
    )
    with pytest.raises(RegistryError, match=r"'rebind.example' is at 127.0.0.1, inside this network"):
        open_client("rebind.example/x", config=config_for(tmp_path)).named_document()
    assert len(resolved) == 1
    assert faults.seen == []


@pytest.mark.threat("REG-06")
def test_nothing_secret_goes_to_another_host(open_client, faults):
    faults.basic = BASIC
    faults.fail(MANIFEST, change(set_cookie="session=canary; Path=/"), times=2)
    with FaultRegistry() as other:
        other.add("library/x:1", faults.image)
        client = open_client(credentials=ME)
        client.named_document()
        faults.fail(MANIFEST, redirect(f"{other.url}/v2/library/x/manifests/1"))
        assert client.named_document().digest == faults.image.digest
        (seen,) = other.seen
    text = repr(seen).lower()
    for secret in ("authorization", "cookie", "canary", "s3cret", "referer"):
        assert secret not in text
    assert all("cookie" not in seen.headers for seen in faults.seen)


@pytest.mark.threat("REG-06")
def test_a_challenge_from_another_host_is_not_answered(open_client, faults):
    with FaultRegistry() as other:
        other.basic = BASIC
        faults.fail(MANIFEST, redirect(f"{other.url}/v2/library/x/manifests/1"))
        with pytest.raises(RegistryDenied):
            open_client(credentials=ME).named_document()
        assert authorizations(other) == [None]


@pytest.mark.threat("REG-06")
@pytest.mark.parametrize("location", ["", "ftp://x/", "file:///etc/passwd", "http://u:p@127.0.0.1/", "gopher://x"])
def test_redirects_to_nowhere_good_are_refused(open_client, faults, location):
    faults.fail(MANIFEST, redirect(location))
    with pytest.raises(RegistryError, match=r"not safe to follow"):
        open_client().named_document()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    pem = folder / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
         "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key", "-out", folder / "cert"],
        check=True, capture_output=True,
    )  # fmt: skip
    pem.write_bytes((folder / "key").read_bytes() + (folder / "cert").read_bytes())
    return pem


@pytest.mark.threat("REG-06")
@pytest.mark.threat("REG-13")
def test_tls_is_verified_and_never_left_by_a_redirect(open_client, faults, certificate, tmp_path, monkeypatch):
    with FaultRegistry(certificate=certificate) as secure:
        secure.add("library/x:1", faults.image)
        config = config_for(tmp_path, mirrors={"docker.io": secure.url})
        with pytest.raises(RegistryError, match=r"certificate of the registry .* is not trusted"):
            open_client(config=config).named_document()
        assert secure.seen == []
        context = trusted_authorities()
        context.load_verify_locations(certificate)
        assert open_client(config=config).named_document().digest == faults.image.digest
        secure.fail(MANIFEST, redirect(f"{faults.url}/v2/library/x/manifests/1"))
        with pytest.raises(RegistryError, match=r"not safe to follow"):
            open_client(config=config).named_document()
        assert faults.seen == []
    trusted_authorities.cache_clear()


def test_plain_http_where_tls_is_expected_is_explained(open_client, faults, tmp_path):
    config = config_for(tmp_path, mirrors={"docker.io": f"https://127.0.0.1:{faults.port}"})
    with pytest.raises(RegistryError, match=r"server gave HTTP response to HTTPS client.*BERTH_PLAIN_HTTP"):
        open_client(config=config).named_document()


@pytest.mark.fault("F26")
@pytest.mark.parametrize("mirror", ["http://127.0.0.1:1", "http://nosuch.invalid"])
def test_a_registry_that_is_down_is_reported_soon(open_client, tmp_path, mirror):
    started = time.monotonic()
    with pytest.raises(RegistryUnreachable, match=r"The registry docker.io .* cannot be reached: .*Is it up"):
        open_client(config=config_for(tmp_path, mirrors={"docker.io": mirror})).named_document()
    assert time.monotonic() - started < 10


@pytest.mark.fault("F28")
@pytest.mark.parametrize("fault", [answer(503), answer(500), answer(429, retry_after="0"), reset(0)])
def test_what_passes_is_asked_again(open_client, faults, fault):
    faults.fail(MANIFEST, fault, times=3)
    assert open_client().named_document().digest == faults.image.digest
    assert len(faults.seen) == 4


@pytest.mark.fault("F28")
def test_retry_after_is_honoured_up_to_the_cap(open_client, faults):
    faults.fail(MANIFEST, answer(429, retry_after="3600"), times=1)
    started = time.monotonic()
    open_client().named_document()
    assert QUICK.retry_after_cap_s <= time.monotonic() - started < 60  # an hour is what it was told


@pytest.mark.fault("F28")
@pytest.mark.parametrize(("status", "kind"), [(429, RegistryBusy), (503, RegistryUnreachable)])
def test_what_does_not_pass_ends_with_a_sentence(open_client, faults, status, kind):
    faults.fail(MANIFEST, answer(status, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"pull rate limit"}]}'))
    with pytest.raises(kind, match=r"pull rate limit") as caught:
        open_client().named_document()
    assert len(faults.seen) == QUICK.attempts
    assert caught.value.retryable
