"""Who may do what, given and taken away: nobody gives a right that they do not have themselves (WEB-02)."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from dashboard.containers import services as containers
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, allows
from dashboard.networks import services as networks
from dashboard.teams import joining, scope, services
from dashboard.teams.models import Membership, Team, make_main
from dashboard.teams.policy import rights_in
from dashboard.teams.rights import ASSIGNABLE, Builtin
from tests.dashboard.people import make_member, make_team
from tests.support.examples import examples


def test_a_role_in_one_team_gives_nothing_in_another(teams):
    admin = teams.people["admin"]
    assert allows(admin, Permission.CONTAINER_REMOVE, teams.ours.container)
    for permission in ASSIGNABLE:
        assert not allows(admin, permission, teams.theirs.container)
    assert not allows(admin, Permission.SITE_ADMIN)
    assert not allows(admin, Permission.PORT_LOW)


def test_names_are_of_the_current_team_and_ids_of_all_of_ones_teams(teams):
    both = make_member("both", "operator", teams.ours.team)
    make_member("both", "viewer", teams.theirs.team)
    scope.use(both, "theirs")
    assert containers.find("web", both) == teams.theirs.container
    assert containers.find(teams.ours.container.container_id, both) == teams.ours.container
    assert not allows(both, Permission.CONTAINER_RUN)
    scope.use(both, "ours")
    assert containers.find("web", both) == teams.ours.container
    assert allows(both, Permission.CONTAINER_RUN)
    with pytest.raises(networks.NoSuchNetwork):
        networks.find(teams.theirs.network.network_id, teams.people["admin"])


def test_a_network_of_another_team_takes_no_container_in(teams):
    with pytest.raises(DashboardError, match="another team's"):
        networks.claim(teams.site, teams.theirs.network.network_id, team_id=teams.ours.team.pk)


def test_somebody_elses_terminal_needs_a_right_of_its_own(teams):
    services.save_role(teams.site, teams.ours.team, "alone", ["terminal.open", "terminal.type", "container.view"])
    person = make_member("alone", "viewer", teams.ours.team)
    services.set_role(teams.site, teams.ours.team, person, "alone")
    box = teams.ours.container
    box.owner = teams.people["admin"]
    assert not allows(person, Permission.TERMINAL_TYPE, box)
    box.owner = person
    assert allows(person, Permission.TERMINAL_TYPE, box)


def test_the_last_admin_stays(teams):
    admin, team = teams.people["admin"], teams.ours.team
    for change in (
        lambda: services.dismiss(admin, team, admin),
        lambda: services.set_role(teams.site, team, admin, "viewer"),
    ):
        with pytest.raises(DashboardError, match="last admin"):
            change()
    with pytest.raises(DashboardError, match="last administrator"):
        services.set_active(teams.site, teams.site, is_active=False)


def test_who_has_less_neither_gives_nor_takes_more(teams):
    team = teams.ours.team
    services.save_role(teams.site, team, "steward", ["team.manage", "team.view", "container.view"])
    steward = make_member("steward", "viewer", team)
    services.set_role(teams.site, team, steward, "steward")
    for act in (
        lambda: services.set_role(steward, team, steward, "admin"),
        lambda: services.dismiss(steward, team, teams.people["admin"]),
        lambda: services.save_role(steward, team, "steward", sorted(ASSIGNABLE)),
        lambda: services.set_role(steward, team, teams.people["maintainer"], "steward"),
    ):
        with pytest.raises(DashboardError, match="rights that you do not have"):
            act()
    for act in (
        lambda: services.set_role(steward, teams.theirs.team, steward, "viewer"),
        lambda: services.create(steward, "mine"),
        lambda: services.set_active(steward, teams.stranger, is_active=False),
    ):
        with pytest.raises(DashboardError, match="may not do this"):
            act()


NAMES = ("a", "b", "c", "d")
ROLES = (*Builtin.values, "steward", "narrow")
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(("give", "take", "shape", "link", "list", "unshape")),
        st.sampled_from(("one", "two")),
        st.sampled_from(NAMES),
        st.sampled_from(ROLES),
        st.sets(st.sampled_from(sorted(ASSIGNABLE)), max_size=4),
    ),
    max_size=12,
)


@pytest.mark.threat("WEB-02")
class Escalation(TestCase):
    @given(ACTIONS)
    @settings(max_examples=examples(25))
    def test_no_action_gives_anybody_a_right_that_its_giver_did_not_have(self, actions):
        site = User.objects.create_superuser("site", password=None)
        teams = {slug: make_team(slug) for slug in ("one", "two")}
        people = dict(
            zip(
                NAMES,
                (make_member(n, r, teams["one"]) for n, r in zip(NAMES, Builtin.values, strict=True)),
                strict=True,
            )
        )
        make_member("d", "viewer", teams["two"])
        make_member("a", "admin", teams["two"])
        for team in teams.values():
            services.save_role(site, team, "steward", ["team.manage", "team.view"])
            services.save_role(site, team, "narrow", ["container.view"])
        for actor, what, slug, target, role, permissions in actions:
            team, person = teams[slug], people[target]
            before = self._rights(people, teams)
            try:
                if what == "give":
                    services.set_role(people[actor], team, person, role)
                elif what == "take":
                    services.dismiss(people[actor], team, person)
                elif what == "link":
                    joining.join(joining.invite(people[actor], team, role)[1], person)
                elif what == "list":
                    joining.take_in(people[actor], team, [target], role)
                elif what == "unshape":
                    services.remove_role(people[actor], team, role)
                elif role in ("steward", "narrow"):
                    services.save_role(people[actor], team, role, permissions)
            except DashboardError:
                assert self._rights(people, teams) == before
            for key, rights in self._rights(people, teams).items():
                assert rights - before[key] <= before[(actor, slug)], (actor, what, key)
            for one in teams.values():
                assert one.memberships.filter(builtin="admin").exists()

    def _rights(self, people, teams):
        return {(name, slug): rights_in(people[name], teams[slug].pk) for name in people for slug in teams}


def test_everybody_of_before_is_in_the_main_team(db):
    from importlib import import_module

    from django.apps import apps

    person, boss = User.objects.create_user("before"), User.objects.create_superuser("boss")
    import_module("dashboard.teams.migrations.0002_everybody").gather(apps, None)
    roles = dict(Membership.objects.filter(team=make_main(Team.objects)).values_list("person__username", "builtin"))
    assert (roles[person.username], roles[boss.username]) == ("maintainer", "admin")
    assert rights_in(person, make_main(Team.objects).pk) == ASSIGNABLE - {Permission.TEAM_MANAGE, Permission.AUDIT_VIEW}
