"""Rows of an earlier version keep what they had."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

IMAGES = ("catalog", "0002_layer_owners")  # as these versions had them
BEFORE, AFTER = [IMAGES, ("containers", "0008_health")], [("containers", "0010_no_address")]


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


@pytest.mark.django_db(transaction=True)
def test_what_runs_while_it_is_upgraded_counts_from_its_start():
    try:
        apps = _migrate([IMAGES, ("containers", "0014_port_addresses")])
        image = apps.get_model("catalog", "Image").objects.create(
            image_id="sha256:" + "a" * 64, config={}, size_bytes=1
        )
        began = timezone.now() - timedelta(hours=2)
        for number, state in enumerate(("running", "paused", "exited"), start=1):
            apps.get_model("containers", "Container").objects.create(
                container_id=f"{number:064x}", name=f"c{number}", image=image, state=state, started_at=began
            )
        apps = _migrate([("containers", "0015_running_hours")])
        rows = apps.get_model("containers", "Run").objects.order_by("container_id")
        assert [(int(row.container_id, 16), row.began_at, row.ended_at) for row in rows] == [
            (1, began, None),
            (2, began, None),
        ]
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())
