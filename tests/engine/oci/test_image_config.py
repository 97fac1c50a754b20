from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DocumentInvalid
from engine.oci.image_config import ImageConfig
from tests.support.examples import examples
from tests.support.images import Entry, image, layer

VECTORS = Path(__file__).parents[2] / "vectors"
PLAIN = json.loads(image([layer([Entry("a")])], Cmd=["/bin/sh"]).config)


def parsed(**wishes):
    return ImageConfig.parse(json.dumps(PLAIN | {"config": wishes}).encode())


def test_ubuntu_wants_a_shell():
    config = ImageConfig.parse((VECTORS / "ubuntu-14.04.config.json").read_bytes())
    assert (config.cmd, config.entrypoint, config.user, config.working_dir) == (("/bin/bash",), (), "", "")
    assert config.env == ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
    assert (len(config.diff_ids), config.architecture, config.os) == (3, "amd64", "linux")
    assert config.created == datetime(2021, 3, 25, 22, 33, 44, 754436, tzinfo=UTC)
    assert config.raw["docker_version"] == "19.03.12"


def test_centos_has_labels():
    config = ImageConfig.parse((VECTORS / "centos-7.config.json").read_bytes())
    assert config.labels["org.label-schema.vendor"] == "CentOS"
    assert (config.volumes, config.exposed_ports, config.stop_signal) == ((), (), "")


def test_every_wish_is_read():
    config = parsed(
        Entrypoint=["/e"], Cmd=None, User="app:staff", WorkingDir="/srv", Env=["A=1", "B=", "C", "=D"], StopSignal="SIGINT",
        Volumes={"/data": {}}, ExposedPorts={"80/tcp": {}}, Labels={"a": "b"},
    )  # fmt: skip
    assert (config.entrypoint, config.cmd, config.user, config.working_dir) == (("/e",), (), "app:staff", "/srv")
    assert (config.env, config.stop_signal) == (("A=1", "B="), "SIGINT")
    assert (config.volumes, config.exposed_ports, config.labels) == (("/data",), ("80/tcp",), {"a": "b"})


def test_an_image_without_wishes_is_fine():
    document = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "config": None}
    config = ImageConfig.parse(json.dumps(document).encode())
    assert (config.cmd, config.created) == ((), None)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "yesterday", ""])
def test_a_time_that_says_nothing_is_unknown(text):
    assert ImageConfig.parse(json.dumps(PLAIN | {"created": text}).encode()).created is None


@pytest.mark.threat("REG-12")
@pytest.mark.parametrize(
    "wishes",
    [{"Cmd": "/bin/sh"}, {"Cmd": [1]}, {"Env": {"A": "1"}}, {"Labels": ["a"]}, {"Labels": {"a": 1}}, {"User": 0},
     {"Volumes": ["/data"]}, {"WorkingDir": ["/"]}, {"Entrypoint": {}}, {"StopSignal": 9}, {"Env": ["A=\0"]},
     {"Cmd": ["\ud800"]}],
)  # fmt: skip
def test_members_of_the_wrong_type_are_refused(wishes):
    with pytest.raises(DocumentInvalid):
        parsed(**wishes)


@pytest.mark.threat("REG-12")
@pytest.mark.parametrize(
    "rootfs",
    [None, {}, {"type": "layers", "diff_ids": ["x"]}, {"type": "other", "diff_ids": []}, {"type": "layers", "diff_ids": {}},
     {"type": "layers", "diff_ids": ["sha256:" + "0" * 64] * 501}],
)  # fmt: skip
def test_the_list_of_layers_must_be_usable(rootfs):
    with pytest.raises(DocumentInvalid):
        ImageConfig.parse(json.dumps(PLAIN | {"rootfs": rootfs}).encode())


VALUES = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=5) | st.integers(), max_size=3)


@pytest.mark.threat("REG-12")
@settings(max_examples=examples(120))
@given(
    st.dictionaries(st.sampled_from(["Env", "Cmd", "Entrypoint", "User", "Labels", "Volumes", "WorkingDir"]), VALUES),
    st.dictionaries(st.sampled_from(["created", "os", "architecture", "variant", "rootfs", "history"]), VALUES),
)
def test_whatever_comes_is_a_config_or_a_sentence(wishes, members):
    try:
        config = ImageConfig.parse(json.dumps(PLAIN | {"config": wishes} | members).encode())
    except DocumentInvalid as error:
        assert len(str(error)) > 20  # noqa: PT017
    else:
        assert all("=" in entry for entry in config.env)
