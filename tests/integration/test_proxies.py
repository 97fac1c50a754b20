"""Berth behind Caddy and behind nginx, by the configurations of docs/proxies.md, for a visitor in a network namespace of its own."""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Berth
from tests.support.ports import free_port
from tests.support.server import ROOT
from tests.support.terminal import Person
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300), pytest.mark.threat("WEB-06")]
HERE, VISITOR = "198.18.77.1", "198.18.77.2"  # a range for tests of networks (RFC 2544)
DOCUMENT = (ROOT / "docs" / "proxies.md").read_text()
SIGN_IN = r"""
import http.cookiejar, re, ssl, sys, urllib.parse, urllib.request
url, ca = sys.argv[1:]
jar = http.cookiejar.CookieJar()
handlers = [urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca)), urllib.request.HTTPCookieProcessor(jar)]
opener = urllib.request.build_opener(*handlers, urllib.request.ProxyHandler({}))
page = opener.open(url + "/accounts/login/").read().decode()
token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
said = {"csrfmiddlewaretoken": token, "login": "haeun", "password": "a quiet harbour 7"}
request = urllib.request.Request(url + "/accounts/login/", urllib.parse.urlencode(said).encode(), {"Referer": url + "/accounts/login/", "Origin": url})
answer = opener.open(request)
print(answer.url, "haeun" in answer.read().decode(), sorted({(c.name.partition("-")[0] + "-", c.secure) for c in jar}), answer.headers["Strict-Transport-Security"])
"""


@pytest.fixture(scope="module")
def visitor():
    """The name of a network namespace with one way: to this host at HERE."""
    name = f"bt{secrets.token_hex(4)}"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    ip("netns", "add", name)
    try:
        ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", f"{HERE}/30", "dev", name)
        ip("link", "set", name, "up")
        for words in (
            ("addr", "add", f"{VISITOR}/30", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            ip("-n", name, *words)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """Of an authority of its own, for HERE; the key lies beside it."""
    folder = tmp_path_factory.mktemp("certificate")
    folder.chmod(0o755)
    argv = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    argv += [
        "-subj",
        "/CN=berth test",
        "-addext",
        f"subjectAltName=IP:{HERE}",
        "-keyout",
        folder / "key.pem",
        "-out",
        folder / "cert.pem",
    ]
    subprocess.run(argv, check=True, capture_output=True)
    (folder / "key.pem").chmod(0o644)
    return folder / "cert.pem"


def written(language: str) -> str:
    """The block of the document below that heading."""
    return re.search(rf"## {language}\n.*?```\n(.*?)```", DOCUMENT, re.DOTALL)[1]


@contextlib.contextmanager
def nginx(folder: Path, certificate: Path, port: int, upstream: str) -> Iterator[None]:
    block = written("nginx").replace("listen 443 ssl", f"listen {HERE}:{port} ssl").replace("127.0.0.1:8000", upstream)
    block = block.replace("/etc/ssl/berth.example.pem", str(certificate)).replace(
        "/etc/ssl/berth.example.key", str(certificate.parent / "key.pem")
    )
    paths = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = (
        f"daemon off; pid {folder}/pid; error_log stderr;\nevents {{}}\nhttp {{ access_log off; {paths}\n{block}\n}}\n"
    )
    (folder / "nginx.conf").write_text(text)
    with _running(["nginx", "-p", folder, "-c", folder / "nginx.conf"], folder):
        yield


@contextlib.contextmanager
def caddy(folder: Path, certificate: Path, port: int, upstream: str) -> Iterator[None]:
    block = written("Caddy").replace("berth.example", f"https://{HERE}:{port}").replace("127.0.0.1:8000", upstream)
    block = block.replace("reverse_proxy", f"tls {certificate} {certificate.parent / 'key.pem'}\n    reverse_proxy")
    text = "{\n    admin off\n    auto_https disable_redirects\n    default_bind " + HERE + "\n}\n" + block
    (folder / "Caddyfile").write_text(text)
    with _running(["caddy", "run", "--config", folder / "Caddyfile", "--adapter", "caddyfile"], folder):
        yield


@contextlib.contextmanager
def _running(argv: list, folder: Path) -> Iterator[None]:
    surroundings = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
    }
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(argv, env=surroundings, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield
    except BaseException:
        print((folder / "log").read_text()[-3000:])
        raise
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("proxy", [nginx, caddy], ids=["nginx", "Caddy"])
def test_a_visitor_signs_in_has_a_terminal_and_carries_files(registry, visitor, certificate, tmp_path, proxy):
    port = free_port()
    url = f"https://{HERE}:{port}"
    folder = tmp_path / "proxy"
    folder.mkdir()
    settings = {"BERTH_PUBLIC_URL": url, "BERTH_PROXIES": "1"}
    with (
        Berth(mirrors={"docker.io": registry.url}, settings=settings) as berth,
        proxy(folder, certificate, port, f"127.0.0.1:{berth.port}"),
    ):
        inside = ["ip", "netns", "exec", visitor]
        berth.ok("pull", "-q", "ubuntu:14.04")
        (link,) = (line.split()[-1] for line in berth.ok("team", "invite", "--team", "main").splitlines())
        assert link.startswith(f"{url}/join/")
        berth.ok("user", "create", "haeun")
        berth.ok("team", "add", "--team", "main", "haeun")
        _set_password(berth)
        signed = until(
            "the proxy answers", lambda: _call([*inside, sys.executable, "-c", SIGN_IN, url, str(certificate)])
        )
        where, is_in, cookies, hsts = re.fullmatch(r"(\S+) (\S+) (\[.*\]) (.*)\n", signed).groups()
        assert (where, is_in) == (f"{url}/", "True")
        assert cookies == "[('__Host-', True)]"
        assert hsts.startswith("max-age=")
        assert f"{VISITOR}" in berth.ok("token", "ls", "--user", "haeun", "--format", "{{.LastUsed}}") + _addresses(
            berth
        )

        _use_the_command_line(berth, inside, url, certificate, tmp_path)


def _use_the_command_line(berth: Berth, inside: list[str], url: str, certificate: Path, folder: Path) -> None:
    secret = berth.ok("token", "create", "--user", "haeun", "laptop").strip()
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(folder), "BERTH_TOKEN": secret, "SSL_CERT_FILE": str(certificate)
    }  # fmt: skip
    remote = [*inside, str(ROOT / "script" / "berth"), "--host", url]
    with Person([*remote, "run", "-it", "--name", "shell", "ubuntu:14.04"], environment) as person:
        person.expect(r"root@[0-9a-f]{12}:/# ")
        person.type("echo it-$((6*7))\n")
        person.expect("\nit-42\n")
        person.resize(33, 101)
        person.type("stty size\n")
        person.expect("\n33 101\n")
        person.type("exit 4\n")
        assert person.exit_code() == 4
    noise = secrets.token_bytes(20_000_000)
    (folder / "noise").write_bytes(noise)
    done = subprocess.run(
        [*remote, "cp", str(folder / "noise"), "shell:/noise"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    berth.ok("start", "shell")
    assert berth.ok("exec", "shell", "sha256sum", "/noise").split()[0] == hashlib.sha256(noise).hexdigest()
    unknown = environment | {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}
    refused = subprocess.run([*remote, "ps"], env=unknown, capture_output=True, text=True, check=False)
    assert "is not to be trusted" in refused.stderr
    stranger = environment | {"BERTH_TOKEN": "berth_" + "x" * 43}
    refused = subprocess.run([*remote, "ps"], env=stranger, capture_output=True, text=True, check=False)
    assert (refused.returncode != 0, "Sign in first." in refused.stderr) == (True, True), refused


def _set_password(berth: Berth) -> None:
    script = textwrap.dedent("""
        from django.contrib.auth.models import User
        person = User.objects.get(username="haeun"); person.set_password("a quiet harbour 7"); person.save()
    """)
    argv = [
        "setpriv",
        "--reuid=berth",
        "--regid=berth",
        "--init-groups",
        ROOT / ".venv/bin/python",
        ROOT / "manage.py",
        "shell",
        "-c",
        script,
    ]
    subprocess.run(argv, env=berth.environment, check=True, capture_output=True, cwd="/")


def _addresses(berth: Berth) -> str:
    """Where people signed in from, by the audit log: the visitor's address, not the proxy's."""
    script = "from dashboard.audit.models import Entry; print(*Entry.objects.filter(action='sign-in').values_list('address', flat=True))"
    argv = [
        "setpriv",
        "--reuid=berth",
        "--regid=berth",
        "--init-groups",
        ROOT / ".venv/bin/python",
        ROOT / "manage.py",
        "shell",
        "-c",
        script,
    ]
    return subprocess.run(argv, env=berth.environment, check=True, capture_output=True, text=True, cwd="/").stdout


def _call(argv: list[str]) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
