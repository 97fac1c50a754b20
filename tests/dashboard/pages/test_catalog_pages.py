from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.catalog.models import Image, Tag
from dashboard.jobs.models import Job, JobState


def _hex(image: Image) -> str:
    return image.image_id.removeprefix("sha256:")


def test_images_are_listed_with_size_in_dockers_units_and_their_users(page, world):
    body = page.get("/catalog/").content.decode()
    assert "188MB" in body
    assert world.ubuntu.image_id[7:19] in body
    assert "2 containers" in body


def test_the_filter_is_the_address(page, world):
    body = page.get("/catalog/?q=cent").content.decode()
    assert _hex(world.centos) in body
    assert _hex(world.ubuntu) not in body
    assert 'value="cent"' in body


def test_a_filter_that_matches_nothing_says_so(page, world):
    assert "No image matches" in page.get("/catalog/?q=zzz").content.decode()


def test_an_empty_catalog_says_what_helps(page):
    assert "docker pull centos:7" in page.get("/catalog/").content.decode()


def test_an_image_without_a_name_is_listed_too(page, world):
    Tag.objects.filter(image=world.centos).delete()
    assert "&lt;none&gt;" in page.get("/catalog/?part=rows").content.decode()


def test_a_running_pull_shows_a_bar_for_each_layer_and_one_for_all(page, pulling):
    body = page.get("/catalog/").content.decode()
    assert 'data-layer="2d473b07cdd5"' in body
    assert "--fill: 25.0%" in body
    assert f'data-topic="job.{pulling.pk}"' in body
    assert 'value="61.0"' in body
    assert body.index('data-layer="0e7e7cdd3381"') < body.index(
        'data-layer="2d473b07cdd5"'
    )  # the base is at the bottom


def test_why_a_pull_failed_is_said_in_the_readers_language(page, pulling):
    error = "The registry 127.0.0.1:5000 cannot be reached: connection refused. Is it up, and does this host reach it?"
    Job.objects.filter(pk=pulling.pk).update(
        state="failed", error=error, error_code="registry-unreachable", finished_at=timezone.now()
    )
    for address in ("/catalog/", f"/activity/{pulling.pk}/", "/activity/"):
        body = page.get(address, headers={"Accept-Language": "ko"}).content.decode()
        assert "레지스트리 127.0.0.1:5000에 닿을 수 없습니다: connection refused." in body, address
        assert "cannot be reached" not in body


def _failed(person, name: str, *, platform: str = "", ago_s: float = 1) -> Job:
    at = timezone.now() - timedelta(seconds=ago_s)
    job = Job.objects.create(
        kind="pull_image",
        state=JobState.FAILED,
        requester=person,
        key=f"pull:{name}:{platform}",
        params={"reference": name, "platform": platform},
        error_code="image-unknown",
        error=f"manifest for {name} not found",
        finished_at=at,
    )
    Job.objects.filter(pk=job.pk).update(created_at=at)
    return job


def test_the_newest_failed_pulls_say_why_in_a_line_and_the_others_stand_in_activity(page, person):
    for number in range(5):
        _failed(person, f"nothing:{number}", ago_s=60 * (number + 1))
    body = page.get("/catalog/").content.decode()
    assert body.count("The registry has no such image.") == 2
    assert "manifest for nothing:0 not found" in body
    assert "nothing:2" not in body
    assert "3 more failed pulls" in body
    Job.objects.update(finished_at=timezone.now() - timedelta(hours=1))
    assert "nothing:" not in page.get("/catalog/").content.decode()


def test_a_failed_pull_can_be_dismissed_by_each_person_alone(page, person, django_user_model):
    job = _failed(person, "nothing:1")
    answer = page.post(f"/catalog/pulls/{job.pk}/dismiss/", headers={"HX-Request": "true"})
    assert "nothing:1" not in answer.content.decode()
    assert "nothing:1" not in page.get("/catalog/?part=pulls").content.decode()
    other = Client()
    other.force_login(django_user_model.objects.create_superuser("minsu"))
    assert "nothing:1" in other.get("/catalog/?part=pulls").content.decode()


@pytest.mark.parametrize("action", ["again", "dismiss"])
def test_only_a_pull_is_tried_again_or_dismissed(page, person, action):
    job = Job.objects.create(kind="start_container", state=JobState.FAILED, params={})
    assert page.post(f"/catalog/pulls/{job.pk}/{action}/").status_code == 404
    assert page.get(f"/catalog/pulls/{job.pk}/{action}/").status_code == 405


def test_trying_again_asks_for_the_same_platform_and_the_old_line_goes(page, person, messages):
    failed = _failed(person, "centos:7", platform="linux/arm64")
    assert "linux/arm64" in page.get("/catalog/").content.decode()
    headers = {"HX-Request": "true", "HX-Target": "pulls"}
    body = page.post(f"/catalog/pulls/{failed.pk}/again/", headers=headers).content.decode()
    job = Job.objects.get(state=JobState.QUEUED)
    assert job.params == {"reference": "centos:7", "platform": "linux/arm64"}
    Job.objects.filter(pk=failed.pk).update(key=job.key)  # as it was when it was asked for
    body = page.get("/catalog/?part=pulls").content.decode()
    assert f"pull-{job.pk}" in body
    assert f"pull-{failed.pk}" not in body


def test_trying_again_on_the_jobs_own_page_leads_to_the_new_job(page, person, messages):
    failed = _failed(person, "centos:7")
    assert f"/catalog/pulls/{failed.pk}/again/" in page.get(f"/activity/{failed.pk}/").content.decode()
    answer = page.post(f"/catalog/pulls/{failed.pk}/again/", headers={"HX-Request": "true"})
    job = Job.objects.get(state=JobState.QUEUED)
    assert json.loads(answer["HX-Location"])["path"] == f"/activity/{job.pk}/"


def test_pulling_makes_a_job_and_shows_it(page, messages, django_capture_on_commit_callbacks):
    answer = page.post(
        "/catalog/pull/", {"reference": "centos:7"}, headers={"HX-Request": "true", "HX-Target": "pulls"}
    )
    job = Job.objects.get(kind="pull_image")
    assert answer.status_code == 200
    assert f"pull-{job.pk}" in answer.content.decode()
    assert job.requester.username == "haeun"


def test_pulling_without_javascript_leads_to_the_jobs_page(page, messages):
    answer = page.post("/catalog/pull/", {"reference": "centos:7"})
    assert answer["Location"] == f"/activity/{Job.objects.get().pk}/"


def test_asking_twice_joins_the_pull(page, messages):
    for _ in range(2):
        page.post("/catalog/pull/", {"reference": "centos:7"})
    assert Job.objects.filter(kind="pull_image").count() == 1


@pytest.mark.parametrize("name", ["", "UPPER", "a b", "x:" + "t" * 200])
def test_a_bad_name_is_answered_with_a_sentence(page, messages, name):
    answer = page.post("/catalog/pull/", {"reference": name}, headers={"HX-Request": "true"})
    assert 400 <= answer.status_code < 500
    assert json.loads(answer["HX-Trigger"])["toast"]["message"]
    assert not Job.objects.exists()


def test_an_image_has_a_page_with_layers_config_tags_and_users(page, world):
    body = page.get(f"/catalog/images/{_hex(world.ubuntu)}/").content.decode()
    for part in ("step 2", "PATH=/usr/bin", "ubuntu:14.04", "calm_fulton", "linux/amd64"):
        assert part in body


@pytest.mark.threat("WEB-16")
def test_what_an_image_says_of_itself_is_shown_as_text(page, world):
    body = page.get(f"/catalog/images/{_hex(world.ubuntu)}/").content.decode()
    assert "<script>alert" not in body
    assert "&lt;script&gt;alert" in body


@pytest.mark.parametrize("name", ["0" * 64, "nothing", "%2e%2e"])
def test_an_unknown_image_is_a_page_that_says_so(page, name):
    assert page.get(f"/catalog/images/{name}/").status_code == 404


@pytest.mark.parametrize("reference", ["", "ubuntu:14.04"])
def test_removing_an_image_in_use_is_refused_with_its_users(page, world, reference):
    address = f"/catalog/images/{_hex(world.ubuntu)}/remove/"
    answer = page.post(address, {"reference": reference}, headers={"HX-Request": "true"})
    assert answer.status_code == 409
    message = json.loads(answer["HX-Trigger"])["toast"]["message"]
    assert "calm_fulton" in message
    assert "brave_lovelace" in message
    assert "forced" not in message
    assert Tag.objects.filter(image=world.ubuntu).exists()


def test_the_question_names_every_name_and_a_yes_removes_them_all(page, world, messages):
    Tag.objects.create(registry="quay.io", repository="team/c", tag="7", digest="sha256:1", image=world.centos)
    body = page.get(f"/catalog/images/{_hex(world.centos)}/").content.decode()
    assert f'data-confirm="Remove centos:7, quay.io/team/c:7 (image {_hex(world.centos)[:12]})?"' in body
    page.post(f"/catalog/images/{_hex(world.centos)}/remove/", headers={"HX-Request": "true"})
    assert not Image.objects.filter(pk=world.centos.pk).exists()


def test_removing_an_unused_image_says_what_went(page, world, messages):
    answer = page.post(f"/catalog/images/{_hex(world.centos)}/remove/", headers={"HX-Request": "true"})
    assert "Untagged: centos:7" in json.loads(answer["HX-Trigger"])["toast"]["message"]
    assert not Image.objects.filter(pk=world.centos.pk).exists()


@pytest.mark.parametrize("address", ["/catalog/pull/", "/catalog/images/{}/remove/"])
def test_changes_are_not_made_by_reading(page, world, address):
    assert page.get(address.format(_hex(world.centos))).status_code == 405


def test_a_write_without_the_token_is_refused(world, person):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(person)
    assert strict.post("/catalog/pull/", {"reference": "centos:7"}).status_code == 403
    assert not Job.objects.filter(state=JobState.QUEUED).exists()
