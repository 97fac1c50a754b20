"""One registry, and one whole Berth by script/server for the tests of this folder that do not break it on purpose."""

from __future__ import annotations

import contextlib
import json
import random
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import httpx
import pytest

from tests.support.fault_registry import FaultRegistry
from tests.support.images import Entry, image, layer, push
from tests.support.leftovers import loops_of, mounts_under
from tests.support.registry import Registry
from tests.support.server import BerthServer, _children, _name
from tests.support.shell_image import push_shell_images, shell_image
from tests.support.waiting import WAIT_S, until


class Berth(BerthServer):
    """A whole Berth and what tests ask of it."""

    registry: Registry
    faults: FaultRegistry

    def ok(self, *words: str, **how) -> str:
        """Standard output of a command that must succeed."""
        done = self.run_command(*words, **how)
        assert done.returncode == 0, f"berth {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start_long(self, *words: str) -> str:
        """`run -d`, with `sleep` where no command is given; the container's id."""
        return self.ok("run", "-d", *(words or ("ubuntu:14.04", "sleep", "1000"))).strip()

    def state(self, container: str) -> dict:
        return json.loads(self.ok("inspect", container))[0]["State"]

    def wait_state(self, container: str, status: str, within_s: float = WAIT_S) -> dict:
        def look() -> dict | None:
            now = self.state(container)
            return now if now["Status"] == status else None

        return until(lambda: f"{container} {status}: {self.state(container)}\n{self.logs()}", look, within_s)

    def wait_output(self, container: str, words: str) -> str:
        """What it has printed, once these words are in it."""
        return until(
            f"{words!r} in the log of {container}", lambda: words in (said := self.ok("logs", container)) and said
        )

    def container_folder(self, container: str) -> Path:
        (found,) = (self.data / "containers").glob(f"{container}*")
        return found

    def monitor_pid(self, container: str) -> int:
        return int((self.container_folder(container) / "conmon.pid").read_text())

    def init_pid(self, container: str) -> int:
        return int((self.container_folder(container) / "pidfile").read_text())

    @contextlib.contextmanager
    def browser(self):
        """A signed-in HTTP client that posts with the page's secret. The first call makes the administrator."""
        client = httpx.Client(base_url=self.url, trust_env=False, follow_redirects=False, timeout=60)
        with client:
            secret = _csrf(client.get("/accounts/login/").text)
            if not getattr(self, "is_set_up", False):
                words = {"username": "haeun", "password1": "a quiet harbour 7", "password2": "a quiet harbour 7"}
                page = client.get(self.setup_link)
                answer = client.post(self.setup_link, data=words | _secret(page.text), headers={"Origin": self.url})
                self.is_set_up = True
            else:
                words = {"login": "haeun", "password": "a quiet harbour 7", "csrfmiddlewaretoken": secret}
                answer = client.post("/accounts/login/", data=words, headers={"Origin": self.url})
            assert answer.status_code == 302, answer.text
            client.headers.update({"Origin": self.url, "X-CSRFToken": _csrf_cookie(client)})
            yield client

    # What is left

    def tracebacks(self) -> str:
        found = []
        for path in sorted((self.data / "logs").glob("*.log*")):
            text = path.read_text(errors="replace")
            found += [f"{path.name}: …{text[m.start() - 600 : m.end() + 2500]}" for m in re.finditer("Traceback", text)]
        return "\n\n".join(found)

    def remove_all(self) -> None:
        if ids := self.ok("ps", "-aq").split():
            self.ok("rm", "-f", *ids)

    def leftovers(self) -> list[str]:
        """Everything outside of images that a Berth without containers and running jobs must not have."""
        found = [f"mount {point}" for point in mounts_under(self.data, self.run) if not point.startswith(str(self.run))]
        found += [f"mount {point}" for point in mounts_under(self.run / "netns")]
        found += [f"loop device {loop}" for loop in loops_of(self.data)]
        for name in ("containers", "incoming", "ingest", "transfers"):
            found += [f"{name}/{path.name}" for path in (self.data / name).iterdir() if not path.name.startswith(".")]
        for top in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*")):
            found += [f"cgroup {path}" for path in top.glob(f"berth-{self.tag}/" + "[0-9a-f]" * 64)]
        found += [f"runc {path.name}" for path in (self.run / "runc").glob("*")]
        for bridge in Path("/sys/class/net").glob(f"br-{self.tag}*"):
            found += [f"network port {path.name}" for path in (bridge / "brif").glob("*")]
        named = [path for path in (self.run / "names").glob("[0-9]*") if len(path.read_text().splitlines()) > 1]
        found += [f"names of network {path.name}" for path in named]
        found += [f"published ports of {path.name}" for path in (self.run / "ports").glob("*")]
        engine = self.pid_of("engine")
        found += [f"process {_name(pid).strip()} of the engine" for pid in _children(engine)]
        found += [f"monitor {pid}" for pid in _monitors_of(self.data)]
        return found

    def assert_clean(self) -> None:
        until(lambda: "clean: " + "\n".join(self.leftovers()), lambda: not self.leftovers())


def _monitors_of(data: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if words[0].endswith(b"/conmon") and any(word.startswith(bytes(data)) for word in words):
                found.append(int(path.parent.name))
    return found


def _csrf(page: str) -> str:
    return re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]


def _csrf_cookie(client: httpx.Client) -> str:
    return next(value for name, value in client.cookies.items() if "csrf" in name)


def _secret(page: str) -> dict[str, str]:
    return {"csrfmiddlewaretoken": _csrf(page)}


@pytest.fixture(scope="session")
def registry():
    with Registry() as running:
        push_shell_images(running.url)
        push(running.url, "library/foreign:1", shell_image("for another machine", architecture="s390x"))
        yield running


@pytest.fixture(scope="session")
def faults():
    with FaultRegistry() as running:
        yield running


def make_berth(registry: Registry, faults: FaultRegistry | None = None, **how) -> Berth:
    settings = how.pop("settings", {})
    mirrors = how.pop("mirrors", {"docker.io": registry.url})
    if faults is not None:
        settings |= {"BERTH_PLAIN_HTTP": f"{registry.host},{faults.url.removeprefix('http://')}"}
    server = Berth(mirrors=mirrors, settings=settings, **how)
    server.registry = registry
    if faults is not None:
        server.faults = faults
    return server


@pytest.fixture(scope="session")
def whole_berth(registry, faults):
    with make_berth(registry, faults) as server:
        server.ok("pull", "-q", "ubuntu:14.04")
        yield server


@pytest.fixture(scope="module")
def berth(whole_berth):
    """At the end of each module: all is as it must be; without containers nothing is left over; no traceback in any log."""
    yield whole_berth
    assert whole_berth.wrong_at_end() == []
    whole_berth.assert_clean()
    assert whole_berth.tracebacks() == ""


@pytest.fixture
def big_image(registry) -> str:
    """An image whose layer is 30 MB of noise, to catch pulls in the middle. Its name, new each time."""
    name = f"library/big{time.monotonic_ns()}:1"
    content = random.Random(name).randbytes(30_000_000)
    push(registry.url, name, image([layer([Entry("noise", data=content)])], Cmd=["/noise"]))
    return name.removeprefix("library/")


@contextlib.contextmanager
def small_disk(mib: int):
    """A folder on a tmpfs of that size."""
    folder = Path(tempfile.mkdtemp(prefix="berth-small-"))
    folder.chmod(0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0755", "tmpfs", str(folder)], check=True)
    try:
        (folder / "berth").mkdir(mode=0o755)
        yield folder / "berth"
    finally:
        subprocess.run(["umount", str(folder)], check=False, capture_output=True)
        if not mounts_under(folder):
            shutil.rmtree(folder, ignore_errors=True)
