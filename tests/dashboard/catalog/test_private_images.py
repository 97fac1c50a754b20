"""What a registry gives only with credentials is seen by the team whose they were, until it shares it (REG-11)."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from dashboard.catalog import services, sharing
from dashboard.catalog.models import Image, Layer, Tag
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Denied
from dashboard.jobs.models import Job
from dashboard.registries import vault
from dashboard.registries.models import Credential
from dashboard.teams.scope import NoSuchTeam
from tests.dashboard.people import make_member, make_team

pytestmark = [pytest.mark.threat("REG-11"), pytest.mark.django_db(transaction=True)]
APP = "quay.io/team/app:1"


@pytest.fixture
def ours(transactional_db):
    return make_team("ours")


@pytest.fixture
def theirs(transactional_db):
    return make_team("theirs")


@pytest.fixture
def member(ours):
    return make_member("haeun", "maintainer", ours)


@pytest.fixture
def stranger(theirs):
    return make_member("minsu", "maintainer", theirs)


@pytest.fixture
def knows(registry, monkeypatch):
    """The registry wants a password for our image, and teams that `knows` have it."""
    registry.wanted[APP] = ("robot", "s3cret")
    monkeypatch.setattr("dashboard.gateway.registry_origin", lambda name: f"https://{name}:443", raising=False)

    def know(team=None, person=None, **changed):
        fields = {"registry": "quay.io", "origin": "https://quay.io:443", "username": "robot", "team": team}
        fields |= {"secret": vault.encrypt("s3cret"), "checked_at": timezone.now(), "person": person} | changed
        return Credential.objects.create(**fields)

    return know


def pull(queue, name, user) -> Job:
    job = services.pull(name, user=user)
    queue.run()
    job.refresh_from_db()
    return job


def fresh(user) -> User:
    return User.objects.get(pk=user.pk)


def test_only_the_team_whose_credentials_they_were_sees_it_in_any_way(knows, ours, member, stranger, engine, queue):
    knows(ours)
    assert pull(queue, APP, member).state == "succeeded"
    image = services.find_image(APP, fresh(member))
    assert not image.is_public
    digest = Tag.objects.get().digest
    for text in (APP, image.image_id, image.image_id[7:19], f"quay.io/team/app@{digest}"):
        assert services.find_image(text, fresh(member)) == image
        with pytest.raises(services.NoSuchImage):
            services.find_image(text, fresh(stranger))
    assert list(services.images_for(fresh(member))) == [image]
    assert list(services.images_for(fresh(stranger))) == []
    with pytest.raises(services.NoSuchImage):
        services.remove_image(APP, fresh(stranger))


def test_without_the_credentials_it_is_denied_and_says_how_to_log_in(knows, ours, member, stranger, engine, queue):
    knows(ours)
    pull(queue, APP, member)
    refused = pull(queue, APP, stranger)
    assert refused.state == "failed"
    assert "docker login" in refused.error
    assert list(services.images_for(fresh(stranger))) == []


def test_who_proves_access_too_shares_layers_and_writes_none_twice(
    knows, ours, theirs, member, stranger, registry, engine, queue
):
    knows(ours)
    knows(theirs)
    pull(queue, APP, member)
    fetched = list(registry.fetched)
    assert pull(queue, APP, stranger).state == "succeeded"
    assert registry.fetched == fetched
    assert registry.proved == [], "the same blob of the same repository, whose manifest was just read"
    assert services.find_image(APP, fresh(stranger)) == services.find_image(APP, fresh(member))
    assert Tag.objects.count() == 2


def test_a_digest_alone_gives_nobody_anothers_layer(knows, ours, member, stranger, registry, engine, queue):
    """An image of the stranger's own names our private layer by its diff ID, and has none of its bytes."""
    knows(ours)
    pull(queue, APP, member)
    registry.images["minsu/thief:1"] = ["app"]
    registry.lies.add("minsu/thief:1 app")
    stolen = pull(queue, "minsu/thief:1", stranger)
    assert (stolen.state, registry.proved) == ("failed", ["app"])
    assert "no layer" in stolen.error
    assert Image.objects.count() == 1
    assert not Layer.objects.get(diff_id=registry_diff_id("app")).is_public


def registry_diff_id(text):
    from tests.dashboard.catalog.fakes import digest

    return digest(text)


def test_a_registry_that_does_give_the_layer_makes_it_everybodys(
    knows, ours, member, stranger, registry, engine, queue
):
    knows(ours)
    pull(queue, APP, member)
    registry.images["twin:1"] = ["base", "app"]
    assert pull(queue, "twin:1", stranger).state == "succeeded"
    assert sorted(registry.proved) == ["app", "base"]
    assert Layer.objects.filter(is_public=False).count() == 0
    assert services.find_image("twin:1", fresh(stranger))


def test_a_thief_gains_nothing_by_asking_while_the_owner_fetches(
    knows, ours, member, stranger, registry, engine, queue
):
    knows(ours)
    registry.images["minsu/thief:1"] = ["app"]
    registry.lies.add("minsu/thief:1 app")
    ours_job = services.pull(APP, user=member)
    queue.run(1)
    thiefs = services.pull("minsu/thief:1", user=stranger)
    queue.run()
    thiefs.refresh_from_db()
    ours_job.refresh_from_db()
    assert (ours_job.state, thiefs.state) == ("succeeded", "failed")
    assert registry.proved == ["app"]


def test_own_credentials_come_before_the_teams_and_those_before_the_sites(knows, ours, member, engine, queue):
    knows(None, username="nobody", secret=vault.encrypt("wrong"))
    knows(ours, username="nobody", secret=vault.encrypt("wrong"))
    knows(None, member)
    assert pull(queue, APP, member).state == "succeeded"
    assert [row.used_at is not None for row in Credential.objects.order_by("pk")] == [False, False, True]


def test_what_the_sites_credentials_fetch_is_everybodys(knows, member, stranger, engine, queue):
    knows(None)
    pull(queue, APP, member)
    assert services.find_image(APP, fresh(stranger)).is_public


@pytest.mark.threat("REG-10")
def test_they_are_never_sent_elsewhere_than_where_they_were_tried(knows, ours, member, monkeypatch, engine, queue):
    """An administrator has set a mirror meanwhile: people's passwords do not go there."""
    knows(ours)
    monkeypatch.setattr("dashboard.gateway.registry_origin", lambda name: "https://mirror.example:443")
    assert pull(queue, APP, member).state == "failed"
    assert Credential.objects.get().used_at is None


def test_with_credentials_that_are_not_needed_an_image_is_everybodys(
    knows, ours, member, stranger, registry, engine, queue
):
    knows(ours)
    registry.wanted.clear()
    pull(queue, APP, member)
    assert services.find_image(APP, fresh(stranger)).is_public


def test_a_team_shares_with_everybody_and_takes_it_back(knows, ours, member, stranger, engine, queue):
    knows(ours)
    pull(queue, APP, member)
    sharing.share(fresh(member), APP)
    image = services.find_image(APP, fresh(stranger))
    assert image.is_public
    with pytest.raises(DashboardError, match="does not hold"):
        sharing.unshare(fresh(stranger), APP)
    sharing.unshare(fresh(member), APP)
    with pytest.raises(services.NoSuchImage):
        services.find_image(APP, fresh(stranger))
    assert services.find_image(APP, fresh(member)) == image


def test_what_its_registry_gives_to_anybody_cannot_be_taken_back(ours, member, registry, engine, queue):
    pull(queue, "centos:7", member)
    with pytest.raises(DashboardError, match="was not the team"):
        sharing.unshare(fresh(member), "centos:7")


def test_a_team_shares_with_one_of_its_sharers_other_teams_only(knows, ours, theirs, member, stranger, engine, queue):
    knows(ours)
    pull(queue, APP, member)
    with pytest.raises(NoSuchTeam):
        sharing.share(fresh(member), APP, with_team="theirs")
    theirs.memberships.create(person=member, builtin="viewer")
    with pytest.raises(Denied):
        sharing.share(fresh(member), APP, with_team="theirs")
    theirs.memberships.filter(person=member).update(builtin="operator")
    sharing.share(fresh(member), APP, with_team="theirs")
    assert services.find_image(APP, fresh(stranger)) == services.find_image(APP, fresh(member))
    assert not services.find_image(APP, fresh(stranger)).is_public


def test_an_operator_may_not_share(knows, ours, member, engine, queue):
    knows(ours)
    pull(queue, APP, member)
    with pytest.raises(Denied):
        sharing.share(make_member("jiho", "operator", ours), APP)


def test_one_team_removes_its_own_name_and_the_other_keeps_the_image(
    knows, ours, theirs, member, stranger, registry, engine, queue
):
    knows(ours)
    knows(theirs)
    pull(queue, APP, member)
    pull(queue, APP, stranger)
    services.remove_image(APP, fresh(member))
    queue.run()
    with pytest.raises(services.NoSuchImage):
        services.find_image(APP, fresh(member))
    assert services.find_image(APP, fresh(stranger))
    services.remove_image(APP, fresh(stranger))
    queue.run()
    assert not Image.objects.exists()
    assert not Layer.objects.exists()


def test_a_name_of_a_team_stands_before_everybodys_and_goes_when_that_is_pulled(
    knows, ours, member, stranger, registry, engine, queue
):
    knows(ours)
    pull(queue, APP, member)
    private = services.find_image(APP, fresh(member))
    registry.wanted.clear()
    registry.images[APP] = ["red"]
    pull(queue, APP, stranger)
    assert services.find_image(APP, fresh(member)) == private
    assert services.find_image(APP, fresh(stranger)) != private
    pull(queue, APP, member)
    assert services.find_image(APP, fresh(member)) == services.find_image(APP, fresh(stranger))
