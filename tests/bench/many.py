"""Works with a hundred containers: started together, read together, and what memory they take."""

from __future__ import annotations

import statistics
import subprocess
import time
from pathlib import Path

from engine.stats import Sampler
from tests.bench import measure
from tests.bench.bench import Bench, Side, run_command, say
from tests.bench.measure import Figure

HUNDRED = 100
AT_ONCE = 10  # clients: ten people, each starts ten containers one after the other
STATS_ROUNDS = 20
SETTLE_S = 60.0
MIB = 1024 * 1024
NOT_OURS = frozenset({"sleep", "sh", "cat", "busybox"})
DOCKER_PARTS = ("dockerd", "containerd", "containerd-shim", "docker-proxy")


def hundred(bench: Bench) -> Figure:
    """100 × `run -d`, ten clients at a time, then one `rm -f` of all: from the first exec to the last exit, both added."""
    starting: dict[str, list[float]] = {"ours": [], "docker": []}
    removing: dict[str, list[float]] = {"ours": [], "docker": []}
    for side in bench.sides:
        bench.with_image(side)
    for number in range(min(3, bench.rounds)):
        for side in bench.sides if number % 2 == 0 else bench.sides[::-1]:
            bench.settle(5)
            began = time.monotonic()
            containers = _start_together(bench, side)
            started = time.monotonic()
            run_command(side, "rm", "-f", *containers)
            removing[side.name].append(time.monotonic() - started)
            starting[side.name].append(started - began)
    both = {name: [a + b for a, b in zip(starting[name], removing[name], strict=True)] for name in starting}
    parts = " ".join(
        f"{name}_start={statistics.median(starting[name]):.2f}s {name}_remove={statistics.median(removing[name]):.2f}s"
        for name in starting
    )
    return Figure("hundred", both["ours"], both["docker"], note=parts)


def _start_together(bench: Bench, side: Side) -> list[str]:
    """Ids.

    Raises:
        RuntimeError: one of the clients failed.
    """
    script = f'for i in $(seq {HUNDRED // AT_ONCE}); do "$@" || exit 1; done'
    argv = ["sh", "-c", script, "sh", *side.argv("run", "-d", bench.reference, "sleep", "100000")]
    clients = [subprocess.Popen(argv, env=side.env, stdout=subprocess.PIPE, text=True) for _ in range(AT_ONCE)]
    said = [client.communicate()[0] for client in clients]
    if any(client.returncode for client in clients):
        raise RuntimeError(f"{side.name}: a client that starts containers failed")
    return [line for text in said for line in text.split()]


def stats(bench: Bench) -> Figure:
    """One reading of 100 containers by the engine's own sampler, in milliseconds; no rival does the same."""
    containers = _start_together(bench, bench.ours)
    groups = [f"berth-{bench.berth.tag}/{container}" for container in containers]
    sampler = Sampler()
    sampler.sample(groups)  # opens the files, as the engine does once
    times = []
    for _ in range(STATS_ROUNDS):
        time.sleep(0.2)
        began = time.monotonic()
        found = sampler.sample(groups)
        times.append((time.monotonic() - began) * 1000)
        if len(found) != HUNDRED:
            raise RuntimeError(f"only {len(found)} of {HUNDRED} groups could be read")
    sampler.close()
    bench.remove(*containers)
    return Figure("stats", times, unit="ms")


def memory(bench: Bench) -> Figure:
    """PSS of all of an engine's own processes with 100 idle containers, monitors or shims among them."""
    found: dict[str, list[float]] = {}
    for side in bench.sides:
        bench.with_image(side)
        containers = _start_together(bench, side)
        bench.settle(SETTLE_S)
        parts = _ours(bench) if side is bench.ours else _dockers(bench)
        say(f"{side.name}: " + ", ".join(f"{name} {size / MIB:.0f} MiB" for name, size in parts.items()))
        found[side.name] = [sum(parts.values()) / 1e6]
        bench.remove_from(side, *containers)
    return Figure("memory", found["ours"], found["docker"], unit="MB")


def _ours(bench: Bench) -> dict[str, int]:
    return {"Berth": own_pss(bench), "monitors": sum(measure.pss_bytes(pid) for pid in monitors(bench))}


def _dockers(bench: Bench) -> dict[str, int]:
    """Everything that holds the rival's folder in its words, and what its daemon started."""
    root = str(bench.docker.root)
    pids = set(measure.processes_below(bench.docker.pid))
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and root in _words(folder):
            pids.add(int(folder.name))
    sizes: dict[str, int] = {}
    for pid in pids:
        name = measure.command_name(pid)
        if part := next((part for part in reversed(DOCKER_PARTS) if name.startswith(part[:15])), ""):
            sizes[part] = sizes.get(part, 0) + measure.pss_bytes(pid)
    return sizes


def _words(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_text()
    except OSError:
        return ""


def own_pss(bench: Bench) -> int:
    top = int((bench.berth.run / "supervisord.pid").read_text())
    pids = [pid for pid in measure.processes_below(top) if "conmon" not in measure.command_name(pid)]
    return sum(measure.pss_bytes(pid) for pid in pids if measure.command_name(pid) not in NOT_OURS)


def monitors(bench: Bench) -> list[int]:
    return measure.processes_named("conmon", str(bench.berth.data))
