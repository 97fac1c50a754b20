"""Rows of an earlier version keep what they had."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

BEFORE, AFTER = [("containers", "0008_health")], [("containers", "0010_no_address")]


def _migrate(to):
    executor = MigrationExecutor(connection)
    executor.loader.build_graph()
    executor.migrate(to)
    return executor.loader.project_state(to).apps


@pytest.mark.django_db(transaction=True)
def test_a_container_keeps_its_address_in_the_default_network():
    try:
        apps = _migrate(BEFORE)
        image = apps.get_model("catalog", "Image").objects.create(
            image_id="sha256:" + "a" * 64, config={}, size_bytes=1
        )
        rows = apps.get_model("containers", "Container").objects
        for number, address in ((1, "10.120.0.7"), (2, None)):
            rows.create(container_id=f"{number:064x}", name=f"c{number}", image=image, address=address)
        apps = _migrate(AFTER)
        (endpoint,) = apps.get_model("containers", "Endpoint").objects.all()
        assert (endpoint.container.name, endpoint.network.name, endpoint.address) == ("c1", "bridge", "10.120.0.7")
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())
