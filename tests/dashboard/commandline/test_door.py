"""The command door, word for word: what Docker prints, where it prints it, and its exit codes."""

from __future__ import annotations

import asyncio
import json

import pytest
from channels.db import database_sync_to_async

from dashboard.catalog.models import Image
from dashboard.containers.models import Container
from dashboard.jobs.models import Job
from engine.errors import CommandNotFound, RegistryUnreachable
from tests.dashboard.catalog.fakes import digest
from tests.dashboard.commandline.conftest import Door
from tests.support.waiting import WAIT_S

pytestmark = pytest.mark.django_db(transaction=True)


def only_container():
    return Container.objects.get()


async def row():
    return await database_sync_to_async(only_container)()


async def started():
    """The one container, once it runs: a command line's stream opens before that."""
    async with asyncio.timeout(WAIT_S):
        while (made := await row()).state != "running":
            await asyncio.sleep(0.01)
    return made


async def test_the_version_line(door):
    assert await door.say("-v") == 0
    assert door.out.startswith("Berth version 0.")
    assert ", build " in door.out
    await door.send(t="run", line="$ sudo docker -v")
    assert (await door.until("out"))["text"] == door.frames[-1]["text"]


async def test_pull_prints_what_docker_prints(door):
    assert await door.say("pull", "centos:7") == 0
    short = digest("gzip red")[7:19]
    assert door.frames[0] == {"t": "out", "text": "7: Pulling from library/centos\n"}
    assert door.out.splitlines()[1:] == [
        f"Digest: {digest('index red')}",
        "Status: Downloaded newer image for centos:7",
        "docker.io/library/centos:7",
    ]
    bars = [f for f in door.frames if f["t"] == "progress"]
    assert {f["id"] for f in bars} == {short}
    assert bars[-1]["status"] == "Pull complete"
    assert all(f["to"] == "out" for f in bars)


async def test_the_second_pull_says_up_to_date_without_layers(door):
    await door.say("pull", "centos:7")
    assert await door.say("pull", "centos:7") == 0
    assert door.out.splitlines() == [
        "7: Pulling from library/centos",
        f"Digest: {digest('index red')}",
        "Status: Image is up to date for centos:7",
        "docker.io/library/centos:7",
    ]
    assert not [f for f in door.frames if f["t"] == "progress"]


async def test_pull_without_a_tag_says_which_it_takes(door):
    await door.say("pull", "ubuntu")
    assert door.out.splitlines()[:2] == ["Using default tag: latest", "latest: Pulling from library/ubuntu"]
    assert door.out.splitlines()[-1] == "docker.io/library/ubuntu:latest"
    await door.say("pull", "-q", "ubuntu")
    assert door.out == "docker.io/library/ubuntu:latest\n"


async def test_a_pull_that_fails_says_why(door, registry):
    assert await door.say("pull", "ubuntu:nope") == 1
    assert door.err == "Error: manifest for ubuntu:nope not found: manifest unknown\n"
    registry.broken = {"red"}
    assert await door.say("pull", "centos:7") == 1
    assert door.err == "Error: The registry does not answer.\n"
    assert await door.say("pull", "Centos") == 1
    assert door.err.startswith("Error: invalid reference format: repository name (library/Centos) must be lowercase")


async def test_an_interrupted_pull_is_cancelled(door, registry, monkeypatch):
    monkeypatch.setattr("dashboard.catalog.handlers.WANTED_EVERY_S", 0)
    registry.resolve_real = registry.resolve
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    def during(text):
        loop.call_soon_threadsafe(began.set)

    registry.during = during
    monkeypatch.setattr("dashboard.jobs.runner.run", lambda job_id: None)
    await door.send(t="run", argv=["pull", "centos:7"])
    await asyncio.sleep(0.2)
    await door.send(t="interrupt")
    assert (await door.until("exit"))["code"] == 130
    job = await database_sync_to_async(Job.objects.get)()
    assert job.state == "cancelled"


async def test_run_pulls_first_and_opens_the_terminal(door, engine):
    await door.send(t="run", line="$ sudo docker run -i -t ubuntu:14.04", tty=True, rows=40, cols=120)
    stream = await door.until("stream")
    lines = door.err.splitlines()
    assert lines[0] == "Unable to find image 'ubuntu:14.04' locally"
    assert lines[1] == "14.04: Pulling from library/ubuntu"
    assert lines[2:] == [
        f"Digest: {digest('index base middle top')}",
        "Status: Downloaded newer image for ubuntu:14.04",
    ]
    assert {f["to"] for f in door.frames if f["t"] == "progress"} == {"err"}
    assert door.out == ""
    made = await row()
    assert stream["container"] == made.container_id
    assert stream["path"].startswith(f"/ws/terminals/{made.container_id}?mode=attach&kind=browser&from=start&stdin=1")
    assert (stream["tty"], stream["interactive"], stream["title"]) == (True, True, made.name)
    assert ("start", made.container_id, 40, 120) in engine.calls
    await asyncio.to_thread(engine.end, made.container_id, 3)
    await door.send(t="stream-ended", how="exited")
    assert (await door.until("exit"))["code"] == 3


async def test_detaching_leaves_it_running_with_code_0(door):
    await door.say("pull", "centos:7")
    await door.send(t="run", argv=["run", "-it", "centos:7"], tty=True)
    await door.until("stream")
    await door.send(t="stream-ended", how="detached")
    assert (await door.until("exit"))["code"] == 0
    assert (await row()).state == "running"
    assert await door.say("ps") == 0
    assert "Up Less than a second" in door.out or "Up " in door.out


async def test_run_in_the_background_prints_the_id(door):
    assert await door.say("run", "-d", "--name", "web", "centos:7", "sleep", "9") == 0
    made = await row()
    assert door.out == f"{made.container_id}\n"
    assert (made.name, made.state, made.command_shown) == ("web", "running", "sleep 9")


async def test_the_stream_of_a_command_line_opens_while_the_container_starts(door, queue, monkeypatch):
    await door.say("pull", "centos:7")
    run = queue.run
    monkeypatch.setattr(queue, "run", lambda: None)
    await door.send(t="run", argv=["run", "-it", "centos:7"], tty=True)
    await door.until("stream")
    assert (await row()).state == "starting"
    monkeypatch.setattr(queue, "run", run)
    await started()
    await door.send(t="stream-ended", how="detached")
    assert (await door.until("exit"))["code"] == 0


async def test_a_page_opens_no_terminal_for_a_start_that_failed(door, engine):
    await door.say("pull", "centos:7")
    engine.fails = CommandNotFound('exec: "nope": executable file not found in $PATH')
    await door.send(t="run", line="run -it --rm centos:7 nope", tty=True)
    assert (await door.until("exit"))["code"] == 127
    assert "stream" not in {frame["t"] for frame in door.frames}
    assert not await database_sync_to_async(Container.objects.exists)()


async def test_a_command_that_is_not_there_is_127(door, engine):
    await door.say("pull", "centos:7")
    engine.fails = CommandNotFound('exec: "nope": executable file not found in $PATH')
    assert await door.say("run", "centos:7", "nope") == 127
    assert door.err == "berth: exec: \"nope\": executable file not found in $PATH.\nSee 'berth run --help'.\n"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (
            ["run", "-m", "1m", "centos:7"],
            125,
            "berth: Minimum memory limit allowed is 6MB.\nSee 'berth run --help'.\n",
        ),
        (["run", "--nope", "x"], 125, "unknown flag: --nope\nSee 'berth run --help'.\n"),
        (["run"], 1, '"berth run" requires at least 1 argument.'),
        (["run", "--pull", "never", "debian"], 125, "No such image: debian:latest"),
        (["run", "debian"], 125, "manifest for debian:latest not found"),
        (["frobnicate"], 1, "berth: 'frobnicate' is not a berth command."),
        (["start", "nope"], 1, "Error: No such container: nope\n"),
        (["attach", "nope"], 1, "Error: No such container: nope\n"),
        (["logs", "nope"], 1, "Error: No such container: nope\n"),
        (["rmi", "nope"], 1, "Error: No such image: nope:latest\n"),
        (["inspect", "nope"], 1, "Error: No such object: nope\n"),
        (["kill", "-s", "NOPE", "nope"], 1, "Error: No such container: nope\n"),
        (["ps", "--format", "{{.Nope}}"], 0, ""),
        (["images", "-f", "nope=1"], 1, "Error: invalid filter 'nope'\n"),
    ],
)
async def test_mistakes_are_sentences(door, words, code, sentence):
    await door.say("pull", "centos:7")
    assert await door.say(*words) == code
    assert sentence in door.err


async def test_a_taken_name_is_125_with_dockers_sentence(door):
    await door.say("run", "-d", "--name", "web", "centos:7")
    assert await door.say("run", "-d", "--name", "web", "centos:7") == 125
    assert 'Conflict. The container name "/web" is already in use by container' in door.err


async def test_a_terminal_needs_a_terminal(door):
    await door.say("pull", "centos:7")
    assert await door.say("run", "-it", "centos:7", tty=False) == 1
    assert door.err == "the input device is not a TTY\n"


async def test_attach_replays_a_terminal_and_continues_a_pipe(door):
    await door.say("run", "-dit", "--name", "shell", "centos:7")
    await door.send(t="run", argv=["attach", "shell"], tty=True)
    assert "&from=replay&stdin=1" in (await door.until("stream"))["path"]
    await door.send(t="stream-ended", how="detached")
    await door.until("exit")
    await door.say("run", "-d", "--name", "pipe", "centos:7")
    await door.send(t="run", argv=["attach", "pipe"], tty=False)
    stream = await door.until("stream")
    assert "&from=end&stdin=0" in stream["path"]
    assert stream["sig_proxy"] is True
    await door.send(t="stream-ended", how="detached")
    await door.until("exit")


async def test_a_stopped_container_cannot_be_attached(door):
    await door.say("create", "--name", "xx", "centos:7")
    assert await door.say("attach", "xx") == 1
    assert door.err == "Error: You cannot attach to a stopped container, start it first\n"


async def test_logs_open_a_stream_of_the_log(door, data):
    await door.say("run", "-d", "--name", "xx", "centos:7")
    await door.send(t="run", argv=["logs", "-f", "--tail", "5", "-t", "xx"])
    path = (await door.until("stream"))["path"]
    assert "?mode=logs&" in path
    assert "&from=start&follow=1&tail=5&timestamps=1&stdin=0" in path
    await door.send(t="stream-ended", how="exited")
    assert (await door.until("exit"))["code"] == 0


async def test_logs_of_a_container_that_never_ran_are_empty(door):
    await door.say("create", "--name", "xx", "centos:7")
    assert await door.say("logs", "xx") == 0
    assert door.frames == [{"t": "exit", "code": 0}]


async def test_each_name_of_stop_has_its_own_outcome(door):
    for name in ("aa", "bb"):
        await door.say("run", "-d", "--name", name, "centos:7")
    assert await door.say("stop", "aa", "nope", "bb") == 1
    assert door.out == "aa\nbb\n"
    assert door.err == "Error: No such container: nope\n"
    assert await door.say("rm", "aa", "bb") == 0
    assert door.out == "aa\nbb\n"
    await door.say("ps", "-aq")
    assert door.out == ""


async def test_start_restart_kill_and_wait(door, engine):
    await door.say("create", "--name", "xx", "centos:7")
    made = await row()
    assert door.out == f"{made.container_id}\n"
    assert await door.say("start", "xx") == 0
    assert door.out == "xx\n"
    assert await door.say("restart", "-t", "1", "xx") == 0
    assert await door.say("kill", "-s", "HUP", "xx") == 0
    await door.send(t="run", argv=["wait", "xx"])
    await asyncio.sleep(0.1)
    await asyncio.to_thread(engine.end, made.container_id, 9)
    assert (await door.until("out"))["text"] == "9\n"
    await door.until("exit")
    assert await door.say("kill", "xx") == 1
    assert "is not running" in door.err


async def test_waiting_can_be_interrupted(door):
    await door.say("run", "-d", "--name", "xx", "centos:7")
    await door.send(t="run", argv=["wait", "xx"])
    await asyncio.sleep(0.1)
    await door.send(t="interrupt")
    assert (await door.until("exit"))["code"] == 130


async def test_start_attached_shows_the_new_run_only(door, engine, data):
    await door.say("create", "--name", "xx", "-i", "centos:7")
    made = await row()
    io = data / "containers" / made.container_id / "io"
    io.mkdir(parents=True)
    (io / "ctr.log").write_text("2026-11-24T00:00:00.000000000+00:00 stdout F before\n")
    await door.send(t="run", argv=["start", "-ai", "xx"], tty=True)
    stream = await door.until("stream")
    assert "&from=1.52&stdin=1" in stream["path"]
    await started()
    await asyncio.to_thread(engine.end, made.container_id, 4)
    await door.send(t="stream-ended", how="exited")
    assert (await door.until("exit"))["code"] == 4
    assert await door.say("start", "-a", "xx", "y") == 1


async def test_rm_returns_when_the_container_is_gone(door, engine):
    await door.say("pull", "centos:7")
    await door.send(t="run", argv=["run", "--rm", "centos:7", "true"])
    await door.until("stream")
    made = await started()
    await asyncio.to_thread(engine.end, made.container_id, 5)
    await asyncio.sleep(0.1)
    assert (await row()).state == "exited", "the announced stream has not read its output yet"
    await database_sync_to_async(made.streams.update)(drained=True)
    await door.send(t="stream-ended", how="exited", code=5)
    assert (await door.until("exit"))["code"] == 5
    assert not await database_sync_to_async(Container.objects.exists)()


@pytest.mark.parametrize("words", [["-it"], ["-it", "--rm"], ["-d"]])
async def test_bad_detach_keys_are_refused_before_anything_is_made(door, words):
    await door.say("pull", "centos:7")
    assert await door.say("run", *words, "--detach-keys", "foo-a", "centos:7") == 125
    assert "Unknown character: 'foo-a'. Detach keys are like ctrl-p,ctrl-q." in door.err
    await door.say("ps", "-aq")
    assert door.out == ""


async def test_bad_detach_keys_start_nothing(door):
    await door.say("pull", "centos:7")
    await door.say("create", "-it", "--name", "xx", "centos:7")
    assert await door.say("start", "-ai", "--detach-keys", "ctrl-", "xx") == 1
    assert await door.say("attach", "--detach-keys", "ctrl-", "xx") == 1
    assert (await row()).state == "created"


async def test_variables_of_the_caller_are_filled_in(door, engine):
    await door.say("run", "-d", "-e", "COLOUR", "-e", "GONE", "-e", "A=1", "centos:7", environment={"COLOUR": "blue"})
    request = engine.requests[(await row()).container_id]
    assert request.env == ("COLOUR=blue", "GONE", "A=1")


async def test_images_ps_inspect_and_rmi(door):
    await door.say("run", "-d", "--name", "xx", "ubuntu:14.04")
    await door.say("images")
    image = await database_sync_to_async(Image.objects.get)()
    title, line = door.out.splitlines()
    assert title.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert line.split()[:3] == ["ubuntu", "14.04", image.image_id[7:19]]
    assert line.endswith("3MB")
    await door.say("ps")
    assert door.out.splitlines()[1].split()[1:3] == ["ubuntu:14.04", '"/bin/bash"']
    await door.say("inspect", "xx", "ubuntu:14.04")
    container, inspected = json.loads(door.out)
    assert container["Name"] == "/xx"
    assert inspected["Id"] == image.image_id
    await door.say("inspect", "-f", "{{.State.Running}} {{.Config.Image}}", "xx")
    assert door.out == "true ubuntu:14.04\n"
    assert await door.say("rmi", "ubuntu:14.04") == 1
    assert "(xx) is using its referenced image" in door.err
    await door.say("rm", "-f", "xx")
    assert await door.say("rmi", "ubuntu:14.04") == 0
    assert door.out.splitlines()[0] == "Untagged: ubuntu:14.04"
    assert f"Deleted: {image.image_id}" in door.out


async def test_sizes_are_counted_by_the_engine(door, engine):
    await door.say("run", "-d", "--name", "xx", "ubuntu:14.04")
    await door.say("create", "--name", "uncounted", "ubuntu:14.04")
    assert await door.say("ps") == 0
    assert "SIZE" not in door.out
    engine.written = {(await database_sync_to_async(Container.objects.get)(name="xx")).container_id: 12}
    assert await door.say("ps", "-as") == 0
    assert [line.split("   ")[-1].strip() for line in door.out.splitlines()] == ["SIZE", "N/A", "12B (virtual 3MB)"]
    assert await door.say("inspect", "-s", "xx", "uncounted", "ubuntu:14.04") == 0
    shapes = json.loads(door.out)
    assert [(shape.get("SizeRw"), shape.get("SizeRootFs")) for shape in shapes] == [
        (12, 3_000_012), (None, None), (None, None)]  # fmt: skip
    assert ["SizeRw" in shape for shape in shapes] == [True, True, False]
    await door.say("inspect", "xx")
    assert "SizeRw" not in json.loads(door.out)[0]


@pytest.mark.threat("WEB-10")
async def test_info_shows_no_password_of_a_mirror(door, settings):
    settings.BERTH_MIRRORS = {"docker.io": "https://haeun:s3cret@mirror.lan"}
    for words in (["info"], ["info", "--format", "{{json .}}"], ["info", "--format", "json"]):
        await door.say(*words)
        assert "mirror.lan" in door.out
        assert "s3cret" not in door.out


async def test_info_version_and_help(door):
    await door.say("info")
    assert " Containers: 0\n" in door.out
    await door.say("version", client="Berth version 9.9.9, build abcdef0")
    assert " Version:           9.9.9" in door.out
    await door.say("version", "--format", "{{.Server.Version}}")
    assert door.out.startswith("0.")
    await door.say("help")
    assert "Usage:  berth" in door.out


async def test_one_command_at_a_time_and_frames_that_are_none(door):
    await door.say("run", "-d", "--name", "xx", "centos:7")
    await door.send(t="run", argv=["wait", "xx"])
    await asyncio.sleep(0.05)
    for frame in ({"t": "run", "argv": ["ps"]}, {"t": "nope"}, {"t": "run"}, {"t": "run", "argv": [1]}):
        await door.send(**frame)
        assert (await door.hear())["t"] == "error"
    await door.socket.send_to(text_data="no json")
    assert (await door.hear())["t"] == "error"
    await door.send(t="interrupt")
    await door.until("exit")
    await door.send(t="run", line="run 'x")
    assert "cannot be read" in (await door.hear())["text"]


async def test_a_mistake_of_ours_is_a_sentence_and_the_door_stays_open(door, monkeypatch):
    monkeypatch.setattr("dashboard.commandline.showing.render_images", lambda *a, **k: 1 / 0)
    assert await door.say("images") == 1
    assert "something in Berth itself went wrong" in door.err
    assert await door.say("ps") == 0


async def test_nobody_gets_in_without_signing_in(worker, transactional_db):
    stranger = await (await database_sync_to_async(Door)(None)).open()
    assert (await stranger.hear())["t"] == "error"
    assert await stranger.hear() == {"t": "close", "code": 4401}


def test_errors_of_the_registry_have_a_sentence():
    assert str(RegistryUnreachable("x")) == "x"


async def test_info_says_whether_user_namespaces_are_on(door, settings, tmp_path):
    settings.BERTH_RUN = tmp_path
    told = {"seccomp": True, "apparmor": False, "user_namespaces": True, "shared_ids": False}
    said = [" Security Options:", "  seccomp", "   Profile: berth", "  userns", "   Ids: shared", " Kernel Version:"]
    for shares, lines in ((False, [*said[:4], said[5]]), (True, said)):
        (tmp_path / "findings.json").write_text(json.dumps({"info": told | {"shared_ids": shares}}))
        await door.say("info")
        assert "\n".join(lines) in door.out


@pytest.mark.threat("RUN-01")
async def test_info_warns_of_a_runtime_with_known_holes(door, settings, tmp_path):
    settings.BERTH_RUN = tmp_path
    findings = [
        {"name": "runc", "level": "warning", "summary": "runc version 1.1.5", "meaning": "It has known ways out."},
        {"name": "disk", "level": "ok", "summary": "80GB free", "meaning": "Enough."},
    ]
    (tmp_path / "findings.json").write_text(json.dumps({"info": {"runc_version": "1.1.5"}, "findings": findings}))
    await door.say("info")
    assert "\n runc version: 1.1.5\n" in door.out
    assert door.err == "WARNING: runc version 1.1.5: It has known ways out.\n"
    await door.say("info", "--format", "{{len .Warnings}}")
    assert door.out == "1\n"


async def test_ports_are_published_listed_and_asked_for(door):
    assert await door.say("pull", "-q", "ubuntu:14.04") == 0
    words = ["-p", "8080:80", "-p", "0.0.0.0:5353:53/udp"]
    assert await door.say("run", "-d", "--name", "web", *words, "ubuntu:14.04") == 0
    assert await door.say("port", "web") == 0
    assert door.out == "53/udp -> 0.0.0.0:5353\n80/tcp -> 127.0.0.1:8080\n"
    assert await door.say("port", "web", "80") == 0
    assert door.out == "127.0.0.1:8080\n"
    assert await door.say("port", "web", "53/udp") == 0
    assert door.out == "0.0.0.0:5353\n"
    assert await door.say("port", "web", "81/tcp") == 1
    assert door.err == "Error: No public port '81/tcp' published for web\n"
    assert await door.say("port", "nope") == 1
    assert door.err == "Error: No such container: nope\n"
    assert await door.say("ps", "--format", "{{.Ports}}") == 0
    assert door.out == "0.0.0.0:5353->53/udp, 127.0.0.1:8080->80/tcp\n"


async def test_a_taken_port_is_dockers_sentence_and_125(door):
    assert await door.say("pull", "-q", "ubuntu:14.04") == 0
    assert await door.say("run", "-d", "-p", "8080:80", "ubuntu:14.04") == 0
    assert await door.say("run", "-d", "--name", "two", "-p", "8080:80", "ubuntu:14.04") == 125
    assert door.err.startswith("berth: driver failed programming external connectivity on endpoint two (")
    assert ": Bind for 127.0.0.1:8080 failed: port is already allocated.\n" in door.err
    assert await door.say("run", "-p", "[fe80::1%eth0]:8080:80", "ubuntu:14.04") == 125
    assert "nothing can be published on [fe80::1%eth0]" in door.err
