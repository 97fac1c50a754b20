from __future__ import annotations

import os
import stat
import struct
from dataclasses import replace

import pytest

from engine.archives.volumes import backup_volume, restore_volume
from engine.volumes import places
from tests.support.engines import temporary_engine

KEY, OTHER = "0" * 32, "1" * 32
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in [
        (0x01, 6, 0xFFFFFFFF),
        (0x02, 4, 33),
        (0x04, 4, 0xFFFFFFFF),
        (0x10, 4, 0xFFFFFFFF),
        (0x20, 0, 0xFFFFFFFF),
    ]
)


class Lab:
    """A data folder with volumes, and archives on their way."""

    def __init__(self, config):
        self.config = config

    def data(self, name):
        return places.ensure_volume(self.config, name)

    def backup(self, name, key=KEY, *, cancelled=lambda: False):
        seen = []
        packed = backup_volume(self.config, name, key, on_bytes=seen.append, cancelled=cancelled)
        return packed, self.config.transfers / key

    def restore(self, name, archive=None, key=KEY, *, cancelled=lambda: False):
        if archive is not None:
            (self.config.transfers / key).write_bytes(archive)
        return restore_volume(self.config, name, key, on_bytes=lambda _count: None, cancelled=cancelled)

    def with_limits(self, **limits):
        return Lab(replace(self.config, limits=replace(self.config.limits, **limits)))


@pytest.fixture
def lab():
    with temporary_engine() as config:
        yield Lab(config)


@pytest.fixture
def full(lab):
    """The volume `data` with one of everything that containers make."""
    top = lab.data("data")
    (top / "inner" / "deep").mkdir(parents=True)
    (top / "empty").mkdir(mode=0o2770)
    (top / "inner" / "file").write_bytes(b"content" * 1000)
    os.link(top / "inner" / "file", top / "again")
    (top / "out").symlink_to("/etc/passwd")
    (top / "dangling").symlink_to("/".join(["x" * 200] * 3))
    os.link(top / "dangling", top / "dangling-too", follow_symlinks=False)
    os.mkfifo(top / "pipe", 0o640)
    (top / os.fsdecode(b"latin1-\xe9\xff")).write_bytes(b"odd")
    (top / "new\nline,comma:colon\\back").write_bytes(b"odd")
    (top / ".wh.file").write_bytes(b"no whiteout here")
    (top / ("n" * 255)).write_bytes(b"long")
    deep = top.joinpath(*["d" * 200] * 8)
    deep.mkdir(parents=True)
    (deep / "leaf").write_bytes(b"leaf")
    with (top / "holes").open("wb") as file:
        file.seek(5 << 20)
        file.write(b"in between")
        file.truncate(64 << 20)
    (top / "zero").write_bytes(b"")
    (top / "program").write_bytes(b"\x7fELF" * 100)
    os.chown(top / "program", 1000, 1000)
    (top / "program").chmod(0o6755)
    os.chown(top / "empty", 70_000, 2**32 - 2)
    os.setxattr(top / "inner" / "file", "user.mark", b"line\nand\0nul")
    os.setxattr(top / "inner", "user.folder", b"")
    os.setxattr(top / "zero", "security.capability", CAPABILITY)
    os.setxattr(top / "inner" / "file", "system.posix_acl_access", ACL)
    os.chown(top / "out", 5, 6, follow_symlinks=False)
    os.chown(top, 999, 998)
    top.chmod(0o1770)
    for path in [*sorted(top.rglob("*"), reverse=True), top]:
        os.utime(path, (1_600_000_000, 1_500_000_000), follow_symlinks=False)
    assert stat.S_ISFIFO((top / "pipe").lstat().st_mode)
    return lab
