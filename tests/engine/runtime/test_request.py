from __future__ import annotations

import json

import pytest

from engine.errors import RequestRefused
from engine.ids import IdRange
from engine.runtime.namerequest import NameRequest
from engine.runtime.request import ContainerRequest, IdMode
from engine.runtime.rights import RightsRequest
from engine.runtime.shares import SharesRequest
from tests.engine.runtime.test_spec import request


def test_it_can_be_written_and_read_back():
    full = request(entrypoint=(), env=("A=1", "B"), hostname="web", tty=True, memory_bytes=1, rows=10, user="a:b")
    assert ContainerRequest.from_json(full.to_json()) == full
    assert ContainerRequest.from_json(request().to_json()) == request()
    names = NameRequest(hosts=(("db", "10.0.0.1"),), servers=("9.9.9.9",), domain="quay")
    rights = RightsRequest(cap_add=("CAP_NET_RAW",), cap_drop=("ALL",), unconfined=True)
    shares = SharesRequest(cpus="0", ulimits=(("core", 0, -1),), rates=(("read_bps", "/dev/sda", 9),))
    more = request(
        rights=rights,
        shares=shares,
        names=names,
        groups=("staff",),
        init=True,
        read_only=True,
        shm_bytes=4096,
        stop_signal="USR1",
    )
    assert ContainerRequest.from_json(more.to_json()) == more
    own = request(id_mode=IdMode.OWN, first_id=200_000)
    assert ContainerRequest.from_json(own.to_json()) == own
    assert own.ids == IdRange(200_000)


def test_one_that_was_stored_before_there_were_user_namespaces_says_so():
    document = json.loads(request(id_mode=IdMode.OWN, first_id=200_000).to_json())
    del document["id_mode"], document["first_id"], document["names"], document["groups"], document["init"]
    found = ContainerRequest.from_json(json.dumps(document))
    assert (found.id_mode, found.ids) == (IdMode.BEFORE, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"container_id": "ab"},
        {"container_id": "../" + "a" * 61},
        {"container_id": "AB" * 32},
        {"hostname": "-x"},
        {"hostname": "a\nb"},
        {"hostname": "a" * 64},
        {"command": ("a\0b",)},
        {"entrypoint": ("\0",)},
        {"env": ("A=\0",)},
        {"env": ("=x",)},
        {"env": ("A\nB=1",)},
        {"env": ("",)},
        {"working_dir": "/a\nb"},
        {"user": "ro\not"},
        {"rows": 0},
        {"columns": 1001},
        {"memory_bytes": 0},
        {"pids": -5},
        {"address": "not an address"},
        {"address": "::1"},
        {"stop_signal": "SIGNOPE"},
        {"shm_bytes": -1},
        {"groups": ("a\nb",)},
        {"first_id": 200_000},
        {"id_mode": IdMode.OWN},
        {"id_mode": IdMode.OWN, "first_id": 0},
        {"id_mode": IdMode.OWN, "first_id": 1000},
        {"id_mode": IdMode.OWN, "first_id": -70_000},
        {"id_mode": IdMode.HOST, "first_id": 200_000},
    ],
)
@pytest.mark.threat("RUN-15")
def test_what_no_later_step_could_make_sense_of_is_refused(fields):
    with pytest.raises(RequestRefused):
        request(**fields)


@pytest.mark.parametrize(
    "change", [{"privileged": True}, {"id_mode": "other"}, {"layers": ["../x"]}, {"config_digest": "x"}, {"name": None}]
)
def test_unknown_or_wrong_stored_fields_are_refused(change):
    document = json.loads(request().to_json()) | change
    with pytest.raises(RequestRefused):
        ContainerRequest.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "{"])
def test_a_broken_file_is_refused(text):
    with pytest.raises(RequestRefused):
        ContainerRequest.from_json(text)


def test_a_terminal_can_be_given_another_size():
    assert request().with_size(None, 100).columns == 100
    assert request(rows=7).with_size(None, None).rows == 7
