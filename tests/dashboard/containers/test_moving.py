"""A container, or a volume, goes to another team: only by who may on both sides, and within the other's limits (WEB-02, WS-04)."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from dashboard.audit.models import Entry
from dashboard.catalog.lookup import NoSuchImage, find_image
from dashboard.catalog.models import Image, ImageHolder, Tag
from dashboard.containers import moving, services
from dashboard.containers.models import Container, Run
from dashboard.core.errors import DashboardError, Refused
from dashboard.core.gate import Denied
from dashboard.grammar import parse
from dashboard.imagepolicy import services as imagepolicy
from dashboard.networks.models import Network
from dashboard.quotas.models import Quota
from dashboard.quotas.services import QuotaRefused
from dashboard.runpolicy import services as runpolicy
from dashboard.teams.scope import NoSuchTeam
from dashboard.volumes.models import Volume
from tests.dashboard.people import make_member, make_team

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site(user):
    return user


@pytest.fixture
def ours(transactional_db):
    return make_team("ours")


@pytest.fixture
def theirs(transactional_db):
    return make_team("theirs")


@pytest.fixture
def mover(ours, theirs):
    """A maintainer here, an operator there."""
    person = make_member("haeun", "maintainer", ours)
    theirs.memberships.create(person=person, builtin="operator")
    return person


def fresh(person) -> User:
    return User.objects.get(pk=person.pk)


@pytest.fixture
def make(present, mover, ours):
    present("ubuntu:14.04")

    def create(*flags) -> Container:
        return services.create(fresh(mover), parse(["create", *flags, "ubuntu:14.04"]).options)

    return create


def test_it_goes_with_its_hours_and_both_teams_read_of_it(make, mover, ours, theirs):
    container = make("--name", "web")
    Container.objects.filter(pk=container.pk).update(state="running")
    Run.objects.create(container_id=container.container_id, team=ours, owner=mover, began_at=timezone.now())
    moved = moving.move_container(fresh(mover), "web", "theirs")
    assert (moved.team, moved.owner, moved.state) == (theirs, mover, "running")
    runs = [(run.team.slug, run.ended_at is None) for run in Run.objects.order_by("pk")]
    assert runs == [("ours", False), ("theirs", True)]
    assert set(Entry.objects.filter(action="move-thing").values_list("team_id", flat=True)) == {ours.pk, theirs.pk}
    with pytest.raises(DashboardError, match="No such container"):
        services.find("web", fresh(mover))  # who works in ours
    assert moving.move_container(fresh(mover), container.container_id, "theirs").team == theirs


def test_nobody_brings_anything_where_they_may_not_or_takes_it_where_they_may_not(make, mover, ours, theirs):
    make("--name", "web")
    with pytest.raises(NoSuchTeam):
        moving.move_container(make_member("stranger", "admin", ours), "web", "theirs")
    theirs.memberships.filter(person=mover).update(builtin="viewer")
    with pytest.raises(Denied):
        moving.move_container(fresh(mover), "web", "theirs")
    viewer = make_member("viewer", "viewer", ours)
    theirs.memberships.create(person=viewer, builtin="admin")
    with pytest.raises(Denied):
        moving.move_container(viewer, "web", "theirs")
    assert Container.objects.get().team == ours


def test_ports_and_folders_of_the_host_go_only_with_who_may_give_them_there(make, mover, theirs):
    container = make("--name", "web")
    container.ports.create(
        address="127.0.0.1", port=20_500, container_port=80, protocol="tcp", first=20_500, last=20_500
    )
    quota = Quota.objects.create(team=theirs, first_port=30_000, last_port=30_010)
    with pytest.raises(QuotaRefused, match="20500"):
        moving.move_container(fresh(mover), "web", "theirs")
    quota.delete()
    Container.objects.filter(pk=container.pk).update(options=container.options | {"volumes": ["/srv/a:/a"]})
    with pytest.raises(Denied):
        moving.move_container(fresh(mover), "web", "theirs")
    assert Container.objects.get().team.slug == "ours"


def test_an_owner_who_is_not_there_leaves_it_to_who_moved_it(make, mover, ours, theirs):
    made = make("--name", "web")
    Container.objects.filter(pk=made.pk).update(owner=make_member("gone", "operator", ours))
    assert moving.move_container(fresh(mover), "web", "theirs").owner == mover


def test_what_is_in_its_way_is_said_and_nothing_has_changed(make, mover, site, ours, theirs):
    container = make("--name", "web", "-v", "data:/data")
    network = Network.objects.create(team=ours, name="net", network_id="5" * 64, number=5, subnet="10.77.5.0/24")
    endpoint = container.endpoints.create(network=network, address="10.77.5.2")
    with pytest.raises(DashboardError, match=r"in networks of its team \(net\)"):
        moving.move_container(fresh(mover), "web", "theirs")
    endpoint.delete()
    other = make("--name", "worker", "-v", "data:/data")
    with pytest.raises(DashboardError, match="Another container uses the volume data"):
        moving.move_container(fresh(mover), "web", "theirs")
    other.delete()
    Volume.objects.create(team=theirs, name="data")
    with pytest.raises(DashboardError, match="has a volume data already"):
        moving.move_container(fresh(mover), "web", "theirs")
    Volume.objects.filter(team=theirs).delete()
    Container.objects.create(container_id="f" * 64, name="web", team=theirs, image=container.image)
    with pytest.raises(DashboardError, match="already in use"):
        moving.move_container(fresh(mover), "web", "theirs")
    assert (Container.objects.get(pk=container.pk).team, Volume.objects.get().team) == (ours, ours)
    Container.objects.filter(container_id="f" * 64).delete()
    moving.move_container(fresh(mover), "web", "theirs")
    assert Volume.objects.get().team == theirs


def test_the_other_teams_quota_and_policies_hold(make, mover, site, theirs):
    make("--name", "web")
    quota = Quota.objects.create(team=theirs, containers=0)
    with pytest.raises(QuotaRefused):
        moving.move_container(fresh(mover), "web", "theirs")
    quota.delete()
    runpolicy.change(site, theirs, {"labels": ("owner",)})
    with pytest.raises(Refused, match="run policy of the team theirs"):
        moving.move_container(fresh(mover), "web", "theirs")
    runpolicy.reset(site, theirs)
    imagepolicy.set_listed(site, theirs, listed=True)
    with pytest.raises(imagepolicy.ImageRefused):
        moving.move_container(fresh(mover), "web", "theirs")
    imagepolicy.add_rule(site, theirs, "ubuntu")
    assert moving.move_container(fresh(mover), "web", "theirs").team == theirs


@pytest.mark.threat("REG-11")
def test_a_private_image_goes_along_only_by_who_may_share_it(make, mover, ours, theirs):
    make("--name", "web")
    image = Image.objects.get()
    Image.objects.update(is_public=False)
    Tag.objects.update(team=ours)
    ImageHolder.objects.update(team=ours)
    operator = make_member("operator", "operator", ours)
    theirs.memberships.create(person=operator, builtin="operator")
    with pytest.raises(Denied):
        moving.move_container(operator, "web", "theirs")
    there = make_member("minsu", "operator", theirs)
    with pytest.raises(NoSuchImage):
        find_image(image.image_id, there)
    moving.move_container(fresh(mover), "web", "theirs")
    assert find_image(image.image_id, fresh(there)) == image


def test_a_volume_that_nothing_uses_goes_by_itself(make, mover, ours, theirs):
    Volume.objects.create(team=ours, name="spare", owner=mover)
    theirs.memberships.filter(person=mover).update(builtin="viewer")
    with pytest.raises(Denied):
        moving.move_volume(fresh(mover), "spare", "theirs")
    theirs.memberships.filter(person=mover).update(builtin="operator")
    assert moving.move_volume(fresh(mover), "spare", "theirs").team == theirs
    make("--name", "web", "-v", "data:/data")
    with pytest.raises(DashboardError, match="is used by a container"):
        moving.move_volume(fresh(mover), "data", "theirs")
