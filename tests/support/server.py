"""A whole Berth by script/server: its own data folder, port, Redis, workers; as root. Usable in and outside pytest.

    with BerthServer(mirrors={"docker.io": registry.url}) as berth:
        berth.url, berth.setup_link, berth.run_command("images")

However it ends (also after a crash of the test before): its processes are ended by their ids, and its mounts, network
namespaces, bridge, firewall table, control groups and run folder are gone.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from tests.support.leftovers import groups_of, left_of, mounts_under, tag_of
from tests.support.ports import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 90.0
GONE_S = 10.0
BACK_S = 90.0  # for a killed program: supervisord's pause, and Python's start on a busy machine
PARENT = Path(tempfile.gettempdir()) / "berth-servers"  # each server's folder; what crashed tests left is found here


@dataclass
class BerthServer:
    mirrors: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    port: int = 0
    keep: bool = False  # leave the data folder for somebody to look at
    is_broken: bool = False  # on purpose, and stays so: nothing is asked of it at its end
    tree: Path = ROOT  # whose scripts: this clone's, or an older one's
    output: list[str] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None
    _lines: queue.Queue[str | None] = field(default_factory=queue.Queue)

    # What tests use

    @property
    def data(self) -> Path:
        assert self.folder is not None
        return self.folder / "data"

    @property
    def tag(self) -> str:
        return tag_of(self.data)

    @property
    def run(self) -> Path:
        return Path("/run") / f"berth-{self.tag}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_token(self) -> str:
        return (self.run / "admin-token").read_text().strip()

    @property
    def setup_link(self) -> str:
        """The one-time link for the first administrator; "" once there is one."""
        for line in self.output:
            if line.startswith("First sign-in: "):
                return line.removeprefix("First sign-in: ").strip()
        return ""

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("BERTH_", "DJANGO_", "DATABASE_URL", "REDIS_URL"))
        }
        mirrors = ",".join(f"{name}={url}" for name, url in self.mirrors.items())
        plain = ",".join(url.removeprefix("http://") for url in self.mirrors.values() if url.startswith("http://"))
        own = {
            "BERTH_DATA": str(self.data),
            "BERTH_LISTEN": f"127.0.0.1:{self.port}",
            "BERTH_MIRRORS": mirrors,
            "BERTH_PLAIN_HTTP": plain,
            "BERTH_RESERVE": "64m",
            "BERTH_TRASH_HOURS": "0",  # what a test removes is gone; those of the trash ask for it
            "BERTH_POLICY": str(self.data.parent / "etc" / "engine.toml"),  # not this host's
            "NO_PROXY": "127.0.0.1,localhost",
        }
        return kept | own | self.settings

    def run_command(self, *words: str, timeout_s: float = 120, **how) -> subprocess.CompletedProcess[str]:
        """`berth WORDS…` as the host's root, through the real client."""
        argv = [str(self.tree / "script" / "berth"), *words]
        how = {"capture_output": True, "text": True} | ({} if "input" in how else {"stdin": subprocess.DEVNULL}) | how
        return subprocess.run(argv, env=self.environment, timeout=timeout_s, check=False, **how)

    def pid_of(self, program: str) -> int:
        """Process id of web, images, layers, engine or redis; 0 while it is not running."""
        argv = [
            str(ROOT / ".venv/bin/supervisorctl"),
            "-c",
            str(self.run / "supervisord.conf"),
            "pid",
            program if program == "redis" else f"berth:{program}",
        ]
        said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
        return int(said) if said.isdecimal() else 0

    def kill_program(self, program: str) -> int:
        """SIGKILL one program; supervisord starts it again. The pid that it had."""
        pid = until(f"{program} runs", lambda: self.pid_of(program))
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_back(self, program: str, before: int) -> None:
        """Until a killed program runs again, as another process, and Berth is whole."""
        until(lambda: f"{program} is back\n{self.logs()}", lambda: self.pid_of(program) not in {0, before}, BACK_S)
        self.wait_healthy(BACK_S)

    def health(self) -> dict[str, bool]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.url}/healthz", timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.loads(error.read())
        except (OSError, http.client.HTTPException):  # it dies while it answers, too
            return {}

    def wait_healthy(self, timeout_s: float = 90) -> None:
        until(lambda: f"{self.health()}\n{self.logs()}", lambda: all(self.health().values() or [False]), timeout_s)

    def logs(self, lines: int = 40) -> str:
        texts = [
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
            for path in sorted((self.data / "logs").glob("*.log"))
        ]
        return "\n".join([*self.output, *texts])

    def findings(self) -> list[str]:
        """What `system check` finds, a line each."""
        done = self.run_command("system", "check")
        if done.returncode == 0:
            return []
        return done.stdout.splitlines()[:-1] or [f"system check: {done.returncode} {done.stderr}"]

    def wrong_at_end(self) -> list[str]:
        """As the tests leave it, and again when every container is removed."""
        if self.is_broken or self._process is None or self._process.poll() is not None:
            return []
        self.wait_healthy()
        found = self.findings()
        if ids := self.run_command("ps", "-aq").stdout.split():
            self.run_command("rm", "-f", *ids)
        return [*found, *(f"{one} (without containers)" for one in self.findings() if one not in found)]

    # Life

    def __enter__(self) -> Self:
        clean_up_crashed()
        PARENT.mkdir(mode=0o755, exist_ok=True)
        self.folder = self.folder or Path(tempfile.mkdtemp(prefix="server-", dir=PARENT))
        self.folder.chmod(0o755)
        (self.folder / "owner").write_text(f"{os.getpid()}\n")
        self.port = self.port or free_port()
        try:
            self.start()
        except BaseException as error:
            self.__exit__(type(error))
            raise
        return self

    def start(self) -> None:
        """Start script/server and wait until it says that it is ready. After `stop`, on the same data folder."""
        self.output.clear()
        self._lines = queue.Queue()
        self._process = subprocess.Popen(
            [str(self.tree / "script" / "server")], cwd="/", env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        self._wait_for("Berth is ready at")
        self._wait_for("From another computer")  # the last line of the announcement

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line.rstrip("\n"))
            self._lines.put(line)
        self._lines.put(None)

    def _wait_for(self, beginning: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.01))
            except queue.Empty:
                raise AssertionError(f"script/server did not say {beginning!r} in time:\n{self.logs()}") from None
            assert line is not None, f"script/server ended:\n{self.logs()}"
            if line.startswith(beginning):
                return

    def stop(self) -> int:
        """Ctrl-C, and wait. Containers go on. The exit status."""
        if self._process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)
        try:
            status = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._kill_all()
            status = self._process.wait()
        self._process = None
        return status

    def _kill_all(self) -> None:
        for pid in _pids_of(self.run):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def __exit__(self, error: type[BaseException] | None = None, *_: object) -> None:
        """Take everything away, and say what should not have been there; after an error, that has the word."""
        wrong: list[str] = []
        try:
            if error is None:
                wrong += self.wrong_at_end()
            self.stop()
        finally:
            self._kill_all()
            clean_up(self.data)
            if error is None:
                wrong += _left_after_all(self.data)
            if not self.keep and self.folder is not None:
                _remove_folder(self.folder)
        assert not wrong, "left or untrue at the end of a Berth:\n" + "\n".join(wrong)


def _left_after_all(data: Path) -> list[str]:
    """The kernel needs a moment for loop devices and control groups."""
    deadline = time.monotonic() + GONE_S
    while (left := _in_thread(lambda: left_of(data))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return [f"{one} (after its end)" for one in left]


def _pids_of(run: Path) -> list[int]:
    """supervisord of a run folder and everything below it, deepest first. Not the monitors of containers."""
    try:
        top = int((run / "supervisord.pid").read_text())
        if str(run) not in Path(f"/proc/{top}/cmdline").read_text():
            return []
    except (OSError, ValueError):
        return []
    found, level = [top], [top]
    while level:
        level = [child for parent in level for child in _children(parent)]
        found += level
    return found[::-1]


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return [child for child in found if "conmon" not in _name(child)]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


def clean_up(data: Path) -> None:
    """Take away everything that an engine on this data folder made outside of it: containers first, then the rest."""
    tag = tag_of(data)
    run = Path("/run") / f"berth-{tag}"
    _end_cgroup(tag)
    for point in reversed(mounts_under(data, run)):
        subprocess.run(["umount", "-l", point], capture_output=True, check=False)
    for family in ("inet", "bridge"):
        subprocess.run(["nft", "delete", "table", family, f"berth_{tag}"], capture_output=True, check=False)
    _in_thread(lambda: _delete_bridges(f"br-{tag}"))
    if run.exists() and not mounts_under(run):
        shutil.rmtree(run, ignore_errors=True)


def _in_thread(work: Callable[[], T]) -> T:
    """A browser's test has an event loop in its own thread, and netlink wants one to itself."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def _end_cgroup(tag: str) -> None:
    """Kill what runs in the engine's control groups (containers and their monitors), then remove these groups."""
    groups = groups_of(tag)
    for _ in range(50):
        pids = {pid for group in groups for file in group.rglob("cgroup.procs") for pid in _read_pids(file)}
        if not pids:
            break
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    for group in groups:
        for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            group.rmdir()


def _read_pids(file: Path) -> list[int]:
    try:
        return [int(line) for line in file.read_text().split()]
    except OSError:
        return []


def _delete_bridges(prefix: str) -> None:
    """All networks' bridges, and the routing rule of each."""
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        for path in Path("/sys/class/net").glob(f"{prefix}*"):
            netlink.link("del", index=int((path / "ifindex").read_text()))
        for family in (socket.AF_INET, socket.AF_INET6):
            for rule in list(netlink.get_rules(family=family, priority=100)):
                if str(rule.get_attr("FRA_IIFNAME")).startswith(prefix):
                    netlink.rule("del", family=family, priority=100, iifname=rule.get_attr("FRA_IIFNAME"))


def _remove_folder(folder: Path) -> None:
    assert not mounts_under(folder), f"something is still mounted under {folder}"
    subprocess.run(["chattr", "-R", "-i", str(folder)], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def clean_up_crashed() -> None:
    """Servers whose test was killed: nobody is left to stop them."""
    for folder in PARENT.glob("server-*") if PARENT.is_dir() else ():
        try:
            owner = int((folder / "owner").read_text())
        except (OSError, ValueError):
            continue
        if Path(f"/proc/{owner}").exists():
            continue
        data = folder / "data"
        tag = tag_of(data)
        for pid in _pids_of(Path("/run") / f"berth-{tag}"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        clean_up(data)
        with contextlib.suppress(AssertionError):
            _remove_folder(folder)


@contextlib.contextmanager
def running_berth(**how) -> Iterator[BerthServer]:
    with BerthServer(**how) as berth:
        yield berth
