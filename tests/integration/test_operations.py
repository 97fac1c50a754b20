"""What is done to containers that are there, on a whole Berth: Docker's words, columns and exit codes."""

from __future__ import annotations

import re
import select
import signal
import subprocess

import pytest

from tests.support.server import ROOT
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(180)]
IMAGE = "ubuntu:14.04"
COUNTING = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"
POLITE = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"


@pytest.fixture(autouse=True)
def no_container_stays(berth):
    yield
    berth.remove_all()


def refused(berth, *words: str) -> str:
    done = berth.run_command(*words)
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    return done.stderr


def test_a_running_container_is_renamed(berth):
    made = berth.start_long("--name", "before", IMAGE, "sleep", "1000")
    assert berth.ok("rename", "before", "after") == ""
    assert berth.ok("ps", "--format", "{{.Names}}") == "after\n"
    assert berth.ok("inspect", "-f", "{{.Name}} {{.Id}}", "after") == f"/after {made}\n"
    assert "No such container: before" in refused(berth, "rename", "before", "again")
    assert berth.ok("exec", "after", "echo", "in") == "in\n"


def test_a_paused_container_stands_still_and_is_known_as_such(berth):
    made = berth.start_long("--name", "count", IMAGE, "sh", "-c", COUNTING)
    berth.wait_output("count", "3\n")
    assert berth.ok("pause", "count") == "count\n"
    assert re.fullmatch(r"Up .+ \(Paused\)\n", berth.ok("ps", "--format", "{{.Status}}"))
    held = until(
        "the log stands still", lambda: (said := berth.ok("logs", "count")) == berth.ok("logs", "count") and said
    )
    assert berth.ok("logs", "count") == held
    assert "is already paused" in refused(berth, "pause", "count")
    assert f"Container {made} is paused, unpause the container before exec" in refused(berth, "exec", "count", "true")
    assert "You cannot attach to a paused container, unpause it first" in refused(berth, "attach", "count")
    assert "container is paused and must be unpaused first" in refused(berth, "rm", "count")
    assert "cannot start a paused container" in refused(berth, "start", "count")
    assert berth.ok("unpause", "count") == "count\n"
    until("it goes on", lambda: len(berth.ok("logs", "count")) > len(held))


def test_a_paused_container_is_stopped_killed_and_removed(berth):
    for name in ("stopped", "killed", "removed"):
        berth.start_long("--name", name, IMAGE, "sh", "-c", POLITE)
        berth.wait_output(name, "ready")
    assert berth.ok("pause", "stopped", "killed", "removed") == "stopped\nkilled\nremoved\n"
    assert berth.ok("stop", "stopped") == "stopped\n"
    assert berth.state("stopped")["ExitCode"] == 7
    assert berth.ok("kill", "killed") == "killed\n"
    assert berth.ok("wait", "killed") == "137\n"
    assert berth.ok("rm", "-f", "removed") == "removed\n"
    assert berth.ok("ps", "-aq", "-f", "name=removed") == ""


def test_pages_pause_and_rename(berth):
    made = berth.start_long(IMAGE, "sleep", "1000")
    with berth.browser() as client:
        assert client.post(f"/containers/{made}/pause/").status_code == 302
        assert berth.state(made)["Paused"] is True
        assert "container-unpause" not in client.get(f"/containers/{made}/").text
        assert f"/containers/{made}/unpause/" in client.get(f"/containers/{made}/").text
        assert client.post(f"/containers/{made}/unpause/").status_code == 302
        assert berth.state(made)["Paused"] is False
        assert client.post(f"/containers/{made}/rename/", data={"name": "by_page"}).status_code == 302
        assert client.post(f"/containers/{made}/rename/", data={"name": "a/b"}).status_code == 400
    assert berth.ok("ps", "--format", "{{.Names}}") == "by_page\n"


def test_prune_removes_what_does_not_run(berth):
    running = berth.start_long(IMAGE, "sleep", "1000")
    berth.run_command("run", "--name", "wrote", IMAGE, "sh", "-c", "head -c 3000 /dev/zero >/written")
    stopped = berth.ok("ps", "-aq", "--no-trunc", "-f", "name=wrote").strip()
    asked = berth.run_command("container", "prune")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "WARNING! This will remove all stopped containers." in asked.stderr
    assert berth.ok("container", "prune", "-f") == f"Deleted Containers:\n{stopped}\n\nTotal reclaimed space: 3kB\n"
    assert berth.ok("ps", "-aq", "--no-trunc") == f"{running}\n"


def test_logs_between_two_moments_across_a_rotation(berth):
    noise = "yes $(head -c 1000 /dev/zero | tr '\\0' x) | head -n 17500"
    script = f"echo first; sleep 1; echo second; {noise}; sleep 1; echo third; sleep 1000"
    container = berth.start_long(IMAGE, "sh", "-c", script)
    folder = berth.container_folder(container) / "io"
    until("a second segment", lambda: (folder / "ctr.log.1").exists() and (folder / "ctr.log").exists())
    until("its last line", lambda: berth.ok("logs", "-n", "1", container) == "third\n")
    stamped = berth.ok("logs", "-t", container).splitlines()
    lines = {line.rpartition(" ")[2]: line.partition(" ")[0] for line in stamped if "xxx" not in line}
    assert list(lines) == ["first", "second", "third"]
    assert berth.ok("logs", "--since", lines["third"], container) == "third\n"
    assert berth.ok("logs", "--since", "1h", "--until", lines["first"], container) == "first\n"
    assert berth.ok("logs", "--until", lines["first"], "-f", container) == "first\n"
    assert len(berth.ok("logs", "--since", lines["second"], container).splitlines()) == len(stamped) - 1
    assert berth.ok("logs", "--since", "-1h", container) == ""
    assert 'invalid value for "since"' in refused(berth, "logs", "--since", "soon", container)


def test_top_shows_what_runs(berth):
    made = berth.start_long("--name", "busy", "-u", "tester", IMAGE, "sleep", "1000")
    head, line = berth.ok("top", "busy").splitlines()
    assert head.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert line.split()[:2] == ["tester", str(berth.init_pid(made))]
    assert line.endswith("sleep 1000")
    berth.ok("exec", "-d", "busy", "sleep", "2000")
    said = until("both", lambda: len(found := berth.ok("top", "busy", "-eo", "uid,args").splitlines()) == 3 and found)
    assert [row.split() for row in said[1:]] == [["1000", "sleep", "1000"], ["1000", "sleep", "2000"]]
    assert "It cannot show 'label'." in refused(berth, "top", "busy", "-o", "label")
    berth.ok("kill", "busy")
    berth.ok("wait", "busy")
    assert f"Container {made} is not running" in refused(berth, "top", "busy")


@pytest.mark.parametrize("flags", [[], ["--storage-opt", "size=64m"]])
def test_diff_shows_what_a_container_changed(berth, flags):
    script = "echo 1 >/made; rm /etc/passwd; ln -s / /way; echo ready; sleep 1000"
    berth.ok("run", "-d", "--name", "wrote", *flags, IMAGE, "sh", "-c", script)
    berth.wait_output("wrote", "ready")
    wanted = "C /etc\nD /etc/passwd\nA /made\nA /way\n"
    assert berth.ok("diff", "wrote") == wanted
    berth.ok("kill", "wrote")
    berth.ok("wait", "wrote")
    assert berth.ok("diff", "wrote") == wanted
    with berth.browser() as client:
        made = berth.ok("ps", "-aq", "--no-trunc").strip()
        assert "D /etc/passwd" in client.get(f"/containers/{made}/?tab=changes").text


def test_stats_of_what_runs(berth):
    made = berth.start_long("--name", "spin", "-m", "64m", IMAGE, "sh", "-c", "while :; do :; done")
    berth.ok("create", "--name", "off", IMAGE)
    head, line = berth.ok("stats", "--no-stream").splitlines()
    assert re.split(r" {2,}", head) == [
        "CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS",
    ]  # fmt: skip
    assert re.match(rf"{made[:12]} +spin +[0-9.]+% +[0-9.]+[KM]iB / 64MiB +[0-9.]+% +\S+ / \S+ +\S+ / \S+ +1$", line)
    until("it is busy", lambda: float(berth.ok("stats", "--no-stream", "--format", "{{.CPUPerc}}")[:-2]) > 10)
    all_names = berth.ok("stats", "--no-stream", "-a", "--format", "{{.Name}}").split()
    assert sorted(all_names) == ["off", "spin"]


def test_stats_stream_until_they_are_interrupted(berth):
    berth.start_long("--name", "idle", IMAGE, "sleep", "1000")
    argv = [str(ROOT / "script/berth"), "stats", "--format", "{{.Name}} {{.PIDs}}"]
    with subprocess.Popen(argv, env=berth.environment, stdout=subprocess.PIPE, text=True) as streaming:
        assert [streaming.stdout.readline() for _ in range(3)] == ["idle 1\n"] * 3
        streaming.send_signal(signal.SIGINT)
        assert streaming.wait(30) == 130


def test_events_of_a_life(berth):
    made = berth.start_long("--name", "eventful", IMAGE, "sleep", "1000")
    berth.ok("pause", "eventful")
    berth.ok("unpause", "eventful")
    berth.ok("exec", "eventful", "true")
    berth.ok("rename", "eventful", "over")
    berth.ok("rm", "-f", "over")
    found = ["events", "--since", "5m", "--until", "0s", "-f", f"container={made}", "--format"]
    until("its last event", lambda: "destroy" in berth.ok(*found, "{{.Action}}"))
    said = berth.ok(*found, "{{.Action}}").splitlines()
    assert said == [
        "create", "start", "pause", "unpause", "exec_create: true", "exec_start: true", "exec_die", "rename", "die",
        "destroy",
    ]  # fmt: skip
    times = [int(line) for line in berth.ok(*found, "{{.TimeNano}}").split()]
    assert times == sorted(times)


def test_events_stream_as_they_happen(berth):
    argv = [str(ROOT / "script/berth"), "events", "-f", "type=container", "--format", "{{.Action}} {{.Actor.ID}}"]
    with subprocess.Popen(argv, env=berth.environment, stdout=subprocess.PIPE, text=True) as streaming:
        names = iter(f"early{number}" for number in range(1000))
        made = []

        def is_listening() -> bool:
            made.append(berth.ok("create", "--name", next(names), IMAGE).strip())
            return bool(select.select([streaming.stdout], [], [], 0.5)[0])

        until("it listens", is_listening)
        action, actor = streaming.stdout.readline().split()
        assert (action, actor in made) == ("create", True)
        streaming.send_signal(signal.SIGINT)
        assert streaming.wait(30) == 130


def test_limits_are_updated_live_and_for_the_next_start(berth):
    berth.start_long("--name", "grown", "-m", "64m", IMAGE, "sleep", "1000")
    seen = ["exec", "grown", "sh", "-c", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max"]

    def limit() -> str:
        return berth.run_command(*seen).stdout.strip()

    assert limit() == str(64 << 20)
    assert berth.ok("update", "-m", "96m", "--pids-limit", "44", "grown") == "grown\n"
    assert limit() == str(96 << 20)
    assert berth.ok("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}", "grown") == f"{96 << 20} 44\n"
    berth.ok("update", "--restart", "always", "--memory-swap", "128m", "grown")
    assert berth.ok("inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", "grown") == "always\n"
    berth.ok("update", "--restart", "no", "grown")
    berth.ok("restart", "-t", "0", "grown")
    assert limit() == str(96 << 20)
    assert "Minimum memory limit allowed" in refused(berth, "update", "-m", "1m", "grown")
    assert limit() == str(96 << 20)
