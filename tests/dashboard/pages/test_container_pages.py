from __future__ import annotations

import json
import re
from html import unescape

import pytest
from django.utils import timezone

from dashboard import gateway
from dashboard.containers import figures
from dashboard.containers.forms import RunForm
from dashboard.containers.models import Container, ContainerState, PublishedPort
from dashboard.jobs.models import Job, JobState

RUN = {"image": "ubuntu:14.04", "interactive": "on", "tty": "on"}


def test_containers_are_listed_with_their_states(page, world):
    body = page.get("/containers/").content.decode()
    assert "Exited (137)" in body
    assert f'data-open-terminal="{world.running.container_id}"' in body


@pytest.mark.parametrize(
    ("query", "shown", "hidden"),
    [("state=running", "calm_fulton", "brave_lovelace"), ("q=lovelace", "brave_lovelace", "calm_fulton")],
)
def test_the_filter_is_the_address(page, world, query, shown, hidden):
    body = page.get(f"/containers/?{query}").content.decode()
    assert shown in body
    assert hidden not in body


@pytest.mark.parametrize(
    ("asked", "address"),
    [
        ("/containers/?part=found&q=calm 1&state=running", "/containers/?q=calm+1&state=running"),
        ("/containers/?part=found&q=", "/containers/"),
        ("/catalog/?part=found&q=한", "/catalog/?q=%ED%95%9C"),
        ("/volumes/?part=found&q=data&state=unused", "/volumes/?q=data&state=unused"),
    ],
)
def test_what_is_typed_in_a_filter_becomes_the_address(page, world, asked, address):
    assert page.get(asked, headers={"HX-Request": "true"})["HX-Replace-Url"] == address
    assert "HX-Replace-Url" not in page.get(asked.replace("found", "rows"), headers={"HX-Request": "true"})


@pytest.mark.parametrize("other", ["containers/?state=running", "volumes/?state=unused"])
def test_the_other_states_keep_what_is_typed(page, world, other):
    place = other.partition("?")[0]
    body = page.get(f"/{place}?part=found&q=calm", headers={"HX-Request": "true"}).content.decode()
    assert f'href="/{other}&amp;q=calm"' in body
    assert 'hx-swap-oob="true"' in body


def test_lists_that_are_empty_say_what_helps(page, world):
    assert "No container matches" in page.get("/containers/?q=zzz").content.decode()
    Container.objects.all().delete()
    assert 'data-run="docker run -i -t ubuntu:14.04"' in page.get("/containers/").content.decode()


def test_limits_are_those_in_force_in_dockers_units(page, world):
    world.running.options |= {"memory_bytes": 512 << 20, "pids_limit": -1}
    world.running.save()
    assert _facts(page, world) == ["512MiB", "1.5", "no limit", "512 (default)"]
    world.running.options |= {"storage_bytes": 10 << 30}
    world.running.save()
    assert _facts(page, world)[2] == "10GiB"


def _facts(page, world) -> list[str]:
    body = page.get(f"/containers/{world.running.container_id}/").content.decode()
    return [re.sub(r"<[^>]*>", "", found) for found in re.findall(r"<dd>(.*?)</dd>", body)][-4:]


@pytest.mark.parametrize(
    ("tab", "part"),
    [
        ("overview", "docker run -i -t --cpus 1.5 ubuntu:14.04"),
        ("logs", 'data-mode="logs"'),
        ("inspect", "&quot;Id&quot;"),
        ("nonsense", "--cpus"),
    ],
)
def test_a_container_has_a_page_with_tabs_in_the_address(page, world, tab, part):
    assert part in page.get(f"/containers/{world.running.container_id}/?tab={tab}").content.decode()


@pytest.mark.parametrize("name", ["f" * 64, "calm_fulton", "x"])
def test_an_unknown_container_is_a_page_that_says_so(page, world, name):
    answer = page.get(f"/containers/{name}/")
    assert answer.status_code == 404
    assert b"Traceback" not in answer.content


@pytest.mark.parametrize("action", ["start", "stop", "kill", "restart", "remove"])
def test_actions_are_posts(page, world, action):
    assert page.get(f"/containers/{world.running.container_id}/{action}/").status_code == 405
    assert page.post(f"/containers/{'f' * 64}/{action}/").status_code == 404


@pytest.mark.parametrize(
    ("action", "kind"), [("stop", "stop_container"), ("kill", "kill_container"), ("restart", "restart_container")]
)
def test_a_running_container_can_be_acted_on(page, world, messages, at_once, action, kind):
    answer = page.post(f"/containers/{world.running.container_id}/{action}/", headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert Job.objects.get().kind == kind


def test_start_answers_a_terminal_in_json(page, world, messages, at_once):
    answer = page.post(
        f"/containers/{world.exited.container_id}/start/",
        {"rows": "40", "cols": "120"},
        headers={"Accept": "application/json"},
    )
    assert answer.json() == {"ok": True}
    assert Job.objects.get().params["rows"] == 40


def test_an_action_that_failed_says_why(page, world, messages, at_once):
    at_once.update(state=JobState.FAILED, error="the disk is full")
    answer = page.post(f"/containers/{world.exited.container_id}/start/", headers={"Accept": "application/json"})
    assert answer.status_code == 409
    assert answer.json() == {"error": "the disk is full"}


def test_removing_from_its_own_page_leads_to_the_list(page, world, messages, at_once):
    answer = page.post(
        f"/containers/{world.exited.container_id}/remove/", {"leave": "1"}, headers={"HX-Request": "true"}
    )
    assert json.loads(answer["HX-Location"])["path"] == "/containers/"


def test_a_running_container_is_not_removed(page, world, messages, at_once):
    answer = page.post(f"/containers/{world.running.container_id}/remove/", headers={"HX-Request": "true"})
    assert answer.status_code == 409
    assert "calm_fulton" in json.loads(answer["HX-Trigger"])["toast"]["message"] or "running" in answer["HX-Trigger"]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, "docker run -i -t ubuntu:14.04"),
        ({"command": "sh -c 'echo hi'"}, "docker run -i -t ubuntu:14.04 sh -c 'echo hi'"),
        (
            {"name": "web", "memory": "512m", "cpus": "1.5", "pids": "64"},
            "docker run -i -t --name web -m 512m --cpus 1.5 --pids-limit 64 ubuntu:14.04",
        ),
        ({"env_name": ["A", ""], "env_value": ["1", "lost"]}, "docker run -i -t -e A=1 ubuntu:14.04"),
        (
            {"labels": "tier=web 'who=a b' bare", "read_only": "on"},
            "docker run -i -t --read-only -l tier=web -l 'who=a b' -l bare= ubuntu:14.04",
        ),
        ({"memory": "much"}, "docker run -i -t ubuntu:14.04"),
        ({"image": ""}, "docker run -i -t IMAGE"),
    ],
)
def test_the_line_under_the_form_says_the_same(page, world, fields, line):
    answer = page.post("/containers/run/line/", {**RUN, **fields}, headers={"HX-Request": "true"})
    assert line in unescape(answer.content.decode())


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"memory": "much"}, "A number and a unit"),
        ({"name": "-x"}, "Letters, digits"),
        ({"pids": "0"}, "At least 1."),
        ({"labels": "=x"}, "Labels are written as name=value"),
        ({"pids": "some"}, "A whole number, for example 256."),
        ({"hostname": "h" * 300}, "At most 253 characters."),
        ({"image": ""}, ""),
    ],
)
def test_what_the_line_leaves_out_is_said_at_its_field(page, world, fields, sentence):
    body = page.post("/containers/run/line/", {**RUN, **fields}, headers={"HX-Request": "true"}).content.decode()
    name = next(iter(fields))
    said = re.search(rf'<div id="id_{name}-error"[^>]*hx-swap-oob="true">(.*?)</div>', body, re.S)
    assert sentence in said[1]
    assert body.count("errorlist") == bool(sentence)  # nothing is said of a field that is empty


def test_a_container_that_could_not_be_started_stays_and_the_form_says_so(page, world, messages, at_once):
    at_once.update(state=JobState.FAILED, error='exec: "nope": executable file not found in $PATH')
    answer = page.post("/containers/run/", {**RUN, "name": "fresh"}, headers={"HX-Request": "true"})
    body = unescape(answer.content.decode())
    made = Container.objects.get(name="fresh")
    assert answer.status_code == 409
    assert "executable file not found" in body
    assert "The container fresh was created and stays." in body
    assert f'href="/containers/{made.container_id}/"' in body
    assert "Nothing was created." not in body
    body = page.post("/containers/run/", {**RUN, "auto_remove": "on"}).content.decode()
    assert "is removed again (--rm)" in body


def test_the_form_runs_a_container_and_opens_its_terminal(page, world, messages, at_once):
    answer = page.post("/containers/run/", {**RUN, "name": "fresh"}, headers={"HX-Request": "true"})
    made = Container.objects.get(name="fresh")
    assert json.loads(answer["HX-Location"])["path"] == f"/containers/{made.container_id}/"
    assert json.loads(answer["HX-Trigger"])["open-terminal"]["terminal"] == made.container_id
    assert made.tty
    assert made.open_stdin


def test_an_image_that_is_not_here_is_pulled_and_run_by_the_command_door(page, world, messages):
    answer = page.post("/containers/run/", {**RUN, "image": "node:22"}, headers={"HX-Request": "true"})
    assert json.loads(answer["HX-Trigger"])["run-command"]["line"] == "docker run -i -t node:22"
    assert not Container.objects.filter(image_reference="node:22").exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"image": ""},
        {"name": "-x"},
        {"memory": "much"},
        {"cpus": "many"},
        {"pids": "0"},
        {"command": "'open"},
        {"name": "calm_fulton"},
        {"image": "UPPER"},
    ],
)
def test_a_form_that_cannot_be_run_says_what_is_wrong_and_creates_nothing(page, world, messages, fields):
    before = Container.objects.count()
    answer = page.post("/containers/run/", {**RUN, **fields})
    assert answer.status_code in {400, 409, 422}
    assert Container.objects.count() == before


def test_the_form_is_filled_from_the_catalogs_run_button(page, world):
    body = page.get("/containers/run/?image=centos:7").content.decode()
    assert 'value="centos:7"' in body
    assert "docker run -i -t centos:7" in body


def test_no_terminal_means_detached(db):
    form = RunForm({"image": "x"})
    assert form.is_valid()
    assert form.options().detach


def test_terminals_lists_running_shells_only(page, world):
    body = page.get("/terminals/").content.decode()
    assert "calm_fulton" in body
    assert "brave_lovelace" not in body


def test_a_container_that_is_stopping_can_be_killed_and_its_shell_be_seen(page, world):
    Container.objects.filter(pk=world.running.pk).update(state=ContainerState.STOPPING)
    for address in ("/containers/", f"/containers/{world.running.container_id}/", "/"):
        body = page.get(address).content.decode()
        assert f'hx-post="/containers/{world.running.container_id}/kill/"' in body, address
        assert f'data-open-terminal="{world.running.container_id}"' in body, address
        assert f"/containers/{world.running.container_id}/stop/" not in body, address
    assert "calm_fulton" in page.get("/terminals/").content.decode()


def test_a_terminal_has_a_page_of_its_own(page, world):
    body = page.get(f"/terminals/{world.running.container_id}/").content.decode()
    assert f'data-terminal="{world.running.container_id}"' in body
    assert page.get(f"/terminals/{'f' * 64}/").status_code == 404


@pytest.mark.parametrize("state", [state for state in ContainerState.values if state != ContainerState.TRASHED])
def test_every_state_has_a_word_and_an_icon(page, world, state):
    Container.objects.filter(pk=world.exited.pk).update(state=state)
    body = page.get("/containers/?part=rows").content.decode()
    assert f'class="state state-{state}"><svg' in body


@pytest.fixture
def publishing(world):
    for address, port, container_port, protocol in (
        ("0.0.0.0", 8080, 80, "tcp"),
        ("127.0.0.1", 9443, 443, "tcp"),
        ("0.0.0.0", 53, 53, "udp"),
    ):
        world.running.ports.create(
            address=address, port=port, container_port=container_port, protocol=protocol, first=port, last=port
        )


@pytest.mark.parametrize("where", ["list", "page", "head"])
def test_published_ports_are_links_to_where_the_page_was_found(page, world, publishing, settings, where):
    own = f"/containers/{world.running.container_id}/"
    path = {"list": "/containers/?part=rows", "page": own, "head": f"{own}?part=head"}[where]
    settings.ALLOWED_HOSTS = ["berth.example", "127.0.0.1"]
    body = page.get(path, headers={"Host": "berth.example:8000"}).content.decode()
    assert 'href="http://berth.example:8080/"' in body
    assert "0.0.0.0:8080-&gt;80/tcp" in body
    assert "0.0.0.0:53-&gt;53/udp" in body
    assert "127.0.0.1:9443-&gt;443/tcp" in body
    assert "https://127.0.0.1:9443/" not in body
    assert 'href="https://127.0.0.1:9443/"' in page.get(path, headers={"Host": "127.0.0.1:8000"}).content.decode()


def test_a_long_list_of_ports_is_written_as_ps_writes_it(page, world):
    for number in range(8000, 8010):
        world.running.ports.create(
            address="0.0.0.0", port=number, container_port=number, protocol="tcp", first=number, last=number
        )
    assert "0.0.0.0:8000-8009-&gt;8000-8009/tcp" in page.get("/containers/?part=rows").content.decode()


def test_a_stopped_container_shows_no_ports(page, world, publishing):
    Container.objects.filter(pk=world.running.pk).update(state=ContainerState.EXITED)
    body = page.get("/containers/?part=rows").content.decode()
    assert "8080-&gt;80" not in body
    assert 'data-label="Ports"></td>' in body  # really empty: a phone shows no line for it


def test_the_list_asks_the_database_as_often_for_many_containers(
    page, world, publishing, django_assert_max_num_queries
):
    page.get("/containers/")  # where somebody is signed in is written down once a minute
    with django_assert_max_num_queries(13):
        page.get("/containers/?part=rows")


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"publish": "8080:80"}, "docker run -i -t -p 8080:80 ubuntu:14.04"),
        (
            {"publish": " 127.0.0.1:8080:80/tcp  53:53/udp ", "publish_all": "on"},
            "docker run -i -t -P -p 127.0.0.1:8080:80 -p 53:53/udp ubuntu:14.04",
        ),
        ({"publish": "nope"}, "docker run -i -t ubuntu:14.04"),
    ],
)
def test_ports_of_the_form_stand_in_the_line(page, world, fields, line):
    answer = page.post("/containers/run/line/", {**RUN, **fields}, headers={"HX-Request": "true"})
    assert line in unescape(answer.content.decode())


def test_a_port_that_cannot_be_read_is_told_at_its_field(page, world, messages):
    before = Container.objects.count()
    answer = page.post("/containers/run/", {**RUN, "publish": "8080:80 x:80"})
    assert answer.status_code == 422
    assert "invalid hostPort: x. Ports are written as 8080:80" in answer.content.decode()
    assert Container.objects.count() == before


@pytest.mark.parametrize(
    ("publish", "said"), [("x:80", "호스트 포트가 올바르지 않습니다: x."), ("80/sctp", "sctp 포트는")]
)
def test_a_port_that_cannot_be_read_is_told_in_the_readers_language(page, world, publish, said):
    answer = page.post(
        "/containers/run/line/", {**RUN, "publish": publish}, headers={"HX-Request": "true", "Accept-Language": "ko"}
    )
    assert said in answer.content.decode()


def test_why_a_container_could_not_be_started_stands_in_words_above_dockers_line(page, world, messages, at_once):
    PublishedPort.objects.create(
        container=world.running,
        protocol="tcp",
        address="127.0.0.1",
        port=8080,
        container_port=80,
        first=8080,
        last=8080,
    )
    answer = page.post("/containers/run/", {**RUN, "publish": "8080:80"}, headers={"HX-Request": "true"})
    body = answer.content.decode()
    assert answer.status_code == 409
    assert body.index("A port of the host is taken already.") < body.index("port is already allocated")
    refused = page.post("/containers/run/", {**RUN, "workdir": "not/absolute"})
    assert "This could not be done." not in refused.content.decode(), "says nothing that the sentence does not say"


def test_a_paused_container_offers_to_go_on(page, world):
    Container.objects.filter(pk=world.running.pk).update(state=ContainerState.PAUSED)
    address = f"/containers/{world.running.container_id}/"
    body = page.get(address).content.decode()
    assert f'hx-post="{address}unpause/"' in body
    assert f'hx-post="{address}pause/"' not in body
    assert "data-open-shell" not in body
    assert "state-paused" in body
    assert world.running.name in page.get("/containers/?state=running").content.decode()


def test_a_container_is_renamed_on_its_page(page, world):
    address = f"/containers/{world.running.container_id}/"
    assert f'action="{address}rename/"' in page.get(address).content.decode()
    answer = page.post(f"{address}rename/", {"name": "bold_cod"}, headers={"HX-Request": "true"})
    assert "bold_cod" in json.loads(answer["HX-Trigger"])["toast"]["message"]
    assert page.post(f"{address}rename/", {"name": "a/b"}).status_code == 400
    assert page.post(f"{address}rename/", {"name": world.exited.name}).status_code == 409
    world.running.refresh_from_db()
    assert world.running.name == "bold_cod"


def test_processes_and_changed_files_are_looked_at_when_they_are_asked_for(page, world, at_once):
    line = {
        "pid": 4321, "parent": 1, "group": 1, "session": 1, "uid": 0, "user": "root", "name": "sh", "command": "sh <b>",
        "state": "S", "terminal": "?", "is_foreground": False, "nice": 0, "threads": 1, "started_at": 0, "cpu_s": 0,
        "virtual_bytes": 0, "resident_bytes": 0,
    }  # fmt: skip
    at_once["result"] = {"processes": [line], "changes": [["A", "/new<b>"], ["C", "/etc"]]}
    address = f"/containers/{world.running.container_id}/"
    body = page.get(f"{address}?tab=processes").content.decode()
    assert "sh &lt;b&gt;" in body
    assert "4321" in body
    body = page.get(f"{address}?tab=changes").content.decode()
    assert "A /new&lt;b&gt;\nC /etc" in body
    assert list(Job.objects.order_by("pk").values_list("kind", flat=True)) == ["list_processes", "list_changes"]
    assert "has no processes" in page.get(f"/containers/{world.exited.container_id}/?tab=processes").content.decode()
    at_once |= {"state": JobState.FAILED, "error": "The work was cancelled."}
    assert "The work was cancelled." in page.get(f"{address}?tab=changes").content.decode()


def test_what_containers_take_is_shown_and_refreshed(page, world, monkeypatch):
    taken = gateway.Figures(
        cpu_percent=12.34, memory_bytes=5 << 20, memory_limit_bytes=64 << 20, processes=42, read_bytes=1000,
        written_bytes=2000, received_bytes=3000, sent_bytes=4000,
    )  # fmt: skip
    monkeypatch.setattr(figures, "newest", lambda: {world.running.container_id: taken})
    body = page.get("/containers/").content.decode()
    assert "12.3 %" in body
    assert "5MiB" in body
    assert 'hx-get="/containers/?part=figures"' in body
    fresh = page.get("/containers/?part=figures", headers={"HX-Request": "true"}).content.decode()
    assert f'id="taken-{world.running.short_id}" class="taken" hx-swap-oob="true"' in fresh
    address = f"/containers/{world.running.container_id}/"
    assert f'hx-get="{address}?part=now"' in page.get(address).content.decode()
    now = page.get(f"{address}?part=now", headers={"HX-Request": "true"}).content.decode()
    assert 'id="now" class="facts" hx-swap-oob="true"' in now
    for said in ("42", "64MiB", "3kB received, 4kB sent", "1kB read, 2kB written"):
        assert said in now
    assert page.get(f"/containers/{'0' * 64}/?part=now").status_code == 286
    assert "part=now" not in page.get(f"/containers/{world.exited.container_id}/").content.decode()


def test_limits_are_changed_on_the_page(page, world, at_once):
    address = f"/containers/{world.running.container_id}/"
    body = page.get(address).content.decode()
    assert f'action="{address}update/"' in body
    assert re.search(r'name="cpus" value="1.5"', body)
    answer = page.post(f"{address}update/", {"memory": "64m", "cpus": "", "pids": "99"}, headers={"HX-Request": "true"})
    assert world.running.name in json.loads(answer["HX-Trigger"])["toast"]["message"]
    wanted = {"memory_bytes": 64 << 20, "nano_cpus": None, "pids_limit": 99}
    assert Job.objects.get(kind="update_container").params["changes"] == wanted
    assert page.post(f"{address}update/", {"memory": "much"}).status_code == 400
    assert page.post(f"{address}update/", {"memory": "1k"}).status_code == 400


def test_the_overview_of_a_container_comes_anew_when_something_happens_to_it(page, world):
    own = f"/containers/{world.running.container_id}/"
    again = f'hx-get="{own}?part=overview" hx-trigger="live:container.{world.running.container_id} from:body"'
    assert again in page.get(own).content.decode()
    ended = {"state": ContainerState.EXITED, "exit_code": 7, "finished_at": timezone.now()}
    Container.objects.filter(pk=world.running.pk).update(name="calm_tern", **ended)
    part = page.get(f"{own}?part=overview").content.decode()
    assert part.startswith('<div id="container-overview"')
    assert 'value="calm_tern"' in part
    assert "exit code 7" in part
    assert "part=now" not in part
