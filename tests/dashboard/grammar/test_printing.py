"""Tables, templates, and the lines of `images` and `ps`."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.grammar import UsageError, parse, requests
from dashboard.grammar.listing import ContainerLine, ImageLine, render_containers, render_images, wants_sizes
from dashboard.grammar.template import Template

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
UBUNTU = ImageLine(
    repository="ubuntu",
    tag="14.04",
    digest="sha256:" + "b" * 64,
    image_id="sha256:" + "a" * 64,
    built_at=NOW - timedelta(days=21),
    size_bytes=187_900_000,
)
SHELL = ContainerLine(
    container_id="c" * 64,
    name="happy_pike",
    image="ubuntu:14.04",
    command="/bin/sh -c 'apt-get update'",
    state="running",
    created_at=NOW - timedelta(minutes=4),
    started_at=NOW - timedelta(minutes=3),
    finished_at=None,
    exit_code=None,
    image_bytes=187_900_000,
)


def test_images_have_dockers_columns():
    assert render_images(requests.Images(), [UBUNTU], now=NOW).split("\n") == [
        "REPOSITORY   TAG       IMAGE ID       CREATED       SIZE",
        "ubuntu       14.04     aaaaaaaaaaaa   3 weeks ago   188MB",
    ]


def test_images_without_rows_print_the_titles():
    assert render_images(requests.Images(), [], now=NOW) == "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE"


def test_images_show_digests_and_whole_ids():
    text = render_images(requests.Images(digests=True, no_trunc=True), [UBUNTU], now=NOW)
    assert text.split("\n")[0].split() == ["REPOSITORY", "TAG", "DIGEST", "IMAGE", "ID", "CREATED", "SIZE"]
    assert UBUNTU.digest in text
    assert UBUNTU.image_id in text


def test_quiet_prints_ids_only():
    assert render_images(requests.Images(quiet=True), [UBUNTU], now=NOW) == "a" * 12
    assert render_containers(requests.Ps(quiet=True), [SHELL], now=NOW) == "c" * 12


def test_sizes_stand_in_a_column_of_their_own_and_are_never_made_up():
    counted = replace(SHELL, image_bytes=187_900_000, written_bytes=12)
    lines = render_containers(requests.Ps(size=True), [counted, SHELL], now=NOW).split("\n")
    assert [line.split("   ")[-1].strip() for line in lines] == ["SIZE", "12B (virtual 188MB)", "N/A"]
    assert render_containers(requests.Ps(format="{{.Size}}"), [counted], now=NOW) == "12B (virtual 188MB)"
    assert json.loads(render_containers(requests.Ps(format="json"), [SHELL], now=NOW))["Size"] == "N/A"


@pytest.mark.parametrize(
    ("words", "counts"),
    [("-s", True), ("-as", True), ("--format {{.Size}}", True), ("-q --format {{.Size}}", True), ("-qs", False),
     ("--format json", False), ("--format {{.Names}}", False), ("-s --format json", True)],
)  # fmt: skip
def test_what_is_not_shown_is_not_counted(words, counts):
    assert wants_sizes(parse(["ps", *words.split()])) is counts


def test_ps_has_dockers_columns():
    lines = render_containers(requests.Ps(), [SHELL], now=NOW).split("\n")
    assert lines == [
        "CONTAINER ID   IMAGE          COMMAND                  CREATED         STATUS         PORTS     NAMES",
        'cccccccccccc   ubuntu:14.04   "/bin/sh -c \'apt-get…"   4 minutes ago   Up 3 minutes             happy_pike',
    ]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"state": "created", "started_at": None}, "Created"),
        (
            {"state": "exited", "exit_code": 137, "finished_at": NOW - timedelta(seconds=5)},
            "Exited (137) 5 seconds ago",
        ),
        (
            {"state": "exited", "exit_code": None, "finished_at": NOW - timedelta(seconds=5)},
            "Exited (unknown) 5 seconds ago",
        ),
        ({"state": "removing"}, "Removal In Progress"),
        ({"state": "dead"}, "Dead"),
    ],
)
def test_status_words(changes, status):
    text = render_containers(requests.Ps(format="{{.Status}}"), [replace(SHELL, **changes)], now=NOW)
    assert text == status


def test_formats_of_a_table():
    text = render_images(requests.Images(format="table {{.Repository}}\\t{{.Size}}"), [UBUNTU], now=NOW)
    assert text == "REPOSITORY   SIZE\nubuntu       188MB"
    assert render_images(requests.Images(format="{{.Repository}}:{{.Tag}}"), [UBUNTU], now=NOW) == "ubuntu:14.04"
    assert json.loads(render_images(requests.Images(format="json"), [UBUNTU], now=NOW))["Tag"] == "14.04"
    assert json.loads(render_images(requests.Images(format="{{json .}}"), [UBUNTU], now=NOW))["ID"] == "a" * 12


DATA = {"State": {"Running": True, "Pid": 7}, "Env": ["A=1", "B=2"], "Labels": {"x": "1"}, "None": None, "Empty": []}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.State.Running}} {{.State.Pid}}", "true 7"),
        ("{{json .Env}}", '["A=1","B=2"]'),
        ("{{.Env | json}}", '["A=1","B=2"]'),
        ('{{join .Env ","}}', "A=1,B=2"),
        ("{{range .Env}}{{println .}}{{end}}", "A=1\nB=2\n"),
        ("{{range .Empty}}x{{else}}none{{end}}", "none"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{if eq .State.Pid 7}}seven{{end}}", "seven"),
        ("{{with .State}}{{.Pid}}{{end}}", "7"),
        ('{{index .Labels "x"}}', "1"),
        ("{{index .Env 1}}", "B=2"),
        ("{{len .Env}}", "2"),
        ('{{upper "a"}}{{lower `B`}}', "Ab"),
        ("{{.Labels}} {{.None}} {{.Env}}", "map[x:1] <no value> [A=1 B=2]"),
        ("{{(index .Env 0) | upper}}", "A=1"),
        ("a {{- .State.Pid -}} b", "a7b"),
        ("plain", "plain"),
    ],
)
def test_templates(template, text):
    assert Template(template).render(DATA) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{.Nope}}",
        "{{",
        "{{nope}}",
        "{{end}}",
        "{{if .Env}}",
        "{{}}",
        "{{index .Env 9}}",
        "{{json}}",
        "{{.Env 1}}",
        "{{(len .Env}}",
        '{{"\\q"}}',
        "{{range .State.Pid}}{{end}}",
    ],
)
def test_bad_templates_are_sentences(template):
    with pytest.raises(UsageError):
        Template(template).render(DATA)


@pytest.mark.threat("WEB-14")
@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text",
    [
        "{{" + " " * 15_000,
        "{{" * 8_000,
        "{{- " * 4_000,
        "{{ " + "(" * 5_000 + "}}",
        "{{" + "print " * 2_000 + "(" * 100 + "}}",
        '{{with "0123456789"}}' + '{{range split "0123456789abcdef" ""}}' * 15 + "x" + "{{end}}" * 16,
        '{{with "0123456789"}}' + "{{with print . . . . . . . .}}" * 15 + "{{.}}" + "{{end}}" * 16,
        "{{or}}",
        "x" * 20_000,
    ],
)
def test_a_template_that_would_cost_too_much_is_refused_at_once(text):
    began = time.thread_time()
    with pytest.raises(UsageError, match="template parsing error"):
        Template(text).render(DATA)
    assert time.thread_time() - began < 3


def test_padding_takes_no_memory_of_the_server():
    assert len(Template('{{pad "" 3000000000 0}}').render(DATA)) == 1000
