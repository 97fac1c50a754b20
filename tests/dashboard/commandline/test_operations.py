"""rename, pause, unpause and container prune through the command door."""

from __future__ import annotations

import asyncio
import os
import re
from urllib.parse import parse_qsl

import pytest
from channels.db import database_sync_to_async

from dashboard import gateway
from dashboard.containers import figures
from dashboard.containers import services as containers
from dashboard.containers.models import Container

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def running(door, pulled):
    await database_sync_to_async(pulled)("ubuntu:14.04")
    assert await door.say("run", "-d", "-t", "--name", "calm_tern", "ubuntu:14.04") == 0, door.err
    return door.out.strip()


async def test_a_container_is_renamed_without_a_word(door, running):
    assert await door.say("rename", "calm_tern", "bold_cod") == 0
    assert door.out == door.err == ""
    assert await door.say("container", "rename", running[:8], "calm_tern") == 0
    assert await door.say("ps", "--format", "{{.Names}}") == 0
    assert door.out == "calm_tern\n"
    assert await door.say("rename", "calm_tern", "calm_tern") == 1
    assert door.err == "Error: Renaming a container with the same name as its current name\n"
    assert await door.say("rename", "calm_tern") == 1
    assert '"berth rename" requires exactly 2 arguments.' in door.err


async def test_pause_and_unpause_print_the_names(door, running):
    assert await door.say("pause", "calm_tern") == 0, door.err
    assert door.out == "calm_tern\n"
    assert await door.say("ps", "--format", "{{.Status}} {{.State}}") == 0
    assert re.fullmatch(r"Up .+ \(Paused\) paused\n", door.out)
    assert await door.say("ps", "-q", "-f", "status=paused") == 0
    assert door.out == f"{running[:12]}\n"
    assert (
        await door.say("info", "--format", "{{.ContainersRunning}} {{.ContainersPaused}} {{.ContainersStopped}}") == 0
    )
    assert door.out == "0 1 0\n"
    assert await door.say("exec", "calm_tern", "true") == 1
    assert door.err == f"Error: Container {running} is paused, unpause the container before exec\n"
    assert await door.say("attach", "calm_tern") == 1
    assert door.err == "Error: You cannot attach to a paused container, unpause it first\n"
    assert await door.say("unpause", "calm_tern", "nobody") == 1
    assert (door.out, door.err) == ("calm_tern\n", "Error: No such container: nobody\n")


async def test_prune_warns_and_with_force_removes_what_does_not_run(door, running, engine):
    assert await door.say("create", "ubuntu:14.04") == 0
    stopped = door.out.strip()
    engine.written[stopped] = 12_000
    assert await door.say("container", "prune") == 1
    assert door.err.startswith("WARNING! This will remove all stopped containers.\n")
    assert await door.say("container", "prune", "-f", "--filter", "until=2h") == 0
    assert door.out == "Total reclaimed space: 0B\n"
    assert await door.say("container", "prune", "-f") == 0
    assert door.out == f"Deleted Containers:\n{stopped}\n\nTotal reclaimed space: 12kB\n"
    names = await database_sync_to_async(lambda: list(Container.objects.values_list("name", flat=True)))()
    assert names == ["calm_tern"]
    assert await door.say("container", "prune", "-f", "--filter", "size=1") == 1
    assert door.err == "Error: invalid filter 'size'\n"


async def test_prune_is_a_word_of_the_group_only(door):
    assert await door.say("prune") != 0
    assert await door.say("container", "prune", "--help") == 0
    assert door.out.startswith("Usage:  berth container prune [OPTIONS]\n\nRemove all stopped containers\n")
    assert await door.say("pause", "--help") == 0
    assert "Pause all processes within one or more containers" in door.out


async def test_moments_of_logs_become_part_of_the_streams_address(door, running):
    words = ("logs", "--since", "1700000000", "--until", "2030-01-01T00:00:00Z", "-n", "3", "-t", "calm_tern")
    await door.send(t="run", argv=list(words))
    query = dict(parse_qsl((await door.until("stream"))["path"].partition("?")[2]))
    assert query["since"] == "1700000000000000000"
    assert query["until"] == "1893456000000000000"
    assert (query["tail"], query["timestamps"], query["follow"]) == ("3", "1", "0")
    await door.send(t="stream-ended", how="exited")
    assert (await door.until("exit"))["code"] == 0
    assert await door.say("logs", "--since", "yesterday", "calm_tern") == 1
    assert door.err == ('Error: invalid value for "since": failed to parse value as time or duration: "yesterday"\n')


async def test_top_shows_the_processes_of_a_running_container(door, running):
    assert await door.say("top", "calm_tern") == 0, door.err
    head, line = door.out.splitlines()
    assert head.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert line.split()[:2] == ["root", str(os.getpid())]
    assert await door.say("container", "top", "calm_tern", "-eo", "pid,user") == 0
    assert door.out.split() == ["PID", "USER", str(os.getpid()), "root"]
    assert await door.say("top", "calm_tern", "--forest") == 1
    assert "It cannot show '--forest'." in door.err
    assert await door.say("kill", "calm_tern") == 0
    assert await door.say("top", "calm_tern") == 1
    assert door.err == f"Error: Container {running} is not running\n"


async def test_diff_shows_what_has_changed(door, running):
    assert await door.say("diff", "calm_tern") == 0, door.err
    assert door.out == "C /etc\nA /etc/new\n"
    assert await door.say("create", "--name", "fresh", "ubuntu:14.04") == 0
    assert await door.say("container", "diff", "fresh") == 0
    assert door.out == ""


@pytest.fixture
def told(monkeypatch):
    """What the engine worker has told of containers, by id."""
    found = {}
    monkeypatch.setattr(figures, "newest", lambda: found)
    return found


def _taken(cpu: float) -> gateway.Figures:
    return gateway.Figures(
        cpu_percent=cpu, memory_bytes=1 << 20, memory_limit_bytes=1 << 30, processes=1, read_bytes=0, written_bytes=0
    )


async def test_stats_once_of_what_runs_and_of_all(door, running, told):
    told[running] = _taken(1.5)
    assert await door.say("create", "--name", "stopped", "ubuntu:14.04") == 0
    assert await door.say("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.MemUsage}}") == 0
    assert door.out == "calm_tern 1.50% 1MiB / 1GiB\n"
    assert await door.say("stats", "--no-stream", "-a", "--format", "{{.Name}} {{.PIDs}}") == 0
    assert sorted(door.out.splitlines()) == ["calm_tern 1", "stopped 0"]
    assert await door.say("container", "stats", "--no-stream", "stopped", "--format", "{{.Name}}") == 0
    assert door.out == "stopped\n"
    assert await door.say("stats", "--no-stream", "nobody") == 1
    assert door.err == "Error: No such container: nobody\n"


async def test_stats_wait_a_moment_for_a_container_that_nobody_has_looked_at(door, running, told):
    async def soon():
        await asyncio.sleep(0.3)
        told[running] = _taken(2)

    later = asyncio.create_task(soon())
    assert await door.say("stats", "--no-stream", "--format", "{{.CPUPerc}}") == 0
    assert door.out == "2.00%\n"
    await later


async def test_a_stream_of_stats_is_a_screen_that_ends_at_ctrl_c(door, running, told):
    told[running] = _taken(1)
    await door.send(t="run", argv=["stats"])
    first = await door.until("screen")
    assert first["text"].startswith("CONTAINER ID")
    told[running] = _taken(3)
    assert "3.00%" in (await door.until("screen"))["text"]
    await door.send(t="interrupt")
    while (frame := await door.hear())["t"] == "screen":
        pass
    assert frame == {"t": "exit", "code": 130}


async def test_events_that_have_happened_are_told_and_it_ends(door, running):
    assert await door.say("events", "--since", "1h", "--until", "0s", "--format", "{{.Type}} {{.Action}}") == 0
    assert door.out.splitlines() == ["image pull", "container create", "container start"]
    assert await door.say("events", "--since", "1h", "--until", "0s", "-f", "event=start") == 0
    assert re.fullmatch(rf"\d{{4}}-.+ container start {running} \(image=ubuntu:14.04, name=calm_tern\)\n", door.out)
    assert await door.say("events", "-f", "planet=mars") == 1
    assert door.err == "Error: invalid filter 'planet'\n"
    assert await door.say("events", "--until", "soon") == 1
    assert 'invalid value for "until"' in door.err


async def test_events_are_told_as_they_happen_until_ctrl_c(door, running, user):
    await door.send(t="run", argv=["events", "--format", "{{.Action}}"])
    await asyncio.sleep(0.3)  # it has begun: only what happens from then on is told
    row = await database_sync_to_async(Container.objects.get)()
    await database_sync_to_async(containers.rename)(row, user, "bold_cod")
    assert (await door.until("out"))["text"] == "rename\n"
    await door.send(t="interrupt")
    assert (await door.until("exit"))["code"] == 130


async def test_update_changes_limits_and_prints_the_names(door, running):
    assert await door.say("update", "-m", "64m", "--cpus", "0.5", "--pids-limit", "99", "calm_tern") == 0, door.err
    assert door.out == "calm_tern\n"
    shown = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}"
    assert await door.say("inspect", "-f", shown, "calm_tern") == 0
    assert door.out == f"{64 << 20} 500000000 99\n"
    more = ("--memory-swap", "96m", "-c", "512", "--cpuset-cpus", "0", "--restart", "on-failure:3")
    assert await door.say("update", *more, "calm_tern") == 0, door.err
    shown = "{{.HostConfig.MemorySwap}} {{.HostConfig.CpuShares}} {{.HostConfig.RestartPolicy.Name}}"
    assert await door.say("inspect", "-f", shown, "calm_tern") == 0
    assert door.out == f"{96 << 20} 512 on-failure\n"
    assert await door.say("container", "update", "calm_tern") == 1
    assert "you must provide one or more flags when using this command" in door.err
    assert await door.say("update", "-m", "1k", "calm_tern") == 1
    assert door.err == "Error: Minimum memory limit allowed is 6MB\n"
    assert await door.say("update", "--blkio-weight", "100", "calm_tern") == 125
    assert "does not take --blkio-weight: this kernel" in door.err
