"""Further commands in containers with ids of their own (RUN-19)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from engine.errors import UserUnknown

pytestmark = [pytest.mark.root, pytest.mark.threat("RUN-19")]


def ids_outside(lab, box, exec_id: str) -> set[int]:
    """Every id of a command as the host sees it, less the first one of its container."""
    first = lab.engine._folder(box.container_id).request().ids.first
    lines = Path(f"/proc/{box.observe(exec_id).pid}/status").read_text().splitlines()
    return {int(word) - first for line in lines if line.startswith(("Uid:", "Gid:")) for word in line.split()[1:]}


def test_its_root_is_nobody_of_the_host(box, lab):
    for user, wanted in (("", {0}), ("1000:1001", {1000, 1001})):
        for tty in (False, True):
            exec_id = box.start("/bin/sleep", "60", user=user, tty=tty)
            assert ids_outside(lab, box, exec_id) == wanted
            pid, init = box.observe(exec_id).pid, lab.engine.observe(box.container_id).pid
            assert os.stat(f"/proc/{pid}/ns/user").st_ino == os.stat(f"/proc/{init}/ns/user").st_ino
            box.execs.end(box.container_id, exec_id)
    with pytest.raises(UserUnknown, match="in range 0-65535"):
        box.start("/bin/true", user="65536")


@pytest.mark.parametrize("user", ["0", "1000:1001"])
def test_its_pipes_can_be_opened_by_name_from_its_first_moment(box, user):
    for _ in range(5):
        code, out, err = box.run("/bin/sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr", user=user)
        assert (code, out, err) == (0, "out\n", "err\n")
    exec_id = box.start("/bin/sh", "-c", "read x < /dev/stdin; echo $x", user=user, open_stdin=True)
    with contextlib.closing(box.attach(exec_id)) as sock:
        sock.send(b"through the name\n")
        assert box.wait(exec_id).code == 0
    assert box.output(exec_id)[0] == "through the name\n"
