"""Layers for kernels that cannot show them with other owners: written as files of the containers' own ids."""

from __future__ import annotations

import os
import struct

import pytest

from engine.ids import IdRange
from tests.support.hostile_layers import Layer

IDS = IdRange(1_879_048_192)
V2, V3 = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0), struct.pack("<IIIIII", 0x03000001, 1 << 10, 0, 0, 0, 77)
CAPABILITY = b"SCHILY.xattr.security.capability"


def owners(looked) -> dict[str, tuple[int, int]]:
    return {name: (entry.uid - IDS.first, entry.gid - IDS.first) for name, entry in looked.entries.items()}


PLAIN = (
    Layer()
    .directory("etc", uid=1, gid=2)
    .file("etc/passwd", b"x")
    .file("etc/shadow", b"y", gid=42)
    .file("deep/er/file", b"z", uid=1000, gid=1000)
    .symlink("link", "etc", uid=5)
    .hard_link("hard", "etc/shadow")
    .char_device("null", 1, 3)
    .file("etc/.wh.gone")
    .file("new/.wh..wh..opq")
)
EXPECTED = {
    "etc": (1, 2),
    "etc/passwd": (0, 0),
    "etc/shadow": (0, 42),
    "deep": (0, 0),
    "deep/er": (0, 0),
    "deep/er/file": (1000, 1000),
    "link": (5, 0),
    "null": (0, 0),
    "new": (0, 0),
}


@pytest.mark.parametrize("again", [False, True])
def test_every_owner_is_moved_also_of_folders_that_are_only_implied(write, again):
    layer = Layer(bytearray(PLAIN.data))
    if again:  # a file that replaces an earlier one: written in a second pass
        layer.file("etc/passwd", b"newer")
    looked = write(layer.end(), ids=IDS)
    assert looked.opened == (2 if again else 1)
    found = owners(looked)
    assert {name: found[name] for name in EXPECTED} == EXPECTED
    assert found["."] == (0, 0)
    assert looked.content["etc/passwd"] == (b"newer" if again else b"x")


def test_without_a_range_owners_stay_as_the_image_has_them(write):
    found = write(PLAIN.end()).entries
    assert {name: (found[name].uid, found[name].gid) for name in EXPECTED} == EXPECTED


def test_owners_beyond_the_range_are_nobody_of_it(write):
    looked = write(Layer().file("a", uid=65_536).file("b", uid=65_535, gid=70_000).end(), ids=IDS)
    assert owners(looked)["a"] == (65_534, 0)
    assert owners(looked)["b"] == (65_535, 65_534)


@pytest.mark.parametrize("given", [V2, V3])
def test_capabilities_count_for_root_of_the_containers_only(write, given):
    looked = write(Layer().file("a", pax={CAPABILITY: given}).end(), ids=IDS)
    kept = os.fsencode(looked.xattrs("a")["security.capability"])
    assert struct.unpack("<IIIIII", kept) == (0x03000001, 1 << 10, 0, 0, 0, IDS.first)
