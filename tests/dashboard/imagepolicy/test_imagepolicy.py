"""Image policy: what a list lets through (REG-14: an empty one nothing), and asking for more with an answer."""

from __future__ import annotations

import json

import pytest
from channels.db import database_sync_to_async
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dashboard import gateway
from dashboard.audit.models import Entry
from dashboard.catalog import services as catalog
from dashboard.containers import services as containers
from dashboard.containers.models import Container
from dashboard.core.errors import DashboardError, NotFound
from dashboard.core.gate import Denied
from dashboard.grammar import parse
from dashboard.imagepolicy import services as policy
from dashboard.imagepolicy.models import ImageRequest, ImageRule
from dashboard.imagepolicy.patterns import Name, Pattern
from dashboard.imagepolicy.services import ImageRefused
from dashboard.jobs.models import Job
from tests.dashboard.catalog.fixtures import data, engine, pulled, queue, registry, user
from tests.dashboard.people import make_member, make_team
from tests.dashboard.teams.conftest import BACKEND
from tests.dashboard.teams.test_sockets import connect
from tests.support.crowd import at_once

__all__ = ["data", "engine", "pulled", "queue", "registry", "user"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.threat("REG-14")]


@pytest.fixture
def team():
    return make_team("class-1")


@pytest.fixture
def haeun(team):
    return make_member("haeun", "operator", team)


@pytest.fixture
def teacher(team):
    return make_member("teacher", "admin", team)


def name(text):
    return Name.of(gateway.parse(text))


DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (
            "ubuntu",
            ("ubuntu", "ubuntu:14.04", "docker.io/library/ubuntu:x", f"ubuntu@{DIGEST}"),
            ("ubuntux", "me/ubuntu", "ghcr.io/library/ubuntu"),
        ),
        ("ubuntu:14.04", ("ubuntu:14.04",), ("ubuntu", "ubuntu:14.04.1", "ubuntu:14", f"ubuntu@{DIGEST}")),
        ("ubuntu:22.*", ("ubuntu:22.04", "ubuntu:22."), ("ubuntu:2", "ubuntu:14.04")),
        (f"ubuntu@{DIGEST}", (f"ubuntu@{DIGEST}", f"ubuntu:x@{DIGEST}"), ("ubuntu", "ubuntu@sha256:" + "b" * 64)),
        ("ghcr.io/team/*", ("ghcr.io/team/a:1", "ghcr.io/team/b/c"), ("ghcr.io/teams/a", "ghcr.io/team2/a", "team/a")),
        ("ghcr.io/*", ("ghcr.io/a/b",), ("ghcr.io.evil.example/a", "a")),
        ("grafana/*", ("grafana/grafana:1",), ("grafana", "ghcr.io/grafana/grafana")),
        ("*", ("ubuntu", "x.example/y:z"), ()),
    ],
)
def test_what_a_pattern_names(pattern, yes, no):
    parsed = Pattern.parse(pattern)
    assert ImageRule(pattern=str(parsed)).names == parsed
    assert [text for text in yes if not parsed.matches(name(text))] == []
    assert [text for text in no if parsed.matches(name(text))] == []


@pytest.mark.parametrize(
    "text", ["", "Ubuntu", "a b", "ubuntu:", "ubuntu@sha256:1", "ghcr.io/*:1", "**", "u*", "../x", "ubuntu:*"]
)
def test_what_names_nothing_is_refused(team, teacher, text):
    with pytest.raises(DashboardError):
        policy.add_rule(teacher, team, text)


def test_any_image_until_there_is_a_list_and_none_with_an_empty_one(team, haeun, teacher, registry):
    catalog.pull("centos:7", user=haeun)
    policy.set_listed(teacher, team, listed=True)
    with pytest.raises(
        ImageRefused, match=r"The image policy of the team class-1 does not list ubuntu:14\.04"
    ) as caught:
        catalog.pull("ubuntu:14.04", user=haeun)
    assert (caught.value.status, Job.objects.filter(kind="pull_image").count()) == (403, 1)
    with pytest.raises(ImageRefused):
        catalog.pull("ubuntu:14.04", user=teacher)  # for everybody in it
    policy.add_rule(teacher, team, "ubuntu:14.04")
    policy.add_rule(teacher, team, "ubuntu:14.04")
    assert ImageRule.objects.count() == 1
    catalog.pull("ubuntu:14.04", user=haeun)
    with pytest.raises(ImageRefused):
        catalog.pull("ubuntu", user=haeun)  # latest
    other = make_member("other", "operator", make_team("other"))
    catalog.pull("ubuntu", user=other)
    policy.set_listed(teacher, team, listed=False)
    catalog.pull("ubuntu", user=haeun)


def test_what_others_have_pulled_is_run_only_if_the_list_has_it(team, haeun, teacher, pulled):
    image = pulled("ubuntu:14.04")
    policy.set_listed(teacher, team, listed=True)

    def create(text):
        return containers.create(haeun, parse(["create", text]).options)

    by_id = (image or catalog.find_image("ubuntu:14.04", None)).image_id[7:19]
    for text in ("ubuntu:14.04", by_id):
        with pytest.raises(ImageRefused):
            create(text)
    assert not Container.objects.exists()
    policy.add_rule(teacher, team, "ubuntu")
    for text in ("ubuntu:14.04", by_id):
        create(text)


def test_an_approval_pinned_to_the_digest_holds_for_what_was_pulled_first(
    team, haeun, teacher, registry, engine, queue
):
    def pull():
        job = catalog.pull("ubuntu:14.04", user=User.objects.get(pk=haeun.pk))
        queue.run()
        job.refresh_from_db()
        return job

    policy.set_listed(teacher, team, listed=True)
    asked = policy.ask(haeun, team, "ubuntu:14.04", "for the course")
    policy.decide(teacher, team, asked.pk, approve=True, pins=True)
    assert pull().state == "succeeded"
    rule = ImageRule.objects.get()
    assert rule.digest == catalog.find_image("ubuntu:14.04", None).tags.get().digest
    assert pull().state == "succeeded"
    registry.images["ubuntu:14.04"] = ["base", "something", "else"]
    refused = pull()
    assert (refused.state, refused.error_code) == ("failed", "image-policy")
    assert "pins ubuntu:14.04 to sha256:" in refused.error
    containers.create(haeun, parse(["create", "ubuntu:14.04"]).options)
    # another team has the new one by now
    other = make_member("other", "operator", make_team("other"))
    assert catalog.pull("ubuntu:14.04", user=other)
    queue.run()
    with pytest.raises(ImageRefused):
        containers.create(haeun, parse(["create", "ubuntu:14.04"]).options)
    policy.add_rule(teacher, team, "ubuntu:14.04")
    assert pull().state == "succeeded"


def test_a_rule_for_one_pull_is_spent_by_it_and_what_it_brought_may_be_run(team, haeun, teacher, pulled):
    pulled("ubuntu:14.04")
    policy.set_listed(teacher, team, listed=True)
    policy.add_rule(teacher, team, "ubuntu:14.04", once=True)
    catalog.pull("ubuntu:14.04", user=haeun)
    Job.objects.all().delete()
    with pytest.raises(ImageRefused):
        catalog.pull("ubuntu:14.04", user=haeun)
    containers.create(haeun, parse(["create", "ubuntu:14.04"]).options)


def test_a_rule_that_has_run_out_is_none(team, haeun, teacher, pulled):
    pulled("ubuntu:14.04")
    policy.set_listed(teacher, team, listed=True)
    policy.add_rule(teacher, team, "ubuntu:14.04", days=1)
    catalog.pull("ubuntu:14.04", user=haeun)
    ImageRule.objects.update(expires_at=timezone.now())
    with pytest.raises(ImageRefused):
        catalog.pull("ubuntu:14.04", user=haeun)
    with pytest.raises(ImageRefused):
        containers.create(haeun, parse(["create", "ubuntu:14.04"]).options)


def test_who_lacks_an_image_asks_and_is_answered(team, haeun, teacher):
    policy.set_listed(teacher, team, listed=True)
    made = policy.ask(haeun, team, "postgres:16", "for the shop exercise")
    assert policy.ask(haeun, team, "docker.io/library/postgres:16", "again") == made
    assert policy.waiting_count(team) == 1
    other = make_member("minsu", "operator", team)
    assert list(policy.requests_of(other, team)) == []
    assert list(policy.requests_of(teacher, team)) == [made]
    for act in (lambda: policy.decide(haeun, team, made.pk, approve=True), lambda: policy.add_rule(haeun, team, "*")):
        with pytest.raises(Denied):
            act()
    stranger = make_member("stranger", "admin", make_team("other"))
    with pytest.raises(NotFound):
        policy.decide(stranger, make_team("other"), made.pk, approve=True)
    done = policy.decide(teacher, team, made.pk, approve=True, days=30, said="until the exam")
    assert (done.answer, done.said, done.decided_by) == ("approved", "until the exam", teacher)
    rule = ImageRule.objects.get()
    assert (rule.pattern, rule.once, rule.expires_at is not None) == ("docker.io/library/postgres:16", False, True)
    catalog.pull("postgres:16", user=haeun)
    with pytest.raises(DashboardError, match="decided already"):
        policy.decide(teacher, team, made.pk, approve=False)
    with pytest.raises(DashboardError, match="may be pulled already"):
        policy.ask(haeun, team, "postgres:16", "again")
    refused = policy.ask(haeun, team, "redis", "to play")
    policy.decide(teacher, team, refused.pk, approve=False, said="no")
    assert ImageRule.objects.count() == 1
    assert [
        one.action for one in Entry.objects.order_by("pk") if "image" in one.action and one.action != "pull-image"
    ] == [
        *("set-image-policy", "ask-image", "add-image-rule", "approve-image", "ask-image", "refuse-image"),
    ]


@pytest.mark.parametrize(("image", "reason"), [("postgres:16", ""), ("postgres:16", "x" * 501), ("Not A Name", "x")])
def test_a_request_has_an_image_and_a_reason(team, haeun, teacher, image, reason):
    policy.set_listed(teacher, team, listed=True)
    with pytest.raises((DashboardError, gateway.EngineError)):
        policy.ask(haeun, team, image, reason)
    assert not ImageRequest.objects.exists()


def test_nobody_fills_the_inbox(team, haeun, teacher):
    policy.set_listed(teacher, team, listed=True)
    for number in range(policy.MOST_WAITING):
        policy.ask(haeun, team, f"image{number}", "x")
    with pytest.raises(DashboardError, match="waiting"):
        policy.ask(haeun, team, "more", "x")


def test_ten_pulls_at_once_by_a_rule_for_one(team, haeun, teacher):
    policy.set_listed(teacher, team, listed=True)
    policy.add_rule(teacher, team, "python", once=True)
    outcomes = at_once(
        [lambda tag=tag: catalog.pull(f"python:{tag}", user=User.objects.get(pk=haeun.pk)) for tag in range(10)]
    )
    refused = [one for one in outcomes if isinstance(one, Exception)]
    assert [type(one) for one in refused] == [ImageRefused] * 9, outcomes


async def test_who_asked_is_told_of_the_answer_at_once_or_when_they_come_back(team, haeun, teacher):
    @database_sync_to_async
    def ask(image):
        policy.set_listed(teacher, team, listed=True)
        return policy.ask(haeun, team, image, "for the exercise").pk

    live = await connect(haeun, "/ws/live")
    first, second = await ask("postgres:16"), await ask("redis:7")
    await database_sync_to_async(policy.decide)(teacher, team, first, approve=True)
    assert (await heard(live)) == {"t": "answer", "image": "postgres:16", "answer": "approved", "said": ""}
    await database_sync_to_async(policy.decide)(teacher, team, second, approve=False, said="use sqlite")
    assert (await heard(live))["said"] == "use sqlite"
    await live.disconnect()

    @database_sync_to_async
    def come_back():
        client = Client()
        client.force_login(haeun, backend=BACKEND)
        before = client.get(reverse("team")).content.decode()
        page = client.get(reverse("team-images")).content.decode()
        return "2 answers to you" in before, page.count(">new<"), client.get(reverse("team")).content.decode()

    there, new, after = await come_back()
    assert (there, new) == (True, 2)
    assert "answers to you" not in after
    assert not await database_sync_to_async(policy.unread(teacher, team).exists)()


async def heard(live):
    """What it is told for this person; other frames are passed over."""
    while True:
        frame = json.loads(await live.receive_from(5))
        if frame["t"] == "told":
            return frame["what"]


def test_the_pages(client, team, haeun, teacher):
    client.force_login(teacher, backend=BACKEND)
    url = reverse("team-images")
    client.post(reverse("team-images-listed"), {"listed": "1"})
    assert "The list is empty" in client.get(url).content.decode()
    client.post(reverse("team-images-allow"), {"image": "ubuntu:22.04", "days": ""})
    client.force_login(haeun, backend=BACKEND)
    assert "?image=ubuntu%3A22.04" in client.get(reverse("catalog")).content.decode()
    assert (
        client.post(reverse("team-images-ask"), {"image": "postgres:16", "reason": "for the exercise"}).status_code
        == 302
    )
    body = client.get(url).content.decode()
    assert "for the exercise" in body
    assert 'value="once"' not in body
    client.force_login(teacher, backend=BACKEND)
    body = client.get(url).content.decode()
    assert 'value="once"' in body
    assert "1 request waits" in body
    number = ImageRequest.objects.get().pk
    nonsense = client.post(reverse("team-images-decide", args=[number]), {"how": "maybe"})
    assert (nonsense.status_code, ImageRequest.objects.get().answer) == (400, "pending")
    client.post(reverse("team-images-decide", args=[number]), {"how": "once", "days": "", "said": "go"})
    assert ImageRule.objects.filter(once=True).count() == 1
    assert "Approved" in client.get(url).content.decode()
