from __future__ import annotations

import os

import pytest

from engine.config import EngineConfig
from engine.digest import Digest
from engine.reference import parse
from engine.registry.client import RegistryClient
from engine.registry.patience import Patience
from tests.support.fault_registry import FaultRegistry
from tests.support.images import Entry, image, layer

QUICK = Patience(
    connect_s=1, idle_s=0.6, first_delay_s=0.01, longest_delay_s=0.02, retry_after_cap_s=0.3, rate_window_s=0.6,
    rate_bytes_s=20_000, unreachable_s=3, total_s=10,
)  # fmt: skip
"""The real one in fast motion."""


@pytest.fixture
def faults():
    with FaultRegistry() as registry:
        registry.image = image([layer([Entry("big", data=os.urandom(300_000))])], Cmd=["/bin/sh"])
        registry.add("library/x:1", registry.image)
        yield registry


@pytest.fixture
def config(tmp_path, faults):
    return EngineConfig(data=tmp_path, uid=os.getuid(), gid=os.getgid(), mirrors={"docker.io": faults.url})


@pytest.fixture
def open_client(config):
    clients = []

    def opener(name="x:1", *, check=lambda: None, config=config, **more):
        client = RegistryClient(config, parse(name), check=check, patience=more.pop("patience", QUICK), **more)
        clients.append(client)
        return client

    yield opener
    for client in clients:
        client.__exit__()


@pytest.fixture
def fetch(open_client, faults):
    """The whole first layer of the image that the faulty registry has."""

    def fetcher(offset=0, **more):
        part = faults.image.layers[0]
        return b"".join(open_client(**more).stream(Digest(part.digest), len(part.blob), offset=offset))

    return fetcher
