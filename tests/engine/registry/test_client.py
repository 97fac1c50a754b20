from __future__ import annotations

import json
import time

import pytest

from engine.digest import Digest
from engine.errors import Cancelled, DigestMismatch, DocumentInvalid, ImageUnknown, RegistryError, RegistryUnreachable
from engine.oci import media_types
from engine.oci.documents import parse_document
from tests.support.fault_registry import answer, change, endless, redirect, reset, stall, throttle, truncate
from tests.support.images import image, index

MANIFEST = r"/manifests/"


def manifest_of(client):
    found = client.named_document()
    return found, parse_document(found.data, found.media_type, "it")


def test_a_tag_gives_the_bytes_their_type_and_their_digest(open_client, faults):
    found, manifest = manifest_of(open_client())
    assert (found.data, found.digest) == (faults.image.manifest, faults.image.digest)
    assert open_client().blob(manifest.config) == faults.image.config


def test_a_digest_is_asked_for_in_its_own_repository(open_client, faults):
    open_client(f"x@{faults.image.digest}").named_document()
    assert faults.paths(MANIFEST) == [f"/v2/library/x/manifests/{faults.image.digest}"]
    with pytest.raises(ImageUnknown, match=r"not found"):
        open_client(f"other@{faults.image.digest}").named_document()


@pytest.mark.threat("REG-02")
def test_a_body_that_is_not_the_digest_asked_for_is_refused(open_client, faults):
    other = image([], Cmd=["/other"])
    faults.fail(MANIFEST, change(body=other.manifest))
    with pytest.raises(DigestMismatch, match=r"does not have the digest"):
        open_client(f"x@{faults.image.digest}").named_document()


@pytest.mark.threat("REG-02")
@pytest.mark.parametrize("header", [Digest.of(b"other"), "sha512:" + "0" * 128])
def test_a_registry_that_contradicts_itself_is_refused(open_client, faults, header):
    faults.fail(MANIFEST, change(docker_content_digest=header))
    with pytest.raises(DigestMismatch, match=r"does not have the digest"):
        open_client().named_document()


@pytest.mark.threat("REG-01")
@pytest.mark.parametrize("header", ["x", "sha256:../..", "sha256:" + "A" * 64])
def test_an_announced_digest_that_is_none_is_refused(open_client, faults, header):
    faults.fail(MANIFEST, change(docker_content_digest=header))
    with pytest.raises(DocumentInvalid, match=r"digest that is none"):
        open_client().named_document()


@pytest.mark.threat("REG-02")
@pytest.mark.parametrize("difference", [-1, 1])
def test_an_index_must_know_the_size_of_its_entries(open_client, faults, difference):
    many = index([faults.image])
    document = json.loads(many.manifest)
    document["manifests"][0]["size"] += difference
    found = parse_document(json.dumps(document).encode(), many.media_type, "it")
    with pytest.raises(DigestMismatch, match=r"were announced"):
        open_client().document(found.manifests[0])


@pytest.mark.threat("REG-03")
def test_an_index_must_know_the_type_of_its_entries(open_client, faults):
    many = index([faults.image])
    document = json.loads(many.manifest)
    document["manifests"][0]["mediaType"] = media_types.DOCKER_MANIFEST
    found = parse_document(json.dumps(document).encode(), many.media_type, "it")
    with pytest.raises(DocumentInvalid, match=r"was announced as"):
        open_client().document(found.manifests[0])


@pytest.mark.threat("REG-03")
def test_the_type_is_compared_without_parameters_and_case(open_client, faults):
    faults.fail(MANIFEST, change(content_type="Application/vnd.OCI.image.manifest.v1+JSON; charset=utf-8"))
    assert manifest_of(open_client())[0].media_type == media_types.OCI_MANIFEST


def test_unknown_names_get_dockers_sentences(open_client, faults):
    with pytest.raises(ImageUnknown, match=r"^manifest for x:99 not found: manifest unknown: unknown$"):
        open_client("x:99").named_document()
    faults.fail("nosuch", answer(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"no such"}]}'))
    sentence = r"^pull access denied for nosuch, repository does not exist or may require 'docker login': name unknown: no such$"
    with pytest.raises(ImageUnknown, match=sentence):
        open_client("nosuch").named_document()


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"errors":[]}', b'{"errors":"x"}', b'{"errors":[5]}', b"[" * 9999]
)
def test_an_error_without_a_reason_still_gets_a_sentence(open_client, faults, body):
    faults.fail(MANIFEST, answer(404, body))
    with pytest.raises(ImageUnknown, match=r"manifest for x:1 not found: manifest unknown: manifest unknown"):
        open_client().named_document()


def test_a_reason_is_short_and_has_no_control_characters(open_client, faults):
    body = json.dumps({"errors": [{"code": "DENIED", "message": "\x1b[31mno\x1b]0;title\x07" + "x" * 5000}]}).encode()
    faults.fail(MANIFEST, answer(418, body))
    with pytest.raises(RegistryError) as caught:
        open_client().named_document()
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.threat("REG-08")
@pytest.mark.parametrize("body", [b"x" * (5 << 20), None])
def test_a_huge_manifest_is_cut_off(open_client, faults, body):
    faults.fail(MANIFEST, endless(b"x") if body is None else change(body=body))
    with pytest.raises(DocumentInvalid, match=r"larger than"):
        open_client().named_document()


@pytest.mark.threat("REG-08")
@pytest.mark.parametrize("status", [404, 418])
def test_a_huge_error_is_not_read_to_its_end(open_client, faults, status):
    faults.fail(MANIFEST, answer(status, b" " * (50 << 20)))
    started = time.monotonic()
    with pytest.raises(RegistryError):
        open_client().named_document()
    assert time.monotonic() - started < 5


@pytest.mark.threat("REG-08")
def test_endless_headers_are_refused(open_client, faults):
    faults.fail(MANIFEST, change(**{f"x_{n}": "y" * 60_000 for n in range(30)}))
    with pytest.raises(RegistryUnreachable):
        open_client().named_document()


@pytest.mark.threat("REG-09")
@pytest.mark.parametrize("fault", [stall(0), stall(10), throttle(100, piece=20), truncate(20), reset(20)])
def test_a_manifest_that_does_not_come_is_given_up(open_client, faults, fault):
    faults.fail(MANIFEST, fault)
    started = time.monotonic()
    with pytest.raises(RegistryUnreachable, match=r"docker.io"):
        open_client().named_document()
    assert time.monotonic() - started < 9


@pytest.mark.threat("REG-09")
def test_a_web_page_is_no_manifest(open_client, faults):
    faults.fail(MANIFEST, answer(200, b"<html>Please sign in</html>", content_type="text/html"))
    with pytest.raises(DocumentInvalid, match=r"text/html"):
        manifest_of(open_client())


def test_waiting_for_a_silent_registry_can_be_cancelled(open_client, faults):
    faults.fail(MANIFEST, stall(0))
    started = time.monotonic()

    def check():
        if time.monotonic() - started > 0.1:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        open_client(check=check).named_document()
    assert time.monotonic() - started < 5


@pytest.mark.threat("REG-06")
def test_a_redirect_loop_ends(open_client, faults):
    faults.fail(MANIFEST, redirect("/v2/library/x/manifests/1"))
    with pytest.raises(RegistryError, match=r"in circles"):
        open_client().named_document()
    assert len(faults.seen) == 6
