"""docker-compose.dev.yml: valid, true to script/supervise.py, and (long) started for real on Docker Engine."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import jsonschema
import pytest

from tests.bench.docker import DockerEngine
from tests.support import compose
from tests.support.ports import free_port
from tests.support.server import ROOT, clean_up
from tests.support.shell_image import push_shell_images
from tests.support.terminal import Person

RUN = "/run/berth-5a2cdf17"  # of the data folder /var/lib/berth
PROMPT = r"root@([0-9a-f]{12}):/# $"
BASE_PACKAGES = "ca-certificates"
HOST_CERTIFICATES = Path("/usr/local/share/ca-certificates")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

REGISTRY_IMAGE = """\
FROM berth-base
RUN apt-get update -q && apt-get install -y -q --no-install-recommends docker-registry
RUN printf 'version: 0.1\\nstorage:\\n  filesystem: {rootdirectory: /var/lib/registry}\\nhttp: {addr: ":5000"}\\n' >/etc/registry.yml
ENTRYPOINT ["docker-registry", "serve", "/etc/registry.yml"]
"""
POSTGRES_IMAGE = """\
FROM berth-base
RUN apt-get update -q && apt-get install -y -q --no-install-recommends postgresql
COPY entry /entry
ENTRYPOINT ["bash", "/entry"]
"""
# As the official image's, as far as the file needs it.
POSTGRES_ENTRY = """\
set -e
data=/var/lib/postgresql/data bin=$(echo /usr/lib/postgresql/*/bin) as="setpriv --reuid=postgres --regid=postgres --init-groups"
install -d -o postgres -g postgres -m 0700 $data
install -d -o postgres -g postgres -m 2777 /var/run/postgresql
if [ ! -s $data/PG_VERSION ]; then
  $as $bin/initdb -D $data -U "$POSTGRES_USER" --auth="$POSTGRES_HOST_AUTH_METHOD" >/dev/null
  echo "create database \\"$POSTGRES_DB\\"" | $as $bin/postgres --single -D $data postgres
fi
PATH=$bin:$PATH exec $as "$@" -D $data
"""


def test_the_file_is_valid_by_the_compose_specification():
    schema = json.loads((ROOT / "frontend/node_modules/dclint/schemas/compose.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(compose.read({}))


def test_every_service_of_ours_is_a_process_that_the_supervisor_knows():
    services = compose.read({})["services"]
    ours = {name for name, wanted in services.items() if wanted["image"] == "berth-dev"}
    assert ours == {"web", "images", "layers", "engine", "redis"}
    for name in ours:
        assert services[name]["command"] == [name]
    assert re.search(r"web\|images\|layers\|engine\|redis\)", (ROOT / "script/service").read_text())


def test_only_the_engine_may_do_what_root_may():
    services = compose.read({})["services"]
    engine = services.pop("engine")
    assert (engine["pid"], engine["cgroup"]) == ("host", "host")
    assert "SYS_ADMIN" in engine["cap_add"]
    shared = {
        volume["target"] for volume in engine["volumes"] if volume.get("bind", {}).get("propagation") == "rshared"
    }
    assert shared == {"/var/lib/berth", RUN}
    for wanted in services.values():
        assert not {"privileged", "cgroup", "cap_add", "devices", "security_opt"} & set(wanted)
        assert not {"/dev", "/sys/fs/cgroup", "/var/run/docker.sock"} & {
            volume["target"] for volume in wanted["volumes"]
        }


def test_docker_run_gets_every_key_of_the_file():
    document = compose.read({})
    for name, wanted in document["services"].items():
        assert compose.run_words("x", name, wanted)[0] == "run"
    with pytest.raises(KeyError):
        compose.run_words("x", "web", {**document["services"]["web"], "devices": ["/dev/fuse"]})


# The real start


def _base_image(docker: DockerEngine, folder: Path) -> None:
    """Debian by mmdebstrap, for a machine where no registry can be reached; it trusts what this host trusts."""
    tar = folder / "base.tar"
    hooks = []
    if any(HOST_CERTIFICATES.glob("*.crt")):
        place = '"$1"/usr/local/share/ca-certificates/'
        hooks = [
            f"--customize-hook=cp {HOST_CERTIFICATES}/*.crt {place}",
            '--customize-hook=chroot "$1" update-ca-certificates',
        ]
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={BASE_PACKAGES}", *hooks, "bookworm", str(tar)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    trust = [f"--change=ENV {name}={BUNDLE}" for name in ("PIP_CERT", "NODE_EXTRA_CA_CERTS", "NPM_CONFIG_CAFILE")]
    docker.run("import", *trust, str(tar), "berth-base")
    tar.unlink()


def _context(folder: Path) -> Path:
    """The repository as a clone has it, with what is being worked on."""
    context = folder / "context"
    context.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    names = b"\0".join(name for name in listed.split(b"\0") if name and (ROOT / name.decode()).exists())
    tar = subprocess.run(
        ["tar", "--create", "--null", "--files-from=-"], cwd=ROOT, input=names, check=True, capture_output=True
    )
    subprocess.run(["tar", "--extract"], cwd=context, input=tar.stdout, check=True)
    head = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], cwd=ROOT, check=True, capture_output=True)
    (context / "build-id").write_bytes(head.stdout)
    return context


def _images(docker: DockerEngine, folder: Path) -> None:
    _base_image(docker, folder)
    for name, text in (("registry", REGISTRY_IMAGE), ("postgres", POSTGRES_IMAGE)):
        context = folder / name
        context.mkdir()
        (context / "Dockerfile").write_text(text)
        (context / "entry").write_text(POSTGRES_ENTRY)
        compose.build(docker, f"berth-{name}", context)
    compose.build(docker, "berth-dev", _context(folder), arguments=["BASE=berth-base"])


@contextlib.contextmanager
def _shared_mount(folder: Path):
    folder.mkdir(mode=0o755)
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    subprocess.run(["mount", "--make-rshared", str(folder)], check=True)
    try:
        yield folder
    finally:
        for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
            if line.split()[4] == str(folder) or line.split()[4].startswith(f"{folder}/"):
                subprocess.run(["umount", "--lazy", line.split()[4]], check=False, capture_output=True)


class Composed:
    def __init__(self, docker: DockerEngine, data: Path) -> None:
        self.port, registry = free_port(), free_port()
        self.registry = f"http://127.0.0.1:{registry}"
        values = {
            "BERTH_DATA": str(data), "BERTH_LISTEN": f"127.0.0.1:{self.port}", "BERTH_BASE_IMAGE": "berth-base",
            "BERTH_MIRRORS": f"docker.io={self.registry}", "BERTH_PLAIN_HTTP": f"127.0.0.1:{registry}",
            "BERTH_REGISTRY_LISTEN": f"127.0.0.1:{registry}",
            "BERTH_POSTGRES_IMAGE": "berth-postgres", "BERTH_REGISTRY_IMAGE": "berth-registry",
        }  # fmt: skip
        self.project = compose.Project(docker, values)

    @property
    def env(self) -> dict[str, str]:
        """The command line on the host finds the composed Berth by the defaults."""
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "BERTH_LISTEN": f"127.0.0.1:{self.port}"}

    def berth(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [str(ROOT / "script/berth"), *words]
        return subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=120, check=False)

    def person(self, *words: str) -> Person:
        return Person([str(ROOT / "script/berth"), *words], self.env)

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 120
        while "Berth is ready at" not in self.project.logs("web"):
            assert time.monotonic() < deadline, self.project.logs()
            time.sleep(0.5)

    def wait_engine(self) -> None:
        deadline = time.monotonic() + 60
        while (done := self.berth("info")).returncode or self.project.inspect("engine", "{{.State.Running}}") != "true":
            assert time.monotonic() < deadline, done.stderr + self.project.logs("engine")
            time.sleep(0.3)


@pytest.fixture(scope="module")
def composed():
    if not Path("/usr/sbin/dockerd").exists():
        pytest.skip("needs Debian's docker.io; script/test --long and script/bench install it")
    if Path(RUN).exists():
        pytest.skip(f"a Berth of this machine uses {RUN}")
    folder = Path(tempfile.mkdtemp(prefix="berth-compose-", dir="/var/lib"))
    folder.chmod(0o755)
    try:
        with (
            _shared_mount(folder / "data") as data,
            _shared_mount(Path(RUN)),
            DockerEngine(folder / "docker", has_bridge=False) as docker,
        ):
            _images(docker, folder)
            running = Composed(docker, data)
            try:
                running.project.up()
                running.wait_ready()
                push_shell_images(running.registry)
                yield running
            finally:
                clean_up(Path("/var/lib/berth"))
    finally:
        shutil.rmtree(RUN, ignore_errors=True)
        if str(folder) not in Path("/proc/self/mountinfo").read_text():
            shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.long
@pytest.mark.root
@pytest.mark.services
@pytest.mark.timeout(1800)
def test_the_primer_runs_in_the_services_and_containers_outlive_the_engine_service(composed):
    assert re.fullmatch(r"Berth version \S+, build \w+\n", composed.berth("-v").stdout)
    with composed.person("run", "-i", "-t", "--name", "harbour", "ubuntu:14.04") as person:
        person.expect(r"Unable to find image 'ubuntu:14.04' locally")
        person.expect(r"Status: Downloaded newer image for ubuntu:14.04")
        hostname = person.expect(PROMPT)[1]
        person.type("ls /; kept=harbour-7\n")
        person.expect(r"bin\s[\s\S]*etc\s[\s\S]*usr\s[\s\S]*" + PROMPT)
        person.type("\x10\x11")
        person.expect("read escape sequence")
        assert person.exit_code() == 0
    assert composed.berth("ps", "-q").stdout.strip() == hostname

    for change in (lambda: composed.project.restart("engine"), lambda: composed.project.replace("engine")):
        change()
        composed.wait_engine()
        assert composed.berth("ps", "-q").stdout.strip() == hostname
        with composed.person("attach", "harbour") as person:
            person.type("\n")
            person.expect(PROMPT)
            person.type("echo still-$kept\n")
            person.expect(r"still-harbour-7\n")
            person.type("\x10\x11")
            assert person.exit_code() == 0

    composed.project.restart("web", "images", "layers")
    composed.wait_ready()
    pulled = composed.berth("pull", "centos:7")
    assert pulled.stdout.startswith("7: Pulling from library/centos\n"), pulled.stderr + composed.project.logs()
    assert pulled.stdout.endswith("docker.io/library/centos:7\n")
    listed = composed.berth("images").stdout
    assert re.search(r"ubuntu\s+14.04", listed)
    assert re.search(r"centos\s+7", listed)
    assert composed.berth("run", "--rm", "centos:7", "echo", "beside").stdout == "beside\n"
    with composed.person("attach", "harbour") as person:
        person.type("exit 3\n")
        assert person.exit_code() == 3
    assert "Exited (3)" in composed.berth("ps", "-a").stdout
    assert composed.berth("rm", "harbour").returncode == 0
