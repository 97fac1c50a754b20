"""However often somebody comes and goes: nothing grows, and `system check` finds nothing (F55, RUN-17, P6)."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests.integration.conftest import make_berth
from tests.support.door import Door
from tests.support.server import _children
from tests.support.waiting import until

pytestmark = [
    pytest.mark.root,
    pytest.mark.services,
    pytest.mark.fault("F55"),
    pytest.mark.threat("RUN-17"),
    pytest.mark.timeout(3600),
]
IMAGE = "ubuntu:14.04"
PROGRAMS = ("web", "engine", "images", "layers")
MIB = 1 << 20
# What a program may have more of than after its first rounds: threads of its pools come one by one, each with a
# connection to the database, and stop coming at the pool's size.
SPARE_DESCRIPTORS, SPARE_THREADS, SPARE_BYTES = 24, 12, 48 * MIB


@dataclass(frozen=True)
class Taken:
    """What a program has: of the host's, by /proc."""

    descriptors: int
    threads: int
    resident_bytes: int
    children: int


def taken(berth, program: str) -> Taken:
    pid = until(f"{program} runs", lambda: berth.pid_of(program))
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Taken(
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=int(status["Threads"]),
        resident_bytes=int(status["VmRSS"].split()[0]) * 1024,
        children=_lasting(pid),
    )


def _lasting(pid: int) -> int:
    """Children that are there each time one looks: what was called for a moment (nft, runc) is none that is left over."""
    seen = set(_children(pid))
    for _ in range(5):
        time.sleep(0.1)
        seen &= set(_children(pid))
    return len(seen)


OF_THE_PROCESS = {*Taken.__annotations__, "reconcile_ms"}


def checked(berth) -> dict:
    """What the engine has; nothing may be wrong."""
    done = berth.run_command("system", "check", "--format", "json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["findings"]) == (0, []), done.stdout
    return {name: count for name, count in said["figures"].items() if name not in OF_THE_PROCESS}


@pytest.fixture(scope="module")
def berth(registry):
    """Its own: others come and go in the shared one meanwhile."""
    with make_berth(registry) as server:
        server.ok("pull", "-q", IMAGE)
        server.ok("network", "create", "front")
        server.ok("volume", "create", "kept")
        yield server


def one_round(door: Door, number: int) -> None:
    """Somebody attaches and leaves, opens a shell and ends it, runs a command; sizes change all the while."""
    door.attach("shell", resizes=10)
    door.shell("shell", f"echo $(({number} * 2)); exit\n", resizes=5)
    assert door.run("exec", "shell", "true") == (0, "")
    if number % 5 == 0:
        assert door.run("network", "connect", "front", "shell") == (0, "")
        assert door.run("network", "disconnect", "front", "shell") == (0, "")
    if number % 10 == 0:
        assert door.run("run", "--rm", "-v", "kept:/data", "-p", "80", IMAGE, "true") == (0, "")
        assert door.run("restart", "-t", "0", "shell")[0] == 0


def rounds(berth, first: int, count: int) -> None:
    for number in range(first, first + count):
        with Door(berth) as door:  # a connection for each: those come and go, too
            one_round(door, number)


def _through(berth, *, warm: int, count: int) -> None:
    empty = checked(berth)
    berth.ok("run", "-d", "-it", "--name", "shell", "-p", "80", IMAGE, "sh")
    try:
        rounds(berth, 0, warm)
        had, before = checked(berth), {program: taken(berth, program) for program in PROGRAMS}
        began = time.monotonic()
        rounds(berth, warm, count)
        took_s = time.monotonic() - began
        after = {program: taken(berth, program) for program in PROGRAMS}
        assert checked(berth) == had
    finally:
        berth.ok("rm", "-f", "shell")
    print(f"{count} rounds in {took_s:.0f} s")
    for program in PROGRAMS:
        print(program, asdict(before[program]), "->", asdict(after[program]))
    for program in PROGRAMS:
        assert after[program].children == before[program].children
        assert after[program].descriptors <= before[program].descriptors + SPARE_DESCRIPTORS
        assert after[program].threads <= before[program].threads + SPARE_THREADS
        assert after[program].resident_bytes <= before[program].resident_bytes + SPARE_BYTES
    assert checked(berth) == empty
    berth.assert_clean()


def test_nothing_grows_in_some_rounds(berth):
    _through(berth, warm=3, count=12)


@pytest.mark.long
def test_nothing_grows_in_a_thousand_rounds(berth):
    _through(berth, warm=50, count=1000)


MANY = 100
RECONCILE_S, LIST_S = 2.0, 1.0  # F49


def rounds_ms(berth) -> list[int]:
    """What some rounds of the reconciler took, of the clock's own reckoning."""
    found = []
    for _ in range(5):
        time.sleep(2.5)
        found.append(json.loads(berth.ok("system", "check", "--format", "json"))["figures"]["reconcile_ms"])
    return found


@pytest.mark.long
@pytest.mark.fault("F49")
def test_a_hundred_containers_are_looked_after_in_time_and_leave_nothing(berth):
    """All at once, by eight connections: started, listed, looked at, removed."""
    empty = checked(berth)

    def start(number: int) -> None:
        with Door(berth) as door:
            code, said = door.run(
                "run", "-d", "--name", f"many-{number}", "--restart", "always", IMAGE, "sleep", "1000"
            )
            assert code == 0, said

    with ThreadPoolExecutor(8) as pool:
        began = time.monotonic()
        list(pool.map(start, range(MANY)))
        started_s = time.monotonic() - began
    assert berth.ok("ps", "-q").count("\n") == MANY
    with berth.browser() as person:
        began = time.monotonic()
        assert person.get("/containers/").status_code == 200
        listed_s = time.monotonic() - began
    began = time.monotonic()
    had = checked(berth)
    checked_s = time.monotonic() - began
    took_ms = rounds_ms(berth)
    began = time.monotonic()
    berth.ok("rm", "-f", *(f"many-{number}" for number in range(MANY)), timeout_s=300)
    removed_s = time.monotonic() - began
    print(f"{MANY} started in {started_s:.1f} s, removed in {removed_s:.1f} s")
    print(f"page {listed_s:.2f} s, check {checked_s:.2f} s, reconciling {took_ms} ms")
    assert (had["network_namespaces"], had["monitors"], had["interfaces"]) == (MANY, MANY, MANY)
    assert started_s < 180
    assert listed_s < LIST_S
    assert max(took_ms) < RECONCILE_S * 1000
    assert checked(berth) == empty
    berth.assert_clean()
