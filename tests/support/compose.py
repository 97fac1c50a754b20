"""docker-compose.dev.yml without a compose program: read as the spec says, and each service started by `docker run`.

Debian 12 has no `docker compose`, and its docker-compose 1.29 does not know `cgroup`. Only the keys that the file uses are
known here; any other is an error, so that the file cannot say something that was not tried.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.bench.docker import DockerEngine
from tests.support.server import ROOT

FILE = ROOT / "docker-compose.dev.yml"
HEALTH_S = 90.0
UNUSED = {"build", "depends_on", "stop_grace_period"}  # what `docker run` does not take; looked at elsewhere


def read(values: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file with `${NAME:-default}` filled in."""
    given = os.environ if values is None else values
    text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: given.get(found[1]) or found[2], FILE.read_text())
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def run_words(project: str, service: str, wanted: Mapping[str, Any]) -> list[str]:
    """The words of `docker` that start a service as the file wants it."""
    words = ["run", "--detach", f"--name={project}-{service}"]
    for key, value in wanted.items():
        if key in UNUSED or key in {"image", "command"}:
            continue
        if key == "environment":
            words += [f"--env={name}={text}" for name, text in value.items()]
        elif key == "volumes":
            words += [f"--mount={_mount(project, volume)}" for volume in value]
        elif key == "healthcheck":
            words += ["--health-cmd=" + " ".join(_quoted(word) for word in value["test"][1:])]
            words += [f"--health-interval={value['interval']}", f"--health-retries={value['retries']}"]
        elif key in LISTS:
            words += [f"--{LISTS[key]}={item}" for item in value]
        elif key == "init":
            words += [f"--{key}"] if value else []
        else:
            words.append(f"--{PLAIN[key]}={value}")
    return [*words, wanted["image"], *wanted.get("command", [])]


LISTS = {"cap_add": "cap-add", "security_opt": "security-opt", "device_cgroup_rules": "device-cgroup-rule"}
PLAIN = {
    "network_mode": "network",
    "pid": "pid",
    "cgroup": "cgroupns",
    "restart": "restart",
    "stop_signal": "stop-signal",
}


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def _mount(project: str, volume: Mapping[str, Any]) -> str:
    source = volume["source"] if volume["type"] == "bind" else f"{project}-{volume['source']}"
    words = [f"type={volume['type']}", f"source={source}", f"target={volume['target']}"]
    if propagation := volume.get("bind", {}).get("propagation"):
        words.append(f"bind-propagation={propagation}")
    return ",".join(words)


class Project:
    """The services of the file on a Docker Engine, in the order of their dependencies."""

    def __init__(self, docker: DockerEngine, values: Mapping[str, str], *, name: str = "berth-dev") -> None:
        self.docker = docker
        self.name = name
        self.document = read(values)

    def up(self) -> None:
        services = self.document["services"]
        started: set[str] = set()
        while len(started) < len(services):
            ready = [
                name
                for name, wanted in services.items()
                if name not in started and set(wanted.get("depends_on", ())) <= started
            ]
            for name in ready:
                for other in services[name].get("depends_on", {}):
                    self.wait_healthy(other)
                self._start(name)
            started |= set(ready)

    def wait_healthy(self, service: str) -> None:
        deadline = time.monotonic() + HEALTH_S
        while self.inspect(service, "{{.State.Health.Status}}") != "healthy":
            assert time.monotonic() < deadline, self.logs(service)
            time.sleep(0.3)

    def inspect(self, service: str, template: str) -> str:
        return self.docker.run("inspect", "--format", template, f"{self.name}-{service}").stdout.strip()

    def logs(self, *services: str) -> str:
        texts = []
        for service in services or self.document["services"]:
            done = self.docker.run("logs", "--tail=60", f"{self.name}-{service}", check=False)
            texts.append(f"--- {service}\n{done.stdout}{done.stderr}")
        return "\n".join(texts)

    def restart(self, *services: str) -> None:
        self.docker.run("restart", *(f"{self.name}-{service}" for service in services))

    def replace(self, service: str) -> None:
        """What `up --build` does to a service whose image is new: another container in the place of the old one."""
        self.docker.run("stop", "--time=30", f"{self.name}-{service}")
        self.docker.run("rm", f"{self.name}-{service}")
        self._start(service)

    def _start(self, service: str) -> None:
        done = self.docker.run(*run_words(self.name, service, self.document["services"][service]), check=False)
        if done.returncode:
            raise RuntimeError(f"{service}: {done.stderr}")


def build(docker: DockerEngine, tag: str, context: Path, *, arguments: Sequence[str] = ()) -> None:
    words = [f"--build-arg={argument}" for argument in arguments]
    done = docker.run("build", "--network=host", f"--tag={tag}", *words, str(context), check=False)
    if done.returncode:
        raise RuntimeError(f"docker build of {tag} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
