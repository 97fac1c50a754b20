"""Ids of its own, a limited layer, volumes, memory, a published port and further commands: all in one container."""

from __future__ import annotations

import pytest

from engine.containers.states import State
from engine.network import Published
from engine.runtime.mountrequest import MountKind, MountRequest
from tests.engine.containers.box import Box
from tests.engine.test_api import assert_nothing_runs
from tests.support.callers import SERVE, ask, is_free
from tests.support.images import Entry, folder
from tests.support.ports import free_port

pytestmark = [pytest.mark.root, pytest.mark.threat("RUN-19")]
MIB = 1024 * 1024
MOUNTS = (
    MountRequest(kind=MountKind.VOLUME, source="books", target="/srv/db"),
    MountRequest(kind=MountKind.VOLUME, source="settings", target="/etc"),
    MountRequest(kind=MountKind.MEMORY, source="", target="/t"),
)


@pytest.fixture
def all_in_one(lab):
    """(the box, its port of the host)"""
    db = [
        folder("srv/"),
        folder("srv/db/", 0o750, uid=33, gid=33),
        Entry("srv/db/seed", data=b"seed\n", uid=33, gid=33),
    ]
    options = {"extra_layers": [lab.layer(db)], "mounts": MOUNTS, "writable_bytes": 24 * MIB, "hostname": "quay"}
    container_id = lab.create("/bin/sh", "-c", SERVE, **options)
    port = free_port()
    start(lab, container_id, port)
    yield Box(lab, container_id), port
    lab.take_away(container_id)
    assert_nothing_runs(lab, container_id)
    assert is_free(port)


def start(lab, container_id, port) -> None:
    published = Published(protocol="tcp", address="127.0.0.1", port=port, container_port=80)
    lab.engine.start(container_id, published=[published])


def assert_owners(lab, box) -> None:
    """Inside they are the image's; on disk a volume has the container's numbers, the layer those of the host."""
    seen = box.out("/bin/stat", "-c", "%u:%g %n", "/", "/srv/db", "/srv/db/seed", "/t", "/etc/passwd", "/made")
    assert seen.split("\n")[:-1] == [
        "0:0 /",
        *("33:33 /srv/db", "33:33 /srv/db/seed"),
        *("0:0 /t", "0:0 /etc/passwd", "1000:1000 /made"),
    ]
    first = lab.engine._folder(box.container_id).request().ids.first
    upper = lab.config.container(box.container_id) / "upper"
    found = [(upper / name).stat().st_uid for name in ("diff", "diff/made", "work", "")]
    assert found == [first, first + 1000, 0, 0]
    data = lab.config.volumes / "books" / "_data"
    assert [path.stat().st_uid for path in (data, data / "seed", data / "new")] == [33] * 3


def test_everything_at_once_and_again_after_a_restart(lab, all_in_one):
    box, port = all_in_one
    assert ask(port) == "from-quay"
    box.out("/bin/sh", "-c", "echo keeper:x:33:33::/srv/db:/bin/sh >> /etc/passwd; : > /made; chown 1000:1000 /made")
    script = "echo kept > /srv/db/new; echo $HOME > /dev/stdout; cat /srv/db/seed"
    assert box.out("/bin/sh", "-c", script, user="keeper") == "/srv/db\nseed\n"
    assert_owners(lab, box)
    code, _, err = box.run("/bin/dd", "if=/dev/zero", "of=/big", "bs=1M", "count=40")
    assert code != 0
    assert "No space left on device" in err
    assert box.run("/bin/dd", "if=/dev/zero", "of=/srv/db/big", "bs=1M", "count=40")[0] == 0
    lab.engine.stop(box.container_id, 0, "KILL")
    lab.wait_for(box.container_id, State.EXITED)
    lab.engine.release(box.container_id)
    start(lab, box.container_id, port)
    assert ask(port) == "from-quay"
    assert box.out("/bin/cat", "/srv/db/new", user="keeper") == "kept\n"
    assert_owners(lab, box)
