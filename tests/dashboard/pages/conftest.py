"""A catalog with two images, containers in several states, and somebody signed in."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.utils import timezone

from dashboard.catalog.models import Image, ImageHolder, ImageLayer, Layer, LayerState, Tag
from dashboard.containers.models import Container, ContainerState
from dashboard.jobs.models import Job, JobState
from dashboard.teams.models import Team


@pytest.fixture
def person(db):
    return get_user_model().objects.create_superuser(
        "haeun"
    )  # no password: hashing is slow, and only signing in needs one


@pytest.fixture
def page(client, person):
    """A browser that is signed in."""
    client.force_login(person)
    return client


@pytest.fixture
def messages(monkeypatch):
    """Job messages that would go to a worker."""
    sent = []
    monkeypatch.setattr("dashboard.jobs.services.enqueue", sent.append)
    return sent


@pytest.fixture
def at_once(monkeypatch):
    """Jobs end when they are asked for, as the test says."""
    ends = {"state": JobState.SUCCEEDED, "error": ""}

    def wait(job_id, timeout_s):
        Job.objects.filter(pk=job_id).update(**ends)
        return Job.objects.get(pk=job_id)

    monkeypatch.setattr("dashboard.jobs.services.wait", wait)
    return ends


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()


def make_image(name: str, tag: str, sizes: list[int], *, seed: str, team: Team | None = None) -> Image:
    """Everybody's, or with `team` one that only this team holds."""
    config = {
        "config": {"Cmd": ["/bin/bash"], "Env": ["PATH=/usr/bin"], "Labels": {"maker": "<script>alert(1)</script>"}},
        "history": [{"created_by": f"step {number}"} for number in range(len(sizes))],
    }
    image = Image.objects.create(
        image_id=f"sha256:{seed * 16}",
        is_public=team is None,
        config=config,
        architecture="amd64",
        os="linux",
        built_at=timezone.now() - timedelta(days=30),
        size_bytes=sum(sizes),
    )
    for position, size in enumerate(sizes):
        layer = Layer.objects.create(
            diff_id=f"sha256:{seed}{position:060x}", state=LayerState.READY, unpacked_bytes=size, file_bytes=size
        )
        ImageLayer.objects.create(image=image, layer=layer, position=position)
    Tag.objects.create(
        registry="docker.io",
        repository=f"library/{name}",
        tag=tag,
        digest=f"sha256:{seed * 16}",
        image=image,
        team=team,
    )
    if team is not None:
        ImageHolder.objects.create(image=image, team=team)
    return image


def make_container(image: Image, name: str, state: str, **fields: object) -> Container:
    identity = f"{len(name):02x}{sum(name.encode()):06x}" * 8
    return Container.objects.create(
        container_id=identity,
        name=name,
        image=image,
        image_reference="ubuntu:14.04",
        state=state,
        command_shown='"/bin/bash"',
        options={"image": "ubuntu:14.04", "interactive": True, "tty": True, "nano_cpus": 1_500_000_000},
        **fields,
    )


@pytest.fixture
def world(person):
    ubuntu = make_image("ubuntu", "14.04", [188_000_000, 21_000, 1000], seed="13b6")
    centos = make_image("centos", "7", [203_000_000], seed="eeb6")
    running = make_container(ubuntu, "calm_fulton", ContainerState.RUNNING, tty=True, open_stdin=True, owner=person)
    exited = make_container(ubuntu, "brave_lovelace", ContainerState.EXITED, exit_code=137, owner=person)
    return SimpleNamespace(ubuntu=ubuntu, centos=centos, running=running, exited=exited, person=person)


@pytest.fixture
def pulling(person):
    layers = [
        {"id": "2d473b07cdd5", "status": "Pull complete", "current": 48, "total": 48},
        {"id": "0e7e7cdd3381", "status": "Downloading", "current": 13, "total": 52},
    ]
    return Job.objects.create(
        kind="pull_image",
        state=JobState.RUNNING,
        requester=person,
        params={"reference": "node:22"},
        progress={"phase": "layers", "layers": layers},
    )
