"""Rows of networks, their jobs, and what is left after crashes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models import ProtectedError
from django.utils import timezone

from dashboard.containers import networkhandlers, networking
from dashboard.containers import services as containers
from dashboard.containers.models import Container, Endpoint
from dashboard.core import gate
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Denied, Permission
from dashboard.grammar import ContainerOptions
from dashboard.grammar.netvalues import NetworkChoice
from dashboard.grammar.requests import NetworkCreate
from dashboard.jobs.models import Job, JobState
from dashboard.networks import services, ticks
from dashboard.networks.models import Network, NetworkState
from engine.errors import WrongState

pytestmark = pytest.mark.django_db(transaction=True)
OPTIONS = ContainerOptions(image="ubuntu:14.04")
IN_FRONT = replace(OPTIONS, networks=("front",))


@pytest.fixture
def front(user):
    return services.create(user, NetworkCreate(name="front", subnet="10.77.5.0/24"))


@pytest.fixture
def running(user, pulled, queue, front):
    pulled("ubuntu:14.04")
    made = containers.create(user, replace(IN_FRONT, name="web"))
    containers.start(made, user)
    queue.run()
    made.refresh_from_db()
    return made


def test_the_predefined_networks_are_always_there():
    assert list(Network.objects.values_list("name", "number")) == [("bridge", 0), ("none", None)]


def test_a_container_is_refused_a_network_that_is_being_removed(user, pulled, queue, front):
    pulled("ubuntu:14.04")
    services.remove(front, user)
    with pytest.raises(DashboardError, match="is being removed just now"):
        containers.create(user, IN_FRONT)
    assert not Container.objects.exists()
    queue.run()
    assert not Network.objects.filter(name="front").exists()


def test_the_database_itself_keeps_a_network_that_is_used(user, pulled, front):
    pulled("ubuntu:14.04")
    containers.create(user, replace(IN_FRONT, name="web"))
    with pytest.raises(ProtectedError):
        front.delete()
    assert services.users_of(front) == ["web"]


def test_using_a_network_is_asked_of_the_gate(user, pulled, front):
    pulled("ubuntu:14.04")
    restore = gate.use_policy(lambda user, permission, obj: permission is not Permission.NETWORK_USE)
    try:
        with pytest.raises(Denied):
            containers.create(user, IN_FRONT)
    finally:
        restore()
    assert not Container.objects.exists()


def test_two_networks_never_have_one_number_or_subnet(user):
    made = [services.create(user, NetworkCreate(name=f"n{number}")) for number in range(4)]
    assert [row.number for row in made] == [1, 2, 3, 4]
    assert len({row.subnet for row in made}) == 4
    Network.objects.filter(name="n1").delete()
    assert services.create(user, NetworkCreate(name="again")).number == 2


@pytest.mark.fault("F20")
def test_a_removal_whose_job_is_lost_is_asked_for_again(user, queue, engine, front):
    services.remove(front, user)
    queue.waiting.clear()
    Job.objects.update(state=JobState.FAILED)
    ticks.resubmit_removals()  # not at once: the job may only have ended this moment
    assert not queue.waiting
    Network.objects.update(updated_at=timezone.now() - timedelta(minutes=1))
    ticks.resubmit_removals()
    ticks.resubmit_removals()
    queue.run()
    assert engine.calls == [("remove_network", 1)]
    assert not Network.objects.filter(name="front").exists()


@pytest.mark.fault("F25")
def test_a_network_that_a_container_without_a_row_is_in_comes_back(user, queue, engine, front):
    services.remove(front, user)
    engine.networks.fails = WrongState("The network is in use by containers: abc.")
    queue.run()
    front.refresh_from_db()
    assert front.state == NetworkState.READY
    assert Job.objects.get().error == "The network is in use by containers: abc."


@pytest.mark.fault("F25")
def test_a_bridge_without_a_row_goes_and_one_in_use_is_reported_once(user, engine, front, caplog):
    engine.networks.bridges = {1, 7}
    ticks.remove_unknown()
    assert engine.networks.known() == {1}
    engine.networks.bridges, engine.networks.fails = {1, 8}, WrongState("in use")
    for _ in range(2):
        ticks.remove_unknown()
    assert [call for call in engine.calls if call == ("remove_network", 8)] == [("remove_network", 8)]


@pytest.mark.fault("F20")
def test_a_connection_whose_job_is_lost_is_made_all_the_same(user, running, queue, engine):
    services.create(user, NetworkCreate(name="back", subnet="10.77.6.0/24"))
    networking.connect(user, running, NetworkChoice(name="back"))
    queue.waiting.clear()
    networkhandlers.reconcile()
    assert len(engine.places[running.container_id]) == 1  # a job is said to be at work on it
    Job.objects.update(state=JobState.FAILED)
    networkhandlers.reconcile()
    assert [place.address for place in engine.places[running.container_id]] == ["10.77.5.2", "10.77.6.2"]


@pytest.mark.fault("F20")
def test_who_has_left_a_network_does_not_stay_in_it(user, running, queue, engine):
    """A look of `reconcile` that began before a disconnection brings the container in again after it; as its row has gone,
    its address there may be another's soon."""
    services.create(user, NetworkCreate(name="back", subnet="10.77.6.0/24"))
    networking.connect(user, running, NetworkChoice(name="back"))
    queue.run()
    endpoint = Endpoint.objects.select_related("container", "network").get(network__name="back")
    networking.disconnect(user, running, endpoint.network)
    queue.run()
    networkhandlers._bring_in(endpoint)
    assert set(engine.networks.whereabouts()[running.container_id]) == {1, 2}
    Job.objects.update(state=JobState.RUNNING)
    networkhandlers.reconcile()
    assert set(engine.networks.whereabouts()[running.container_id]) == {1, 2}  # a job is said to be at work on it
    Job.objects.update(state=JobState.SUCCEEDED)
    networkhandlers.reconcile()
    assert set(engine.networks.whereabouts()[running.container_id]) == {1}
    networking.leave(running, running.endpoints.get())
    networkhandlers.reconcile()
    assert engine.networks.whereabouts()[running.container_id] == {}


def test_a_new_name_of_a_running_container_is_answered(running, engine):
    Container.objects.filter(pk=running.pk).update(name="shop")
    networkhandlers.reconcile()
    (place,) = engine.places[running.container_id]
    assert place.names == ("shop", running.short_id)


def test_a_container_in_between_is_not_connected(user, running, front):
    Container.objects.filter(pk=running.pk).update(state="starting")
    with pytest.raises(DashboardError, match="is starting: try again"):
        networking.connect(user, running, NetworkChoice(name="bridge"))


def test_one_that_ended_meanwhile_keeps_or_loses_its_place_by_its_row(user, running, queue, engine, monkeypatch):
    def gone(*_said, **_named):
        raise WrongState("Container is not running")

    services.create(user, NetworkCreate(name="back"))
    monkeypatch.setattr(engine.networks, "connect", gone)
    monkeypatch.setattr(engine.networks, "disconnect", gone)
    networking.connect(user, running, NetworkChoice(name="back"))
    queue.run()
    assert Endpoint.objects.filter(network__name="back").exists()
    networking.disconnect(user, running, Network.objects.get(name="back"))
    queue.run()
    assert not Endpoint.objects.filter(network__name="back").exists()


@pytest.mark.threat("NET-08")
def test_one_address_is_one_containers_whoever_asks(user, pulled, front):
    pulled("ubuntu:14.04")
    made = [containers.create(user, IN_FRONT) for _ in range(3)]
    assert sorted(str(row.address) for row in made) == ["10.77.5.2", "10.77.5.3", "10.77.5.4"]
    with pytest.raises(DashboardError, match="Address already in use"):
        containers.create(user, replace(IN_FRONT, ip="10.77.5.3"))
