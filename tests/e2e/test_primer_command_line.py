"""The primer, line by line, in a terminal: a real registry, runc, conmon, Redis, and everything of ours."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.e2e.conftest import BERTH
from tests.support.terminal import Person

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
PROMPT = r"root@([0-9a-f]{12}):/# $"
HEX12 = r"[0-9a-f]{12}"


def person(berth, *words: str, **size: int) -> Person:
    return Person([str(BERTH), *words], berth.environment, **size)


def test_the_primer_from_the_version_to_a_removed_container(berth):
    assert re.fullmatch(r"Berth version \d+\.\d+\.\d+, build [0-9a-f]{7}\n", berth.run_checked("-v").stdout)

    with person(berth, "run", "-i", "-t", "ubuntu:14.04") as first:
        first.expect(r"Unable to find image 'ubuntu:14.04' locally\n")
        first.expect(r"14.04: Pulling from library/ubuntu\n")
        first.expect(rf"{HEX12}: Pull complete")
        first.expect(r"Digest: sha256:[0-9a-f]{64}\n")
        first.expect(r"Status: Downloaded newer image for ubuntu:14.04\n")
        name = first.expect(PROMPT, 60)[1]
        first.type("hostname; id -u; ls /\n")
        first.expect(rf"\n{name}\n0\n[\s\S]*bin[\s\S]*etc[\s\S]*usr")
        first.type("ps | wc -l; ls /sys/class/net; echo from-first > /mark\n")
        first.expect(r"eth0[\s\S]*lo")
        first.type("exit 7\n")
        assert first.exit_code() == 7

    listed = berth.run_checked("ps", "-a").stdout
    assert re.search(rf"^{name} +ubuntu:14.04 .* Exited \(7\) ", listed, re.M), listed

    digests = berth.run_checked("images", "--digests", "--no-trunc").stdout
    with person(berth, "run", "-it", "ubuntu:14.04") as second:
        second_name = second.expect(PROMPT)[1]
        assert second_name != name
        second.type("ls /mark || echo clean\n")
        second.expect(r"\nclean\n")
        second.type("marker=kept\n")
        second.expect(PROMPT)
        second.type("\x10\x11")
        assert second.exit_code() == 0
    assert re.search(rf"^{second_name} .* Up ", berth.run_checked("ps").stdout, re.M)

    with person(berth, "attach", second_name) as back:
        back.expect(r"marker=kept")
        back.type("echo still-$marker\n")
        back.expect(r"\nstill-kept\n" + PROMPT)  # before it the shell does not read, and Ctrl-D is another thing
        back.type("\x04")
        assert back.exit_code() == 0
    assert second_name not in berth.run_checked("ps").stdout

    assert berth.run_checked("rm", name).stdout == f"{name}\n"
    assert second_name in berth.run_checked("ps", "-a").stdout
    assert berth.run_checked("images", "--digests", "--no-trunc").stdout == digests
    berth.run_checked("rm", second_name)


def test_centos_is_pulled_and_is_up_to_date_the_second_time(berth):
    first = berth.run_checked("pull", "centos:7").stdout
    assert first.startswith("7: Pulling from library/centos\n")
    assert re.search(r"^Digest: sha256:[0-9a-f]{64}$", first, re.M)
    assert re.search(r"^Status: (Downloaded newer image|Image is up to date) for centos:7$", first, re.M)
    assert first.endswith("docker.io/library/centos:7\n")
    again = berth.run_checked("pull", "centos:7").stdout
    assert "Status: Image is up to date for centos:7\n" in again
    table = berth.run_checked("images").stdout.splitlines()
    assert table[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert re.match(rf"centos +7 +{HEX12} +.* +[\d.]+[kMG]?B$", next(x for x in table if x.startswith("centos")))


def test_ctrl_p_alone_reaches_the_shell_and_ctrl_q_later_still_detaches(berth):
    with person(berth, "run", "-it", "--name", "detaching", "ubuntu:14.04") as typing:
        typing.expect(PROMPT)
        typing.type("echo previous-line\n")
        typing.expect(r"\nprevious-line\n" + PROMPT)
        before = len(typing.text)
        typing.type("\x10")
        typing.expect(r"echo previous-line", since=before)
        typing.type("\x11")
        assert typing.exit_code() == 0
    berth.run_checked("rm", "-f", "detaching")


PRINTED = (
    "$ docker -v",
    "$ sudo docker run ubuntu:14.04 echo pasted",
    "$ sudo docker pull centos:7",
    "$ docker images",
    "$ docker ps -a",
    "$ sudo berth images -q",
)


@pytest.fixture(scope="module")
def shell(berth, tmp_path_factory):
    """shell(TEXT): typed into a shell in whose PATH `docker` and `berth` are ours; `sudo` runs what follows, as root is here."""
    folder = tmp_path_factory.mktemp("path")
    for name in ("docker", "berth"):
        (folder / name).symlink_to(BERTH)
    (folder / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (folder / "sudo").chmod(0o755)
    surroundings = berth.environment | {"PATH": f"{folder}:{berth.environment['PATH']}"}

    def typed(text: str) -> subprocess.CompletedProcess[str]:
        words = ["sh", "-c", text]
        return subprocess.run(words, env=surroundings, capture_output=True, text=True, timeout=120, check=False)

    return typed


@pytest.mark.parametrize("line", PRINTED)
def test_lines_work_as_printed(shell, line):
    """Typed without the prompt; and pasted whole, prompt and all, behind the client's name."""
    for text in (line.removeprefix("$ "), f"berth {line}"):
        done = shell(text)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout
        if line == "$ docker -v":
            assert re.fullmatch(r"Berth version \d+\.\d+\.\d+, build [0-9a-f]{7}\n", done.stdout)
        if "echo" in line:
            assert done.stdout.endswith("pasted\n")


def test_output_of_a_pipe_is_exact_and_exit_codes_are_the_commands(berth):
    done = berth.run_command("run", "--rm", "ubuntu:14.04", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)
    assert berth.run_checked("run", "--rm", "-i", "ubuntu:14.04", "cat", input="through\n").stdout == "through\n"
    assert berth.run_command("run", "--rm", "ubuntu:14.04", "nope").returncode == 127
    assert berth.run_command("run", "--rm", "ubuntu:14.04", "/etc").returncode == 126
    assert berth.run_command("run", "--nope", "ubuntu:14.04").returncode == 125
