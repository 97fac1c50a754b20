"""A quota of image disk: held before anything is fetched, exact when it is there, each layer once (WEB-13)."""

from __future__ import annotations

import pytest

from dashboard.catalog import disk, services
from dashboard.catalog.models import Image
from dashboard.jobs.models import Job
from dashboard.quotas.models import Quota
from tests.dashboard.catalog.test_private_images import fresh, pull
from tests.dashboard.people import make_member, make_team

pytestmark = [pytest.mark.threat("WEB-13"), pytest.mark.django_db(transaction=True)]
BLOB, FILE = 1000, 10  # of each layer of the fake registry, and of its file


@pytest.fixture
def team(transactional_db):
    return make_team("class-1")


@pytest.fixture
def member(team):
    return make_member("haeun", "maintainer", team)


def test_layers_count_once_and_their_files_when_they_are_there(team, member, registry, engine, queue):
    pull(queue, "ubuntu:14.04", member)
    assert disk.used_bytes(team.pk, None) == disk.used_bytes(team.pk, member.pk) == 3 * FILE
    pull(queue, "ubuntu", member)
    assert disk.used_bytes(team.pk, None) == 4 * FILE
    assert disk.used_bytes(make_team("other").pk, None) == 0
    services.remove_image("ubuntu:14.04", fresh(member))
    assert disk.used_bytes(team.pk, None) == 3 * FILE


def test_a_pull_that_would_be_too_much_is_refused_before_anything_is_fetched(team, member, registry, engine, queue):
    Quota.objects.create(team=team, image_bytes=3 * BLOB - 1)
    refused = pull(queue, "ubuntu:14.04", member)
    assert (refused.state, refused.error_code, registry.fetched) == ("failed", "quota", [])
    assert "Disk of images" in refused.error
    assert disk.used_bytes(team.pk, None) == 0
    assert pull(queue, "centos:7", member).state == "succeeded"


def test_of_two_at_once_that_fit_only_one_by_one_one_is_refused(team, member, registry, engine, queue):
    Quota.objects.create(team=team, image_bytes=3 * BLOB)
    first = services.pull("ubuntu:14.04", user=member)
    second = services.pull("centos:7", user=member)
    queue.run()
    states = sorted(Job.objects.get(pk=one.pk).state for one in (first, second))
    assert states == ["failed", "succeeded"]


def test_what_is_larger_than_its_blobs_is_refused_at_the_end_and_leaves_no_image(team, member, registry, engine, queue):
    Quota.objects.create(team=team, image_bytes=3 * BLOB)
    registry.file_bytes = 2 * BLOB
    refused = pull(queue, "ubuntu:14.04", member)
    assert (refused.state, refused.error_code) == ("failed", "quota")
    assert not Image.objects.exists()
    assert disk.used_bytes(team.pk, None) == 0


def test_what_the_team_has_already_needs_nothing_more(team, member, registry, engine, queue):
    pull(queue, "ubuntu:14.04", member)
    Quota.objects.create(team=team, image_bytes=3 * FILE)
    assert pull(queue, "ubuntu:14.04", member).state == "succeeded"
    assert pull(queue, "ubuntu", member).state == "failed"
