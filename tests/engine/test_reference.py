from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.digest import Digest
from engine.errors import ReferenceInvalid
from engine.reference import Reference, parse

SHA = "sha256:" + "ab" * 32

GOOD = [
    ("ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
    ("ubuntu:14.04", "docker.io/library/ubuntu:14.04", "ubuntu:14.04"),
    ("library/ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
    ("docker.io/ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
    ("index.docker.io/library/centos:7", "docker.io/library/centos:7", "centos:7"),
    ("grafana/grafana:9", "docker.io/grafana/grafana:9", "grafana/grafana:9"),
    ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
    ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
    ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
    (
        "quay.io/prometheus/node-exporter:v1.0",
        "quay.io/prometheus/node-exporter:v1.0",
        "quay.io/prometheus/node-exporter:v1.0",
    ),
    ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
    ("Registry/x", "Registry/x:latest", "Registry/x:latest"),
    ("a__b/c--d.e_f", "docker.io/a__b/c--d.e_f:latest", "a__b/c--d.e_f:latest"),
    (f"centos@{SHA}", f"docker.io/library/centos@{SHA}", f"centos@{SHA}"),
    (f"centos:7@{SHA}", f"docker.io/library/centos:7@{SHA}", f"centos:7@{SHA}"),
    ("x:" + "t" * 128, "docker.io/library/x:" + "t" * 128, "x:" + "t" * 128),
]

BAD = [
    ("", "is empty"),
    ("ubuntu:", "the tag is missing"),
    (":14.04", "at least one component"),
    ("library/Ubuntu", r"invalid reference format: repository name \(library/Ubuntu\) must be lowercase"),
    ("Ubuntu", r"repository name \(library/Ubuntu\) must be lowercase"),
    ("ubuntu:-x", "is not a tag"),
    ("ubuntu:" + "t" * 129, "is not a tag"),
    ("ubuntu 14.04", "no spaces"),
    ("ubuntu\n", "no spaces"),
    ("a//b", "empty part"),
    ("../../etc/passwd", "not the name of a registry"),
    ("a/../b", "is not part of a name"),
    ("ubuntu@sha256:abc", "is not a digest"),
    ("ubuntu@md5:" + "a" * 32, "is not a digest"),
    ("ab" * 32, "cannot specify 64-byte hexadecimal strings"),
    ("a" * 256, "more than 255"),
    ("host.:80/x", "not the name of a registry"),
    ("host:99999/x", "not a port"),
    ("-x", "is not part of a name"),
    ("x:1:2", "is not a tag"),
]


@pytest.mark.parametrize(("text", "canonical", "familiar"), GOOD)
def test_it_fills_in_dockers_defaults(text, canonical, familiar):
    reference = parse(text)
    assert reference.canonical == canonical
    assert reference.familiar == familiar


@pytest.mark.parametrize(("text", "sentence"), BAD)
@pytest.mark.threat("REG-01")
def test_it_says_what_is_wrong_with_a_bad_name(text, sentence):
    with pytest.raises(ReferenceInvalid, match=sentence):
        parse(text)


def test_the_parts_are_there_for_callers():
    reference = parse("ubuntu:14.04")
    assert reference == Reference("docker.io", "library/ubuntu", "14.04", None)
    assert (reference.path, reference.familiar_name, reference.name) == (
        "library/ubuntu",
        "ubuntu",
        "docker.io/library/ubuntu",
    )
    assert parse(f"centos@{SHA}").digest == Digest(SHA)
    assert parse(f"centos@{SHA}").tag is None


WORD = st.from_regex(r"[a-z0-9]+((\.|_|__|-{1,2})[a-z0-9]+)?", fullmatch=True)
NAMES = st.builds(
    lambda registry, path, tag, digest: registry + "/".join(path) + tag + digest,
    st.sampled_from(["", "docker.io/", "localhost:5000/", "quay.io/", "127.0.0.1:1/"]),
    st.lists(WORD, min_size=1, max_size=4),
    st.one_of(st.just(""), st.from_regex(r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)),
    st.sampled_from(["", f"@{SHA}"]),
)


@given(NAMES)
def test_the_familiar_and_the_canonical_form_mean_the_same_again(text):
    try:
        reference = parse(text)
    except ReferenceInvalid:
        return
    assert parse(reference.familiar) == reference
    assert parse(reference.canonical) == reference


@given(
    st.one_of(
        st.text(max_size=60),
        st.text("abA/.:@-_%\\0 1", max_size=40),
        st.binary(max_size=40).map(lambda b: b.decode("latin-1")),
    )
)
@pytest.mark.threat("REG-01")
def test_nothing_that_parses_can_leave_a_path_or_a_url(text):
    try:
        reference = parse(text)
    except ReferenceInvalid:
        return
    parts = reference.repository.split("/")
    assert all(part and part not in (".", "..") for part in parts)
    for piece in (reference.registry, reference.repository, reference.tag or ""):
        assert not set(piece) & set("\\%?#@ \0\n\r\t")
    assert "/" not in reference.registry
