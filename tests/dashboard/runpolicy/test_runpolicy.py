"""A team's run policy: who may change it which way, what it refuses, and that the engine is told of it (RUN-07)."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from dashboard import gateway
from dashboard.audit.models import Entry
from dashboard.containers import services
from dashboard.containers.models import Container
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Denied
from dashboard.grammar import parse
from dashboard.runpolicy import services as policy
from dashboard.runpolicy.models import RunPolicy
from dashboard.runpolicy.rules import Rules, Wish, complaints
from tests.dashboard.catalog.fixtures import data, engine, pulled, queue, registry, user
from tests.dashboard.people import allow, make_member, make_team
from tests.dashboard.teams.conftest import BACKEND

__all__ = ["data", "engine", "pulled", "queue", "registry", "user"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.threat("RUN-07")]


@pytest.fixture
def team(db):
    return make_team("class-1")


@pytest.fixture
def site(db):
    return User.objects.create_superuser("site")


@pytest.fixture
def teacher(team):
    return make_member("teacher", "admin", team)


@pytest.fixture(autouse=True)
def ubuntu(pulled):
    pulled("ubuntu:14.04")


def options(*words):
    return parse(["create", *words, "ubuntu:14.04"]).options


WISHES = {
    "privileged": (("--privileged",), {"privileged": True}, "privileged containers"),
    "userns": (("--userns", "host"), {"userns_host": True}, "whose root is the host's root"),
    "unconfined": (("--security-opt", "seccomp=unconfined"), {"seccomp_unconfined": True}, "filter of system calls"),
    "pid": (("--pid", "host", "--userns", "host"), {"host_namespaces": ["pid"], "userns_host": True}, "pid namespace"),
    "network": (
        ("--network", "host", "--userns", "host"),
        {"host_namespaces": ["network"], "userns_host": True},
        "network namespace",
    ),
    "device": (("--device", "/dev/full"), {"devices": ["/dev/full"]}, "the device /dev/full"),
}
NARROW = {
    "capability": (("--cap-add", "NET_RAW"), {"capabilities": []}, "the capability CAP_NET_RAW"),
    "network": (("--network", "none"), {"networks": ["bridge"]}, "the network none"),
    "nnp": ((), {"no_new_privileges": True}, "without --security-opt no-new-privileges"),
    "label": (("-l", "other=1"), {"labels": ["owner"]}, "without a label owner"),
}


@pytest.fixture
def host_allows(tmp_path, settings, monkeypatch):
    """A host whose ceilings are all lifted."""
    path = tmp_path / "engine.toml"
    path.write_text(
        "[ceilings]\nprivileged = true\nuserns_host = true\nseccomp_unconfined = true\ndevices = ['/dev/full']\n"
        "host_namespaces = ['pid', 'ipc', 'uts', 'network']\n"
    )
    everything = gateway.Policy.everything()
    monkeypatch.setattr("engine.runtime.policy.load_policy", lambda _path: _with_devices(everything))


def _with_devices(policy_):
    from dataclasses import replace

    return replace(policy_, devices=frozenset({"/dev/full"}))


@pytest.mark.parametrize("name", WISHES)
def test_nobody_has_anything_of_the_host_until_a_site_administrator_says_so(name, user, host_allows, engine, queue):
    words, rules, sentence = WISHES[name]
    with pytest.raises(DashboardError, match=sentence) as caught:
        services.create(user, options(*words))
    assert caught.value.status == 403
    assert not Container.objects.exists()
    allow(**rules)
    made = services.create(user, options(*words))
    services.start(made, user)
    queue.run()
    made.refresh_from_db()
    assert made.state == "running", made.error
    within = engine.within[made.container_id]
    assert within == RunPolicy.objects.get().rules.ceilings()


@pytest.mark.parametrize("name", NARROW)
def test_rules_that_narrow_are_held_against_what_is_asked(name, user):
    words, rules, sentence = NARROW[name]
    allow(**rules)
    with pytest.raises(DashboardError, match=sentence):
        services.create(user, options(*words))
    fine = {"nnp": ("--security-opt", "no-new-privileges"), "label": ("-l", "owner=haeun")}.get(name, ())
    services.create(user, options(*fine))


@pytest.mark.parametrize("name", [*WISHES, "nnp", "label"])
def test_a_policy_that_was_narrowed_holds_at_the_next_start_whatever_the_row_says(
    name, user, host_allows, engine, queue
):
    words, rules, sentence = WISHES.get(name) or NARROW[name]
    if name in WISHES:
        allow(**rules)
    made = services.create(user, options(*words))
    RunPolicy.objects.all().delete()
    if name not in WISHES:
        allow(**rules)
    services.start(made, user)
    queue.run()
    made.refresh_from_db()
    assert made.state != "running"
    assert sentence in made.error
    assert ("start", made.container_id) not in [call[:2] for call in engine.calls]


def test_what_could_not_start_again_goes_on_when_it_is_restarted(user, host_allows, engine, queue):
    words, rules, sentence = WISHES["device"]
    allow(**rules)
    made = services.create(user, options(*words))
    services.start(made, user)
    queue.run()
    RunPolicy.objects.all().delete()
    job = services.restart(made, user)
    queue.run()
    job.refresh_from_db()
    made.refresh_from_db()
    assert (job.state, made.state) == ("failed", "running")
    assert sentence in job.error
    assert "stop" not in [call[0] for call in engine.calls]


@pytest.mark.parametrize("words", [("--network", "host"), ("--pid", "host")])
def test_a_namespace_of_the_host_without_its_users_is_refused_before_it_is_made(words, user, engine, monkeypatch):
    """Also by pages, which may not read the host's policy."""

    def unreadable(_path):
        raise PermissionError

    monkeypatch.setattr("engine.runtime.policy.load_policy", unreadable)
    allow(host_namespaces=["network", "pid"])
    with pytest.raises(DashboardError, match="name --userns host, too"):
        services.create(user, options(*words))
    assert not Container.objects.exists()


def test_a_team_s_admin_narrows_and_a_site_administrator_widens(team, teacher, site):
    for wider in ({"privileged": True}, {"devices": ["/dev/fuse"]}, {"host_namespaces": ["pid"]}):
        with pytest.raises(DashboardError, match="only a site administrator can make it wider") as caught:
            policy.change(teacher, team, wider)
        assert caught.value.status == 403
    policy.change(site, team, {"devices": ["/dev/fuse", "/dev/kvm"], "userns_host": True})
    policy.change(teacher, team, {"devices": ["/dev/kvm"], "capabilities": ["CAP_NET_RAW"], "labels": ["owner"]})
    for wider in ({"capabilities": None}, {"labels": []}, {"devices": ["/dev/kvm", "/dev/fuse"]}):
        with pytest.raises(DashboardError, match="wider"):
            policy.change(teacher, team, wider)
    with pytest.raises(DashboardError, match="wider"):
        policy.reset(teacher, team)  # the default asks for no label
    policy.reset(site, team)
    assert policy.rules_of(team.pk) == Rules()
    student = make_member("student", "maintainer", team)
    for act in (lambda: policy.change(student, team, {"labels": ["x"]}), lambda: policy.reset(student, team)):
        with pytest.raises(Denied):
            act()
    assert policy.shown(student, team) == Rules()
    assert [entry.action for entry in Entry.objects.filter(action__contains="run-policy").order_by("pk")] == [
        "set-run-policy",
        "set-run-policy",
        "unset-run-policy",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"devices": ["/etc/passwd"]},
        {"devices": ["/dev/../etc"]},
        {"capabilities": ["CAP_SYS_ADMIN"]},
        {"host_namespaces": ["mount"]},
        {"host_paths": ["/"]},
        {"host_paths": ["srv"]},
        {"networks": ["a b"]},
        {"labels": ["a=b"]},
        {"labels": [f"k{number}" for number in range(101)]},
        {"nothing": True},
    ],
)
def test_values_that_cannot_be_are_refused(team, site, changes):
    with pytest.raises(DashboardError) as caught:
        policy.change(site, team, changes)
    assert caught.value.status == 400
    assert not RunPolicy.objects.exists()


SETS = st.frozensets(st.sampled_from(["a", "b"]))
RULES = st.builds(
    Rules,
    **dict.fromkeys(("privileged", "userns_host", "seccomp_unconfined", "no_new_privileges"), st.booleans()),
    **dict.fromkeys(("host_namespaces", "devices", "labels"), SETS),
    **dict.fromkeys(("capabilities", "networks"), st.none() | SETS),
)
WISHED = st.builds(
    Wish,
    **dict.fromkeys(("privileged", "userns_host", "unconfined", "no_new_privileges"), st.booleans()),
    **dict.fromkeys(("namespaces", "devices", "capabilities", "networks", "labels"), SETS),
)


@given(RULES, RULES, WISHED)
def test_what_narrower_rules_allow_wider_ones_allow_too(narrow, wide, wish):
    if narrow.is_within(wide) and not list(complaints(narrow, wish)):
        assert list(complaints(wide, wish)) == []


def test_the_page_and_the_commands_say_the_same(client, team, teacher, site):
    policy.change(site, team, {"devices": ["/dev/fuse"], "host_namespaces": ["uts"]})
    client.force_login(teacher, backend=BACKEND)
    body = client.get(reverse("team-policy")).content.decode()
    assert ">/dev/fuse</textarea>" in body
    said = {"devices": "", "capabilities": "CAP_NET_RAW", "networks_any": "1", "host_paths_any": "1", "labels": "owner"}
    assert client.post(reverse("team-policy"), said).status_code == 302
    assert policy.rules_of(team.pk) == Rules(capabilities=frozenset({"CAP_NET_RAW"}), labels=frozenset({"owner"}))
    wider = client.post(reverse("team-policy"), said | {"privileged": "on"}, headers={"Accept": "application/json"})
    assert wider.status_code == 403
    assert policy.rules_of(team.pk).privileged is False
    student = make_member("student", "viewer", team)
    client.force_login(student, backend=BACKEND)
    assert '<fieldset class="grid gap-6 p-4" disabled>' in client.get(reverse("team-policy")).content.decode()
    assert client.post(reverse("team-policy"), said).status_code == 403


def test_a_container_comes_into_no_network_that_the_team_may_not_have(user):
    from dashboard.containers import networking
    from dashboard.grammar.netvalues import NetworkChoice
    from dashboard.networks.models import Network

    Network.objects.create(name="other", network_id="c" * 64, number=3, subnet="10.77.3.0/24")
    made = services.create(user, options())
    allow(networks=["bridge"])
    with pytest.raises(DashboardError, match="the network other"):
        networking.connect(user, made, NetworkChoice(name="other"))
