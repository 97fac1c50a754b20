from __future__ import annotations

import json
import time

import pytest

from engine.digest import Digest
from engine.errors import Cancelled, DigestMismatch, DocumentInvalid, ImageUnknown, RegistryDenied
from engine.images.pull import resolve
from engine.oci.platforms import Platform
from engine.reference import parse
from engine.registry.endpoints import Credentials
from engine.store.blobs import BlobStore
from tests.support import images
from tests.support.fault_registry import change, stall
from tests.support.images import Entry, TestIndex, image, index, layer, push, sha256
from tests.support.registry import Registry
from tests.support.shell_image import shell_image


def never():
    return False


def stored(config):
    return sorted(path.name for path in config.blobs.rglob("*") if path.is_file())


@pytest.mark.services
@pytest.mark.parametrize(("name", "docker"), [("ubuntu:14.04", True), ("centos:7", False)])
def test_a_real_registry_tells_what_a_name_means(registry, config_for, name, docker):
    config = config_for(registry.url)
    found = resolve(config, parse(name), cancelled=never)
    expected = shell_image() if docker else shell_image("CentOS Linux 7 (a test image)", docker=False)
    assert (found.digest, found.manifest_digest, found.config_digest) == (
        expected.digest,
        expected.digest,
        expected.image_id,
    )
    assert [part.diff_id for part in found.layers] == [part.diff_id for part in expected.layers]
    assert found.config.cmd == ("/bin/bash",)
    assert BlobStore(config).get(found.digest) == expected.manifest
    assert BlobStore(config).get(found.config_digest) == expected.config


@pytest.mark.services
@pytest.mark.parametrize("docker", [True, False])
def test_an_index_leads_to_the_image_for_the_platform(registry, config_for, docker):
    each = {
        a: image([layer([Entry("a", data=a.encode())], docker=docker)], docker=docker, architecture=a)
        for a in ("amd64", "s390x")
    }
    many = index(list(each.values()), docker=docker)
    name = f"library/many:{'docker' if docker else 'oci'}"
    push(registry.url, name, many)
    config = config_for(registry.url)
    found = resolve(config, parse(name), platform=Platform.parse("linux/s390x"), cancelled=never)
    assert (found.digest, found.manifest_digest) == (many.digest, each["s390x"].digest)
    assert stored(config) == sorted(
        digest.partition(":")[2] for digest in (many.digest, found.manifest_digest, found.config_digest)
    )
    with pytest.raises(
        ImageUnknown, match=r"no matching manifest for linux/arm64/v8 in the manifest list entries of many:"
    ):
        resolve(config, parse(name), platform=Platform.parse("linux/arm64"), cancelled=never)


@pytest.mark.services
def test_bad_names_and_a_registry_that_stops_get_their_sentences(config_for):
    with Registry() as registry:
        push(registry.url, "library/x:1", image([]))
        config = config_for(registry.url)
        for name in ("x:99", "nosuch:latest"):
            with pytest.raises(ImageUnknown, match=f"^manifest for {name} not found: manifest unknown"):
                resolve(config, parse(name), cancelled=never)
        digest = sha256(b"nothing")
        with pytest.raises(ImageUnknown, match=f"manifest for x@{digest} not found"):
            resolve(config, parse(f"x@{digest}"), cancelled=never)


@pytest.mark.services
def test_a_registry_with_a_password_lets_in_who_has_it(config_for):
    with Registry(user="me", password="pass:word") as registry:
        push(registry.url, "library/x:1", image([]), registry.auth)
        config = config_for(registry.url)
        assert resolve(config, parse("x:1"), cancelled=never, credentials=Credentials("me", "pass:word")).layers == ()
        in_url = config_for(registry.url.replace("//", "//me:pass%3Aword@"))
        assert resolve(in_url, parse("x:1"), cancelled=never).layers == ()
        with pytest.raises(RegistryDenied, match="pull access denied for x"):
            resolve(config, parse("x:1"), cancelled=never, credentials=Credentials("me", "wrong"))


@pytest.mark.fault("F02")
def test_nothing_is_stored_unless_everything_fits(find, faults, config):
    faults.fail("/blobs/", change(body=faults.image.config.replace(b"/bin/sh", b"/bin/no")))
    with pytest.raises(DigestMismatch, match="configuration does not have the digest"):
        find()
    assert stored(config) == []


def test_an_image_that_stands_alone_is_checked_by_its_config(find, faults):
    faults.add("library/arm:1", image([], architecture="arm64"))
    with pytest.raises(
        ImageUnknown, match=r"does not match the wanted platform: wanted linux/amd64, actual: linux/arm64/v8"
    ):
        find("arm:1", platform=Platform.parse("linux/amd64"))
    assert find("arm:1", platform=Platform.parse("linux/arm64")).config.architecture == "arm64"
    faults.add("library/windows:1", image([], os="windows"))
    with pytest.raises(ImageUnknown, match="actual: windows/amd64"):
        find("windows:1", platform=Platform.parse("linux/amd64"))
    faults.add("library/old:1", image([], architecture=""))
    assert find("old:1").layers == ()


@pytest.mark.threat("TAR-10")
@pytest.mark.parametrize("diff_ids", [[], ["sha256:" + "0" * 64] * 2])
def test_manifest_and_config_must_agree_on_the_number_of_layers(find, faults, diff_ids):
    document = json.loads(faults.image.config) | {"rootfs": {"type": "layers", "diff_ids": diff_ids}}
    config = json.dumps(document).encode()
    manifest = json.loads(faults.image.manifest) | {"config": images.descriptor(images.OCI_CONFIG, config)}
    made = images.TestImage(faults.image.layers, config, json.dumps(manifest).encode(), images.OCI_MANIFEST, {})
    faults.add("library/odd:1", made)
    with pytest.raises(DocumentInvalid, match="its manifest has 1 layers, its configuration speaks of"):
        find("odd:1")


@pytest.mark.threat("REG-08")
def test_lists_of_lists_are_followed_one_level_and_no_further(find, faults):
    inner = index([faults.image])

    def wrapped(content: TestIndex) -> TestIndex:
        entry = images.descriptor(images.OCI_INDEX, content.manifest)
        document = {"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": [entry]}
        return TestIndex((), json.dumps(document).encode(), images.OCI_INDEX)

    deep = [inner]
    for level in range(3):
        faults.add(f"library/level:{level}", deep[-1])
        deep.append(wrapped(deep[-1]))
    assert find("level:1").manifest_digest == faults.image.digest
    with pytest.raises(DocumentInvalid, match="too deep"):
        find("level:2")


def test_entries_that_are_no_images_do_not_disturb(find, faults):
    unknown = images.descriptor("application/vnd.example+json", b"x", platform={"os": "linux", "architecture": "amd64"})
    attestation = images.descriptor(images.OCI_MANIFEST, b"y", platform={"os": "unknown", "architecture": "unknown"})
    made = index([faults.image])
    document = json.loads(made.manifest)
    document["manifests"] = [unknown, attestation, *document["manifests"]]
    faults.add("library/busy:1", TestIndex((faults.image,), json.dumps(document).encode(), images.OCI_INDEX))
    assert find("busy:1", platform=Platform("linux", "amd64")).manifest_digest == faults.image.digest


@pytest.mark.fault("F11")
def test_it_can_be_cancelled_while_the_registry_is_silent(find, faults):
    faults.fail("/manifests/", stall(0))
    started = time.monotonic()
    with pytest.raises(Cancelled, match="cancelled"):
        find(cancelled=lambda: time.monotonic() - started > 0.3)
    assert time.monotonic() - started < 5


@pytest.mark.fault("F37")
def test_resolving_again_repairs_damaged_blobs(find, config):
    found = find()
    path = BlobStore(config).path(found.config_digest)
    path.write_bytes(b"damaged")
    assert BlobStore(config).get(find().config_digest)
    assert Digest.of(path.read_bytes()) == found.config_digest
