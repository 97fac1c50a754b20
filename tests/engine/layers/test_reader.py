"""The tar reader on its own: what it reads, what it refuses, and that nothing else can come out of it."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import LayerRejected
from engine.layers import pax
from engine.layers.canonical import head
from engine.layers.entries import Entry, Kind
from engine.layers.headers import BLOCK_BYTES, HeaderParser, number
from engine.layers.reader import TarReader
from engine.layers.tree import Directory, Tree
from tests.support.examples import examples
from tests.support.hostile_layers import Layer, base256, good_twin, header, hostile, pax_records

READS_PER_BYTE = 3
QUICK = settings(max_examples=examples(120), deadline=2000, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=20_000, deadline=2000, suppress_health_check=list(HealthCheck))


def chunked(data: bytes, size: int):
    for at in range(0, len(data), size):
        yield data[at : at + size]


def read_all(chunks) -> list[tuple]:
    """(entry, content) of the whole archive."""
    reader = TarReader(iter(chunks))
    found = []
    while (entry := reader.next()) is not None:
        content = hashlib.sha256()
        if entry.kind is Kind.FILE and entry.size < 1 << 24:
            reader.copy_body(entry, content.update)
        found.append((entry, content.hexdigest()))
    reader.finish()
    return found


@pytest.mark.parametrize("size", [1, 100, 511, 512, 513, 1000, 10_000, 1 << 20])
def test_it_does_not_matter_how_the_stream_is_cut(size):
    for archive in good_twin():
        assert read_all(chunked(archive, size)) == read_all([archive])


def test_a_body_that_nobody_takes_is_skipped():
    reader = TarReader(iter(chunked(Layer().file("a", b"x" * 5000).file("b").end(), 700)))
    assert [reader.next().name, reader.next().name, reader.next()] == [b"a", b"b", None]


def test_a_body_comes_with_its_padding_so_that_it_can_be_passed_on():
    reader = TarReader(iter([Layer().file("a", b"x" * 700).end()]))
    pieces = []
    reader.copy_body(reader.next(), lambda piece: pieces.append(bytes(piece)))
    assert b"".join(pieces) == (b"x" * 700).ljust(1024, b"\0")


def test_only_a_plain_header_is_passed_on_as_it_is():
    def block_of(layer: Layer) -> bytes | None:
        return TarReader(iter([layer.end()])).next().block

    assert block_of(Layer().file("a", b"x")) == header(b"a", size=1)
    for layer in (
        Layer().raw(header(b"a", mode=b" 644 ")),
        Layer().raw(header(b"a", uid=base256(5, 8))),
        Layer().raw(header(b"a", size=b"000000000000")),
        Layer().raw(header(b"a", prefix=b"p")),
        Layer().raw(header(b"a\0b")),
        Layer().pax({b"mtime": b"1"}).file("a"),
        Layer().char_device("a", 1, 3),
        Layer().entry("a", type=b"7"),
        Layer().entry("a", magic=bytes(8)),
    ):
        assert block_of(layer) is None


@pytest.mark.threat("TAR-06")
@pytest.mark.parametrize("field", [b"-1", b"+1", b"1_0", b"0x1", b"0o7", b"8", b"1 1", b"1\x001", b"\xff" * 7, b"a"])
def test_a_field_is_digits_or_nothing(field):
    with pytest.raises(LayerRejected):
        number(field.ljust(8, b"\0"), "size", 1000)


@pytest.mark.threat("TAR-06")
@given(st.binary(min_size=12, max_size=12))
@QUICK
def test_a_field_is_never_out_of_range(field):
    with contextlib.suppress(LayerRejected):
        assert 0 <= number(field, "size", 10**6) <= 10**6


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 2), st.integers(0, 0o7777))
@QUICK
def test_what_we_write_reads_back_the_same(size, uid, mode):
    entry = Entry(Kind.FILE, b"n", b"", size, mode, uid, uid, 5, xattrs={b"user.x": b"\n=\0"})
    blocks = head(entry, b"p" * 120, b"")
    again = TarReader(iter([blocks])).next()
    assert (again.name, again.size, again.uid, again.gid, again.mode) == (b"p" * 120, size, uid, uid, mode)
    assert again.xattrs == entry.xattrs


def damaged(data: bytes, damages: list[tuple[int, bytes]]) -> bytes:
    changed = bytearray(data)
    for at, piece in damages:
        start = at % len(changed)
        changed[start : start + len(piece)] = piece
    return bytes(changed)


def repaired(data: bytes) -> bytes:
    """With right checksums wherever a header may stand, so that damage gets past the first check."""
    blocks = []
    for at in range(0, len(data), BLOCK_BYTES):
        block = data[at : at + BLOCK_BYTES]
        if len(block) == BLOCK_BYTES and block.strip(b"\0"):
            total = sum(block) - sum(block[148:156]) + 256
            block = block[:148] + b"%06o\0 " % total + block[156:]
        blocks.append(block)
    return b"".join(blocks)


CORPUS = [*good_twin(), *hostile().values()]
DAMAGE = st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=16)), max_size=8)


class Counted:
    """Chunks of an archive, and how many bytes were taken."""

    def __init__(self, data: bytes) -> None:
        self.data, self.taken = data, 0

    def __iter__(self):
        for chunk in chunked(self.data, 4096):
            self.taken += len(chunk)
            yield chunk


def assert_reads_or_refuses(data: bytes) -> None:
    source = Counted(data)
    started = time.monotonic()
    with contextlib.suppress(LayerRejected):
        for entry, _ in read_all(source):
            assert 0 <= entry.uid <= 2**32 - 2
            assert entry.size >= 0
            assert 0 <= entry.mode <= 0o7777
    assert source.taken <= len(data)
    assert time.monotonic() - started < 2


@pytest.mark.threat("TAR-06")
@given(st.sampled_from(CORPUS), DAMAGE, st.booleans())
@QUICK
def test_any_archive_is_read_or_refused_in_bounded_time(archive, damages, repair):
    data = damaged(archive, damages)
    assert_reads_or_refuses(repaired(data) if repair else data)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.threat("TAR-06")
@given(st.sampled_from(CORPUS), DAMAGE, st.booleans())
@LONG
def test_very_many_archives_are_read_or_refused_in_bounded_time(archive, damages, repair):
    data = damaged(archive, damages)
    assert_reads_or_refuses(repaired(data) if repair else data)


@pytest.mark.threat("TAR-06")
@given(st.binary(max_size=2000))
@QUICK
def test_any_extended_header_is_parsed_or_refused(data):
    with contextlib.suppress(LayerRejected):
        pax.parse(data)


@given(st.dictionaries(st.binary(min_size=1, max_size=20), st.binary(max_size=200), max_size=10))
@QUICK
def test_any_xattrs_come_through_an_extended_header(given_xattrs):
    clean = {key.replace(b"=", b"-").replace(b"\0", b"-"): value for key, value in given_xattrs.items()}
    parsed = pax.parse(pax_records({b"SCHILY.xattr." + key: value for key, value in clean.items()}))
    assert parsed.xattrs == clean


@pytest.mark.threat("TAR-06")
def test_a_pax_time_is_rounded_down():
    times = {b"1.9": 1, b"-1.5": -2, b"-1": -1, b"-0.0": 0, b"7.": 7}
    assert {text: pax.parse(pax_records({b"mtime": text})).mtime for text in times} == times


@pytest.mark.threat("TAR-07")
@pytest.mark.parametrize("flavour", ["ustar", "pax", "gnu", "v7", "oldgnu"])
def test_gnu_tar_and_we_list_the_same(flavour, tmp_path):
    made = tmp_path / "made"
    (made / "folder" / ("n" * 60)).mkdir(parents=True)
    (made / "folder" / ("n" * 60) / "file").write_bytes(b"x" * 1000)
    (made / "link").symlink_to("folder")
    (made / "hard").hardlink_to(made / "folder" / ("n" * 60) / "file")
    if flavour in {"pax", "gnu"}:
        (made / ("long" * 50)).write_bytes(b"")
        (made / "long-link").symlink_to("t" * 200)
    argv = ["tar", "-C", str(made), f"--format={flavour}", "-cf", "-", "."]
    data = subprocess.run(argv, check=True, capture_output=True).stdout
    listed = subprocess.run(["tar", "-tf", "-"], input=data, check=True, capture_output=True).stdout
    assert [entry.name for entry, _ in read_all([data])] == listed.splitlines()


PARTS = st.sampled_from(["a", "b", "c", "..", ".", "", ".wh.a", ".wh.", ".wh..wh..opq", ".wh..wh.x", "a" * 256])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
ENTRIES = st.lists(st.tuples(st.sampled_from(b"0123456"), NAMES, NAMES), max_size=8)


def from_grammar(entries) -> bytes:
    layer = Layer()
    for kind, name, link in entries:
        layer.entry(
            name, b"x" if kind == 0x30 else b"", type=bytes((kind,)), link=link if kind in b"12" else b"", minor=1
        )
    return layer.end()


@pytest.mark.threat("TAR-01")
@given(ENTRIES)
@settings(QUICK, max_examples=examples(60))
def test_no_archive_of_odd_names_gets_out_of_the_layer(tmp_path_factory, entries):
    """A canary tree around the output stays as it was; the layer holds clean names only."""
    from tests.engine.layers.conftest import is_whiteout, look_into
    from tests.engine.layers.test_umoci import tree_of

    place = tmp_path_factory.mktemp("canary")
    (place / "a").mkdir()
    (place / "a" / "b").write_bytes(b"canary")
    (place / "out").mkdir()
    before = tree_of(place)
    output = place / "out" / "layer.sqfs"
    with contextlib.suppress(LayerRejected):
        write_plain(from_grammar(entries), output)
        inside, _ = look_into(output)
        for name, entry in inside.items():
            assert not {"..", ""} & set(name.split("/"))
            assert ".wh." not in name
            assert not is_whiteout(entry) or any(".wh." in given_name for _, given_name, _ in entries)
        output.unlink()
    assert tree_of(place) == before


def write_plain(plain: bytes, output) -> None:
    from engine.config import Limits
    from engine.digest import Digest
    from engine.layers.write import write_layer
    from tests.engine.layers.conftest import Blob

    write_layer(
        Blob(plain),
        media_type="application/vnd.oci.image.layer.v1.tar",
        diff_id=Digest("sha256:" + hashlib.sha256(plain).hexdigest()),
        output=output,
        limits=Limits(),
        on_bytes=lambda _count: None,
        cancelled=lambda: False,
    )


def assert_gives_up(why: str, step) -> None:
    def many() -> None:
        for count in range(200):
            step(count)

    with pytest.raises(LayerRejected, match=why):
        many()


class TestTree:
    """Budgets: what is legal once may not be repeated without end."""

    FOLDER = Directory(0o755, 0, 0, 0, None)

    def test_names_that_are_too_long_in_total_are_refused(self, monkeypatch):
        monkeypatch.setattr("engine.layers.tree.NAMES_LIMIT_BYTES", 1000)
        tree = Tree()
        assert_gives_up("too long in total", lambda count: tree.add_file(b"name-%060d" % count, count))

    def test_following_links_has_a_budget(self, monkeypatch):
        monkeypatch.setattr("engine.layers.tree._STEPS_LIMIT", 5000)
        tree = Tree()
        tree.add_file(b"l", 1, link=b"./" * 1000 + b"d")
        assert_gives_up("too many symbolic links", lambda _count: tree.place(b"l/x"))

    def test_replacing_folders_has_a_budget(self, monkeypatch):
        monkeypatch.setattr("engine.layers.tree._REPLACED_LIMIT", 1000)
        tree = Tree()

        def replace(count: int) -> None:
            tree.add_file(b"f%d" % count, count)
            tree.add_directory(b"d", self.FOLDER)
            tree.add_file(b"d", 1)

        assert_gives_up("too many folders", replace)

    def test_the_plan_knows_each_surviving_name(self):
        tree = Tree()
        tree.add_file(b"a", 1)
        tree.add_hard_link(b"b", b"a")
        tree.add_file(b"c", 3)
        tree.add_file(b"a", 4)
        assert tree.plan() == {1: [b"b"], 3: [b"c"], 4: [b"a"]}
        assert tree.needs_replay


def test_the_parser_forgets_what_it_has_seen_before_it_grows():
    parser = HeaderParser()
    for count in range(10_000):
        parser.parse(header(b"a", mtime=count, uid=count))
    assert len(parser._ids) <= 4096
    assert len(parser._times) <= 4096
