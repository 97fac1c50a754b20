from __future__ import annotations

from types import SimpleNamespace

import pytest

from dashboard.containers.forms import RunForm
from dashboard.containers.models import Container, Endpoint
from dashboard.jobs.models import Job, JobState
from dashboard.networks.models import Network, NetworkState

BOOSTED = {"HX-Request": "true"}


@pytest.fixture
def front(world, messages):
    made = Network.objects.create(
        name="front", network_id="f" * 64, number=1, subnet="10.77.5.0/24", gateway="10.77.5.1", owner=world.person
    )
    Endpoint.objects.create(container=world.running, network=made, address="10.77.5.2", aliases=["www"])
    spare = Network.objects.create(name="spare", network_id="a" * 64, number=2, subnet="10.77.6.0/24", is_internal=True)
    return SimpleNamespace(network=made, spare=spare, world=world)


def test_networks_are_listed_with_their_subnet_and_who_is_in_them(page, front):
    body = page.get("/networks/").content.decode()
    assert "10.77.5.0/24" in body
    assert front.world.running.name in body
    assert f'hx-post="/networks/{"a" * 64}/remove/"' in body
    assert f'hx-post="/networks/{"f" * 64}/remove/"' not in body
    assert body.count("always there") == 2
    assert "No network matches" in page.get("/networks/?q=zzz").content.decode()
    assert "10.77.5.0/24" not in page.get("/networks/?q=spa&part=rows").content.decode()


def test_a_network_is_made_with_a_name_alone_or_with_everything(page, front):
    assert page.post("/networks/create/", {"name": "fresh"}).status_code == 302
    assert Network.objects.get(name="fresh").owner == front.world.person
    words = {
        "name": "wide",
        "subnet": "10.78.0.0/16",
        "gateway": "10.78.9.9",
        "ip_range": "10.78.4.0/24",
        "internal": "on",
    }
    answer = page.post("/networks/create/", words, headers=BOOSTED)
    assert answer.status_code == 204
    made = Network.objects.get(name="wide")
    assert (made.subnet, made.gateway, made.ip_range, made.is_internal) == (
        "10.78.0.0/16",
        "10.78.9.9",
        "10.78.4.0/24",
        True,
    )


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ({"name": "a b"}, 400, "Name: Letters, digits"),
        ({"name": "x", "subnet": "ten"}, 400, "Subnet: An IPv4 network"),
        ({"name": "x", "subnet": "10.79.0.0/24", "gateway": "x"}, 400, "Gateway: An address"),
        ({"name": "front"}, 409, "network with name front already exists"),
    ],
)
def test_what_cannot_be_made_is_said(page, front, words, status, said):
    answer = page.post("/networks/create/", words, headers=BOOSTED)
    assert answer.status_code == status
    assert said in answer.content.decode() + answer.headers.get("HX-Trigger", "")


def test_a_network_says_who_is_in_it_and_why_it_stays(page, front):
    body = page.get(f"/networks/{'f' * 64}/").content.decode()
    for text in (
        "10.77.5.2",
        "www",
        f'href="/containers/{front.world.running.container_id}/"',
        "Containers find each other",
    ):
        assert text in body
    assert f"It cannot be removed while containers are in it: {front.world.running.name}." in body
    body = page.get(f"/networks/{'a' * 64}/").content.decode()
    assert "None: it is internal." in body
    assert "No container is in this network." in body
    assert 'data-confirm="Remove the network spare?"' in body
    none = page.get(f"/networks/{Network.objects.get(name='none').network_id}/").content.decode()
    assert "containers have their loopback only" in none
    assert "network-connect" not in none


def test_one_in_use_is_refused_with_the_names_of_its_users(page, front):
    answer = page.post(f"/networks/{'f' * 64}/remove/", headers=BOOSTED)
    assert answer.status_code == 409
    assert front.world.running.name in answer.content.decode() + answer.headers.get("HX-Trigger", "")
    assert Network.objects.get(name="front").state == NetworkState.READY


def test_an_unused_one_is_removed(page, front, at_once):
    answer = page.post(f"/networks/{'a' * 64}/remove/", {"leave": "1"}, headers=BOOSTED)
    assert answer.status_code == 200
    assert "/networks/" in answer["HX-Location"]
    assert Job.objects.get().kind == "remove_network"
    front.spare.delete()
    assert front.spare.name in page.get("/activity/?part=rows").content.decode()
    assert page.post(f"/networks/{'e' * 64}/remove/").status_code == 404


def test_containers_are_connected_and_disconnected_on_the_page(page, front, at_once):
    words = {"container": front.world.running.container_id, "aliases": "db, store", "ip": "10.77.6.9"}
    assert page.post(f"/networks/{'a' * 64}/connect/", words, headers=BOOSTED).status_code == 204
    made = Endpoint.objects.get(network=front.spare)
    assert (made.address, made.aliases, made.position) == ("10.77.6.9", ["db", "store"], 1)
    assert Job.objects.get().kind == "connect_network"
    assert page.post(f"/networks/{'a' * 64}/connect/", words, headers=BOOSTED).status_code == 403
    assert page.post(f"/networks/{'a' * 64}/disconnect/", words).status_code == 302
    assert Job.objects.latest("pk").kind == "disconnect_network"


def test_a_place_that_the_engine_refuses_is_told(page, front, at_once):
    at_once |= {"state": JobState.FAILED, "error": "The network 10.77.6.0/24 overlaps another network (10.77.0.0/16)."}
    words = {"container": front.world.running.container_id}
    answer = page.post(f"/networks/{'a' * 64}/connect/", words, headers=BOOSTED)
    assert answer.status_code >= 400


@pytest.mark.parametrize("words", [{"aliases": "a/b"}, {"ip": "x"}, {"ip": "10.9.9.9"}, {"container": "nobody"}])
def test_connecting_with_words_that_cannot_be_changes_nothing(page, front, words):
    answer = page.post(f"/networks/{'a' * 64}/connect/", {"container": front.world.running.container_id} | words)
    assert answer.status_code in {400, 404}
    assert not Endpoint.objects.filter(network=front.spare).exists()


def test_a_containers_page_shows_its_networks_and_offers_others(page, front):
    body = page.get(f"/containers/{front.world.running.container_id}/").content.decode()
    assert f'href="/networks/{"f" * 64}/"' in body
    assert f'hx-post="/networks/{"f" * 64}/disconnect/"' in body
    assert f'hx-post="/networks/{"a" * 64}/connect/"' in body
    part = page.get(f"/containers/{front.world.running.container_id}/?part=overview").content.decode()
    assert f'hx-post="/networks/{"f" * 64}/disconnect/"' in part


def test_the_run_form_has_a_choice_of_networks(page, front):
    body = page.get("/containers/run/").content.decode()
    assert '<option value="front">front</option>' in body
    form = RunForm({"image": "ubuntu:14.04", "network": "front"})
    assert form.is_valid()
    assert form.options().networks == ("front",)
    assert RunForm({"image": "ubuntu:14.04", "network": ""}).is_valid()
    assert not RunForm({"image": "ubuntu:14.04", "network": "a b"}).is_valid()
    line = page.post("/containers/run/line/", {"image": "ubuntu:14.04", "network": "front"}).content.decode()
    assert "--network front" in line


def test_the_rail_leads_there(page, front):
    assert 'href="/networks/"' in page.get("/containers/").content.decode()
    assert Container.objects.exists()
