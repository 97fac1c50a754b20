"""Layer archives built in code, block by block: hostile ones by the names of threats.md 2.1, and their good twins (5.4).

Not `tarfile`: it cannot write most of what an attacker can.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BLOCK = 512
POSIX = b"ustar\x0000"
GNU = b"ustar  \x00"


def octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def base256(value: int, width: int) -> bytes:
    if value < 0:
        return value.to_bytes(width, "big", signed=True)
    return b"\x80" + value.to_bytes(width - 1, "big")


def header(
    name: bytes,
    *,
    type: bytes = b"0",
    size: int | bytes = 0,
    mode: int | bytes = 0o644,
    uid: int | bytes = 0,
    gid: int | bytes = 0,
    mtime: int | bytes = 1_700_000_000,
    link: bytes = b"",
    magic: bytes = POSIX,
    major: int | bytes = 0,
    minor: int | bytes = 0,
    prefix: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """One header block; a number given as bytes goes into its field as it is."""

    def number(value: int | bytes, width: int) -> bytes:
        return value.ljust(width, b"\0")[:width] if isinstance(value, bytes) else octal(value, width)

    block = b"".join(
        (
            name[:100].ljust(100, b"\0"),
            number(mode, 8),
            number(uid, 8),
            number(gid, 8),
            number(size, 12),
            number(mtime, 12),
            b" " * 8,
            type,
            link[:100].ljust(100, b"\0"),
            magic,
            bytes(64),
            number(major, 8),
            number(minor, 8),
            prefix.ljust(167, b"\0"),
        )
    )
    return block[:148] + (b"%06o\0 " % sum(block) if checksum is None else checksum) + block[156:]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def pax_records(records: dict[bytes, bytes] | list[tuple[bytes, bytes]]) -> bytes:
    made = b""
    for key, value in records.items() if isinstance(records, dict) else records:
        rest = len(key) + len(value) + 3
        length = rest + len(str(rest))
        length = rest + len(str(length))
        made += b"%d %b=%b\n" % (length, key, value)
    return made


@dataclass
class Layer:
    """An archive under construction; every method returns it, so that entries can be chained in order."""

    data: bytearray = field(default_factory=bytearray)

    def raw(self, blocks: bytes) -> Layer:
        self.data += blocks
        return self

    def entry(self, name: bytes | str, body: bytes = b"", **fields) -> Layer:
        """A header of any kind and a body; names and links beyond 100 bytes get a pax header."""
        name = name.encode() if isinstance(name, str) else name
        extra = dict(fields.pop("pax", {}))
        link = fields.get("link", b"")
        fields["link"] = link = link.encode() if isinstance(link, str) else link
        if len(name) > 100:
            extra.setdefault(b"path", name)
        if len(link) > 100:
            extra.setdefault(b"linkpath", link)
        if extra:
            self.pax(extra)
        fields.setdefault("size", len(body))
        return self.raw(header(name, **fields) + padded(body))

    def pax(self, records, *, type: bytes = b"x") -> Layer:
        body = pax_records(records) if not isinstance(records, bytes) else records
        return self.raw(header(b"PaxHeaders/x", type=type, size=len(body)) + padded(body))

    def gnu_long(self, type: bytes, text: bytes) -> Layer:
        return self.raw(header(b"././@LongLink", type=type, size=len(text) + 1, magic=GNU) + padded(text + b"\0"))

    def file(self, name: bytes | str, body: bytes = b"", **fields) -> Layer:
        return self.entry(name, body, **fields)

    def directory(self, name: bytes | str, **fields) -> Layer:
        return self.entry(name, type=b"5", **({"mode": 0o755} | fields))

    def symlink(self, name: bytes | str, target: bytes | str, **fields) -> Layer:
        return self.entry(name, type=b"2", link=target, **({"mode": 0o777} | fields))

    def hard_link(self, name: bytes | str, target: bytes | str, **fields) -> Layer:
        return self.entry(name, type=b"1", link=target, **fields)

    def char_device(self, name: bytes | str, major: int, minor: int, **fields) -> Layer:
        return self.entry(name, type=b"3", major=major, minor=minor, **fields)

    def end(self) -> bytes:
        return bytes(self.data) + bytes(2 * BLOCK)


def hostile() -> dict[str, bytes]:
    """Archives that must be refused, by row and what they try."""
    return {
        **_names_and_ways(),
        **_hard_links(),
        **_numbers(),
        **_contradictions(),
        **_excesses(),
        **_oddities(),
    }


BODY = b"body\n"


def _names_and_ways() -> dict[str, bytes]:
    """Names that lead out of the layer, or nowhere."""
    return {
        "TAR-01 dot-dot": Layer().file("../evil", BODY).end(),
        "TAR-01 dot-dot inside": Layer().directory("a").file("a/../../evil", BODY).end(),
        "TAR-01 dot-dot that stays": Layer().directory("a").file("a/../b", BODY).end(),
        "TAR-01 absolute dot-dot": Layer().file("/../evil", BODY).end(),
        "TAR-01 no name": Layer().file("", BODY).end(),
        "TAR-01 file as root": Layer().file("./", BODY).end(),
        "TAR-02 symlink as root": Layer().symlink(".", "/etc").file("passwd", BODY).end(),
        "TAR-02 symlink as root by a slash": Layer().symlink("/.", "/etc").file("passwd", BODY).end(),
        "TAR-02 symlink loop": Layer().symlink("a", "b").symlink("b", "a").file("a/x", BODY).end(),
        "TAR-02 below a file": Layer().file("a", BODY).file("a/x", BODY).end(),
        "TAR-02 below a fifo": Layer().entry("a", type=b"6").file("a/x", BODY).end(),
    }


def _hard_links() -> dict[str, bytes]:
    """Hard links to what is not there."""
    return {
        "TAR-04 link to nothing": Layer().hard_link("a", "etc/shadow").end(),
        "TAR-04 link outside": Layer().file("x", BODY).hard_link("a", "../../x").end(),
        "TAR-04 link to a later entry": Layer().hard_link("a", "b").file("b", BODY).end(),
        "TAR-04 link to a folder": Layer().directory("d").hard_link("a", "d").end(),
        "TAR-04 link to a whiteout": Layer().file(".wh.x").hard_link("a", "x").end(),
        "TAR-04 link to itself": Layer().file("a", BODY).hard_link("a", "./a").end(),
        "TAR-04 link in place of its target's folder": Layer().file("d/a", BODY).hard_link("d", "d/a").end(),
        "TAR-04 link with a body": Layer().file("x", BODY).entry("a", BODY, type=b"1", link="x").end(),
    }


def _numbers() -> dict[str, bytes]:
    """Broken headers."""
    return {
        "TAR-06 negative size": Layer().raw(header(b"a", size=base256(-1, 12))).end(),
        "TAR-06 negative size in octal": Layer().raw(header(b"a", size=b"-0000000001")).end(),
        "TAR-06 size beyond all": Layer().raw(header(b"a", size=base256(2**80, 12))).end(),
        "TAR-06 underscores in a number": Layer().raw(header(b"a", size=b"0000_000001")).end(),
        "TAR-06 letters in a number": Layer().raw(header(b"a", mode=b"0o644")).end(),
        "TAR-06 eight in a number": Layer().raw(header(b"a", size=b"00000000008")).end(),
        "TAR-06 wrong checksum": Layer().raw(header(b"a", checksum=b"000001\0 ")).end(),
        "TAR-06 cut in a header": Layer().file("a", BODY).end()[:300],
        "TAR-06 cut in a body": Layer().file("a", BODY * 500).end()[:1500],
        "TAR-06 not a tar": b"<html>404 Not Found</html>".ljust(2048),
        "TAR-06 pax length 0": Layer().pax(b"0 path=a\n").file("a", BODY).end(),
        "TAR-06 pax length too long": Layer().pax(b"99 path=a\n").file("a", BODY).end(),
        "TAR-06 pax length with a sign": Layer().pax(b"+9 path=a\n").file("a", BODY).end(),
        "TAR-06 pax without equals": Layer().pax(b"9 path:a\n").file("a", BODY).end(),
        "TAR-06 pax negative size": Layer().pax({b"size": b"-1"}).file("a", BODY).end(),
        "TAR-06 pax header at the end": Layer().file("a", BODY).pax({b"path": b"b"}).end(),
        "TAR-06 zero block in between": Layer().file("a", BODY).raw(bytes(512)).file("b", BODY).end(),
    }


def _contradictions() -> dict[str, bytes]:
    """What two readers would understand differently, and sparse maps."""
    return {
        "TAR-07 two pax headers": Layer().pax({b"path": b"b"}).pax({b"path": b"c"}).file("a", BODY).end(),
        "TAR-07 two long names": Layer().gnu_long(b"L", b"b").gnu_long(b"L", b"c").file("a", BODY).end(),
        "TAR-07 pax path and long name": Layer().pax({b"path": b"b"}).gnu_long(b"L", b"c").file("a", BODY).end(),
        "TAR-07 a key twice": Layer().pax([(b"path", b"b"), (b"path", b"c")]).file("a", BODY).end(),
        "TAR-07 file with a slash": Layer().file("a/", BODY).end(),
        "TAR-07 old folder with a body": Layer().entry("a/", BODY, type=b"\0").end(),
        "TAR-07 symlink with a slash": Layer().symlink("a/", "b").end(),
        "TAR-07 folder with a size": Layer().entry("a", BODY, type=b"5").end(),
        "TAR-07 global path": Layer().pax({b"path": b"b"}, type=b"g").file("a", BODY).end(),
        "TAR-07 global size": Layer().pax({b"size": b"0"}, type=b"g").file("a", BODY).end(),
        "TAR-07 unknown type": Layer().entry("a", BODY, type=b"M").end(),
        "TAR-07 prefix without version": Layer().raw(header(b"a", magic=b"ustar\0\0\0", prefix=b"p")).end(),
        "TAR-08 map out of order": Layer().pax(_sparse_01(b"5,1,0,1", b"10")).file("a", b"ab").end(),
        "TAR-08 map beyond the file": Layer().pax(_sparse_01(b"9,2", b"10")).file("a", b"ab").end(),
        "TAR-08 map that does not fit": Layer().pax(_sparse_01(b"0,1", b"10")).file("a", b"ab").end(),
        "TAR-08 map that does not end": _sparse_10(b"3\n0\n1\n").end(),
        "TAR-08 map with a million regions": _sparse_10(b"1000000\n" + b"0\n" * 250).end(),
    }


def _excesses() -> dict[str, bytes]:
    """Too long, too deep, too many, out of range."""
    return {
        "TAR-09 long name": Layer().file(b"a/" * 2049 + b"b", BODY).end(),
        "TAR-09 deep name": Layer().file(b"a/" * 256 + b"b", BODY).end(),
        "TAR-09 long part": Layer().file(b"a" * 256, BODY).end(),
        "TAR-09 long pax header": Layer().pax({b"comment": bytes(1024 * 1024)}).file("a", BODY).end(),
        "TAR-09 long long name": Layer().gnu_long(b"L", b"a" * 5000).file("a", BODY).end(),
        "TAR-09 bytes after the end": Layer().file("a", BODY).end() + b"x",
        "TAR-11 whiteout device": Layer().char_device("a", 0, 0).end(),
        "TAR-11 major out of range": Layer().char_device("a", 4096, 0).end(),
        "TAR-11 minor out of range": Layer().char_device("a", 1, 2**20).end(),
        "TAR-13 too many xattrs": Layer().file("a", pax={b"SCHILY.xattr.user.%d" % i: b"v" for i in range(65)}).end(),
        "TAR-13 too large xattrs": Layer().file("a", pax={b"SCHILY.xattr.user.a": bytes(65536)}).end(),
    }


def _oddities() -> dict[str, bytes]:
    """Whiteouts, names and ids that cannot be."""
    return {
        "TAR-14 whiteout of nothing": Layer().file(".wh.").end(),
        "TAR-14 whiteout of dot": Layer().file("a/.wh..").end(),
        "TAR-14 whiteout of dot-dot": Layer().file("a/.wh...").end(),
        "TAR-14 below a whiteout": Layer().directory(".wh.a").file(".wh.a/b", BODY).end(),
        "TAR-15 NUL in a pax path": Layer().pax({b"path": b"a\0b"}).file("a", BODY).end(),
        "TAR-15 empty symlink": Layer().symlink("a", "").end(),
        "TAR-15 symlink beyond the kernel": Layer().symlink("a", "x" * 4096).end(),
        "TAR-17 owner 2**32-1": Layer().raw(header(b"a", uid=base256(2**32 - 1, 8))).end(),
        "TAR-17 owner 2**32": Layer().raw(header(b"a", uid=base256(2**32, 8))).end(),
        "TAR-17 group in pax": Layer().pax({b"gid": b"4294967295"}).file("a", BODY).end(),
        "TAR-17 negative owner": Layer().raw(header(b"a", uid=base256(-1, 8))).end(),
    }


def _sparse_01(regions: bytes, size: bytes) -> dict[bytes, bytes]:
    return {b"GNU.sparse.map": regions, b"GNU.sparse.size": size, b"GNU.sparse.name": b"sparse"}


def _sparse_10(listed: bytes) -> Layer:
    records = {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.realsize": b"1000000"}
    return Layer().pax(records).file("GNUSparseFile.0/a", listed.ljust(512, b"\0"))


CAPABILITY_V2 = bytes.fromhex("0100000200040000000000000000000000000000")
CAPABILITY_V3 = bytes.fromhex("0100000300040000000000000000000000000000") + (1000).to_bytes(4, "little")


def good_twin() -> list[bytes]:
    """The layers, lowest first, of an image that is odd in every legal way."""
    top = Layer().file("usr/lib/libc.so", b"patched").file("usr/lib/.wh.through-link").symlink("usr/new", "bin")
    return [_odd_files(_ordinary_system()).end(), _changes().end(), top.end()]


def _ordinary_system() -> Layer:
    return (
        Layer()
        .directory("./", mode=0o755)
        .directory("./usr/")
        .directory("usr/bin/")
        .file("usr/bin/sudo", b"#!setuid", mode=0o4755)
        .file("usr/bin/ping", b"ping", mode=0o755, pax={b"SCHILY.xattr.security.capability": CAPABILITY_V2})
        .hard_link("/usr/bin/sudoedit", "/usr/bin/sudo")
        .directory("usr/lib")
        .file("usr/lib/libc.so", b"libc" * 1000)
        .symlink("lib", "usr/lib")
        .file("lib/through-link", b"lands in usr/lib")
        .directory("var")
        .symlink("var/run", "/run")
        .directory("run", mode=0o1777)
        .file("var/run/pid", b"1")
        .symlink("dangling", "/nowhere")
        .hard_link("dangling-too", "dangling")
        .directory("dev")
        .char_device("dev/null", 1, 3, mode=0o666)
        .entry("dev/sda", type=b"4", major=8, minor=0, mode=0o660, gid=6)
        .entry("dev/pipe", type=b"6", mode=0o600)
    )


def _odd_files(layer: Layer) -> Layer:
    long = b"long/" + b"/".join(b"n" * 200 for _ in range(3))
    return (
        layer.directory("opaque-me")
        .file("opaque-me/old", b"old")
        .directory("opaque-me/sub")
        .file("opaque-me/sub/old", b"old")
        .directory("replace-me")
        .file("replace-me/old", b"old")
        .file("delete-me", b"gone")
        .directory("delete-folder")
        .file("delete-folder/x", b"gone")
        .directory("tmp", mode=0o1777)
        .file(b"latin1-\xe9\xff", b"not UTF-8")
        .file("new\nline,comma:colon\\back", b"odd")
        .file("Case", b"upper")
        .file("case", b"lower")
        .file(long, b"long name")
        .file("big-ids", b"x", uid=base256(2**32 - 2, 8), gid=70000)
        .file("future", b"x", mtime=base256(2**31, 12))
        .file("xattrs", b"x", pax={b"SCHILY.xattr.user.note": b"line\nand\0nul", b"mtime": b"1600000000.123456789"})
    )


def _changes() -> Layer:
    return (
        Layer()
        .file(".wh.delete-me")
        .file(".wh.delete-folder")
        .directory("opaque-me", mode=0o700)
        .file("opaque-me/new", b"new")
        .file("opaque-me/.wh..wh..opq")
        .file("replace-me", b"now a file")
        .file("replace-me", b"now a file, said twice")
        .directory("run", mode=0o755)
        .file("run/extra", b"extra")
        .directory("run", mode=0o1777, uid=5)
        .file("a-link-1", b"linked across folders")
        .directory("links")
        .hard_link("links/a-link-2", "a-link-1")
        .hard_link("links/a-link-3", "links/a-link-2")
        .file("tmp/unlisted-parent", b"x")
    )
