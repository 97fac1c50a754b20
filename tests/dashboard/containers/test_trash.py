"""The trash: what `rm` takes can be brought back until it goes for ever (ADR 29)."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from dashboard.audit.models import Entry
from dashboard.catalog import services as catalog
from dashboard.containers import lifecycle, liferules, reconcile, services, trash, trashhandlers, usage
from dashboard.containers.models import Container, Endpoint, LifeRules, Trashed, VolumeUse
from dashboard.core.errors import DashboardError
from dashboard.grammar import ContainerOptions
from dashboard.history.models import Event
from dashboard.jobs.models import Job
from dashboard.networks.models import Network
from dashboard.quotas.models import Quota
from dashboard.quotas.services import QuotaRefused
from dashboard.teams.models import Team, make_main
from dashboard.volumes import services as volumes
from dashboard.volumes.models import Volume
from engine.errors import StoreError

pytestmark = pytest.mark.django_db(transaction=True)
DAY_S = 24 * 3600


@pytest.fixture
def ubuntu(present):
    return present("ubuntu:14.04")


@pytest.fixture
def team(user):
    main = make_main(Team.objects)
    LifeRules.objects.create(team=main, trash_s=DAY_S)
    return main


@pytest.fixture
def make(ubuntu, team, user, queue, engine):
    def made(name="web", *, runs=False, **options):
        row = services.create(user, ContainerOptions(image="ubuntu:14.04", name=name, **options))
        engine.written[row.container_id] = 4096
        if runs:
            services.start(row, user)
            queue.run()
            row.refresh_from_db()
            assert row.state == "running"
        return row

    return made


def in_trash(row) -> bool:
    return Container.with_trash.filter(pk=row.pk, state="trashed", trashed__isnull=False).exists()


def test_what_is_removed_is_in_the_trash_and_nowhere_else(make, user, queue, engine):
    row = make("web")
    address = row.address
    assert services.remove(row, user) is None
    assert in_trash(row)
    assert not Container.objects.filter(pk=row.pk).exists()
    with pytest.raises(services.NoSuchContainer):
        services.find("web", user)
    assert services.by_id(row.container_id, user) is None
    assert [one.pk for one in trash.listed(user)] == [row.pk]
    entry = Trashed.objects.get()
    assert entry.remover == user
    assert entry.due_at - entry.removed_at == timedelta(seconds=DAY_S)
    assert not Endpoint.objects.filter(container=row.pk).exists()
    assert make("web").address == address  # its name and its address are others' now
    queue.run()
    entry.refresh_from_db()
    assert entry.size_bytes == 4096
    assert ("remove", row.container_id) not in engine.calls
    assert Event.objects.filter(action="destroy", actor=row.container_id).count() == 1
    assert Entry.objects.get(action="trash-container").target.startswith("web (")


def test_it_comes_back_as_it_was(make, user, queue):
    row = make("web", runs=True, networks=("bridge",))
    services.stop(row, user)
    queue.run()
    row.refresh_from_db()
    services.remove(row, user)
    restored = trash.restore(trash.find("web", user), user)
    assert restored.sentence("web") == "web is back."
    again = services.find("web", user)
    assert (again.pk, again.state, again.container_id) == (row.pk, "exited", row.container_id)
    assert again.address
    assert not Trashed.objects.exists()
    services.start(again, user)
    queue.run()
    again.refresh_from_db()
    assert again.state == "running"
    assert Entry.objects.filter(action="restore-container").count() == 1


def test_what_was_never_started_comes_back_so(make, user):
    row = make("web")
    services.remove(row, user)
    assert trash.restore(row, user).container.state == "created"


def test_a_name_that_is_taken_gives_another_and_says_so(make, user):
    first = make("web")
    services.remove(first, user)
    second = make("web")
    with pytest.raises(services.NameTaken):
        trash.restore(first, user, "web")
    assert in_trash(first)
    restored = trash.restore(first, user)
    assert restored.container.name == "web-2"
    assert restored.sentence("web") == "The name web is taken by now; it is back as web-2."
    assert ContainerOptions.from_json(restored.container.options).name == "web-2"
    services.remove(second, user)
    assert trash.restore(second, user, "other").container.name == "other"


def test_a_network_that_is_gone_and_an_address_that_is_taken_are_told(make, user, team):
    near = Network.objects.create(name="near", network_id="5" * 64, number=5, subnet="10.77.5.0/24", team=team)
    Network.objects.create(name="far", network_id="6" * 64, number=6, subnet="10.77.6.0/24", team=team)
    row = make("web", networks=("name=near,ip=10.77.5.9,alias=db", "far"))
    assert {one.network.name for one in row.endpoints.all()} == {"near", "far"}
    services.remove(row, user)
    Network.objects.get(name="far").delete()
    other = make("other", networks=("name=near,ip=10.77.5.9",))
    assert other.address == "10.77.5.9"
    restored = trash.restore(row, user)
    assert restored.lost == [
        "The address 10.77.5.9 is taken by now; it has another.",
        "The network far is gone, so it is not in it any more.",
    ]
    only = restored.container.endpoints.get()
    assert (only.network, only.aliases) == (near, ["db"])
    assert only.address not in {None, "10.77.5.9"}


def test_what_runs_is_ended_first_and_then_in_the_trash(make, user, queue, engine):
    row = make("web", runs=True)
    with pytest.raises(DashboardError, match="container is running"):
        services.remove(row, user)
    assert not Trashed.objects.exists()
    services.remove(row, user, force=True)
    row.refresh_from_db()
    assert row.state == "removing"
    assert Container.objects.filter(pk=row.pk).exists()  # until the engine has ended it
    assert Endpoint.objects.filter(container=row.pk).exists()
    queue.run()
    assert in_trash(row)
    assert not Endpoint.objects.filter(container=row.pk).exists()
    assert ("stop", row.container_id, 0, "KILL") in engine.calls
    assert ("release", row.container_id) in engine.calls
    assert ("remove", row.container_id) not in engine.calls
    assert Container.with_trash.get(pk=row.pk).exit_code == 137
    assert trash.restore(row, user).container.state == "exited"


def test_a_lost_job_is_asked_for_again_and_leads_into_the_trash(make, user, queue):
    row = make("web", runs=True)
    services.remove(row, user, force=True)
    queue.waiting.clear()
    Job.objects.all().delete()  # the worker was killed, and its message and job with it
    row.refresh_from_db()
    reconcile.reconcile_one(row, set())
    queue.run()
    assert in_trash(row)


def test_a_worker_killed_between_two_steps_does_the_rest(make, user, queue, engine, monkeypatch):
    row = make("web", runs=True)
    services.remove(row, user, force=True)
    monkeypatch.setattr(engine, "release", lambda container_id: (_ for _ in ()).throw(StoreError("cut off")))
    queue.run()
    row.refresh_from_db()
    assert row.state == "removing"
    monkeypatch.undo()
    monkeypatch.setattr("dashboard.jobs.services.enqueue", queue.enqueue)
    monkeypatch.setattr("dashboard.jobs.runner.enqueue", queue.enqueue)
    monkeypatch.setattr("dashboard.gateway.engine", lambda: engine)
    reconcile.reconcile_one(row, set())
    queue.run()
    assert in_trash(row)
    assert trash.restore(row, user).container.state == "exited"


def test_rm_now_auto_removal_prune_and_no_trash_go_at_once(make, user, queue, team):
    rows = [make("now"), make("auto", auto_remove=True, runs=True)]
    services.remove(rows[0], user, now=True)
    services.remove(rows[1], user, force=True)
    LifeRules.objects.update(trash_s=0)
    rows.append(make("none"))
    services.remove(rows[2], user)
    queue.run()
    assert not Container.with_trash.exists()
    assert not Trashed.objects.exists()


def test_what_is_dead_goes_for_ever(make, user, queue):
    row = make("web")
    Container.objects.filter(pk=row.pk).update(state="dead")
    services.remove(row, user)
    queue.run()
    assert not Container.with_trash.exists()


def test_anonymous_volumes_go_with_the_end_and_named_ones_stay(make, user, queue, engine):
    row = make("web", volumes=("/data", "cargo:/cargo"))
    assert Volume.objects.count() == 2
    services.remove(row, user, volumes=True)
    queue.run()
    assert Volume.objects.count() == 2
    assert VolumeUse.objects.count() == 2
    with pytest.raises(volumes.VolumeInUse, match=r"in the trash"):
        volumes.remove(Volume.objects.get(name="cargo"), user)
    trash.end(row, user)
    queue.run()
    assert list(Volume.objects.values_list("name", flat=True)) == ["cargo"]
    assert ("remove", row.container_id) in engine.calls
    assert not Container.with_trash.exists()


def test_the_clock_ends_what_is_due_and_nothing_else(make, user, queue):
    due, later = make("due"), make("later")
    services.remove(due, user)
    services.remove(later, user)
    Trashed.objects.filter(container=due.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    trashhandlers.end_due()
    trashhandlers.end_due()
    queue.run()
    assert [one.pk for one in Container.with_trash.all()] == [later.pk]
    assert Job.objects.filter(kind=trash.END).count() == 1


def test_a_clock_that_is_set_moves_the_end_along(make, user):
    services.remove(make("web"), user)
    before = Trashed.objects.get().due_at
    Trashed.objects.update(due_at=timezone.now() - timedelta(days=2))
    trashhandlers.move_along(timedelta(days=3))
    assert Trashed.objects.get().due_at == pytest.approx(before, abs=timedelta(days=1, seconds=10))


def test_an_end_that_fails_can_be_tried_again_or_taken_back(make, user, queue, engine, monkeypatch):
    row = make("web")
    services.remove(row, user)
    monkeypatch.setattr(engine, "remove", lambda container_id: (_ for _ in ()).throw(StoreError("no")))
    trash.end(row, user)
    queue.run()
    entry = Trashed.objects.get()
    assert not entry.is_going
    assert entry.due_at > timezone.now()
    assert trash.find("web", user).error == "It could not be removed: no"
    assert trash.restore(row, user).container.state == "created"


def test_what_is_going_cannot_come_back(make, user, queue):
    row = make("web")
    services.remove(row, user)
    trash.end(row, user)
    with pytest.raises(DashboardError, match="for ever just now"):
        trash.restore(row, user)
    queue.run()
    with pytest.raises(trash.NotInTrash):
        trash.restore(row, user)
    with pytest.raises(trash.NotInTrash):
        trash.end(row, user)


def test_an_image_stays_for_what_is_in_the_trash(make, user, queue):
    row = make("web")
    services.remove(row, user)
    with pytest.raises(DashboardError, match=rf"container {row.short_id} \(web, in the trash\) is using"):
        catalog.remove_image("ubuntu:14.04", user)
    trash.end(row, user)
    queue.run()
    assert "Untagged: ubuntu:14.04" in catalog.remove_image("ubuntu:14.04", user)


def test_in_the_trash_the_layer_counts_and_the_container_does_not(make, user, queue, team):
    Quota.objects.create(team=team, containers=1, layer_bytes=100 << 20)
    row = make("web", storage_bytes=60 << 20)
    services.remove(row, user)
    queue.run()
    assert usage._containers(team.pk, None) == 0
    assert usage._layer_bytes(team.pk, None) == 60 << 20
    with pytest.raises(QuotaRefused):
        make("big", storage_bytes=50 << 20)
    make("small", storage_bytes=40 << 20)
    with pytest.raises(QuotaRefused):
        trash.restore(row, user)
    assert in_trash(row)
    trash.end(row, user)
    queue.run()
    assert usage._layer_bytes(team.pk, None) == 40 << 20


def test_ids_of_the_trash_are_given_to_nobody(make, user, queue):
    row = make("web", runs=True)
    services.remove(row, user, force=True)
    queue.run()
    other = make("other", runs=True)
    assert other.first_id != Container.with_trash.get(pk=row.pk).first_id


def test_of_many_restores_and_removals_at_once_one_is_heard(make, user, queue):
    row = make("web")
    services.remove(row, user)
    came_of_it: list[str] = []

    def ask(number: int) -> None:
        from django.db import connection

        try:
            if number % 2:
                trash.restore(row, user)
            else:
                trash.end(row, user)
            came_of_it.append("restored" if number % 2 else "ended")
        except DashboardError:
            came_of_it.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(came_of_it) == 50
    assert came_of_it.count("restored") + bool(came_of_it.count("ended")) == 1
    queue.run()
    assert Container.with_trash.filter(pk=row.pk).exists() == ("restored" in came_of_it)
    assert not Trashed.objects.exists()


def test_rules_are_a_team_admins_and_bounded(user, team):
    assert liferules.trash_s(LifeRules()) == 0  # of the tests' server
    liferules.change(user, team, {"trash_s": 60, "expiry_s": None})
    assert liferules.trash_s(liferules.rules_of(team.pk)) == 60
    with pytest.raises(DashboardError, match="too short or too long"):
        liferules.change(user, team, {"trash_s": 366 * DAY_S})
    with pytest.raises(DashboardError, match="missing: Warned before"):
        liferules.change(user, team, {"warning_s": None})
    with pytest.raises(DashboardError, match="no such rule"):
        liferules.change(user, team, {"team_id": 5})
    assert Entry.objects.get(action="set-life-rules").parameters == {"trash_s": 60}


def test_restart_and_stale_requests_do_not_reach_what_is_in_the_trash(make, user):
    row = make("web")
    stale = services.find("web", user)
    services.remove(row, user)
    for ask in (services.start, services.restart, lifecycle.remove):
        with pytest.raises(DashboardError, match=r"No such container|is not running"):
            ask(stale, user)
    assert in_trash(row)
