"""`cp` into and out of real containers, as the engine does it: CPY-01 to 03 and 05."""

from __future__ import annotations

import io
import os
import secrets
import tarfile
import threading
import time
from pathlib import Path

import pytest

from engine.containers.states import State
from engine.errors import ArchiveRejected, Cancelled, FileUnknown, RequestRefused, StoreFull, WrongState
from engine.runtime.mountrequest import MountKind, MountRequest
from tests.engine.containers.box import Box

pytestmark = pytest.mark.root
MIB = 1024 * 1024
MOUNTS = (
    MountRequest(kind=MountKind.VOLUME, source="shelf", target="/shelf"),
    MountRequest(kind=MountKind.MEMORY, source="", target="/memory"),
    MountRequest(kind=MountKind.VOLUME, source="sealed", target="/sealed", read_only=True),
)


@pytest.fixture(scope="module")
def boxed(lab):
    with lab.started("/bin/sleep", "600", mounts=MOUNTS, writable_bytes=24 * MIB) as container_id:
        yield Box(lab, container_id)


def tar(*entries, **more) -> bytes:
    """Names with text or bytes (a file), None (a folder), or a TarInfo."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in entries:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.mode = more.get("mode", 0o755 if content is None else 0o640)
            info.uid, info.gid = more.get("owner", (1234, 1234))
            data = content.encode() if isinstance(content, str) else content
            if content is None and info.isfile():
                info.type = tarfile.DIRTYPE
            info.size = len(data) if data and info.isfile() else 0
            archive.addfile(info, io.BytesIO(data or b""))
    return made.getvalue()


def special(name, kind, link="") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def put(lab, container_id, path, content: bytes, *, cancelled=lambda: False, **how):
    key = secrets.token_hex(16)
    file = lab.config.transfers / key
    file.write_bytes(content)
    try:
        options = {"keep_owners": False, "is_plain": False} | how
        return lab.engine.copies.copy_in(
            container_id, path, key, on_bytes=lambda _count: None, cancelled=cancelled, **options
        )
    finally:
        file.unlink()


def get(lab, container_id, path, *, follow=False) -> tarfile.TarFile:
    key = secrets.token_hex(16)
    lab.engine.copies.copy_out(
        container_id, path, key, follow=follow, on_bytes=lambda _count: None, cancelled=lambda: False
    )
    file = lab.config.transfers / key
    content = file.read_bytes()
    file.unlink()
    return tarfile.open(fileobj=io.BytesIO(content))


def text_of(archive, name) -> str:
    return archive.extractfile(name).read().decode()


def test_a_file_goes_to_a_new_name_over_a_file_and_into_a_folder(lab, boxed):
    boxed.out(
        "/bin/sh", "-c", "mkdir -p /a/folder; echo old > /a/file; ln -s file /a/link; ln -s /a/nowhere /a/dangling"
    )
    for path in ("/a/new", "/a/file", "/a/folder", "/a/link", "a/relative", "/a/dangling"):
        put(lab, boxed.container_id, path, tar(("given", f"for {path}\n")))
    seen = boxed.out("/bin/sh", "-c", "cd /a; cat new folder/given relative nowhere; cat file; readlink link")
    assert seen.splitlines() == [
        *("for /a/new", "for /a/folder", "for a/relative", "for /a/dangling"),
        *("for /a/link", "file"),
    ]
    assert boxed.out("/bin/stat", "-c", "%u:%g %a", "/a/new") == "0:0 640\n"
    put(lab, boxed.container_id, "/a/owned", tar(("given", "x")), keep_owners=True)
    assert boxed.out("/bin/stat", "-c", "%u:%g", "/a/owned") == "1234:1234\n"


def test_a_folder_goes_to_a_new_name_into_a_folder_and_its_content_beside_what_is_there(lab, boxed):
    boxed.out("/bin/sh", "-c", "mkdir -p -m 750 /b/there/sub; echo kept > /b/there/sub/kept; chown -R 7:7 /b/there")
    folder = tar(("tree", None), ("tree/sub", None), ("tree/sub/leaf", "leaf"))
    put(lab, boxed.container_id, "/b/new", folder)
    put(lab, boxed.container_id, "/b/there", folder)
    put(lab, boxed.container_id, "/b/there", tar(("./", None), ("./sub", None), ("./sub/leaf", "content")))
    put(lab, boxed.container_id, "/b/made", tar(("./", None), ("./leaf", "made")))
    assert boxed.out("/bin/cat", "/b/new/sub/leaf", "/b/there/tree/sub/leaf") == "leafleaf"
    assert boxed.out("/bin/cat", "/b/there/sub/leaf", "/b/there/sub/kept", "/b/made/leaf") == "contentkept\nmade"
    assert boxed.out("/bin/stat", "-c", "%u %a", "/b/there/sub") == "7 750\n"  # what was there stays as it was


@pytest.mark.parametrize(
    ("path", "content", "kind", "sentence"),
    [
        ("/nowhere/file", tar(("f", "x")), FileUnknown, "Could not find the file /nowhere"),
        ("/bin/sleep/x", tar(("f", "x")), FileUnknown, "Could not find"),
        ("/new/", tar(("f", "x")), FileUnknown, "Could not find the file /new/"),
        ("/bin/busybox", tar(("d", None)), RequestRefused, "cannot copy directory to a file"),
        ("/c", tar(("folder", "x")), ArchiveRejected, 'cannot overwrite directory "folder" with non-directory'),
        ("/c", tar(("file", None)), ArchiveRejected, 'cannot overwrite non-directory "file" with directory'),
        ("/c", tar(("link", None), ("link/x", "x")), ArchiveRejected, 'cannot overwrite non-directory "link"'),
        ("/c", tar(("link/x", "x")), ArchiveRejected, "leads through a link"),
        ("/sealed", tar(("f", "x")), RequestRefused, "read-only"),
        ("/proc/1", tar(("f", "x")), RequestRefused, "/proc, /sys or /dev"),
        ("/dev", tar(("f", "x")), RequestRefused, "/proc, /sys or /dev"),
        ("/", tar(("dev", None), ("dev/x", "x")), RequestRefused, "not permitted"),
        ("/c", b"no tar at all" * 100, ArchiveRejected, "refused"),
        ("/c", tar(("f", "x" * 9000))[:4096], ArchiveRejected, "refused"),
        ("/c", tar((special("n", tarfile.CHRTYPE), None)), ArchiveRejected, "character device"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(lab, boxed, path, content, kind, sentence):
    boxed.out("/bin/sh", "-c", "mkdir -p /c/folder; echo mine > /c/file; ln -sf /etc /c/link; [ ! -e /etc/x ]")
    with pytest.raises(kind) as caught:
        put(lab, boxed.container_id, path, content)
    assert sentence in str(caught.value)
    assert boxed.out("/bin/cat", "/c/file") == "mine\n"
    boxed.out("/bin/sh", "-c", '[ ! -e /etc/x ] && [ -d /c/folder ] && [ -z "$(ls -A /c | grep berth)" ]')


def test_a_tar_of_ones_own_goes_into_a_folder_only(lab, boxed):
    boxed.out("/bin/sh", "-c", "mkdir -p /d; echo x > /d/file")
    put(lab, boxed.container_id, "/d", tar(("one", "1"), ("two/three", "3")), is_plain=True)
    assert boxed.out("/bin/cat", "/d/one", "/d/two/three") == "13"
    with pytest.raises(RequestRefused, match="must be a directory"):
        put(lab, boxed.container_id, "/d/file", tar(("one", "1")), is_plain=True)
    with pytest.raises(FileUnknown, match="Could not find the file /d/new"):
        put(lab, boxed.container_id, "/d/new", tar(("one", "1")), is_plain=True)


def test_volumes_and_memory_are_among_the_files(lab, boxed):
    for path in ("/shelf", "/memory"):
        put(lab, boxed.container_id, path, tar(("book", f"in {path}")), keep_owners=True)
        assert text_of(get(lab, boxed.container_id, f"{path}/book"), "book") == f"in {path}"
        assert get(lab, boxed.container_id, f"{path}/book").getmember("book").uid == 1234
    data = lab.config.volumes / "shelf" / "_data" / "book"
    assert (data.read_text(), data.stat().st_uid) == ("in /shelf", 1234)
    names = get(lab, boxed.container_id, "/").getnames()
    assert {"./shelf/book", "./memory/book"} <= {name if name.startswith("./") else f"./{name}" for name in names}
    assert not [name for name in names if name.lstrip("./").startswith(("proc/", "sys/", "dev/"))]


def test_what_comes_out_has_its_name_and_its_owners_and_links_are_links(lab, boxed):
    boxed.out(
        "/bin/sh",
        "-c",
        "mkdir -p /e/tree; cd /e; echo leaf > tree/leaf; chown 33:34 tree/leaf; ln tree/leaf tree/hard; ln -s tree to; ln -s /etc/passwd out",
    )
    archive = get(lab, boxed.container_id, "/e/tree")
    assert archive.getnames() == ["tree", "tree/hard", "tree/leaf"]
    assert [(member.uid, member.gid) for member in archive][1] == (33, 34)
    assert archive.getmember("tree/leaf").islnk()
    assert get(lab, boxed.container_id, "/e/tree/.").getnames()[0] == "."
    assert get(lab, boxed.container_id, "/e/to").getmember("to").linkname == "tree"
    assert get(lab, boxed.container_id, "/e/to", follow=True).getnames() == ["to", "to/hard", "to/leaf"]
    assert get(lab, boxed.container_id, "/e/to/").getnames()[0] == "to"
    assert text_of(get(lab, boxed.container_id, "/e/out", follow=True), "out").startswith("root:x:0:0")
    for path, kind in (("/e/none", FileUnknown), ("/proc/cpuinfo", RequestRefused), ("/e/out/", FileUnknown)):
        with pytest.raises(kind):
            get(lab, boxed.container_id, path)


def test_one_that_does_not_run_takes_and_gives_files_too(lab):
    container_id = lab.create("/bin/cat", "/shelf/note", "/note", mounts=MOUNTS[:1])
    try:
        put(lab, container_id, "/shelf/note", tar(("x", "in the volume\n")))
        put(lab, container_id, "/note", tar(("x", "in the layer\n")))
        assert text_of(get(lab, container_id, "/note"), "note") == "in the layer\n"
        assert not [line for line in Path("/proc/mounts").read_text().splitlines() if container_id in line]
        lab.engine.start(container_id)
        assert lab.result(container_id).out == "in the volume\nin the layer\n"
        lab.engine.release(container_id)
        assert text_of(get(lab, container_id, "/shelf/note"), "note") == "in the volume\n"
    finally:
        lab.take_away(container_id)
    with pytest.raises(WrongState, match="No such container"):
        get(lab, container_id, "/note")


def test_a_paused_one_too(lab):
    with lab.started("/bin/sleep", "600") as container_id:
        lab.engine.operations.pause(container_id)
        put(lab, container_id, "/note", tar(("x", "held")))
        assert text_of(get(lab, container_id, "/note"), "note") == "held"
        lab.engine.operations.unpause(container_id)


def test_the_size_of_its_layer_holds_and_what_does_not_fit_leaves_no_part(lab, boxed):
    with pytest.raises(StoreFull, match="no space left"):
        put(lab, boxed.container_id, "/big", tar(("big", os.urandom(40 * MIB))))
    boxed.out("/bin/sh", "-c", '[ ! -e /big ] && [ -z "$(ls -A / | grep berth)" ]')


def test_a_cancelled_copy_leaves_the_old_file(lab, boxed):
    boxed.out("/bin/sh", "-c", "echo old > /memory/file")
    with pytest.raises(Cancelled):
        put(lab, boxed.container_id, "/memory/file", tar(("file", "new")), cancelled=lambda: True)
    assert boxed.out("/bin/cat", "/memory/file") == "old\n"


@pytest.mark.threat("CPY-02")
@pytest.mark.threat("CPY-05")
def test_a_link_in_place_of_a_file_is_replaced_and_its_target_untouched(lab, boxed, tmp_path):
    canary = tmp_path / "canary"
    canary.write_text("safe")
    boxed.out("/bin/sh", "-c", f"mkdir -p /f; ln -s {canary} /f/file; ln -s /etc/passwd /f/passwd")
    put(lab, boxed.container_id, "/f", tar(("file", "mine"), ("passwd", "mine"), mode=0o777))
    assert canary.read_text() == "safe"
    assert canary.stat().st_mode & 0o777 == 0o644
    assert boxed.out("/bin/sh", "-c", "cat /f/file /f/passwd; head -c 4 /etc/passwd") == "mineminero" + "ot"


@pytest.mark.threat("CPY-01")
@pytest.mark.parametrize("rounds", [25, pytest.param(500, marks=pytest.mark.long)])
def test_who_swaps_a_folder_for_a_link_meanwhile_reaches_nothing_of_the_host(lab, boxed, tmp_path, rounds):
    """The container flips /g/way between a folder and a link to a folder of the host, which has a file of that name."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("the host's")
    outside.chmod(0o777)
    flip = (
        f"mkdir -p /g/folder; echo inside > /g/folder/secret; ln -s {outside} /g/link; "
        "while :; do ln -sfn folder /g/way; ln -sfn link /g/way; rm /g/way; mv /g/folder /g/way; mv /g/way /g/folder; done"
    )
    flipping = boxed.start("/bin/sh", "-c", flip)
    try:
        for _ in range(rounds):
            for path in ("/g/way/secret", "/g/way"):
                try:
                    archive = get(lab, boxed.container_id, path, follow=True)
                    said = [archive.extractfile(one).read() for one in archive if one.isfile()]
                except (FileUnknown, RequestRefused, ArchiveRejected):
                    continue
                assert b"the host's" not in said
            try:
                put(lab, boxed.container_id, "/g/way", tar(("secret", "inside\n"), ("more", "x")))
            except (FileUnknown, RequestRefused, ArchiveRejected):
                continue
    finally:
        boxed.execs.end(boxed.container_id, flipping)
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "the host's"


@pytest.mark.threat("CPY-03")
@pytest.mark.parametrize(
    "entries",
    [
        [("../up", "x")],
        [("a/../../up", "x")],
        [(special("a", tarfile.SYMTYPE, "/etc"), None), ("a/up", "x")],
        [(special("a", tarfile.LNKTYPE, "../etc/passwd"), None)],
        [(special("a", tarfile.LNKTYPE, "/etc/passwd"), None)],
        [(special("a", tarfile.BLKTYPE), None)],
    ],
)
def test_a_hostile_archive_is_refused(lab, boxed, entries):
    boxed.out("/bin/sh", "-c", "mkdir -p /h/inner")
    before = boxed.out("/bin/sh", "-c", "ls -la /h /etc; cat /etc/passwd")
    with pytest.raises(ArchiveRejected):
        put(lab, boxed.container_id, "/h/inner", tar(*entries), is_plain=True)
    after = boxed.out("/bin/sh", "-c", "ls -la /h /etc; cat /etc/passwd")
    assert [line for line in after.splitlines() if "inner" not in line] == [
        line for line in before.splitlines() if "inner" not in line
    ]


def test_the_container_can_be_stopped_while_a_copy_runs(lab):
    with lab.started("/bin/sleep", "600") as container_id:
        begun = threading.Event()

        def cancelled():
            begun.set()
            time.sleep(0.01)
            return False

        failed = []

        def copy():
            try:
                put(
                    lab,
                    container_id,
                    "/many",
                    tar(("./", None), *((f"./{n}", "x" * 5000) for n in range(3000))),
                    cancelled=cancelled,
                )
            except (FileUnknown, RequestRefused, WrongState) as error:
                failed.append(error)

        copying = threading.Thread(target=copy)
        copying.start()
        assert begun.wait(30)
        lab.engine.stop(container_id, 0, "KILL")
        assert lab.wait_for(container_id, State.EXITED)
        copying.join(60)
        assert not copying.is_alive()
