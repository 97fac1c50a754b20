from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import threading
import time

import pytest

from engine.digest import Digest
from engine.errors import (
    Cancelled,
    DigestMismatch,
    ImageUnknown,
    LayerRejected,
    RegistryUnreachable,
    StoreError,
    StoreFull,
)
from engine.images.pull import LayerProgress, resolve
from engine.reference import parse
from tests.support import images
from tests.support.fault_registry import change, reset, stall, throttle, truncate
from tests.support.images import Entry, folder, image, layer, push

BLOB = r"/blobs/{}"


def never():
    return False


def blob_of(faults):
    return BLOB.format(faults.image.layers[0].digest)


def leftovers(config):
    return sorted(
        str(p.relative_to(config.data)) for f in (config.ingest, config.incoming) if f.is_dir() for p in f.iterdir()
    )


def listing(path):
    """What is in a squashfs file: its own tool's view."""
    return subprocess.run(["rdsquashfs", "--describe", path], capture_output=True, text=True, check=True).stdout


@pytest.mark.services
@pytest.mark.parametrize("compression", ["gzip", "zstd", "plain"])
@pytest.mark.parametrize("docker", [False, True])
def test_a_layer_from_a_real_registry_becomes_a_file(registry, config_for, extract, compression, docker):
    part = layer([folder("d/"), Entry("d/f", data=b"content" * 9999)], compression=compression, docker=docker)
    name = f"library/one-{compression}:{'docker' if docker else 'oci'}"
    push(registry.url, name, image([part], docker=docker))
    config = config_for(registry.url)
    found = resolve(config, parse(name), cancelled=never)
    seen: list[LayerProgress] = []
    written = extract(found, config=config, progress=seen.append)
    file = config.incoming / "new"
    assert (written.diff_id, written.unpacked_bytes) == (part.diff_id, 7 * 9999)
    assert written.file_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert written.file_bytes == file.stat().st_size
    assert "file d/f" in listing(file)
    assert leftovers(config) == ["incoming/new"]
    assert seen[-1] == LayerProgress("Verifying", len(part.blob), len(part.blob))


@pytest.mark.services
def test_a_blob_that_the_registry_lost_is_named(registry, config_for, extract):
    part = layer([Entry("lost", data=b"lost")])
    push(registry.url, "library/lost:1", image([part]))
    config = config_for(registry.url)
    found = resolve(config, parse("lost:1"), cancelled=never)
    registry.delete_blob_file(part.digest)
    registry.pause()
    registry.resume()
    with pytest.raises(ImageUnknown, match=r"is missing in the registry docker\.io"):
        extract(found, config=config)


@pytest.mark.fault("F27")
@pytest.mark.parametrize("fault", [truncate(1_000_000), reset(1_000_000), stall(1_000_000)])
def test_a_connection_that_breaks_is_invisible(find, extract, faults, fault):
    faults.fail(blob_of(faults), fault, times=1)
    assert extract(find()).entries == 2
    assert len(faults.paths(blob_of(faults))) == 2


@pytest.mark.fault("F03")
def test_a_second_attempt_goes_on_where_the_first_broke_off(find, extract, faults, config):
    found = find()
    faults.fail(blob_of(faults), truncate(1_500_000), times=1)
    faults.fail(blob_of(faults), truncate(0), times=4)
    with pytest.raises(RegistryUnreachable, match="broke off after 1500000 of"):
        extract(found)
    assert leftovers(config) == [f"ingest/{found.layers[0].digest}"]
    extract(found)
    assert faults.seen[-1].headers["range"] == "bytes=1500000-"
    assert leftovers(config) == ["incoming/new"]


@pytest.mark.fault("F03")
def test_a_wrong_part_is_dropped_and_all_fetched_again(find, extract, faults, config):
    found = find()
    config.ingest.mkdir()
    (config.ingest / found.layers[0].digest).write_bytes(b"\x1f\x8b wrong" * 1000)
    assert extract(found).entries == 2
    assert [seen.headers.get("range") for seen in faults.seen if "blobs" in seen.path][-2:] == ["bytes=8000-", None]


@pytest.mark.fault("F04")
def test_a_download_that_was_complete_is_not_repeated(find, extract, faults, config):
    found = find()
    config.ingest.mkdir()
    (config.ingest / found.layers[0].digest).write_bytes(faults.image.layers[0].blob)
    extract(found)
    assert faults.paths(blob_of(faults)) == []


@pytest.mark.threat("REG-02")
def test_a_layer_with_the_wrong_digest_leaves_nothing(find, extract, faults, config):
    other = bytearray(faults.image.layers[0].blob)
    other[-4] ^= 1
    faults.fail(blob_of(faults), change(body=bytes(other)))
    with pytest.raises(DigestMismatch, match="The layer that the registry sent is not sha256:"):
        extract(find())
    assert leftovers(config) == []


@pytest.mark.threat("TAR-10")
def test_a_right_blob_with_the_wrong_content_leaves_nothing(find, extract, faults, config):
    document = json.loads(faults.image.config)
    document["rootfs"]["diff_ids"] = ["sha256:" + "0" * 64]
    blob = json.dumps(document).encode()
    manifest = json.loads(faults.image.manifest) | {"config": images.descriptor(images.OCI_CONFIG, blob)}
    made = images.TestImage(faults.image.layers, blob, json.dumps(manifest).encode(), images.OCI_MANIFEST, {})
    faults.add("library/lie:1", made)
    with pytest.raises(DigestMismatch, match="diff ID"):
        extract(find("lie:1"))
    assert leftovers(config) == []


@pytest.mark.parametrize("content", [b"this is not a tar" * 100, b"\x1f\x8b broken", b"x"])
def test_what_is_not_a_tar_is_rejected_and_leaves_nothing(find, extract, faults, config, content):
    part = layer(content, compression="plain")
    faults.add("library/odd:1", image([part]))
    with pytest.raises(LayerRejected):
        extract(find("odd:1"))
    assert leftovers(config) == []


def test_a_layer_that_needs_two_passes_is_fetched_once(find, extract, faults, config):
    entries = [
        Entry("twice", data=b"1" * 500_000),
        *(Entry(f"f{n}", data=b"x" * 100_000) for n in range(20)),
        Entry("twice", data=b"2"),
    ]
    part = layer(entries, compression="plain")
    faults.add("library/twice:1", image([part]))
    written = extract(find("twice:1"))
    assert written.unpacked_bytes == 20 * 100_000 + 1
    assert len(faults.paths(part.digest)) == 1
    assert leftovers(config) == ["incoming/new"]


def test_an_empty_layer_is_a_layer(find, extract, faults):
    faults.add("library/empty:1", image([layer([])]))
    assert extract(find("empty:1")).entries == 0


@pytest.mark.threat("REG-04")
def test_a_foreign_layer_is_fetched_from_the_registry_itself_or_not_at_all(find, extract, faults):
    foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    made = image([dataclasses.replace(layer([Entry("a", data=b"a")], docker=True), media_type=foreign)], docker=True)
    manifest = json.loads(made.manifest)
    manifest["layers"][0]["urls"] = [f"{faults.url}/elsewhere"]
    made = dataclasses.replace(made, manifest=json.dumps(manifest).encode())
    faults.add("library/foreign:1", made)
    found = find("foreign:1")
    assert extract(found).entries == 1
    del faults.contents[f"/v2/library/foreign/blobs/{made.layers[0].digest}"]
    with pytest.raises(ImageUnknown, match="is missing in the registry"):
        extract(found)
    assert faults.paths("elsewhere") == []


@pytest.mark.fault("F11")
@pytest.mark.parametrize("fault", [stall(1_200_000), throttle(500_000)])
def test_cancelling_takes_a_moment_and_leaves_nothing(find, extract, faults, config, fault):
    found = find()
    faults.fail(blob_of(faults), fault)
    before = threading.active_count()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        extract(found, cancelled=lambda: time.monotonic() - started > 0.4)
    assert time.monotonic() - started < 5
    assert leftovers(config) == []
    assert threading.active_count() <= before + 1


def test_cancelled_and_progress_are_called_in_the_callers_thread(find, extract):
    threads = set()

    def cancelled():
        threads.add(threading.get_ident())
        return False

    extract(find(), cancelled=cancelled, progress=lambda _: threads.add(threading.get_ident()))
    assert threads == {threading.get_ident()}


def test_progress_rises_from_downloading_to_verifying(find, extract, faults, monkeypatch):
    monkeypatch.setattr("engine.images.extract.REPORT_EVERY_S", 0)
    faults.fail(blob_of(faults), throttle(4_000_000))
    seen: list[LayerProgress] = []
    extract(find(), progress=seen.append)
    assert seen[0].status == "Downloading"
    assert seen[-1].status == "Verifying"
    downloading = [step.current_bytes for step in seen if step.status == "Downloading"]
    assert downloading == sorted(downloading)
    assert all(step.current_bytes <= step.total_bytes for step in seen)


@pytest.mark.fault("F33")
def test_a_disk_without_room_is_noticed_before_a_byte_is_fetched(find, extract, faults, config_for):
    found = find()
    with pytest.raises(StoreFull, match=r"disk full \(store: .* free\): layer .* needs"):
        extract(found, config=config_for(faults.url, reserve_bytes=1 << 60))
    assert faults.paths(blob_of(faults)) == []


@pytest.mark.root
@pytest.mark.fault("F33")
def test_a_disk_that_fills_up_on_the_way_fails_with_the_sentence(find, extract, faults, config, monkeypatch):
    found = find()
    monkeypatch.setattr("engine.images.extract.ROOM_FACTOR", 0)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", config.data], check=True)
    try:
        with pytest.raises(StoreFull, match=r"(?i)disk (is )?full"):
            extract(found)
        assert leftovers(config) == []
    finally:
        subprocess.run(["umount", config.data], check=True)


@pytest.mark.parametrize("incoming", ["", "../x", "a/b", ".hidden", "x" * 300, "a\0b", "a\n"])
def test_the_name_of_the_file_is_a_plain_name(find, extract, config, incoming):
    with pytest.raises(StoreError, match="plain name"):
        extract(find(), incoming=incoming)


def test_a_layer_larger_than_any_may_be_is_not_begun(find, extract, faults, config_for):
    found = find()
    with pytest.raises(LayerRejected, match="is larger than"):
        extract(found, config=config_for(faults.url, layer_bytes=1000))
    assert faults.paths(blob_of(faults)) == []


@pytest.mark.fault("F30")
def test_two_workers_at_one_layer_do_not_disturb_each_other(find, extract, faults, config):
    found = find()
    faults.fail(blob_of(faults), throttle(5_000_000))
    failures: list[Exception] = []

    def work(name):
        try:
            extract(found, incoming=name)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    one, two = ((config.incoming / name).read_bytes() for name in ("one", "two"))
    assert Digest.of(one) == Digest.of(two)
    assert leftovers(config) == ["incoming/one", "incoming/two"]
