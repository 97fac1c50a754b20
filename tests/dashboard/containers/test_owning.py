"""What somebody leaves behind is given to somebody else in the team, all or nothing."""

from __future__ import annotations

import pytest

from dashboard.audit.models import Entry
from dashboard.containers import owning
from dashboard.containers.models import Container
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Denied, Permission, allows
from dashboard.networks.models import Network
from dashboard.quotas.models import Quota
from dashboard.quotas.services import QuotaRefused
from dashboard.teams import services as teams
from dashboard.volumes.models import Volume
from tests.dashboard.pages.conftest import make_container, make_image
from tests.dashboard.people import make_member, make_team

pytestmark = pytest.mark.django_db


@pytest.fixture
def team():
    team = make_team("class-1")
    haeun = make_member("haeun", "operator", team)
    image = make_image("ubuntu", "14.04", [1000], seed="13b6")
    for name in ("one", "two"):
        make_container(image, name, "exited")
    Container.objects.update(team=team, owner=haeun)
    Volume.objects.create(team=team, name="data", owner=haeun)
    Volume.objects.create(team=make_team("other"), name="theirs", owner=haeun)
    Network.objects.create(team=team, name="net", owner=haeun, network_id="5" * 64, number=5, subnet="10.77.5.0/24")
    return team


def test_it_goes_with_who_may_type_there(team):
    haeun, teacher = make_member("haeun", "operator", team), make_member("teacher", "admin", team)
    heir = make_member("heir", "viewer", team)
    teams.save_role(teacher, team, "alone", ["terminal.open", "terminal.type", "container.view"])
    teams.set_role(teacher, team, heir, "alone")
    one = Container.objects.get(name="one")
    assert not allows(heir, Permission.TERMINAL_TYPE, one)
    assert owning.transfer(teacher, team, haeun, heir) == {"containers": 2, "volumes": 1, "networks": 1}
    one.refresh_from_db()
    assert allows(heir, Permission.TERMINAL_TYPE, one)
    assert Volume.objects.get(name="theirs").owner == haeun  # another team's
    assert owning.transfer(teacher, team, haeun, heir) == {"containers": 0, "volumes": 0, "networks": 0}
    assert Entry.objects.get(action="transfer-things").parameters["to"] == "heir"


def test_who_may_not_and_to_whom_not(team):
    haeun, teacher = make_member("haeun", "operator", team), make_member("teacher", "admin", team)
    stranger = make_member("stranger", "admin", make_team("other"))
    with pytest.raises(DashboardError, match="not in the team"):
        owning.transfer(teacher, team, haeun, stranger)
    for person in (haeun, stranger):
        with pytest.raises(Denied):
            owning.transfer(person, team, haeun, teacher)
    Quota.objects.create(team=team, person=teacher, containers=1)
    with pytest.raises(QuotaRefused):
        owning.transfer(teacher, team, haeun, teacher)
    assert Container.objects.filter(owner=haeun).count() == 2
    assert Volume.objects.get(name="data").owner == haeun
