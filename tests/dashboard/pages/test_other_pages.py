from __future__ import annotations

import json
import time

import pytest
from django.contrib.auth import get_user_model

from dashboard.catalog.models import Layer, PullLayer
from dashboard.jobs.models import Job, JobState
from dashboard.pages import views
from dashboard.pages.activity import KINDS
from dashboard.pages.findings import report

FINDINGS = [
    {"name": "runc", "level": "ok", "summary": "1.1.5", "meaning": ""},
    {"name": "cgroups", "level": "error", "summary": "version 1 only", "meaning": "Limits cannot be set."},
]


@pytest.fixture(autouse=True)
def run_folder(tmp_path, settings):
    settings.BERTH_RUN = tmp_path
    return tmp_path


def test_activity_lists_what_people_asked_for_and_not_the_parts_of_a_pull(page, pulling):
    Job.objects.create(kind="extract_layer", parent=pulling, params={})
    body = page.get("/activity/").content.decode()
    assert "node:22" in body
    assert "Write layer" not in body
    assert ">1</span>" in page.get("/activity/?part=count").content.decode()


@pytest.mark.parametrize(("state", "is_shown"), [("live", True), ("failed", False), ("", True)])
def test_activity_is_filtered_by_its_address(page, pulling, state, is_shown):
    assert ("node:22" in page.get(f"/activity/?part=rows&state={state}").content.decode()) is is_shown


def test_measuring_by_the_way_is_nobodys_wish(page, person):
    Job.objects.create(kind="measure_containers", requester=person, params={"container_ids": []})
    for address in ("/activity/", "/"):
        assert "Measure containers" not in page.get(address).content.decode()
    assert " data-none" in page.get("/activity/?part=count").content.decode()
    title = page.get(f"/activity/{Job.objects.get().pk}/").content.decode()
    assert "<h1>Measure containers</h1>" in title


def test_a_job_has_a_page_with_its_parts(page, pulling):
    part = Layer.objects.create(diff_id="sha256:" + "d1" * 32)
    digest = "sha256:0123456789ab" + "c" * 52
    PullLayer.objects.create(job=pulling, layer=part, position=0, digest=digest, media_type="x", size_bytes=1)
    named = {"layer": part.pk}
    Job.objects.create(kind="extract_layer", parent=pulling, state=JobState.FAILED, error="truncated", params=named)
    body = page.get(f"/activity/{pulling.pk}/").content.decode()
    assert "<code>0123456789ab</code>" in body
    assert "0e7e7cdd3381" in body
    assert "truncated" in body
    assert page.get("/activity/999/").status_code == 404


def test_a_job_can_be_cancelled(page, pulling):
    answer = page.post(f"/activity/{pulling.pk}/cancel/", headers={"HX-Request": "true"})
    assert answer.status_code == 204
    pulling.refresh_from_db()
    assert pulling.cancel_requested
    assert page.get(f"/activity/{pulling.pk}/cancel/").status_code == 405


def test_every_kind_of_job_has_a_name_for_people():
    from dashboard.jobs.registry import handlers

    assert {kind for kind in handlers if "test" not in kind} - set(KINDS) == set()


def test_a_silent_engine_is_said(page):
    assert "The engine does not answer." in page.get("/system/").content.decode()


def test_findings_are_read_from_the_engines_file_the_worst_first(page, run_folder):
    (run_folder / "findings.json").write_text(json.dumps({"at": time.time(), "findings": FINDINGS, "info": {}}))
    body = page.get("/system/").content.decode()
    assert "The engine does not answer." not in body
    assert body.index("version 1 only") < body.index("1.1.5")
    assert "Limits cannot be set." in body


def test_the_machines_memory_is_said_as_info_says_it(page, run_folder):
    info = {"memory_bytes": 25_275_834_368, "data_free_bytes": 1, "data_total_bytes": 2}
    (run_folder / "findings.json").write_text(json.dumps({"at": time.time(), "findings": FINDINGS, "info": info}))
    assert "23.54GiB" in page.get("/system/").content.decode()


def test_findings_that_are_old_mean_a_silent_engine(run_folder):
    (run_folder / "findings.json").write_text(json.dumps({"at": time.time() - 600, "findings": FINDINGS}))
    assert not report().is_fresh
    assert len(report().findings) == 2


@pytest.mark.parametrize("text", ["", "{", "7", "[]", '{"at": "yesterday-ish"}'])
def test_a_broken_file_of_findings_breaks_no_page(page, run_folder, text):
    (run_folder / "findings.json").write_text(text)
    assert page.get("/system/").status_code == 200


def test_the_system_page_is_for_site_administrators(client, db):
    client.force_login(get_user_model().objects.create_user("guest"))
    answer = client.get("/system/")
    assert answer.status_code == 403
    assert b"You may not do this." in answer.content
    assert b'href="/system/"' not in answer.content


def test_an_address_that_does_not_exist_is_a_page_in_the_frame(page):
    answer = page.get("/nowhere/")
    assert answer.status_code == 404
    assert b'id="dock"' in answer.content


def test_errors_for_programs_are_json(page):
    answer = page.get("/nowhere/", headers={"Accept": "application/json"})
    assert answer.status_code == 404
    assert answer.json()["error"]


def test_a_part_that_is_gone_is_one_sentence_and_swaps_nothing(page):
    answer = page.get(f"/containers/{'f' * 64}/?part=head", headers={"HX-Request": "true"})
    assert answer.status_code == 404
    assert json.loads(answer["HX-Trigger"])["toast"]["tone"] == "error"
    assert answer.content == b""


@pytest.mark.parametrize(("view", "status"), [(views.bad_request, 400), (views.forbidden, 403), (views.not_found, 404)])
def test_error_pages_say_what_is_safe(rf, person, view, status):
    from django.contrib.auth.models import AnonymousUser

    for user in (person, AnonymousUser()):
        request = rf.get("/")
        request.user = user
        answer = view(request, None)
        assert answer.status_code == status
        assert str(status) in answer.content.decode()


def test_the_page_for_our_own_faults_needs_neither_database_nor_templates(rf):
    answer = views.server_error(rf.get("/"))
    assert answer.status_code == 500
    assert b"Something went wrong" in answer.content


def test_home_shows_what_runs(page, world):
    body = page.get("/").content.decode()
    assert "calm_fulton" in body
    assert "A container in two minutes" not in body


def test_signing_in_works_and_a_wrong_password_is_a_sentence(client, person):
    person.set_password("harbour-lights-42")
    person.save()
    wrong = client.post("/accounts/login/", {"login": "haeun", "password": "no"})
    assert wrong.status_code in {200, 400}
    assert 'role="alert"' in wrong.content.decode()
    right = client.post("/accounts/login/", {"login": "haeun", "password": "harbour-lights-42"})
    assert right["Location"] == "/"
