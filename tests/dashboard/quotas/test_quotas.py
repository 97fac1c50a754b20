"""Quotas: what they count, whom they hold for, what a refusal says and leaves, and that 50 at once never get more (WEB-13)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from dashboard.audit.models import Entry
from dashboard.catalog import services as catalog
from dashboard.containers import operations, restartticks, runticks, services
from dashboard.containers.models import Container, ContainerState, PublishedPort, Run
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Denied
from dashboard.grammar import parse
from dashboard.jobs.models import Job
from dashboard.quotas import services as quotas
from dashboard.quotas import usage
from dashboard.quotas.kinds import KINDS
from dashboard.quotas.models import Quota
from dashboard.quotas.services import QuotaRefused
from dashboard.teams import scope
from dashboard.volumes import services as volumes
from dashboard.volumes.models import Volume
from tests.dashboard.catalog.fixtures import data, engine, pulled, queue, registry, user
from tests.dashboard.people import make_member, make_team
from tests.dashboard.teams.conftest import BACKEND
from tests.support.crowd import at_once

__all__ = ["data", "engine", "pulled", "queue", "registry", "user"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.threat("WEB-13")]
MIB = 1 << 20


@pytest.fixture(autouse=True)
def ubuntu(pulled):
    pulled("ubuntu:14.04")


@pytest.fixture
def team():
    return make_team("class-1")


@pytest.fixture
def haeun(team):
    return make_member("haeun", "operator", team)


@pytest.fixture
def teacher(team):
    return make_member("teacher", "admin", team)


def limit(team=None, person=None, **limits):
    return Quota.objects.update_or_create(team=team, person=person, defaults=limits)[0]


def make(person, *words):
    return services.create(person, parse(["create", *words, "ubuntu:14.04"]).options)


def run(person, queue, *words):
    made = make(person, *words)
    services.start(made, person)
    queue.run()
    made.refresh_from_db()
    return made


def test_every_kind_is_counted_by_somebody():
    assert set(usage._counts) == set(KINDS)


@pytest.mark.parametrize("whose", ["team", "member", "person", "everybody"])
def test_each_quota_holds_for_what_is_its_own(team, haeun, teacher, whose):
    limit(
        team if whose in {"team", "member"} else None,
        haeun if whose in {"member", "person"} else None,
        containers=2,
    )
    make(haeun)
    make(haeun)
    sentence = {
        "team": "The quota of the team class-1 is used up .Containers, running or not.: 2 of 2 are in use, and this needs 1",
        "member": "The quota of haeun in the team class-1 .* ask an admin of the team",
        "person": "The quota of haeun is used up .* ask a site administrator",
        "everybody": "The quota of haeun is used up",
    }[whose]
    with pytest.raises(QuotaRefused, match=sentence) as caught:
        make(haeun)
    assert caught.value.status == 403
    assert Container.objects.count() == 2
    if whose == "team":
        with pytest.raises(QuotaRefused):
            make(teacher)
    else:
        make(teacher)


def test_a_quota_of_ones_own_stands_in_place_of_everybodys(team, haeun):
    limit(containers=0)
    with pytest.raises(QuotaRefused):
        make(haeun)
    limit(person=haeun, containers=1)
    make(haeun)


def test_a_person_is_counted_over_all_teams_and_a_member_in_one(team, haeun):
    make_member("haeun", "operator", make_team("other"))
    limit(person=haeun, containers=2)
    limit(team, haeun, containers=1)
    scope.use(haeun, "class-1")
    make(haeun)
    with pytest.raises(QuotaRefused, match="haeun in the team class-1"):
        make(haeun)
    scope.use(haeun, "other")
    make(haeun)
    with pytest.raises(QuotaRefused, match="The quota of haeun is"):
        make(haeun)


RUNNING = {
    "nano_cpus": (1_500_000_000, ("--cpus", "1"), "1 of 1.5 are in use, and this needs 1"),
    "memory_bytes": (150 * MIB, ("-m", "100m"), "100m of 150m are in use, and this needs 100m"),
    "pids": (150, ("--pids-limit", "100"), "100 of 150 are in use, and this needs 100"),
    "ports": (1, ("-p", "8080"), "1 of 1 are in use, and this needs 1"),
}


@pytest.mark.parametrize("kind", RUNNING)
def test_a_running_container_takes_its_share_and_gives_it_back_at_its_end(team, haeun, queue, engine, kind):
    most, words, sentence = RUNNING[kind]
    limit(team, **{kind: most})
    first = run(haeun, queue, *words)
    assert first.state == ContainerState.RUNNING
    second = make(haeun, *words)
    with pytest.raises(QuotaRefused, match=sentence):
        services.start(second, haeun)
    second.refresh_from_db()
    assert second.state == ContainerState.CREATED
    assert "used up" in second.error
    assert PublishedPort.objects.filter(container=second).count() == 0
    engine.end(first.container_id)
    services.start(second, haeun)
    queue.run()
    second.refresh_from_db()
    assert second.state == ContainerState.RUNNING


def test_without_a_limit_of_its_own_it_takes_the_servers_default(team, haeun):
    limit(team, memory_bytes=100 * MIB)
    made = make(haeun)
    with pytest.raises(QuotaRefused, match=r"0\w? of 100m"):
        services.start(made, haeun)


def test_a_start_that_the_engine_refuses_or_that_nobody_finishes_gives_all_back(team, haeun, queue, engine):
    limit(team, memory_bytes=100 * MIB)
    from dashboard.gateway import RuntimeFailed

    made = make(haeun, "-m", "100m")
    engine.fails = RuntimeFailed("no")
    services.start(made, haeun)
    assert usage.used("memory_bytes", team.pk, None) == 100 * MIB  # from the moment that it is asked for
    queue.run()
    assert usage.used("memory_bytes", team.pk, None) == 0


def test_a_restart_by_policy_is_held_too_and_waits(team, haeun, queue, engine):
    first = run(haeun, queue, "-m", "100m", "--restart", "always")
    engine.end(first.container_id, 1)
    limit(team, memory_bytes=50 * MIB)
    Container.objects.filter(pk=first.pk).update(restart_at=first.created_at)
    restartticks.begin_due()
    first.refresh_from_db()
    assert first.state == ContainerState.EXITED
    assert "used up" in first.error
    assert first.restart_at is not None


def test_more_for_a_running_container_is_held_and_less_is_not(team, haeun, queue, engine):
    made = run(haeun, queue, "-m", "100m")
    limit(team, memory_bytes=150 * MIB)
    job = operations.update(made, haeun, {"memory_bytes": 200 * MIB})
    queue.run()
    job.refresh_from_db()
    made.refresh_from_db()
    assert "used up" in job.error
    assert made.options["memory_bytes"] == 100 * MIB
    operations.update(made, haeun, {"memory_bytes": 150 * MIB})
    queue.run()
    made.refresh_from_db()
    assert made.options["memory_bytes"] == 150 * MIB


def test_the_disk_of_writable_layers_is_counted_by_its_size(team, haeun):
    limit(team, layer_bytes=100 * MIB)
    with pytest.raises(DashboardError, match="--storage-opt size"):
        make(haeun)
    made = make(haeun, "--storage-opt", "size=64m")
    with pytest.raises(QuotaRefused, match="64m of 100m"):
        make(haeun, "--storage-opt", "size=64m")
    Container.objects.filter(pk=made.pk).update(state=ContainerState.REMOVING)
    make(haeun, "--storage-opt", "size=64m")


def test_when_volumes_are_full_no_new_one_is_made_and_none_is_used(team, haeun):
    scope.use(haeun, "class-1")
    made = make(haeun, "-v", "data:/data")
    Volume.objects.update(size_bytes=200 * MIB)
    limit(team, volume_bytes=100 * MIB)
    for act in (lambda: volumes.create(haeun, "more"), lambda: services.start(made, haeun)):
        with pytest.raises(QuotaRefused, match="200m of 100m"):
            act()
    assert Volume.objects.count() == 1
    Volume.objects.update(size_bytes=100 * MIB)
    volumes.create(haeun, "more")


def test_pulls_are_counted_within_an_hour_and_joining_one_is_none(team, haeun, registry):
    scope.use(haeun, "class-1")
    limit(team, pulls=1)
    first = catalog.pull("centos:7", user=haeun)
    assert catalog.pull("centos:7", user=haeun) == first
    with pytest.raises(QuotaRefused, match="Pulls within an hour"):
        catalog.pull("ubuntu:14.04", user=haeun)
    assert Job.objects.filter(kind="pull_image", team_id=team.pk).count() == 1
    Job.objects.filter(pk=first.pk).update(created_at=first.created_at.replace(year=2020))
    catalog.pull("ubuntu:14.04", user=haeun)


def test_ports_are_those_of_the_range(team, haeun, queue):
    limit(team, first_port=20_000, last_port=20_001)
    outside = make(haeun, "-p", "8080:80")
    with pytest.raises(QuotaRefused, match=r"Port 8080 .* 20000 to 20001"):
        services.start(outside, haeun)
    inside = run(haeun, queue, "-p", "80", "-p", "20001:81")
    assert sorted(inside.ports.values_list("port", flat=True)) == [20_000, 20_001]


def test_fifty_starts_at_once_get_what_there_is_and_not_more(team, haeun, queue):
    """The transaction that makes a row STARTING is the reservation; on SQLite and on PostgreSQL (the same code, `integration/test_postgres.py`)."""
    made = [make(haeun, "-m", "10m") for _ in range(50)]
    limit(team, memory_bytes=75 * MIB)
    limit(team, haeun, memory_bytes=120 * MIB)
    outcomes = at_once(
        [lambda pk=one.pk: services.start(Container.objects.get(pk=pk), User.objects.get(pk=haeun.pk)) for one in made]
    )
    refused = [one for one in outcomes if isinstance(one, Exception)]
    assert [type(one) for one in refused] == [QuotaRefused] * 43, outcomes
    assert usage.used("memory_bytes", team.pk, None) == 70 * MIB


def test_who_may_set_what(team, haeun, teacher, user):
    quotas.change(teacher, team, haeun, {"containers": 3})
    for act in (
        lambda: quotas.change(teacher, team, None, {"containers": 3}),
        lambda: quotas.change(teacher, None, haeun, {"containers": 3}),
        lambda: quotas.change(teacher, None, None, {"containers": 3}),
        lambda: quotas.change(haeun, team, haeun, {"containers": 9}),
        lambda: quotas.remove(haeun, team, haeun),
        lambda: quotas.change(make_member("other", "admin", make_team("other")), team, haeun, {"containers": 9}),
    ):
        with pytest.raises(Denied):
            act()
    with pytest.raises(DashboardError, match="not in the team"):
        quotas.change(teacher, team, User.objects.create_user("stranger"), {"containers": 3})
    site = User.objects.create_superuser("site")
    for whose in ((team, None), (None, haeun), (None, None)):
        quotas.change(site, *whose, {"containers": 3})
        quotas.change(site, *whose, {"containers": 3})
        quotas.change(site, *whose, {"containers": None, "pids": 5})
        assert Quota.objects.get(team=whose[0], person=whose[1]).limits == {"pids": 5}
        quotas.remove(site, *whose)
        quotas.remove(site, *whose)
    assert Entry.objects.filter(action="set-quota").count() == 7
    assert Entry.objects.filter(action="unset-quota").count() == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"containers": -1},
        {"first_port": 5},
        {"first_port": 9, "last_port": 5},
        {"last_port": 70_000, "first_port": 1},
        {"x": 1},
    ],
)
def test_numbers_that_cannot_be_are_refused(team, haeun, teacher, changes):
    with pytest.raises(DashboardError):
        quotas.change(teacher, team, haeun, changes)
    assert not Quota.objects.exists()


def test_the_page_shows_bars_and_sets_a_members_limits(client, team, haeun, teacher, queue):
    limit(team, memory_bytes=200 * MIB)
    run(haeun, queue, "-m", "100m")
    client.force_login(teacher, backend=BACKEND)
    url = reverse("team-quotas")
    assert 'value="50"' in client.get(url).content.decode()
    assert (
        client.post(
            url, {"person": "haeun", "containers": "5", "memory_bytes": "1g", "port_range": "20000-20009"}
        ).status_code
        == 302
    )
    assert quotas.quota_of(team, haeun).limits == {"containers": 5, "memory_bytes": 1 << 30}
    assert 'value="20000-20009"' in client.get(url + "?person=haeun").content.decode()
    assert client.post(url, {"person": "", "containers": "5"}).status_code == 403
    bad = client.post(url, {"person": "haeun", "memory_bytes": "much"}, headers={"Accept": "application/json"})
    assert (bad.status_code, "Memory of running containers" in bad.json()["error"]) == (400, True)
    client.force_login(haeun, backend=BACKEND)
    body = client.get(url).content.decode()
    assert "teacher" not in body.split("<main")[1]
    assert client.post(url, {"person": "haeun", "containers": "50"}).status_code == 403


def test_the_form_says_what_is_left_before_the_button(client, team, haeun, queue):
    limit(team, haeun, memory_bytes=300 * MIB)
    run(haeun, queue, "-m", "100m")
    client.force_login(haeun, backend=BACKEND)
    said = client.post(reverse("run-line"), {"image": "ubuntu:14.04", "memory": "50m"}).content.decode()
    assert "Memory of running containers: uses 50m of the remaining 200m" in said
    said = client.post(reverse("run-line"), {"image": "ubuntu:14.04", "memory": "250m"}).content.decode()
    assert '<li class="state-dead">Memory of running containers: uses 250m of the remaining 200m</li>' in said
    assert 'id="quota-room"' in client.get(reverse("run")).content.decode()


# Running hours


def ran(container, *, hours, ago=0):
    """A run that has ended so many hours ago."""
    ended = timezone.now() - timedelta(hours=ago)
    whose = {"team_id": container.team_id, "owner_id": container.owner_id, "container_id": "f" * 64}
    Run.objects.create(**whose, began_at=ended - timedelta(hours=hours), ended_at=ended)


def test_hours_are_counted_over_thirty_days_of_what_ran_and_runs(team, haeun, queue):
    web = run(haeun, queue)
    assert usage.used("running_seconds", team.pk, None) < 60
    ran(web, hours=3)
    ran(web, hours=48, ago=30 * 24 - 1)  # of which one hour is within
    ran(web, hours=5, ago=31 * 24)
    Run.objects.filter(ended_at=None).update(began_at=timezone.now() - timedelta(hours=2))
    for whose in ((team.pk, None), (team.pk, haeun.pk), (None, haeun.pk)):
        assert round(usage.used("running_seconds", *whose) / 3600) == 6
    services.stop(web, haeun)
    queue.run()
    assert not Run.objects.filter(ended_at=None).exists()
    services.remove(Container.objects.get(pk=web.pk), haeun)
    queue.run()
    assert round(usage.used("running_seconds", team.pk, haeun.pk) / 3600) == 6  # what ran has run
    runticks.forget_old()
    assert Run.objects.count() == 3


def test_nothing_begins_once_the_hours_are_used_up(team, haeun, queue):
    made = make(haeun)
    limit(team, running_seconds=3600)
    ran(made, hours=1)
    with pytest.raises(QuotaRefused, match=r"Hours of running within 30 days"):
        services.start(made, haeun)
    limit(team, running_seconds=7200)
    services.start(made, haeun)
    queue.run()
    limit(team, running_seconds=0)
    with pytest.raises(QuotaRefused):
        services.start(make(haeun), haeun)


@pytest.mark.parametrize("whose", ["team", "member", "person", "everybody"])
def test_what_runs_beyond_them_is_stopped_and_says_why(whose, team, haeun, queue, engine):
    minsu = make_member("minsu", "operator", team)
    mine, other = run(haeun, queue), run(minsu, queue)
    ran(mine, hours=2)
    place, person = {
        "team": (team, None),
        "member": (team, haeun),
        "person": (None, haeun),
        "everybody": (None, None),
    }[whose]
    Quota.objects.create(team=place, person=person, running_seconds=3600)
    runticks.end_what_is_over()
    queue.run()
    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.state, mine.error) == ("exited", "It was stopped: a quota of running hours is used up.")
    assert (other.state == "exited") is (whose == "team")
    assert mine.stopped_by_hand  # no restart policy brings it back
    runticks.end_what_is_over()
    assert not Run.objects.filter(container_id=mine.container_id, ended_at=None).exists()
