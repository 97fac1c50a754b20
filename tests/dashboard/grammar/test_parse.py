"""Words to requests: flags, arguments, pasted lines, and Docker's messages for mistakes."""

from __future__ import annotations

import re

import pytest

from dashboard.grammar import ContainerOptions, ExecOptions, UsageError, parse, requests, split_line
from dashboard.grammar.operations import BY_NAME
from dashboard.grammar.parse import VERBS

PRIMER = {
    "$ sudo docker -v": requests.VersionLine(),
    "$ docker --version": requests.VersionLine(),
    "$ sudo docker run -i -t ubuntu:14.04": requests.Run(
        options=ContainerOptions(image="ubuntu:14.04", interactive=True, tty=True)
    ),
    "docker pull centos:7": requests.Pull(reference="centos:7"),
    "$ sudo docker images": requests.Images(),
    "berth ps -a": requests.Ps(all=True),
    "images": requests.Images(),
}


@pytest.mark.parametrize("line", PRIMER)
def test_lines_of_the_primer_are_read_as_printed(line):
    assert parse(split_line(line)) == PRIMER[line]


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("run -it x", {"interactive": True, "tty": True}),
        ("run -itd x", {"interactive": True, "tty": True, "detach": True}),
        ("run -i=false -t=true x", {"tty": True}),
        ("run --rm --name=web x", {"auto_remove": True, "name": "web"}),
        ("run -e A=1 --env B= -e C x", {"env": ("A=1", "B=", "C")}),
        ("run -m512m x", {"memory_bytes": 512 * 2**20}),
        ("run -m=1.5g x", {"memory_bytes": 3 * 2**29}),
        ("run --memory 100MiB x", {"memory_bytes": 100 * 2**20}),
        ("run --cpus .5 x", {"nano_cpus": 500_000_000}),
        ("run -tw /srv x", {"tty": True, "workdir": "/srv"}),
        ("run -h box -u 1000:100 x", {"hostname": "box", "user": "1000:100"}),
        ('run --entrypoint "" x', {"entrypoint": ""}),
        ("run --pids-limit 7 --platform linux/arm64 x", {"pids_limit": 7, "platform": "linux/arm64"}),
    ],
)
def test_flags_of_run_become_options(line, options):
    assert parse(split_line(line)).options == ContainerOptions(image="x", **options)


def test_help_tells_that_there_always_is_a_limit():
    text = parse(["run", "--help"]).text
    assert re.search(r"--pids-limit int +.*\(0 or -1: the server's default", text)


def test_flags_after_the_image_belong_to_the_program():
    options = parse(split_line("run -t x sh -c 'echo -n; exit 3' --name y")).options
    assert options.command == ("sh", "-c", "echo -n; exit 3", "--name", "y")
    assert options.name == ""


def test_two_dashes_end_the_flags():
    assert parse(["rm", "-f", "--", "-odd"]) == requests.Remove(names=("-odd",), force=True)


def test_other_commands_take_flags_anywhere():
    assert parse(["stop", "a", "-t", "3", "b"]) == requests.Stop(names=("a", "b"), timeout_s=3)


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("container ls -a", requests.Ps(all=True)),
        ("container rm -f a", requests.Remove(names=("a",), force=True)),
        ("image ls -q", requests.Images(quiet=True)),
        ("image rm a", requests.RemoveImages(names=("a",))),
        ("image pull a", requests.Pull(reference="a")),
        ("image inspect a", requests.Inspect(names=("a",), type="image")),
        ("inspect --type container a", requests.Inspect(names=("a",), type="container")),
        ("logs --tail 5 -f a", requests.Logs(name="a", tail=5, follow=True)),
        ("logs -n all a", requests.Logs(name="a")),
        ("kill -s TERM a", requests.Kill(names=("a",), signal="TERM")),
        ("start -ai a", requests.Start(names=("a",), attach=True, interactive=True)),
        ("ps -f status=exited -f name=x", requests.Ps(filters=(("status", "exited"), ("name", "x")))),
        ("ps -l", requests.Ps(last=1)),
        ("wait a b", requests.Wait(names=("a", "b"))),
        ("attach --no-stdin a", requests.Attach(name="a", no_stdin=True)),
        (
            "exec -it -e A=1 -e B -u app:staff -w /srv --detach-keys ctrl-x a bash -c 'x y' -d",
            requests.Exec(
                name="a",
                options=ExecOptions(
                    command=("bash", "-c", "x y", "-d"),
                    env=("A=1", "B"),
                    user="app:staff",
                    workdir="/srv",
                    interactive=True,
                    tty=True,
                ),
                detach_keys="ctrl-x",
            ),
        ),
        ("container exec -d -i a b", requests.Exec(name="a", options=ExecOptions(command=("b",)), detach=True)),
        ("create --name n a b", requests.Create(options=ContainerOptions(image="a", name="n", command=("b",)))),
    ],
)
def test_every_command_has_its_request(line, request_):
    assert parse(split_line(line)) == request_


@pytest.mark.parametrize(
    ("line", "message", "code"),
    [
        ("run", "\"berth run\" requires at least 1 argument.\nSee 'berth run --help'.", 1),
        ("pull", '"berth pull" requires exactly 1 argument.', 1),
        ("pull a b", '"berth pull" requires exactly 1 argument.', 1),
        ("exec", '"berth exec" requires at least 2 arguments.', 1),
        ("exec -it a", '"berth exec" requires at least 2 arguments.', 1),
        ("exec --privileged a b", "does not take --privileged: a command has the rights of its container", 125),
        ("ps x", '"berth ps" accepts no arguments.', 1),
        ("images a b", '"berth images" requires at most 1 argument.', 1),
        ("run --nope x", "unknown flag: --nope\nSee 'berth run --help'.", 125),
        ("run -iZ x", "unknown shorthand flag: 'Z' in -iZ", 125),
        ("run --name", "flag needs an argument: --name", 125),
        ("run -ie", "flag needs an argument: 'e' in -ie", 125),
        ("run -m 5q x", 'invalid argument "5q" for "-m, --memory" flag: invalid size: \'5q\'', 125),
        ("run --cpus many x", "failed to parse many as a rational number", 125),
        ("run --cpus 0.0000000001 x", "value is too precise", 125),
        ("run -e =x y", "invalid environment variable: =x", 125),
        ("run -i=maybe x", 'strconv.ParseBool: parsing "maybe": invalid syntax', 125),
        ("stop -t soon a", 'strconv.ParseInt: parsing "soon": invalid syntax', 125),
        ("run --gpus all x", "does not take --gpus: name the devices", 125),
        ("frobnicate", "berth: 'frobnicate' is not a berth command.\nSee 'berth --help'", 1),
        ("image frobnicate", "'image frobnicate' is not a berth command", 1),
        ("--nope", "unknown flag: --nope", 125),
        ("help nope", "'nope' is not a berth command", 1),
        ("ps -f broken", "bad format of filter", 125),
    ],
)
def test_mistakes_get_dockers_words_and_exit_code(line, message, code):
    with pytest.raises(UsageError) as caught:
        parse(split_line(line))
    assert message in caught.value.message
    assert caught.value.exit_code == code


@pytest.mark.parametrize("line", ["", "--help", "-h", "help", "docker", "$ docker help"])
def test_help_lists_the_commands(line):
    text = parse(split_line(line)).text
    assert "Usage:  berth [OPTIONS] COMMAND" in text
    assert all(f"\n  {name} " in text for name in ("run", "pull", "rmi", "wait", "container"))


@pytest.mark.parametrize("line", ["run --help", "help run", "container run --help", "run -i --help x"])
def test_help_of_a_command_lists_its_flags(line):
    text = parse(split_line(line)).text
    assert "[OPTIONS] IMAGE [COMMAND] [ARG...]" in text
    assert "  -e, --env list" in text
    assert "gpus" not in text


@pytest.mark.parametrize("line", ["network", "network --help", "help network"])
def test_help_of_a_group_tells_what_each_command_does_once(line):
    lines = parse(split_line(line)).text.splitlines()
    assert "  connect     Connect a container to a network" in lines
    assert [found.split()[0] for found in lines if found.startswith("  ")] == [
        *("connect", "create", "disconnect", "inspect", "ls", "prune", "rm")
    ]


def test_help_of_a_command_in_a_group():
    assert parse(["help", "volume", "create"]) == parse(["volume", "create", "--help"])
    with pytest.raises(UsageError, match="'volume nope' is not a berth command"):
        parse(["help", "volume", "nope"])


@pytest.mark.parametrize(
    "words", [[name] for name in BY_NAME] + [[group, verb] for group, verbs in VERBS.items() for verb in verbs]
)
def test_a_usage_line_says_whether_there_are_options(words):
    text = parse([*words, "--help"]).text
    assert ("\nOptions:\n" in text) == ("[OPTIONS]" in text.splitlines()[0])


def test_an_open_quote_is_a_sentence():
    with pytest.raises(UsageError, match="cannot be read"):
        split_line("run 'x")


def test_another_user_namespace_than_the_hosts_cannot_be_named():
    assert parse(["run", "--userns", "host", "x"]).options.userns == "host"
    assert parse(["run", "--userns=", "x"]).options.userns == ""
    with pytest.raises(UsageError, match="invalid USER mode"):
        parse(["run", "--userns", "container:x", "box"])


def test_dockers_other_spelling_of_dns_option():
    options = parse(["run", "--dns-opt", "rotate", "--dns-option", "ndots:2", "x"]).options
    assert options.dns_options == ("ndots:2", "rotate")
    assert "--dns-opt " not in parse(["run", "--help"]).text


def test_a_flag_that_is_known_and_missing_is_told_so():
    with pytest.raises(UsageError, match="does not take --health-start-interval: a health check has one interval"):
        parse(["run", "--health-start-interval", "2s", "x"])
