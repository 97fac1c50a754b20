"""One action on several rows of a list: each on its own, and each refusal told."""

from __future__ import annotations

import pytest

from dashboard.catalog.models import Image, Tag
from dashboard.containers.models import ContainerState
from dashboard.core.gate import Permission, use_policy
from dashboard.jobs.models import Job, JobState
from tests.dashboard.pages.conftest import make_container

JSON = {"Accept": "application/json"}


@pytest.fixture
def act(page):
    def ask(action, *containers):
        keys = [container if isinstance(container, str) else container.container_id for container in containers]
        return page.post("/containers/selected/", {"action": action, "key": keys}, headers=JSON)

    return ask


@pytest.mark.parametrize(
    ("action", "state", "kind", "said"),
    [
        ("start", "exited", "start_container", "Started: one_keel, two_keel."),
        ("stop", "running", "stop_container", "Stopped: one_keel, two_keel."),
        ("remove", "exited", "remove_container", "Removed: one_keel, two_keel."),
    ],
)
def test_what_is_done_to_several_is_asked_for_each(act, world, messages, at_once, action, state, kind, said):
    two = [make_container(world.ubuntu, name, state) for name in ("one_keel", "two_keel")]
    two[1].container_id = "ab" * 32
    two[1].save()
    answer = act(action, *two)
    assert answer.json() == {"said": said, "refused": []}
    assert list(Job.objects.values_list("kind", flat=True)) == [kind, kind]


def test_a_refusal_is_told_by_name_and_keeps_no_other_from_it(act, world, messages, at_once):
    answer = act("remove", world.running, "f" * 64, world.exited).json()
    assert answer["said"] == "Removed: brave_lovelace."
    told = {one["name"]: one["why"] for one in answer["refused"]}
    assert "container is running" in told["calm_fulton"]
    assert told["f" * 12] == "This container no longer exists."
    assert [one["key"] for one in answer["refused"]] == ["f" * 64, world.running.container_id][::-1]


def test_a_job_that_fails_is_a_refusal_too_and_one_that_takes_long_is_said_to_go_on(
    act, world, messages, at_once, monkeypatch
):
    at_once.update(state=JobState.FAILED, error="The container takes no more input.")
    answer = act("stop", world.running).json()
    assert answer["refused"][0]["why"] == "The container takes no more input."
    monkeypatch.setattr("dashboard.jobs.services.wait", lambda _job, _timeout_s: None)
    world.running.refresh_from_db()
    assert act("stop", world.running).json()["said"] == "Still at work on calm_fulton: see Activity."


def test_each_row_is_asked_about_at_the_gate(act, world, messages, at_once):
    restore = use_policy(
        lambda _user, permission, obj: permission != Permission.CONTAINER_OPERATE or obj != world.running
    )
    try:
        answer = act("stop", world.running, world.exited).json()
    finally:
        restore()
    assert answer["said"] == "Stopped: brave_lovelace."  # it was down already, which is no error
    assert [(one["name"], one["why"]) for one in answer["refused"]] == [("calm_fulton", "You may not do this.")]


@pytest.mark.parametrize(("action", "count"), [("burn", 1), ("stop", 0), ("stop", 201)])
def test_nonsense_is_a_sentence(act, world, action, count):
    assert act(action, *["f" * 64] * count).status_code == 400


def test_several_names_of_images_go_and_one_in_use_stays_and_says_why(page, world, messages):
    keys = ["ubuntu:14.04", "centos:7", "gone:1"]
    answer = page.post("/catalog/selected/remove/", {"key": keys}, headers=JSON).json()
    assert answer["said"] == "Removed: centos:7."
    told = {one["name"]: one["why"] for one in answer["refused"]}
    assert "calm_fulton" in told["ubuntu:14.04"]
    assert "No such image" in told["gone:1"]
    assert not Image.objects.filter(pk=world.centos.pk).exists()
    assert Tag.objects.filter(image=world.ubuntu).exists()


@pytest.mark.parametrize(
    ("state", "can"),
    [
        ("created", "start remove"),
        ("exited", "start remove"),
        ("dead", "remove"),
        ("running", "stop"),
        ("starting", ""),
    ],
)
def test_a_row_says_what_can_be_done_with_it(page, world, state, can):
    assert state in ContainerState.values
    row = make_container(world.ubuntu, "a_keel", state)
    body = page.get("/containers/?part=rows").content.decode()
    assert f'value="{row.container_id}" data-pick="a_keel" data-can="{can}"' in body
