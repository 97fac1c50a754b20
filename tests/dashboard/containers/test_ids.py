"""Who a container's users are on the host: one row, one range (RUN-19)."""

from __future__ import annotations

import json

import pytest
from django.db import IntegrityError, transaction

from dashboard import gateway
from dashboard.containers import services
from dashboard.containers.handlers import request_of
from dashboard.containers.ids import give_ids
from dashboard.containers.models import Container, IdMode
from dashboard.core.errors import DashboardError
from dashboard.grammar import ContainerOptions
from tests.dashboard.people import allow

pytestmark = pytest.mark.threat("RUN-19")


@pytest.fixture
def made(user, pulled):
    """made(**options) -> Container in state CREATED."""
    pulled("ubuntu:14.04")

    def create(**options):
        return services.create(user, ContainerOptions(image="ubuntu:14.04", **options))

    return create


@pytest.fixture
def started(user, made, queue, engine):
    def start(**options):
        container = made(**options)
        services.start(container, user)
        queue.run()
        container.refresh_from_db()
        return container

    return start


def test_each_container_gets_another_range_at_its_first_start_and_keeps_it(started, made, user, engine, queue):
    assert made().first_id is None
    one, two = started(), started()
    assert one.id_mode == two.id_mode == IdMode.OWN
    assert len({one.first_id, two.first_id, None}) == 3
    first = one.first_id
    assert engine.requests[one.container_id].ids == gateway.IdRange(first)
    engine.end(one.container_id)
    one.refresh_from_db()
    services.start(one, user)
    queue.run()
    one.refresh_from_db()
    assert one.first_id == first


def test_a_range_is_free_again_when_its_container_is_removed(started, user, queue, engine):
    one = started()
    first = one.first_id
    services.remove(one, user, force=True)
    queue.run()
    assert started().first_id == first


def test_the_database_itself_refuses_one_range_for_two(started):
    one, two = started(), started()
    with pytest.raises(IntegrityError), transaction.atomic():
        Container.objects.filter(pk=two.pk).update(first_id=one.first_id)
    Container.objects.filter(pk__in=[one.pk, two.pk]).update(id_mode=IdMode.SHARED)
    Container.objects.filter(pk=two.pk).update(first_id=one.first_id)


def test_two_workers_that_choose_the_same_range_end_with_different_ones(made, engine, monkeypatch):
    one, two = made(), made()
    give_ids(one)
    honest, answers = engine.choose_ids, [one.first_id, None]

    def late(used):  # looked before the other one wrote
        stale = answers.pop(0)
        found = honest(used)
        if stale is not None:
            found.first_id = stale
        return found

    monkeypatch.setattr(engine, "choose_ids", late)
    give_ids(two)
    assert two.first_id not in {None, one.first_id}
    assert answers == []


def test_where_the_kernel_cannot_do_better_all_share_and_it_is_written_down(started, engine):
    engine.shares_ids = True
    one, two = started(), started()
    assert one.id_mode == two.id_mode == IdMode.SHARED
    assert one.first_id == two.first_id == 1 << 20
    assert engine.requests[one.container_id].id_mode == gateway.IdMode.OWN
    engine.shares_ids = False
    assert request_of(one, rows=24, columns=80).ids == gateway.IdRange(1 << 20)


def test_a_row_from_before_that_was_never_started_gets_a_range_and_one_that_was_does_not(made, user, queue, engine):
    old, older = made(), made()
    Container.objects.update(id_mode=IdMode.BEFORE)
    engine.seen[older.container_id] = gateway.Observed(gateway.State.CREATED)
    for container in (old, older):
        container.refresh_from_db()
        services.start(container, user)
    queue.run()
    old.refresh_from_db()
    older.refresh_from_db()
    assert (old.id_mode, old.first_id is None) == (IdMode.OWN, False)
    assert (older.id_mode, older.first_id) == (IdMode.BEFORE, None)


def test_inspect_says_whose_root_it_is(started, made):
    allow(userns_host=True)
    own = services.inspect(started())["HostConfig"]
    first = Container.objects.exclude(first_id=None).get().first_id
    assert own["UsernsMode"] == ""
    assert own["IDMappings"] == {"UidMap": [f"0:{first}:65536"], "GidMap": [f"0:{first}:65536"]}
    for options in ({"userns": "host"}, {}):
        container = made(**options)
        if not options:
            container.id_mode = IdMode.BEFORE
        host = services.inspect(container)["HostConfig"]
        assert (host["UsernsMode"], host["IDMappings"]) == ("host", None)


@pytest.mark.parametrize("told", [False, True, None])
def test_the_hosts_ids_are_asked_of_the_engine_unless_it_has_said_no(made, settings, tmp_path, told):
    settings.BERTH_RUN = tmp_path
    allow(userns_host=True)
    if told is not None:
        (tmp_path / "findings.json").write_text(json.dumps({"info": {"userns_host": told}}))
    if told is False:
        with pytest.raises(DashboardError, match="--userns host") as caught:
            made(userns="host")
        assert caught.value.status == 403
    else:
        container = made(userns="host")
        give_ids(container)
        wanted = request_of(container, rows=24, columns=80)
        assert (wanted.id_mode, wanted.first_id) == (gateway.IdMode.HOST, None)
        assert wanted.ids is None
