from __future__ import annotations

import time

import pytest

from engine.digest import Digest
from engine.errors import Cancelled, DigestMismatch, ImageUnknown, RegistryError, RegistryUnreachable
from engine.registry.patience import Patience
from tests.engine.registry.conftest import QUICK
from tests.support.fault_registry import (
    FaultRegistry,
    answer,
    change,
    endless,
    ignore_range,
    redirect,
    reset,
    stall,
    throttle,
    truncate,
)

BLOB = r"/blobs/"
FRESH = r"/blobs/.* Range:$"
RESUMED = r"/blobs/.* Range:bytes"


def ranges(faults):
    return [seen.headers.get("range") for seen in faults.seen]


def test_the_bytes_come_in_order_and_whole(fetch, faults):
    assert fetch() == faults.image.layers[0].blob
    assert ranges(faults) == [None]


def test_it_starts_where_it_is_told(fetch, faults):
    blob = faults.image.layers[0].blob
    assert fetch(1000) == blob[1000:]
    assert ranges(faults) == ["bytes=1000-"]
    assert fetch(len(blob)) == b""


@pytest.mark.threat("REG-09")
@pytest.mark.fault("F27")
@pytest.mark.parametrize("fault", [truncate(100_000), reset(100_000), stall(100_000)])
def test_a_broken_connection_is_resumed_where_it_broke(fetch, faults, fault):
    faults.fail(FRESH, fault, times=1)
    faults.fail(RESUMED, fault, times=1)
    assert fetch() == faults.image.layers[0].blob
    assert len(ranges(faults)) == 3
    assert all(value and value.startswith("bytes=") for value in ranges(faults)[1:])
    assert faults.seen[1].headers["if-range"] == '"fixed"'


@pytest.mark.threat("REG-09")
@pytest.mark.fault("F29")
@pytest.mark.parametrize(
    "fault",
    [
        ignore_range,
        answer(416),
        change(content_range="bytes 0-9/10"),
        change(content_range="bytes 100001-300000/300001"),
        change(content_range=""),
        change(content_range="bytes */5"),
    ],
)
def test_a_range_that_is_not_exactly_honoured_never_doubles_bytes(fetch, faults, fault):
    faults.fail(FRESH, truncate(100_000), times=1)
    faults.fail(RESUMED, fault)
    assert fetch() == faults.image.layers[0].blob


@pytest.mark.fault("F27")
def test_a_registry_that_always_breaks_off_is_given_up_with_advice(fetch, faults):
    faults.fail(BLOB, truncate(10))
    with pytest.raises(
        RegistryUnreachable, match=r"broke off after \d+ of \d+ bytes .* Pull again: it goes on from there"
    ):
        fetch()
    assert len(faults.seen) == QUICK.attempts


@pytest.mark.threat("REG-09")
@pytest.mark.fault("F27")
def test_a_trickle_is_too_slow(fetch, faults):
    faults.fail(BLOB, throttle(2000, piece=200))
    started = time.monotonic()
    with pytest.raises(RegistryUnreachable, match=r"broke off"):
        fetch()
    assert time.monotonic() - started < 8


def test_a_slow_consumer_is_not_blamed_on_the_registry(open_client, faults):
    part = faults.image.layers[0]
    taken = b""
    for chunk in open_client().stream(Digest(part.digest), len(part.blob)):
        time.sleep(QUICK.rate_window_s * 1.5)
        taken += chunk
    assert taken == part.blob
    assert len(faults.seen) == 1


@pytest.mark.threat("REG-02")
@pytest.mark.parametrize("body", [b"short", b"x" * 900_000])
def test_a_blob_of_another_size_is_refused_before_it_is_read(fetch, faults, body):
    faults.fail(BLOB, change(body=body))
    with pytest.raises(DigestMismatch, match=r"bytes .* that the image's manifest promises"):
        fetch()
    assert len(faults.seen) == 1


@pytest.mark.threat("REG-02")
@pytest.mark.threat("REG-08")
def test_a_body_without_end_stops_at_the_promised_size(fetch, faults):
    faults.fail(BLOB, endless())
    with pytest.raises(DigestMismatch, match=r"sent more bytes"):
        fetch()


@pytest.mark.threat("REG-09")
@pytest.mark.fault("F29")
def test_a_log_in_page_is_called_one(fetch, faults):
    faults.fail(BLOB, answer(200, b"<html>Sign in</html>", content_type="text/html; charset=utf-8"))
    with pytest.raises(RegistryError, match=r"A web page came instead"):
        fetch()


def test_the_bytes_are_taken_as_they_are_whatever_encoding_is_claimed(fetch, faults):
    faults.fail(BLOB, change(content_encoding="gzip"))
    assert fetch() == faults.image.layers[0].blob
    assert faults.seen[0].headers["accept-encoding"] == "identity"


def test_a_missing_blob_is_named(open_client):
    absent = Digest.of(b"absent")
    with pytest.raises(ImageUnknown, match=f"{absent.short} is missing in the registry docker.io .*blob unknown"):
        b"".join(open_client().stream(absent, 6))


@pytest.mark.threat("REG-06")
def test_blobs_may_live_at_another_host_and_are_resumed_there(fetch, faults):
    blob = faults.image.layers[0].blob
    with FaultRegistry() as storage:
        storage.contents["/signed"] = (blob, "application/octet-stream")
        storage.fail("/signed", truncate(1000), times=1)
        faults.fail(BLOB, redirect(f"{storage.url}/signed?X-Signature=canary"))
        assert fetch() == blob
        assert ranges(storage) == [None, "bytes=1000-"]
        assert all("authorization" not in seen.headers for seen in storage.seen)


@pytest.mark.fault("F28")
def test_a_token_that_expires_in_the_middle_is_renewed(fetch, faults):
    faults.token = "first"

    def expire(exchange):
        truncate(50_000)(exchange)
        faults.token = "second"

    faults.fail(FRESH, change(), times=1)
    faults.fail(FRESH, expire, times=1)
    assert fetch() == faults.image.layers[0].blob
    assert [s.headers.get("authorization") for s in faults.seen if "blobs" in s.path][-1] == "Bearer second"


@pytest.mark.fault("F11")
def test_a_stalled_download_can_be_cancelled(fetch, faults):
    faults.fail(BLOB, stall(1000))
    started = time.monotonic()

    def check():
        if time.monotonic() - started > 0.2:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        fetch(check=check, patience=Patience())
    assert time.monotonic() - started < 5
