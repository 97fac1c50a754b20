"""Everything that can be asked wrongly is answered with a sentence, the right exit code, and nothing half-done."""

from __future__ import annotations

import re
import subprocess
import threading
import time

import pytest

from tests.integration.conftest import make_berth, small_disk
from tests.support.fault_registry import change, truncate
from tests.support.images import Entry, TestLayer, compress, image, layer, push
from tests.support.server import ROOT
from tests.support.terminal import Person
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(180)]
IMAGE = "ubuntu:14.04"


def refused(berth, code: int, words: str, *argv: str, **how) -> subprocess.CompletedProcess[str]:
    done = berth.run_command(*argv, **how)
    assert done.returncode == code, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert re.search(words, done.stderr), f"{argv}: {done.stderr!r} is not {words!r}"
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize(
    ("code", "words", "argv"),
    [
        (125, "manifest for nothing-here:latest not found", ("run", "nothing-here", "true")),
        (1, "manifest for ubuntu:99.99 not found", ("pull", "ubuntu:99.99")),
        (1, r"repository name \(library/Ubuntu\) must be lowercase", ("pull", "Ubuntu")),
        (1, "invalid reference format", ("pull", "a//b")),
        (125, "invalid reference format", ("run", "ubuntu:", "true")),
        (1, "does not match the wanted platform|no matching manifest", ("pull", "--platform", "linux/arm64", IMAGE)),
        (1, "foreign:1.*(platform|s390x)", ("pull", "foreign:1")),
        (1, "platform", ("pull", "--platform", "beos", IMAGE)),
        (127, r'exec: "no-such": executable file not found in \$PATH', ("run", "--rm", IMAGE, "no-such")),
        (127, r'"/no/such": (stat /no/such: )?no such file', ("run", "--rm", IMAGE, "/no/such")),
        (126, r'exec: "/etc": (is a directory|permission denied)', ("run", "--rm", IMAGE, "/etc")),
        (126, 'exec: "/etc/shadow": permission denied', ("run", "--rm", IMAGE, "/etc/shadow")),
        (125, "unable to find user nobody-here", ("run", "--rm", "-u", "nobody-here", IMAGE, "true")),
        (125, "unable to find group nobodies", ("run", "--rm", "-u", "root:nobodies", IMAGE, "true")),
        (125, "Minimum memory limit allowed is 6MB", ("run", "--rm", "-m", "5m", IMAGE, "true")),
        (125, "invalid.*(size|memory|argument)", ("run", "--rm", "-m", "much", IMAGE, "true")),
        (125, "(?i)cpus", ("run", "--rm", "--cpus", "-1", IMAGE, "true")),
        (125, "Invalid container name", ("run", "--name", "a b", IMAGE, "true")),
        (125, "working directory 'here' is invalid", ("run", "--rm", "-w", "here", IMAGE, "true")),
        (125, "unknown flag: --nope", ("run", "--nope", IMAGE)),
        (1, "No such container: nobody", ("start", "nobody")),
        (1, "No such container: nobody", ("logs", "nobody")),
        (1, "No such container: nobody", ("attach", "nobody")),
        (1, "No such container: nobody", ("rm", "nobody")),
        (1, "No such container: nobody", ("wait", "nobody")),
        (1, "No such image: nobody:latest", ("rmi", "nobody")),
        (1, "No such object: nobody", ("inspect", "nobody")),
        (1, "'frobnicate' is not a berth command", ("frobnicate",)),
        (1, "requires at least 1 argument", ("run",)),
    ],
)
def test_it_is_a_sentence_and_the_right_exit_code(berth, code, words, argv):
    before = berth.ok("ps", "-aq", "--no-trunc"), berth.ok("images", "-q", "--no-trunc")
    refused(berth, code, words, *argv)
    after = berth.ok("ps", "-aq", "--no-trunc"), berth.ok("images", "-q", "--no-trunc")
    assert after == before


def test_a_start_that_fails_leaves_a_created_container_with_its_code_as_docker_does(berth):
    refused(berth, 127, "not found", "run", "--name", "unlucky", IMAGE, "no-such")
    assert berth.state("unlucky")["Status"] == "created"
    assert berth.state("unlucky")["ExitCode"] == 127
    refused(berth, 1, "not found", "start", "unlucky")
    berth.ok("rm", "unlucky")
    berth.assert_clean()


def test_a_taken_name_names_the_holder(berth):
    holder = berth.ok("create", "--name", "taken", IMAGE).strip()
    refused(berth, 125, f'name "/taken" is already in use by container "{holder}"', "run", "--name", "taken", IMAGE)
    berth.ok("rm", "taken")


def test_an_image_in_use_is_not_removed_and_its_users_are_named(berth):
    holder = berth.ok("create", "--name", "user-of-it", IMAGE).strip()
    refused(berth, 1, rf"(?s)conflict.*{holder[:12]} \(user-of-it\)", "rmi", IMAGE)
    assert berth.ok("images", "-q")
    berth.ok("rm", "user-of-it")


def test_a_running_container_is_not_removed_without_force(berth):
    berth.start_long("--name", "busy", IMAGE, "sleep", "100")
    refused(berth, 1, "container is running: stop the container before removing or force remove", "rm", "busy")
    assert berth.state("busy")["Running"] is True
    assert berth.ok("rm", "-f", "busy") == "busy\n"


def test_two_removes_at_once_remove_it_once(berth):
    for _ in range(3):
        berth.start_long("--name", "twice", IMAGE, "sleep", "100")
        done = []

        def remove(done=done):
            done.append(berth.run_command("rm", "-f", "twice"))

        both = [threading.Thread(target=remove) for _ in range(2)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        assert 0 in {x.returncode for x in done}, [x.stderr for x in done]
        for loser in (x for x in done if x.returncode):
            assert re.search("already in progress|No such container", loser.stderr), loser.stderr
        refused(berth, 1, "No such object", "inspect", "twice")
    berth.assert_clean()


def test_a_container_that_goes_while_attached_ends_the_stream_with_its_code(berth):
    container = berth.start_long("-it", "--name", "going", IMAGE)
    argv = [str(ROOT / "script/berth"), "attach", "going"]
    with Person(argv, berth.environment) as person:
        person.expect(rf"root@{container[:12]}:/# ")
        berth.ok("rm", "-f", "going")
        assert person.exit_code() == 137


# Registries


def test_a_registry_that_is_down_is_a_sentence_within_half_a_minute(berth, registry):
    registry.pause()
    try:
        began = time.monotonic()
        refused(berth, 1, "(refused|cannot be reached|connect)", "pull", "centos:7")
        assert time.monotonic() - began < 30
    finally:
        registry.resume()
    assert "Status: Downloaded newer image for centos:7" in berth.ok("pull", "centos:7")
    berth.ok("rmi", "centos:7")


def test_a_layer_with_another_digest_than_it_claims_is_refused(berth, faults):
    wrong = image([layer([Entry("file", data=b"honest" * 1000)])])
    faults.add("test/wrong:1", wrong)
    blob = wrong.layers[0].blob
    faults.fail(wrong.layers[0].digest, change(body=bytes(len(blob))))
    sentence = f"The layer that the registry sent is not {wrong.layers[0].digest}"
    refused(berth, 1, sentence, "pull", f"{faults.url.removeprefix('http://')}/test/wrong:1")
    _nothing_kept(berth, "wrong")


def test_a_manifest_with_another_digest_than_asked_for_is_refused(berth, faults):
    honest, other = image([layer([Entry("a")])]), image([layer([Entry("b")])])
    faults.add("test/swapped:1", honest)
    faults.contents[f"/v2/test/swapped/manifests/{honest.digest}"] = (other.manifest, other.media_type)
    refused(berth, 1, "digest", "pull", f"{faults.url.removeprefix('http://')}/test/swapped@{honest.digest}")
    _nothing_kept(berth, "swapped")


def test_a_truncated_layer_is_refused(berth, faults):
    cut = image([layer([Entry("file", data=b"x" * 100_000)], compression="plain")])
    faults.add("test/cut:1", cut)
    faults.fail(cut.layers[0].digest, truncate(5000))
    digest, size = cut.layers[0].digest.removeprefix("sha256:")[:12], len(cut.layers[0].blob)
    sentence = (
        rf"The download of {digest} from \S+ broke off after \d+ of {size} bytes \(peer closed .+\)\. Pull again: "
    )
    refused(berth, 1, sentence, "pull", f"{faults.url.removeprefix('http://')}/test/cut:1", timeout_s=90)
    _nothing_kept(berth, "cut")


def test_a_layer_whose_archive_stops_in_the_middle_is_refused(berth):
    whole = layer([Entry("file", data=b"x" * 100_000)])
    cut = TestLayer(whole.tar[:50_000], compress(whole.tar[:50_000], "gzip"), whole.media_type)
    push(berth.registry.url, "library/half:1", image([cut]))
    refused(berth, 1, "(?i)end|trunc|archive|tar", "pull", "half:1")
    _nothing_kept(berth, "half")


def test_a_layer_that_is_no_archive_is_refused(berth):
    push(berth.registry.url, "library/poem:1", image([layer(b"Shall I compare thee to a summer's day?\n" * 100)]))
    refused(berth, 1, "(?i)tar|archive|header", "pull", "poem:1")
    _nothing_kept(berth, "poem")


def _nothing_kept(berth, name: str) -> None:
    assert name not in berth.ok("images", "-a")
    berth.assert_clean()


@pytest.mark.fault("F33")
def test_a_full_disk_fails_the_pull_with_a_sentence_and_berth_goes_on(registry, big_image):
    with (
        small_disk(48) as disk,
        make_berth(registry, settings={"BERTH_RESERVE": "8m"}, folder=disk) as berth,
    ):
        berth.ok("pull", "-q", "ubuntu:14.04")
        refused(berth, 1, "(?i)(disk|space|full)", "pull", big_image)
        refused(berth, 1, "(?i)(disk|space|full)", "pull", big_image)
        assert berth.ok("run", "--rm", IMAGE, "echo", "goes on") == "goes on\n"
        assert big_image.partition(":")[0] not in berth.ok("images")
        berth.assert_clean()


# The same over HTTP


def test_pages_answer_with_a_sentence_and_the_right_status(berth):
    made = berth.ok("create", "--name", "paged", IMAGE).strip()
    with berth.browser() as browser:

        def post(path: str, **words: str):
            answer = browser.post(path, data=words, headers={"Accept": "application/json"})
            return answer.status_code, answer.text

        assert post("/catalog/pull/", reference="Bad Name")[0] == 400
        assert post("/catalog/pull/", reference="")[0] == 400
        assert post(f"/containers/{'0' * 64}/start/")[0] == 404
        assert post(f"/containers/{made}/kill/")[0] == 409
        status, text = post("/containers/run/", image=IMAGE, name="paged", command="true")
        assert (status, "already in use" in text) == (422, True)
        status, text = post("/containers/run/", image=IMAGE, memory="5m", command="true")
        assert (status, "6MB" in text) == (422, True)
        status, text = post("/containers/run/", image=IMAGE, name="unfound", command="no-such")
        assert (status, "not found" in text) == (409, True)
        status, text = post("/containers/run/", image="nothing-here", command="true")
        assert status in {404, 422}
        image_hex = berth.ok("images", "-q", "--no-trunc").split()[0].partition(":")[2]
        status, text = post(f"/catalog/images/{image_hex}/remove/")
        assert (status, "paged" in text) == (409, True)
        assert browser.get(f"/catalog/images/{'0' * 64}/").status_code == 404
        answer = browser.post(f"/containers/{made}/remove/")
        assert answer.status_code == 302
        assert post(f"/containers/{made}/remove/")[0] == 404
    berth.ok("rm", "unfound")


def test_a_failed_pull_tells_its_reason_on_its_page(berth):
    with berth.browser() as browser:
        answer = browser.post("/catalog/pull/", data={"reference": "nothing-here:9"})
        assert answer.status_code == 302
        page = answer.headers["Location"]
        until(
            lambda: f"the reason: {browser.get(page).text}",
            lambda: "manifest for nothing-here:9 not found" in browser.get(page).text,
        )
