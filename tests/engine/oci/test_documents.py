from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.digest import Digest
from engine.errors import DocumentInvalid
from engine.oci import media_types
from engine.oci.documents import Index, Manifest, Platform, choose, parse_document
from tests.support.examples import examples
from tests.support.images import Entry, image, index, layer

VECTORS = Path(__file__).parents[2] / "vectors"
WHAT = "the manifest of x:1"
ONE = image([layer([Entry("a", data=b"a")])])
DOCKER = image([layer([Entry("a", data=b"a")], docker=True)], docker=True)


def changed(content=ONE, media_type=None, drop=(), **members):
    document = json.loads(content.manifest) | members
    for name in drop:
        del document[name]
    return parse_document(json.dumps(document).encode(), media_type or content.media_type, WHAT)


@pytest.mark.parametrize(
    ("name", "digest", "image_id", "layers"),
    [
        ("ubuntu-14.04", "64483f3496c1", "13b66b487594", ["2e6e20c8e2e6", "0551a797c01d", "512123a864da"]),
        ("centos-7", "be65f488b776", "eeb6ee3f44bd", ["2d473b07cdd5"]),
    ],
)
def test_the_documents_on_docker_hub_are_read(name, digest, image_id, layers):
    """The real list and manifest, as their digests show; the config is not the real one to the byte (README there)."""
    raw = (VECTORS / f"{name}.index.json").read_bytes()
    assert Digest.of(raw).hex.startswith(digest)
    found = parse_document(raw, media_types.DOCKER_LIST, WHAT)
    assert isinstance(found, Index)
    entry = choose(found, Platform("linux", "amd64"))
    raw = (VECTORS / f"{name}.manifest.json").read_bytes()
    assert (entry.digest, entry.size_bytes) == (Digest.of(raw), len(raw))
    manifest = parse_document(raw, entry.media_type, WHAT)
    assert isinstance(manifest, Manifest)
    assert manifest.config.digest.hex.startswith(image_id)
    assert manifest.config.size_bytes == len((VECTORS / f"{name}.config.json").read_bytes())
    assert [part.digest.hex[:12] for part in manifest.layers] == layers
    assert all(part.media_type in media_types.LAYERS for part in manifest.layers)


@pytest.mark.parametrize("content", [ONE, DOCKER])
def test_a_manifest_gives_config_and_layers_from_the_lowest_up(content):
    found = parse_document(content.manifest, content.media_type, WHAT)
    assert found.config.digest == content.image_id
    assert [part.digest for part in found.layers] == [part.digest for part in content.layers]


def test_an_oci_manifest_need_not_repeat_its_media_type():
    assert isinstance(changed(drop=["mediaType"]), Manifest)


@pytest.mark.threat("REG-03")
@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"manifests": []}, "both as one image and as a list"),
        ({"mediaType": media_types.OCI_INDEX}, "but the registry sent it as"),
        ({"mediaType": media_types.DOCKER_MANIFEST}, "but the registry sent it as"),
        ({"schemaVersion": 1}, "schema 1"),
        ({"schemaVersion": "2"}, "'schemaVersion' is not"),
        ({"config": None}, "'config' is not"),
        ({"layers": None}, "'layers' is not"),
        ({"layers": {}}, "'layers' is not a list"),
        ({"layers": [1]}, "not a list of objects"),
    ],
)
def test_a_document_that_could_be_another_kind_is_refused(members, sentence):
    with pytest.raises(DocumentInvalid, match=sentence):
        changed(**members)


@pytest.mark.threat("REG-03")
def test_the_same_bytes_are_not_read_as_an_index_when_they_are_announced_as_one():
    with pytest.raises(DocumentInvalid):
        changed(media_type=media_types.OCI_INDEX, drop=["mediaType"])
    with pytest.raises(DocumentInvalid, match="'manifests' is not"):
        changed(media_type=media_types.OCI_INDEX, drop=["mediaType", "layers", "config"])


@pytest.mark.threat("REG-03")
@pytest.mark.parametrize(
    "media_type", ["", "text/html", "application/json", "application/vnd.oci.image.manifest.v2+json"]
)
def test_unknown_types_are_refused(media_type):
    with pytest.raises(DocumentInvalid, match="of a kind that Berth does not know"):
        parse_document(ONE.manifest, media_type, WHAT)


@pytest.mark.threat("REG-03")
@pytest.mark.parametrize("media_type", sorted(media_types.SCHEMA_1))
def test_schema_1_is_refused_with_advice(media_type):
    with pytest.raises(DocumentInvalid, match=r"schema 1.*Push the image again"):
        parse_document(b'{"schemaVersion": 1, "fsLayers": []}', media_type, WHAT)


@pytest.mark.threat("REG-02")
@pytest.mark.parametrize("size", [-1, None, "5", 5.0, True, 2**63])
def test_sizes_are_whole_numbers_that_are_not_negative(size):
    layers = json.loads(ONE.manifest)["layers"]
    layers[0]["size"] = size
    with pytest.raises(DocumentInvalid, match="'size' is not"):
        changed(layers=layers)


@pytest.mark.threat("REG-01")
@pytest.mark.parametrize("digest", ["sha256:../../etc", "", "sha256:" + "A" * 64, None, 5])
def test_digests_are_digests(digest):
    layers = json.loads(ONE.manifest)["layers"]
    layers[0]["digest"] = digest
    with pytest.raises(DocumentInvalid):
        changed(layers=layers)


@pytest.mark.threat("REG-04")
def test_foreign_layers_are_known_and_their_urls_are_not_even_read():
    foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    layers = json.loads(DOCKER.manifest)["layers"]
    layers[0] |= {"mediaType": foreign, "urls": ["http://169.254.169.254/"]}
    found = changed(DOCKER, layers=layers)
    assert "169.254" not in repr(found)
    assert media_types.distributable(foreign) == "application/vnd.docker.image.rootfs.diff.tar.gzip"


def test_artifacts_that_are_no_images_are_refused():
    config = json.loads(ONE.manifest)["config"] | {"mediaType": "application/vnd.cncf.helm.config.v1+json"}
    with pytest.raises(DocumentInvalid, match="does not describe a container image"):
        changed(config=config)


@pytest.mark.threat("REG-08")
def test_documents_are_bounded():
    many = json.loads(ONE.manifest)["layers"] * 501
    with pytest.raises(DocumentInvalid, match="more than 500 layers"):
        changed(layers=many)
    entries = json.loads(index([ONE]).manifest)["manifests"] * 1001
    with pytest.raises(DocumentInvalid, match="more than 1000 manifests"):
        changed(index([ONE]), manifests=entries)
    config = json.loads(ONE.manifest)["config"] | {"size": 5 * 1024 * 1024}
    with pytest.raises(DocumentInvalid, match="larger than 4 MiB"):
        changed(config=config)


def of(*platforms):
    images = [image([], os=p.os, architecture=p.architecture, variant=p.variant) for p in platforms]
    made = index(images)
    return parse_document(made.manifest, made.media_type, WHAT), images


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], 1),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], 1),
        ("linux/amd64", ["linux/amd64/v3"], None),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], 1),
        ("linux/arm64", ["linux/arm64/v8", "linux/arm/v7"], 0),
        ("linux/arm64/v8", ["linux/arm64"], 0),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm64/v8"], 1),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/amd64", ["windows/amd64", "linux/s390x"], None),
        ("linux/amd64", ["unknown/unknown", "linux/amd64", "linux/amd64"], 1),
    ],
)
def test_the_entry_that_suits_the_platform_best_is_chosen(wanted, offered, chosen):
    found, images = of(*(Platform.parse(text) for text in offered))
    entry = choose(found, Platform.parse(wanted))
    assert entry == (None if chosen is None else entry)
    assert (entry and entry.digest) == (None if chosen is None else images[chosen].digest)


def test_platforms_are_normalised_and_printed_as_docker_does():
    assert Platform.of("Linux", "x86_64") == Platform.of("linux", "amd64", "v1") == Platform("linux", "amd64")
    assert str(Platform.parse("linux/aarch64")) == "linux/arm64/v8"
    assert str(Platform.parse("amd64")) == "linux/amd64"
    assert Platform.host().os == "linux"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = ["schemaVersion", "mediaType", "config", "layers", "manifests", "annotations"]


@settings(max_examples=examples(150))
@given(
    st.dictionaries(st.sampled_from(MEMBERS), JSON),
    st.sampled_from([ONE, DOCKER, index([ONE])]),
    st.sampled_from(media_types.ACCEPTED),
)
@pytest.mark.threat("REG-08")
def test_whatever_comes_is_a_document_or_a_sentence(members, content, media_type):
    data = json.dumps(json.loads(content.manifest) | members).encode()
    try:
        found = parse_document(data, media_type, WHAT)
    except DocumentInvalid as error:
        assert len(str(error)) > 20  # noqa: PT017
    else:
        assert isinstance(found, Manifest | Index)
