"""The works, by name. Each returns its line."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack

from tests.bench import many, measure, traffic
from tests.bench.bench import Bench, Side, say
from tests.bench.door import Door
from tests.bench.measure import Figure, percentile
from tests.bench.viewer import Viewer

PROMPT = b"prompt# "
CAT_BYTES = 50_000_000
CAT_LINE = "a line of text as programs write them, seventy-nine characters in all, 0123456\n"
KEYS = 500
STUCK_VIEWERS = 3
PUBLISHED = "127.0.0.1:28417:80"
NOISE = "while :; do /bin/busybox head -c 200000 /dev/zero | /bin/busybox tr '\\0' x; echo; sleep 0.05; done"
IDLE_CONTAINERS = 100
IDLE_S = 60.0
MIB = 1024 * 1024


def pull(bench: Bench) -> Figure:
    found = bench.cycles().pull
    return Figure("pull", found["ours"], found["docker"])


def disk(bench: Bench) -> Figure:
    found = bench.cycles().disk
    return Figure(
        "disk", [x / 1e6 for x in found["ours"]], [x / 1e6 for x in found["docker"]], unit="MB"
    )  # fmt: skip


def rmi(bench: Bench) -> Figure:
    found = bench.cycles().rmi
    return Figure("rmi", found["ours"], found["docker"])


def run(bench: Bench) -> Figure:
    """`run -i -t --rm IMAGE`, from exec to the shell's prompt; the image is local, everything warm after one run each."""
    return _run(bench, "run")


def run_port(bench: Bench) -> Figure:
    """As `run`, with one published port."""
    return _run(bench, "run-port", "-p", PUBLISHED)


def _run(bench: Bench, work: str, *flags: str) -> Figure:
    def once(side: Side) -> float:
        argv = side.argv("run", "-i", "-t", "--rm", *flags, bench.reference)
        return measure.seconds_to_prompt(argv, side.env, PROMPT)

    found = bench.alternated(once)
    return Figure(work, found["ours"], found["docker"])


def run_socket(bench: Bench) -> Figure:
    """As `run-port`, from the words on an open WebSocket, as a browser sends them; Docker's from its client's exec."""
    words = ("run", "-i", "-t", "--rm", "-p", PUBLISHED, bench.reference)

    def once(side: Side) -> float:
        if side is bench.ours:
            with Door(bench.berth) as door:
                return door.seconds_to_prompt(*words, prompt=PROMPT)
        return measure.seconds_to_prompt(side.argv(*words), side.env, PROMPT)

    found = bench.alternated(once)
    return Figure("run-socket", found["ours"], found["docker"])


def exec_true(bench: Bench) -> Figure:
    """`exec CONTAINER true`, from the client's exec to its exit."""
    containers = {side.name: bench.container_of(side, "sleep", "100000") for side in bench.sides}
    found = bench.alternated(
        lambda side: measure.seconds_of(side.argv("exec", containers[side.name], "true"), side.env)
    )
    for side in bench.sides:
        bench.remove_from(side, containers[side.name])
    return Figure("exec", found["ours"], found["docker"])


def echo(bench: Bench) -> Figure:
    """A key's way to the PTY of `cat` and back through the WebSocket."""
    container = bench.container("cat")
    with Viewer(bench.berth, container) as viewer:
        viewer.until_live()
        viewer.echo_seconds(50)
        times = [x * 1000 for x in viewer.echo_seconds(KEYS)]
    bench.remove(container)
    return Figure("echo", times, unit="ms", note=f"p99={percentile(times, 0.99):.2f}ms")


def cat(bench: Bench) -> Figure:
    """50 MB of lines through a terminal: bytes whose sha256 is right, per second, and the web process's highest RSS."""
    rates = []
    count = CAT_BYTES // len(CAT_LINE)
    wanted = (CAT_LINE.replace("\n", "\r\n") * count).encode()
    container = bench.container("sh")
    with Viewer(bench.berth, container, kind="cli") as viewer:
        viewer.until_live()
        make = f"/bin/busybox yes '{CAT_LINE.strip()}' | /bin/busybox head -n {count} > /tmp/file; echo ma''de\n"
        _type_and_read(viewer, make.encode(), b"made\r\n")
        for _ in range(3):
            began = time.monotonic()
            got = _type_and_read(viewer, b"cat /tmp/file; echo the-''end\n", b"the-end\r\n")
            took = time.monotonic() - began
            start = got.find(wanted[:78])
            is_same = hashlib.sha256(got[start : start + len(wanted)]).digest() == hashlib.sha256(wanted).digest()
            if not is_same:
                raise RuntimeError("the bytes that came are not the file's")
            rates.append(len(wanted) / took / 1e6)
    peak = measure.peak_rss_bytes(bench.berth.pid_of("web"))
    bench.remove(container)
    return Figure("cat", rates, unit="MB/s", note=f"web_peak_rss={peak / MIB:.0f}MiB")


def _type_and_read(viewer: Viewer, line: bytes, last: bytes) -> bytes:
    viewer.type(line)
    got = bytearray()
    while not (got.endswith(last) or last in got[-1000:]):
        got += viewer.read(60)
    return bytes(got)


def stuck(bench: Bench) -> Figure:
    """p99 of echo beside a container that prints 4 MB/s: with viewers of it that read nothing, over without them."""
    quiet, noisy = bench.container("cat"), bench.container("sh", "-c", NOISE)
    with ExitStack() as stack:
        viewer = stack.enter_context(Viewer(bench.berth, quiet))
        viewer.until_live()
        viewer.echo_seconds(50)
        without = [x * 1000 for x in viewer.echo_seconds(KEYS)]
        for _ in range(STUCK_VIEWERS):
            stack.enter_context(Viewer(bench.berth, noisy, start="start", queue=1))
        time.sleep(2)
        beside = [x * 1000 for x in viewer.echo_seconds(KEYS)]
    bench.remove(quiet, noisy)
    ratio = percentile(beside, 0.99) / percentile(without, 0.99)
    note = (
        f"p99={percentile(beside, 0.99):.2f}ms p99_without={percentile(without, 0.99):.2f}ms "
        f"p50_without={statistics.median(without):.2f}ms p99_ratio={ratio:.2f}"
    )
    return Figure("stuck", beside, unit="ms", note=note)


def idle(bench: Bench) -> Figure:
    """Memory (PSS) of Berth's processes with 100 idle containers, less without, each; their monitors apart."""
    bench.with_image(bench.ours)
    containers: list[str] = []
    bench.settle(IDLE_S)
    before = many.own_pss(bench)
    say(f"Berth without containers: {before / MIB:.0f} MiB; starting {IDLE_CONTAINERS}")
    for _ in range(IDLE_CONTAINERS):
        containers.append(bench.container("sleep", "100000", words=("-m", "64m")))
    bench.settle(IDLE_S)
    after = many.own_pss(bench)
    monitors = [measure.pss_bytes(pid) for pid in many.monitors(bench)]
    bench.remove(*containers)
    each = (after - before) / IDLE_CONTAINERS / 1e6
    note = f"berth={before / 1e6:.0f}..{after / 1e6:.0f}MB monitor_each={statistics.median(monitors) / 1e6:.2f}MB"
    return Figure("idle", [each], unit="MB", note=note)


WORKS: dict[str, Callable[[Bench], Figure]] = {
    "pull": pull, "disk": disk, "rmi": rmi, "run": run, "run-port": run_port, "run-socket": run_socket, "exec": exec_true,
    "echo": echo, "cat": cat, "stuck": stuck, "idle": idle, "hundred": many.hundred, "stats": many.stats,
    "memory": many.memory, "between": traffic.between, "published": traffic.published,
}  # fmt: skip
