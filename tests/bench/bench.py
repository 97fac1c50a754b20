"""What all works share: the image in a registry, Berth by script/server, Docker Engine; made when first needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

from tests.bench import measure
from tests.bench.docker import DockerEngine
from tests.bench.image import push_big_image
from tests.support.registry import Registry
from tests.support.server import ROOT, BerthServer

VOLUME_BYTES = 16 * 10**9  # sparse
BLOBS = "data/docker/registry/v2/blobs"


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Side:
    """One of the two engines: its client's words, environment, and the folder that holds all its data."""

    name: str
    client: tuple[str, ...]
    env: dict[str, str] = field(repr=False)
    data: Path

    def argv(self, *words: str) -> list[str]:
        return [*self.client, *words]


@dataclass
class Cycles:
    """Pull, disk, rmi, again and again: the values of each, by the side's name."""

    pull: dict[str, list[float]] = field(default_factory=dict)
    disk: dict[str, list[float]] = field(default_factory=dict)
    rmi: dict[str, list[float]] = field(default_factory=dict)


class Bench:
    """`share` below 1 makes the image smaller: for trying the bench, not for figures."""

    def __init__(self, *, rounds: int, share: float = 1.0) -> None:
        self.rounds = rounds
        self._share = share
        self._stack = ExitStack()
        self._cycles: Cycles | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def registry(self) -> Registry:
        """With the image in it. BERTH_BENCH_CACHE keeps the registry's files for the next bench."""
        cache = os.environ.get("BERTH_BENCH_CACHE", "")
        folder = Path(cache) / f"registry-{self._share:g}" if cache else Path(tempfile.mkdtemp(prefix="berth-bench-"))
        done = folder / "done"
        registry = Registry(folder=folder)
        folder.mkdir(parents=True, exist_ok=True)
        registry.resume()
        self._stack.callback(registry.pause if cache else registry.__exit__)
        if not done.exists():
            say("building the image from this machine's files")
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                made = push_big_image(registry.host, Path(scratch), share=self._share)
            done.write_text(f"{made}\n")
        say(f"the image: {done.read_text().strip()}")
        return registry

    @cached_property
    def reference(self) -> str:
        return f"{self.registry.host}/bench/big:1"

    @cached_property
    def berth(self) -> BerthServer:
        settings = {"BERTH_PLAIN_HTTP": self.registry.host}
        folder = self._stack.enter_context(volume("ours")) / "server"
        folder.mkdir()
        say("starting Berth")
        return self._stack.enter_context(BerthServer(settings=settings, folder=folder))

    @cached_property
    def docker(self) -> DockerEngine:
        folder = self._stack.enter_context(volume("docker")) / "engine"
        folder.mkdir()
        say("starting Docker Engine")
        return self._stack.enter_context(DockerEngine(folder))

    @cached_property
    def ours(self) -> Side:
        return Side("ours", (str(ROOT / "script" / "berth"),), self.berth.environment, self.berth.data)

    @cached_property
    def theirs(self) -> Side:
        return Side("docker", ("/usr/bin/docker",), self.docker.environment, self.docker.data)

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.ours, self.theirs

    def cycles(self) -> Cycles:
        """Alternating; the registry's files in the page cache, nothing left to write when a clock starts."""
        if self._cycles is None:
            found = Cycles({"ours": [], "docker": []}, {"ours": [], "docker": []}, {"ours": [], "docker": []})
            for side in self.sides:
                self._remove(side)
            for number in range(self.rounds):
                for side in self.sides if number % 2 == 0 else self.sides[::-1]:
                    self._cycle(side, found)
            self._cycles = found
        return self._cycles

    def _cycle(self, side: Side, found: Cycles) -> None:
        measure.warm(self.registry.folder / BLOBS)
        before = measure.disk_bytes(side.data)
        pull = measure.seconds_of(side.argv("pull", "-q", self.reference), side.env)
        os.sync()
        used = measure.disk_bytes(side.data) - before
        rmi = measure.seconds_until_free(side.argv("rmi", self.reference), side.env, side.data, used)
        found.pull[side.name].append(pull)
        found.disk[side.name].append(used)
        found.rmi[side.name].append(rmi)
        say(f"{side.name}: pull {pull:.2f} s, disk {used / 1e6:.0f} MB, rmi {rmi:.3f} s")

    def _remove(self, side: Side) -> None:
        subprocess.run(side.argv("rmi", "-f", self.reference), env=side.env, capture_output=True, check=False)

    def with_image(self, side: Side) -> None:
        inspected = (
            side.argv("image", "inspect", self.reference) if side.name == "docker" else side.argv("images", "-q")
        )
        done = subprocess.run(inspected, env=side.env, capture_output=True, text=True, check=False)
        if done.returncode or not done.stdout.strip():
            measure.seconds_of(side.argv("pull", "-q", self.reference), side.env)

    def alternated(self, once: Callable[[Side], float]) -> dict[str, list[float]]:
        """Seconds of both sides in turn, at least seven of each after a round that does not count; the image is local."""
        found: dict[str, list[float]] = {"ours": [], "docker": []}
        for side in self.sides:
            self.with_image(side)
        self.settle()
        for number in range(max(7, self.rounds) + 1):
            for side in self.sides if number % 2 == 0 else self.sides[::-1]:
                took = once(side)
                if number:
                    found[side.name].append(took)
                time.sleep(0.3)
        return found

    def container(self, *command: str, words: tuple[str, ...] = ("-i", "-t")) -> str:
        """Start one of ours in the background; its id."""
        return self.container_of(self.ours, *command, words=words)

    def container_of(self, side: Side, *command: str, words: tuple[str, ...] = (), image: str = "") -> str:
        """Start one in the background; its id."""
        if not image:
            self.with_image(side)
        return run_command(side, "run", "-d", *words, image or self.reference, *command).strip()

    def remove(self, *containers: str) -> None:
        self.remove_from(self.ours, *containers)

    def remove_from(self, side: Side, *containers: str) -> None:
        for start in range(0, len(containers), 20):
            run_command(side, "rm", "-f", *containers[start : start + 20])

    def settle(self, seconds: float = 2) -> None:
        os.sync()
        time.sleep(seconds)


def run_command(side: Side, *words: str) -> str:
    """What the side's client prints.

    Raises:
        RuntimeError: it ended with another code than 0.
    """
    done = subprocess.run(side.argv(*words), env=side.env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{side.name}: {' '.join(words)[:200]}: {done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def volume(name: str) -> Iterator[Path]:
    """An ext4 file system of its own for one side, on a loop device: what others write does not disturb its statvfs."""
    with tempfile.TemporaryDirectory(prefix=f"berth-bench-{name}-", dir="/var/lib") as parent:
        file, point = Path(parent, "disk"), Path(parent, "mounted")
        Path(parent).chmod(0o755)
        point.mkdir()
        with file.open("wb") as disk:
            disk.truncate(VOLUME_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(file)], check=True)
        subprocess.run(["mount", "-o", "loop", str(file), str(point)], check=True)
        try:
            yield point
        finally:
            subprocess.run(["umount", str(point)], check=False)


def free_space_needed(folder: str, wanted_bytes: int) -> None:
    if shutil.disk_usage(folder).free < wanted_bytes:
        raise SystemExit(f"bench: {folder} needs {wanted_bytes // 10**9} GB of free space")
