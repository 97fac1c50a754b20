"""The check on the system page: asked for by an administrator, shown while it looks and when it has found something."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from dashboard.checkup.services import CHECK
from dashboard.jobs.models import Job, JobState

MOUNT = {
    "invariant": "I3",
    "kind": "mount",
    "name": "/data/<i>",
    "problem": "belongs to no running container",
    "container_id": "",
    "is_orphan": False,
}
VOLUME = MOUNT | {"invariant": "I4", "kind": "volume", "problem": "has no row; it is left alone", "is_orphan": True}


@pytest.fixture(autouse=True)
def run_folder(tmp_path, settings):
    settings.BERTH_RUN = tmp_path


def ended(person, *, findings=(), repaired=(), state=JobState.SUCCEEDED, **more):
    result = {"findings": list(findings), "repaired": list(repaired), "count": len(findings), "figures": {}}
    return Job.objects.create(kind=CHECK, state=state, requester=person, result=result, **more)


def shown(page) -> str:
    return page.get("/system/?part=check").content.decode()


def test_it_is_asked_for_by_a_button_and_joined_by_a_second(page, messages):
    answer = page.post("/system/check/", HTTP_HX_REQUEST="true")
    assert 'data-stage="looking"' in answer.content.decode()
    page.post("/system/check/")
    (job,) = Job.objects.filter(kind=CHECK)
    assert job.params == {"repair": False, "deep": False}
    page.post("/system/check/", {"repair": "1", "deep": "1"})
    assert Job.objects.filter(kind=CHECK).latest("pk").params == {"repair": True, "deep": True}


def test_only_administrators_may(client, db, messages):
    client.force_login(get_user_model().objects.create_user("minsu"))
    assert client.post("/system/check/").status_code == 403
    assert not Job.objects.exists()


def test_what_was_found_is_listed_with_what_it_breaks(page, person):
    assert 'data-stage="never"' in shown(page)
    ended(person, findings=[MOUNT, VOLUME])
    body = shown(page)
    assert 'data-stage="found"' in body
    assert "Nothing is left of what does not run." in body
    assert "/data/&lt;i&gt;" in body
    assert 'name="repair"' in body


def test_repairing_is_not_offered_where_only_a_person_can_decide(page, person):
    ended(person, findings=[VOLUME])
    assert 'name="repair"' not in shown(page)


def test_a_clean_one_says_so_and_what_it_repaired(page, person):
    ended(person, repaired=[MOUNT])
    body = shown(page)
    assert 'data-stage="clean"' in body
    assert "1 was repaired" in body
    assert "Everything is as it must be." in page.get("/system/").content.decode()


def test_one_that_failed_says_why(page, person):
    ended(person, state=JobState.FAILED, error_code="internal", error="It broke.")
    body = shown(page)
    assert 'data-stage="failed"' in body
    assert "It broke." in body


def test_findings_are_said_in_korean(page, person):
    ended(person, findings=[MOUNT])
    body = page.get("/system/?part=check", HTTP_ACCEPT_LANGUAGE="ko").content.decode()
    assert "실행 중인 어느 컨테이너에도 속하지 않습니다" in body
    assert "마운트" in body
