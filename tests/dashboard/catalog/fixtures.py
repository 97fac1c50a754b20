"""Fixtures that the tests of catalog, containers and the command door share."""

from __future__ import annotations

import os

import pytest
from django.contrib.auth import get_user_model

from dashboard import gateway
from dashboard.catalog import services
from dashboard.catalog.models import Layer, LayerState
from tests.dashboard.catalog.fakes import Engine, Queue, Registry, digest


@pytest.fixture
def data(tmp_path, settings):
    settings.BERTH_DATA = tmp_path
    settings.BERTH_UID, settings.BERTH_GID = os.getuid(), os.getgid()  # only root can give a file to the user berth
    for name in ("blobs", "ingest", "incoming", "layers", "containers", "transfers"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def user(transactional_db):
    return get_user_model().objects.create(username="admin", is_superuser=True, is_staff=True)


@pytest.fixture
def registry(monkeypatch, data):
    fake = Registry(
        {
            "ubuntu:14.04": ["base", "middle", "top"],
            "ubuntu:latest": ["base", "middle", "newest"],
            "centos:7": ["red"],
            "quay.io/team/app:1": ["base", "app"],
        }
    )
    monkeypatch.setattr(gateway, "resolve", fake.resolve, raising=False)
    monkeypatch.setattr(gateway, "layer_ids", lambda _config: fake.ids, raising=False)
    monkeypatch.setattr(gateway, "extract_layer", fake.extract, raising=False)
    monkeypatch.setattr(gateway, "prove_layer", fake.prove, raising=False)
    return fake


@pytest.fixture
def engine(monkeypatch):
    fake = Engine()
    monkeypatch.setattr(gateway, "engine", lambda: fake, raising=False)
    return fake


@pytest.fixture
def queue(monkeypatch):
    fake = Queue()
    monkeypatch.setattr("dashboard.jobs.services.enqueue", fake.enqueue)
    monkeypatch.setattr("dashboard.jobs.runner.enqueue", fake.enqueue)
    return fake


@pytest.fixture
def pulled(user, registry, engine, queue):
    def pull(name):
        job = services.pull(name, user=user)
        queue.run()
        job.refresh_from_db()
        assert job.state == "succeeded", job.error
        return services.find_image(name, None)

    return pull


@pytest.fixture
def present(pulled, registry, engine):
    """As `pulled`, with the layers here before: one job instead of two more for each layer, where pulls are not the point."""

    def get(name):
        for diff_id in map(digest, registry.images[name]):
            engine.layers.add(diff_id)
            made = {"state": LayerState.READY, "file_sha256": "f" * 64, "file_bytes": 10, "unpacked_bytes": 1_000_000}
            Layer.objects.get_or_create(diff_id=diff_id, defaults=made)
        return pulled(name)

    return get
