"""Pulls between their jobs: joining, sharing, failing, cancelling, repairing."""

from __future__ import annotations

import pytest

from dashboard import gateway
from dashboard.catalog import pulls, services, ticks
from dashboard.catalog.models import Image, Layer, LayerState, Tag
from dashboard.core.gate import Denied
from dashboard.jobs import services as jobs
from dashboard.jobs.models import Job
from engine.errors import DigestMismatch, ReferenceInvalid
from tests.dashboard.catalog.fakes import digest


def states(kind="pull_image"):
    return list(Job.objects.filter(kind=kind).order_by("pk").values_list("state", flat=True))


def test_a_pull_ends_with_image_layers_and_tag(pulled):
    image = pulled("ubuntu:14.04")
    assert [link.layer.diff_id for link in image.stack.all()] == [digest(t) for t in ("base", "middle", "top")]
    assert image.size_bytes == 3_000_000
    tag = Tag.objects.get()
    assert (tag.registry, tag.repository, tag.tag) == ("docker.io", "library/ubuntu", "14.04")
    assert tag.digest == digest("index base middle top")
    job = Job.objects.get(kind="pull_image")
    assert job.result["status"] == "Downloaded newer image for ubuntu:14.04"
    assert [line["status"] for line in job.progress["layers"]] == ["Pull complete"] * 3


def test_the_second_time_it_is_up_to_date(pulled, registry):
    pulled("ubuntu:14.04")
    pulled("ubuntu:14.04")
    job = Job.objects.filter(kind="pull_image").latest("pk")
    assert job.result["status"] == "Image is up to date for ubuntu:14.04"
    assert len(registry.fetched) == 3


def test_shared_layers_are_fetched_once_and_said_to_be_here(pulled, registry):
    pulled("ubuntu:14.04")
    pulled("ubuntu")
    assert registry.fetched == ["base", "middle", "top", "newest"]
    lines = Job.objects.filter(kind="pull_image").latest("pk").progress["layers"]
    assert [line["status"] for line in lines] == ["Already exists", "Already exists", "Pull complete"]


def test_asking_twice_joins(user, registry, engine, queue):
    first = services.pull("ubuntu:14.04", user=user)
    assert services.pull("docker.io/library/ubuntu:14.04", user=user).pk == first.pk
    assert services.pull("centos:7", user=user).pk != first.pk


def test_two_pulls_at_once_share_the_work_on_a_layer(user, registry, engine, queue):
    services.pull("ubuntu:14.04", user=user)
    services.pull("ubuntu:latest", user=user)
    queue.run()
    assert states() == ["succeeded", "succeeded"]
    assert sorted(registry.fetched) == ["base", "middle", "newest", "top"]
    assert Image.objects.count() == 2


def test_nothing_of_a_pull_is_seen_before_its_end(user, registry, engine, queue):
    seen = []
    registry.during = lambda text: seen.append((Image.objects.count(), Tag.objects.count()))
    services.pull("ubuntu:14.04", user=user)
    queue.run()
    assert seen == [(0, 0)] * 3


def test_a_failed_layer_fails_its_pull_with_the_reason_and_leaves_the_tag(pulled, registry, user, queue, data):
    before = pulled("ubuntu:14.04")
    registry.images["ubuntu:14.04"] = ["base", "broken"]
    registry.broken = {"broken"}
    job = services.pull("ubuntu:14.04", user=user)
    queue.run()
    job.refresh_from_db()
    assert (job.state, job.error_code, job.error) == ("failed", "registry-unreachable", "The registry does not answer.")
    assert services.find_image("ubuntu:14.04", None) == before
    assert Layer.objects.get(diff_id=digest("base")).state == LayerState.READY
    assert list((data / "incoming").iterdir()) == []
    registry.broken = set()
    assert pulled("ubuntu:14.04") != before


def test_a_pull_of_another_repository_tries_its_own_source(user, registry, engine, queue):
    registry.broken = {"ubuntu:14.04 base"}
    services.pull("ubuntu:14.04", user=user)
    services.pull("quay.io/team/app:1", user=user)
    queue.run()
    ticks.tend_pulls()
    queue.run()
    assert states() == ["failed", "succeeded"]


def test_an_unknown_image_is_a_sentence(user, registry, engine, queue):
    job = services.pull("ubuntu:nope", user=user)
    queue.run()
    job.refresh_from_db()
    assert (job.state, job.error_code) == ("failed", "image-unknown")
    assert "manifest for ubuntu:nope not found" in job.error


def test_a_bad_name_makes_no_job(user, registry, queue):
    with pytest.raises(ReferenceInvalid, match="must be lowercase"):
        services.pull("Ubuntu", user=user)
    assert not Job.objects.exists()


def test_nobody_pulls_without_the_right(transactional_db, registry, queue):
    with pytest.raises(Denied):
        services.pull("ubuntu", user=None)


def test_cancelling_one_pull_leaves_the_other(user, registry, engine, queue):
    first = services.pull("ubuntu:14.04", user=user)
    services.pull("ubuntu:latest", user=user)
    registry.during = lambda text: jobs.cancel(first, user) if text == "base" else None
    queue.run()
    ticks.tend_pulls()
    assert states() == ["cancelled", "succeeded"]
    assert "top" not in registry.fetched


def test_a_cancelled_pull_stops_its_layers(user, registry, engine, queue, data, monkeypatch):
    monkeypatch.setattr("dashboard.catalog.handlers.WANTED_EVERY_S", 0)
    job = services.pull("centos:7", user=user)
    (data / "ingest" / digest("gzip red")).write_text("half")
    registry.during = lambda text: jobs.cancel(job, user)
    queue.run()
    ticks.tend_pulls()
    job.refresh_from_db()
    assert job.state == "cancelled"
    assert registry.fetched == []
    assert list((data / "ingest").iterdir()) == []
    assert Layer.objects.get().state == LayerState.MISSING


def test_a_file_that_cannot_be_adopted_fails_the_pull(user, registry, engine, queue):
    engine.adopt_fails = DigestMismatch("The file is not the one that was written.")
    job = services.pull("centos:7", user=user)
    queue.run()
    job.refresh_from_db()
    assert (job.state, job.error_code) == ("failed", "digest-mismatch")


def test_a_parked_pull_whose_message_was_lost_is_finished_by_the_clock(user, registry, engine, queue, monkeypatch):
    monkeypatch.setattr(pulls, "advance_all", lambda layer: None)
    job = services.pull("centos:7", user=user)
    queue.run()
    job.refresh_from_db()
    assert job.state == "running"
    ticks.tend_pulls()
    job.refresh_from_db()
    assert job.state == "succeeded"


def test_a_parked_pull_asks_again_for_a_layer_that_nobody_works_on(user, registry, engine, queue):
    job = services.pull("centos:7", user=user)
    queue.run(limit=1)
    Job.objects.filter(kind="extract_layer").delete()
    queue.waiting.clear()
    ticks.tend_pulls()
    queue.run()
    job.refresh_from_db()
    assert job.state == "succeeded"


def test_a_layer_job_that_was_given_up_fails_the_pull(user, registry, engine, queue):
    job = services.pull("centos:7", user=user)
    queue.run(limit=1)
    queue.waiting.clear()
    jobs.fail(Job.objects.get(kind="extract_layer"), code="worker-lost", message="Its worker was lost 5 times.")
    ticks.tend_pulls()
    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", "Its worker was lost 5 times.")


def test_layers_running_twice_change_nothing(user, registry, engine, queue):
    services.pull("centos:7", user=user)
    queue.run()
    finished = list(Job.objects.values_list("pk", flat=True))
    queue.waiting.extend(finished)
    queue.run()
    assert registry.fetched == ["red"]


def test_by_digest_the_image_has_no_tag(pulled, registry):
    name = f"centos@{digest('index red')}"
    registry.images[name] = ["red"]
    image = pulled(name)
    tag = Tag.objects.get()
    assert (tag.tag, tag.digest) == ("", digest("index red"))
    assert services.resolve_local(name, None).image == image


def test_where_layers_must_be_written_with_other_owners_those_of_another_kernel_are_written_again(
    pulled, registry, user, engine, queue
):
    ids = gateway.IdRange(1 << 20)
    pulled("ubuntu:14.04")
    registry.ids = ids
    pulled("ubuntu:14.04")
    assert registry.fetched == ["base", "middle", "top"] * 2
    assert registry.written_for == [None] * 3 + [ids] * 3
    assert set(Layer.objects.values_list("first_id", "state")) == {(ids.first, "ready")}
    pulled("ubuntu:14.04")
    assert len(registry.fetched) == 6
    registry.ids = None  # a kernel that can show any layer with any owners
    pulled("ubuntu:14.04")
    assert len(registry.fetched) == 6
    registry.ids, registry.broken = gateway.IdRange(1 << 21), {"middle"}
    job = services.pull("ubuntu:14.04", user=user)
    queue.run()
    job.refresh_from_db()
    assert job.state == "failed"
    assert services.find_image("ubuntu:14.04", None).layers.count() == 3
