"""The process of a further command: built from its container's, and checked as if somebody hostile had built it."""

from __future__ import annotations

import copy
import os

import pytest

from engine.errors import CommandNotExecutable, CommandNotFound, RequestRefused, RuntimeFailed, ShellNotFound
from engine.runtime.execrequest import ExecRequest
from engine.runtime.execspec import build_process
from engine.runtime.messages import error_of
from engine.runtime.passwd import ResolvedUser
from engine.runtime.policy import Policy
from engine.runtime.rootfiles import opened_root
from engine.runtime.shells import find_shell
from engine.runtime.specpolicy import check_process

EXEC_ID = "e" * 64
ROOT = ResolvedUser(0, 0, (0,), "/root", "root")
PERSON = ResolvedUser(1000, 100, (100, 50), "/home/app", "app")
CONTAINER = {
    "terminal": False,
    "user": {"uid": 0, "gid": 0, "additionalGids": [0]},
    "args": ["/bin/sleep", "600"],
    "env": ["A=1"],
    "cwd": "/",
    "capabilities": {
        "bounding": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN", "CAP_KILL"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
    },
    "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096}],
    "noNewPrivileges": True,
    "oomScoreAdj": 200,
    "apparmorProfile": "berth",
}


def process(user=ROOT, **options):
    request = ExecRequest(exec_id=EXEC_ID, command=("/bin/true",), **options)
    return build_process(CONTAINER, request, user=user, arguments=("/bin/true",), env=("B=2",), working_dir="/tmp")


def test_rights_and_limits_are_the_containers():
    made = process()
    for name in ("capabilities", "rlimits", "noNewPrivileges", "oomScoreAdj", "apparmorProfile"):
        assert made[name] == CONTAINER[name]
    assert (made["args"], made["env"], made["cwd"], made["terminal"]) == (["/bin/true"], ["B=2"], "/tmp", False)
    assert "consoleSize" not in made
    check_process(made, CONTAINER, Policy())


def test_somebody_else_than_root_holds_no_capabilities():
    made = process(PERSON, tty=True, rows=3, columns=4)
    assert made["user"] == {"uid": 1000, "gid": 100, "additionalGids": [100, 50]}
    assert made["capabilities"] == {"bounding": ["CAP_CHOWN", "CAP_KILL"], "effective": [], "permitted": []}
    assert made["consoleSize"] == {"height": 3, "width": 4}
    check_process(made, CONTAINER, Policy())


def _without(name):
    return lambda made: made.pop(name)


@pytest.mark.threat("RUN-07", "RUN-08")
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda made: made["capabilities"]["bounding"].append("CAP_SETUID"), "that the container lacks: CAP_SETUID"),
        (lambda made: made["capabilities"]["effective"].append("CAP_SYS_ADMIN"), "CAP_SYS_ADMIN"),
        (lambda made: made["capabilities"].update(ambient=["CAP_KILL"]), "inheritable or ambient"),
        (lambda made: made["capabilities"].update(inheritable=[]), "inheritable or ambient"),
        (_without("capabilities"), "no list of capabilities"),
        (lambda made: made.update(capabilities={}), "no list of capabilities"),
        (lambda made: made.update(noNewPrivileges=False), "another noNewPrivileges"),
        (_without("noNewPrivileges"), "another noNewPrivileges"),
        (lambda made: made.update(oomScoreAdj=-1000), "memory use"),
        (lambda made: made.update(oomScoreAdj=199), "another oomScoreAdj"),
        (lambda made: made.update(rlimits=[]), "another rlimits"),
        (_without("apparmorProfile"), "another apparmorProfile"),
        (lambda made: made.update(selinuxLabel="x"), "process holds selinuxLabel"),
        (lambda made: made.update(cwd="/proc/self/fd/7"), "working directory of the system"),
        (lambda made: made.update(cwd="relative"), "working directory of the system"),
    ],
)
def test_more_than_the_container_has_is_refused(change, complaint):
    made = copy.deepcopy(process())
    change(made)
    with pytest.raises(RequestRefused, match=complaint):
        check_process(made, CONTAINER, Policy())


def test_a_policy_that_came_later_is_held_to():
    container = CONTAINER | {"noNewPrivileges": False}
    made = process() | {"noNewPrivileges": False}
    check_process(made, container, Policy())
    with pytest.raises(RequestRefused, match="new privileges"):
        check_process(made, container, Policy(no_new_privileges=True))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"exec_id": "x"}, "not the id"),
        ({"command": ("",)}, "No command specified"),
        ({"command": ("a\0b",)}, "control characters"),
        ({"env": ("=x",)}, "invalid environment variable"),
        ({"env": ("A\n=x",)}, "invalid environment variable"),
        ({"user": "root\n"}, "control characters"),
        ({"working_dir": "/a\x1b"}, "control characters"),
        ({"rows": 0}, "cannot be made"),
        ({"columns": 1001}, "cannot be made"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(options, sentence):
    with pytest.raises(RequestRefused, match=sentence):
        ExecRequest(**({"exec_id": EXEC_ID, "command": ("/bin/true",)} | options))


@pytest.mark.parametrize(
    ("message", "kind", "sentence"),
    [
        (
            'exec failed: unable to start container process: exec: "x": executable file not found in $PATH',
            CommandNotFound,
            'exec: "x": executable file not found in $PATH',
        ),
        (
            'exec failed: unable to start container process: exec: "/etc": is a directory',
            CommandNotExecutable,
            'exec: "/etc": is a directory',
        ),
        (
            "exec failed: cannot exec a container that has stopped",
            RuntimeFailed,
            "The command could not be started: cannot exec a container that has stopped",
        ),
    ],
)
def test_what_runc_says_of_a_command(message, kind, sentence):
    error = error_of(message, container_id="c" * 64, what="command")
    assert type(error) is kind
    assert str(error) == sentence


PASSWD = """\
root:x:0:0::/root:/bin/bash
www:x:33:33::/var/www:/usr/sbin/nologin
odd:x:34:34::/:bin/sh
zed:x:35:35::/:/usr/bin/zsh
plain:x:36:36::/
toor:x:0:0::/root:/usr/bin/zsh
"""


def _image(tmp_path, *programs):
    for name in ("bin", "usr/bin", "etc"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text(PASSWD)
    for name in programs:
        path = tmp_path / name
        path.write_bytes(b"\x7fELF")
        path.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("user", "programs", "shell"),
    [
        ((0, "root"), ("bin/bash", "bin/sh"), "/bin/bash"),
        ((0, "root"), ("bin/sh",), "/bin/sh"),
        ((0, "root"), ("bin/ash", "bin/sh"), "/bin/ash"),
        ((0, "toor"), ("usr/bin/zsh", "bin/bash"), "/usr/bin/zsh"),
        ((33, "www"), ("bin/sh", "usr/bin/bash"), "/usr/bin/bash"),
        ((34, "odd"), ("bin/sh",), "/bin/sh"),
        ((35, "zed"), ("usr/bin/zsh", "bin/bash"), "/usr/bin/zsh"),
        ((35, ""), ("usr/bin/zsh", "bin/bash"), "/usr/bin/zsh"),
        ((36, "plain"), ("bin/sh",), "/bin/sh"),
        ((4000, ""), ("bin/sh",), "/bin/sh"),
    ],
)
def test_the_shell_of_a_user(tmp_path, user, programs, shell):
    uid, name = user
    with opened_root(_image(tmp_path, *programs)) as root:
        assert find_shell(root, ResolvedUser(uid, uid, (uid,), "/", name)) == shell


def test_a_shell_is_a_program_that_somebody_may_execute(tmp_path):
    place = _image(tmp_path, "bin/busybox")
    (place / "bin/bash").write_text("not executable")
    os.mkfifo(place / "bin/ash", 0o755)
    (place / "bin/sh").symlink_to("busybox")
    with opened_root(place) as root:
        assert find_shell(root, ROOT) == "/bin/sh"
    (place / "bin/sh").unlink()
    with opened_root(place) as root, pytest.raises(ShellNotFound, match="has no shell"):
        find_shell(root, ROOT)
