from __future__ import annotations

import os

import pytest

from engine.config import EngineConfig, Limits
from engine.images.pull import extract_layer, resolve
from engine.reference import parse
from tests.engine.registry.conftest import QUICK
from tests.support.fault_registry import FaultRegistry
from tests.support.images import Entry, image, layer
from tests.support.registry import Registry
from tests.support.shell_image import push_shell_images


def never():
    return False


@pytest.fixture(scope="session")
def registry():
    with Registry() as running:
        push_shell_images(running.url)
        yield running


@pytest.fixture(scope="session")
def large_image():
    content = [Entry("big", data=os.urandom(2_500_000)), Entry("small", data=b"hello")]
    return image([layer(content)], Cmd=["/bin/sh"])


@pytest.fixture
def faults(large_image):
    with FaultRegistry() as faulty:
        faulty.image = large_image
        faulty.add("library/x:1", faulty.image)
        yield faulty


@pytest.fixture
def config_for(tmp_path):
    def make(url, **limits):
        limits = Limits(**({"reserve_bytes": 0} | limits))
        return EngineConfig(data=tmp_path, uid=os.getuid(), gid=os.getgid(), mirrors={"docker.io": url}, limits=limits)

    return make


@pytest.fixture
def config(config_for, faults):
    return config_for(faults.url)


@pytest.fixture
def find(config):
    def finder(name="x:1", *, config=config, **more):
        return resolve(config, parse(name), **({"cancelled": never, "patience": QUICK} | more))

    return finder


@pytest.fixture
def extract(config):
    def extractor(found, number=0, *, config=config, **more):
        more = {"incoming": "new", "progress": lambda _: None, "cancelled": never, "patience": QUICK} | more
        return extract_layer(config, found.reference, found.layers[number], **more)

    return extractor
