"""Finding, listing, inspecting and removing images."""

from __future__ import annotations

import fcntl
import os
from datetime import timedelta

import pytest
from django.utils import timezone

from dashboard.catalog import services, ticks
from dashboard.catalog.models import Image, Layer, LayerState, Tag
from dashboard.containers import services as containers
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Denied
from dashboard.grammar import ContainerOptions, requests
from dashboard.jobs.models import Job, JobState
from tests.dashboard.catalog.fakes import digest


def test_images_are_found_by_name_id_prefix_and_digest(present):
    image = present("ubuntu:14.04")
    whole = image.image_id
    for text in (
        "ubuntu:14.04",
        "library/ubuntu:14.04",
        "docker.io/library/ubuntu:14.04",
        whole,
        whole[7:],
        whole[7:19],
        whole[:19],
        f"ubuntu@{digest('index base middle top')}",
    ):
        assert services.find_image(text, None) == image, text


def test_what_is_not_here_is_said_in_dockers_form(present):
    present("ubuntu:14.04")
    for text, shown in [("ubuntu", "ubuntu:latest"), ("debian:12", "debian:12"), ("f" * 64, "f" * 64)]:
        with pytest.raises(services.NoSuchImage, match=f"^No such image: {shown}$"):
            services.find_image(text, None)
    assert services.resolve_local("debian", None) is None


def test_an_ambiguous_prefix_is_refused(present):
    image = present("ubuntu:14.04")
    Image.objects.create(
        image_id=image.image_id[:-1] + "x", config={}, architecture="", os="", size_bytes=0, is_public=True
    )
    with pytest.raises(DashboardError, match="multiple IDs found with provided prefix"):
        services.resolve_local(image.image_id[7:19], None)


def test_removing_the_last_name_removes_image_and_layers(present, user, queue, engine):
    image = present("ubuntu:14.04")
    lines = services.remove_image("ubuntu:14.04", user)
    chain = services.chain_ids([digest(t) for t in ("base", "middle", "top")])
    assert lines == [
        "Untagged: ubuntu:14.04",
        f"Untagged: ubuntu@{digest('index base middle top')}",
        f"Deleted: {image.image_id}",
        *(f"Deleted: {item}" for item in reversed(chain)),
    ]
    queue.run()
    assert engine.layers == set()
    assert not Layer.objects.exists()
    assert not Image.objects.exists()


def test_layers_that_another_image_uses_stay(present, user, queue, engine):
    present("ubuntu:14.04")
    present("ubuntu:latest")
    lines = services.remove_image("ubuntu:14.04", user)
    assert len([line for line in lines if line.startswith("Deleted: ")]) == 2
    queue.run()
    assert engine.layers == {digest(t) for t in ("base", "middle", "newest")}


def test_layers_that_a_pull_wants_stay(present, user, queue, engine, registry):
    present("ubuntu:14.04")
    services.pull("ubuntu:latest", user=user)
    queue.run(limit=1)
    services.remove_image("ubuntu:14.04", user)
    queue.run()
    assert engine.layers == {digest(t) for t in ("base", "middle", "newest")}
    assert services.find_image("ubuntu", None)


def test_a_layer_taken_into_use_meanwhile_is_not_removed(present, pulled, user, queue, engine):
    present("ubuntu:14.04")
    services.remove_image("ubuntu:14.04", user)
    removal = queue.waiting.copy()
    queue.waiting.clear()
    pulled("ubuntu:latest")
    queue.waiting.extend(removal)
    queue.run()
    assert engine.layers == {digest(t) for t in ("base", "middle", "newest")}


def test_one_name_of_several_is_only_untagged(present, user, registry):
    registry.images["ubuntu:trusty"] = registry.images["ubuntu:14.04"]
    present("ubuntu:14.04")
    tag = Tag.objects.get()
    Tag.objects.create(registry="docker.io", repository="library/ubuntu", tag="t", digest=tag.digest, image=tag.image)
    assert services.remove_image("ubuntu:14.04", user) == ["Untagged: ubuntu:14.04"]
    assert services.find_image("ubuntu:t", None)


def test_an_id_with_names_in_several_repositories_needs_force(present, user):
    image = present("centos:7")
    Tag.objects.create(registry="quay.io", repository="team/c", tag="7", digest=digest("x"), image=image)
    with pytest.raises(services.ImageInUse, match=r"must be forced.*centos:7, quay.io/team/c:7"):
        services.remove_image(image.image_id[7:19], user)
    lines = services.remove_image(image.image_id[7:19], user, force=True)
    assert lines[0] == "Untagged: centos:7"
    assert f"Deleted: {image.image_id}" in lines


def test_an_image_in_use_is_refused_with_its_users(present, user):
    image = present("centos:7")
    first = containers.create(user, ContainerOptions(image="centos:7", name="first"))
    with pytest.raises(services.ImageInUse, match=rf"must force\) - container {first.short_id} \(first\) is using"):
        services.remove_image("centos:7", user)
    second = containers.create(user, ContainerOptions(image="centos:7", name="second"))
    with pytest.raises(services.ImageInUse, match=r"\(first\) and .* \(second\) are using"):
        services.remove_image(image.image_id, user)
    assert second.image == image
    assert services.remove_image("centos:7", user, force=True)[0] == "Untagged: centos:7"
    assert Image.objects.filter(pk=image.pk).exists()
    with pytest.raises(services.ImageInUse, match="cannot be forced"):
        services.remove_image(image.image_id, user, force=True)


def test_unknown_names_and_strangers_are_refused(present, user):
    present("centos:7")
    with pytest.raises(services.NoSuchImage, match="No such image: debian:latest"):
        services.remove_image("debian", user)
    with pytest.raises(Denied):
        services.remove_image("centos:7", None)
    with pytest.raises(Denied):
        services.images_for(None)


def test_layers_that_nobody_came_back_for_go_after_an_hour(present, user, queue, engine, registry):
    registry.images["centos:7"] = ["red", "broken"]
    registry.broken = {"broken"}
    services.pull("centos:7", user=user)
    queue.run()
    ticks.collect_unused_layers()
    queue.run()
    assert digest("red") in engine.layers
    Layer.objects.update(updated_at=timezone.now() - timedelta(hours=2))
    ticks.collect_unused_layers()
    queue.run()
    assert engine.layers == set()


@pytest.mark.parametrize("mistake", [("nope", "1"), ("dangling", "perhaps")])
def test_a_filter_that_cannot_be_is_refused_even_without_images(mistake):
    with pytest.raises(DashboardError, match="invalid filter"):
        services.image_lines([], requests.Images(filters=(("reference", "x"), mistake)))


def test_lines_of_images_follow_arguments_and_filters(present, user):
    present("ubuntu:14.04")
    image = present("centos:7")
    Image.objects.create(
        image_id=digest("loose"), config={}, architecture="amd64", os="linux", size_bytes=5, is_public=True
    )

    def names(**kwargs):
        lines = services.image_lines(services.images_for(user), requests.Images(**kwargs))
        return [f"{line.repository}:{line.tag}" for line in lines]

    assert sorted(names()) == [":", "centos:7", "ubuntu:14.04"]
    assert names(repository="ubuntu") == ["ubuntu:14.04"]
    assert names(repository="ubuntu:14.04") == ["ubuntu:14.04"]
    assert names(repository="docker.io/library/centos") == ["centos:7"]
    assert names(filters=(("dangling", "true"),)) == [":"]
    assert names(filters=(("reference", "cent*"),)) == ["centos:7"]
    assert "centos:7" in names(filters=(("dangling", "0"),))
    image.config["config"] |= {"Labels": {"tier": "db"}, "Healthcheck": {"Test": ["CMD", "true"]}}
    image.save(update_fields=["config"])
    assert names(filters=(("label", "tier"),)) == names(filters=(("label", "tier=db"),)) == ["centos:7"]
    assert names(filters=(("label", "tier=db"), ("label", "made"))) == []
    shape = services.inspect_image(image, None)
    assert shape["Config"]["Healthcheck"] == {"Test": ["CMD", "true"]}
    assert shape["RepoTags"] == ["centos:7"]
    assert shape["RepoDigests"] == [f"centos@{digest('index red')}"]
    assert shape["RootFS"]["Layers"] == [digest("red")]
    assert shape["Created"] == "2014-04-16T22:30:17Z"
    assert shape["Config"]["Cmd"] == ["/bin/bash"]


def test_files_that_killed_workers_left_go_after_an_hour_but_never_those_of_live_work(user, registry, queue, data):
    services.pull("ubuntu:14.04", user=user)  # queued: what its layers have so far is taken up again
    pull = Job.objects.get(kind="pull_image")
    wanted = Layer.objects.create(diff_id=digest("base"))
    wanted.pulls.create(job=pull, position=0, digest=digest("gzip base"), media_type="x", size_bytes=1)
    adopting = Layer.objects.create(diff_id=digest("middle"), state=LayerState.ADOPTING)
    live = {f"{digest('base')[7:]}.4.1", f"{digest('base')[7:]}.4.1.partial", f"{adopting.diff_id[7:]}.5.1"}
    for name in live | {f"{digest('gone')[7:]}.3.1.partial", f"{digest('young')[7:]}.3.1"}:
        (data / "incoming" / name).write_text("x")
    for name in ("half", "locked", "young"):
        (data / "ingest" / digest(name)).write_text("x")
    for path in [*(data / "incoming").iterdir(), *(data / "ingest").iterdir()]:
        if path.name not in {f"{digest('young')[7:]}.3.1", digest("young")}:
            os.utime(path, (0, 0))
    with (data / "ingest" / digest("locked")).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ticks.sweep_files()
    left = {path.name for path in (data / "incoming").iterdir()}
    assert left == live | {f"{digest('young')[7:]}.3.1"}
    assert {path.name for path in (data / "ingest").iterdir()} == {digest("locked"), digest("young")}
    Job.objects.update(state=JobState.CANCELLED)
    Layer.objects.update(state=LayerState.MISSING)
    ticks.sweep_files()
    assert {path.name for path in (data / "incoming").iterdir()} == {f"{digest('young')[7:]}.3.1"}
