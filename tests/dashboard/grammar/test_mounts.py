"""`-v`, `--mount`, `--tmpfs` and `--storage-opt` in every spelling, and Docker's words for what is wrong."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.grammar import UsageError, parse, split_line
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.mounts import Mount, mount, read_storage, tmpfs, volume
from dashboard.grammar.options import mounts_of


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("/data", Mount(kind="volume", target="/data")),
        ("/data//x/", Mount(kind="volume", target="/data/x")),
        ("data:/data", Mount(kind="volume", source="data", target="/data")),
        ("d-1_a.b:/data:ro", Mount(kind="volume", source="d-1_a.b", target="/data", read_only=True)),
        ("data:/data:rw,nocopy", Mount(kind="volume", source="data", target="/data", copies=False)),
        ("/srv/x/:/x:ro", Mount(kind="bind", source="/srv/x", target="/x", read_only=True)),
        ("/a/../etc:/x", Mount(kind="bind", source="/etc", target="/x")),
        ("//etc:/x", Mount(kind="bind", source="/etc", target="/x")),
    ],
)
def test_v_is_read(text, meant):
    assert volume(text) == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "invalid volume specification: ''"),
        ("data:", "invalid volume specification: 'data:'"),
        (":/x", "invalid volume specification"),
        ("a1:/x:ro:z", "invalid volume specification"),
        ("data", "mount path must be absolute"),
        ("data:x", "mount path must be absolute"),
        ("data:/", "destination can't be '/'"),
        ("data:/..", "destination can't be '/'"),
        ("data:/x:fast", "invalid mode: fast"),
        ("data:/x:ro,rw", "invalid mode: ro,rw"),
        ("/srv:/x:nocopy", "invalid mode: nocopy"),
        ("data:/x:z", "SELinux"),
        ("data:/x:rshared", "never passed on"),
        ("./here:/x", "includes invalid characters for a local volume name"),
        ("~/x:/x", "use absolute path"),
        ("d:/x", "too short"),
        ("a" * 256 + ":/x", "includes invalid characters"),
        ("data:/x\n", "control characters"),
    ],
)
def test_v_that_is_wrong(text, said):
    with pytest.raises(ValueRefused, match=said.replace("(", r"\(")):
        volume(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("source=data,target=/x", Mount(kind="volume", source="data", target="/x")),
        ("type=volume,src=data,dst=/x,ro", Mount(kind="volume", source="data", target="/x", read_only=True)),
        ("type=volume,destination=/x,readonly=false", Mount(kind="volume", target="/x")),
        ("src=data,dst=/x,volume-nocopy", Mount(kind="volume", source="data", target="/x", copies=False)),
        ('"src=data","dst=/a,b"', Mount(kind="volume", source="data", target="/a,b")),
        ("type=bind,src=/srv,dst=/x,readonly", Mount(kind="bind", source="/srv", target="/x", read_only=True)),
        ("type=tmpfs,dst=/t,tmpfs-size=1m", Mount(kind="tmpfs", target="/t", size="1048576")),
        ("type=tmpfs,dst=/t,tmpfs-mode=1770", Mount(kind="tmpfs", target="/t", mode=0o1770)),
    ],
)
def test_mount_is_read(text, meant):
    assert mount(text) == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("type=volume,source=data", "target is required"),
        ("type=npipe,target=/x", "invalid mount type 'npipe'"),
        ("target=/x,colour=red", "unexpected key 'colour' in 'colour=red'"),
        ("target=/x,volume-opt=type=none", "unexpected key 'volume-opt'"),
        ("target=/x,tmpfs-size=1m", "cannot mix 'tmpfs-\\*' options with mount type 'volume'"),
        ("type=bind,target=/x", "field Source must not be empty"),
        ("type=bind,source=x,target=/x", "mount path must be absolute"),
        ("type=bind,source=/x,target=/x,bind-propagation=shared", "never passed on"),
        ("type=bind,source=/x,target=/x,bind-nonrecursive=false", "never comes along"),
        ("type=tmpfs,source=x,target=/x", "field Source must not be specified"),
        ("type=tmpfs,target=/x,tmpfs-mode=999", "invalid mode of a tmpfs"),
        ("target=/x,readonly=perhaps", "invalid value for readonly: perhaps"),
        ("target", "must be a key=value pair"),
        ("target=/x,volume-driver=nfs", "driver 'local' only"),
        ('"target=/x', "parse error"),
        ("", "target is required"),
    ],
)
def test_mount_that_is_wrong(text, said):
    with pytest.raises(ValueRefused, match=said):
        mount(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("/t", Mount(kind="tmpfs", target="/t")),
        ("/t:", Mount(kind="tmpfs", target="/t")),
        ("/t:size=64m,mode=1770,ro", Mount(kind="tmpfs", target="/t", size="64m", mode=0o1770, read_only=True)),
        ("/t:exec,suid,nosuid", Mount(kind="tmpfs", target="/t", allows=("exec",))),
    ],
)
def test_tmpfs_is_read(text, meant):
    assert tmpfs(text) == meant


@pytest.mark.parametrize(
    "text", ["t", "/", "/t:size=", "/t:size=-1", "/t:dev", "/t:huge", "/t:mode=8", "/t:size=1m;rm"]
)
def test_tmpfs_that_is_wrong(text):
    with pytest.raises(ValueRefused):
        tmpfs(text)


def test_storage_has_a_size_and_nothing_else():
    assert read_storage("size=1g") == 1 << 30
    assert read_storage("SIZE = 64m") == 64 << 20
    for text in ("size", "1g", "speed=1", "size=big", "size="):
        with pytest.raises(ValueRefused):
            read_storage(text)


def test_a_wrong_value_is_told_with_its_flag():
    with pytest.raises(UsageError) as told:
        parse(split_line("run -v data:x ubuntu"))
    assert told.value.exit_code == 125
    assert told.value.message.startswith('invalid argument "data:x" for "-v, --volume" flag: invalid mount path')


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_no_text_makes_the_readers_fall_over(text):
    for read in (volume, mount, tmpfs, read_storage):
        with suppress(ValueRefused):
            read(text)


def test_all_three_flags_come_together():
    request = parse(split_line("run --tmpfs /t -v a1:/a --mount type=tmpfs,dst=/m -v /b ubuntu"))
    assert [found.target for found in mounts_of(request.options)] == ["/a", "/b", "/m", "/t"]
