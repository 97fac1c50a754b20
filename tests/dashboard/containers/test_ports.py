"""Ports of the host: who gets which, when they are given back, and what is refused."""

from __future__ import annotations

import threading

import pytest
from django.db import IntegrityError, connection, transaction

from dashboard import gateway
from dashboard.containers import handlers, ports, reconcile, services
from dashboard.containers.models import Container, PublishedPort
from dashboard.core import gate
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission
from dashboard.grammar import ContainerOptions, requests
from dashboard.jobs.models import Job
from tests.dashboard.people import make_member

pytestmark = pytest.mark.threat("NET-08")


@pytest.fixture
def image(pulled):
    found = pulled("ubuntu:14.04")
    found.config["config"]["ExposedPorts"] = {"80/tcp": {}, "53/udp": {}}
    found.save()
    return found


@pytest.fixture
def make(image, user):
    def make(*publish, name="", **more):
        options = ContainerOptions(image="ubuntu:14.04", name=name, publish=publish, **more)
        return services.create(user, options)

    return make


@pytest.fixture
def up(make, user, queue, engine):
    def up(*publish, **more):
        made = make(*publish, **more)
        services.start(made, user)
        queue.run()
        made.refresh_from_db()
        return made

    return up


def held(container):
    return [str(row) for row in PublishedPort.objects.filter(container=container)]


def test_a_start_reserves_publishes_and_an_end_gives_back(up, engine, settings):
    settings.BERTH_PUBLISH_ADDRESS = "127.0.0.1"
    made = up("8080:80", "0.0.0.0:5353:53/udp")
    assert held(made) == ["0.0.0.0:5353->53/udp", "127.0.0.1:8080->80/tcp"]
    assert {(p.address, p.port, p.container_port, p.protocol) for p in engine.ports[made.container_id]} == {
        ("127.0.0.1", 8080, 80, "tcp"),
        ("0.0.0.0", 5353, 53, "udp"),
    }
    engine.end(made.container_id, 0)
    assert held(made) == []


def test_a_created_container_has_no_ports_yet(make):
    assert held(make("8080:80")) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("8080:80", "8080:81"),
        ("0.0.0.0:8080:80", "127.0.0.1:8080:80"),
        ("127.0.0.1:8080:80", "0.0.0.0:8080:80"),
        ("8078-8081:78-81", "8080:80"),
    ],
)
def test_a_port_of_another_container_is_dockers_sentence_and_nothing_is_begun(
    up, make, user, engine, queue, first, second
):
    up(first)
    other = make("9090:90", second, name="other")
    with pytest.raises(ports.PortRefused) as caught:
        services.start(other, user)
    assert caught.value.status == 409
    address = second.rpartition(":8080")[0] or "127.0.0.1"
    assert str(caught.value) == (
        f"driver failed programming external connectivity on endpoint other ({other.container_id}): "
        f"Bind for {address}:8080 failed: port is already allocated"
    )
    other.refresh_from_db()
    assert (other.state, other.exit_code) == ("created", 125)
    assert "already allocated" in other.error
    assert held(other) == []
    assert not Job.objects.filter(params__container_id=other.container_id).exists()


@pytest.mark.parametrize(("first", "second"), [("127.0.0.1:8080:80", "127.0.0.2:8080:80"), ("8080:80", "8080:80/udp")])
def test_other_addresses_and_protocols_do_not_collide(up, first, second):
    assert up(first).state == up(second).state == "running"


def test_addresses_of_ipv6_are_ports_of_their_own(up, make, user):
    web = up("[::1]:8080:80", "127.0.0.1:8080:80", "0.0.0.0:8081:81", "[::]:8081:81", "[fd00::1]:8082:82")
    assert held(web) == [
        *("127.0.0.1:8080->80/tcp", "[::1]:8080->80/tcp", "0.0.0.0:8081->81/tcp", "[::]:8081->81/tcp"),
        "[fd00::1]:8082->82/tcp",
    ]
    for taken in ("[::]:8080:80", "[0::1]:8080:80", "[fd00::2]:8081:80"):
        with pytest.raises(DashboardError, match=r"Bind for \[[0-9a-f:]+\]:808[01] failed: port is already allocated"):
            services.start(make(taken), user)


def test_ports_of_a_stopped_container_are_free_and_taken_again_at_its_start(up, user, queue, engine):
    first = up("8080:80")
    services.stop(first, user)
    queue.run()
    second = up("8080:80")
    assert second.state == "running"
    first.refresh_from_db()
    with pytest.raises(ports.PortRefused):
        services.start(first, user)
    services.remove(second, user, True)
    queue.run()
    services.start(first, user)
    queue.run()
    assert held(first) == ["127.0.0.1:8080->80/tcp"]


def test_a_restart_keeps_its_ports_and_one_that_lost_them_says_so(up, user, queue, engine):
    first = up("8080:80")
    services.restart(first, user)
    queue.run()
    assert held(first) == ["127.0.0.1:8080->80/tcp"]
    engine.end(first.container_id, 0)
    up("8080:80")
    job = services.restart(first, user)
    queue.run()
    job.refresh_from_db()
    first.refresh_from_db()
    assert (job.state, job.error_code) == ("failed", "port-taken")
    assert first.state == "exited"
    assert "already allocated" in first.error


def test_a_refused_start_of_rm_removes_it(up, make, user, queue):
    up("8080:80")
    other = make("8080:80", auto_remove=True)
    with pytest.raises(ports.PortRefused):
        services.start(other, user)
    queue.run()
    assert not Container.objects.filter(pk=other.pk).exists()


def test_free_ports_are_chosen_from_the_hosts_range(up):
    made = [up("80"), up("127.0.0.1::80"), up("80-81")]
    chosen = [row.port for row in PublishedPort.objects.all()]
    assert len(set(chosen)) == len(chosen) == 4
    low, high = ports._bounds(ports._ephemeral())
    assert all(low <= port <= high for port in chosen)
    assert all(row.state == "running" for row in made)


def test_a_range_before_one_port_means_any_free_one_of_it(up, make, user):
    assert [held(up("8000-8001:80")) for _ in range(2)] == [["127.0.0.1:8000->80/tcp"], ["127.0.0.1:8001->80/tcp"]]
    with pytest.raises(ports.PortRefused, match="all ports are allocated"):
        services.start(make("8000-8001:80"), user)


def test_all_exposed_ports_are_published_and_named_ones_stay(up):
    made = up("8080:80", publish_all=True, expose=("9000/tcp",))
    found = {(row.container_port, row.protocol): row.port for row in made.ports.all()}
    assert found.keys() == {(80, "tcp"), (53, "udp"), (9000, "tcp")}
    assert found[80, "tcp"] == 8080


def test_a_program_of_the_host_is_evaded_where_no_port_was_named(up, engine, monkeypatch):
    monkeypatch.setattr(ports, "_ephemeral", lambda: ports.PortRange(40_000, 40_003))
    monkeypatch.setattr("random.randrange", lambda _count: 0)
    engine.host_ports = {("tcp", 40_000), ("tcp", 40_001), ("tcp", 8000)}
    assert held(up("80")) == ["127.0.0.1:40002->80/tcp"]
    assert held(up("8000-8001:80")) == ["127.0.0.1:8001->80/tcp"]


def test_a_named_port_of_a_program_of_the_host_is_refused_and_given_back(up, engine):
    engine.host_ports = {("tcp", 8080)}
    made = up("8080:80", name="web")
    assert (made.state, made.exit_code) == ("created", 125)
    assert made.error == (
        f"driver failed programming external connectivity on endpoint web ({made.container_id}): "
        "failed to bind host port 127.0.0.1:8080/tcp: address already in use"
    )
    assert held(made) == []


def test_when_every_port_of_the_range_is_a_programs_the_start_ends(up, engine, monkeypatch):
    monkeypatch.setattr(ports, "_ephemeral", lambda: ports.PortRange(40_000, 40_099))
    engine.host_ports = {("tcp", number) for number in range(40_000, 40_100)}
    made = up("80")
    assert "address already in use" in made.error
    assert len([call for call in engine.calls if call[0] == "start"]) == handlers.MOST_TRIES + 1


@pytest.mark.parametrize(
    ("publish", "more", "sentence"),
    [
        (("20000-21000:20000-21000",), {}, "a container publishes at most 1000 ports, and this one wants 1001"),
        ((), {"publish_all": True, "expose": ("1-2000/tcp",)}, "at most 1000 ports"),
    ],
)
def test_what_is_too_much_is_refused(make, publish, more, sentence):
    with pytest.raises(DashboardError, match=sentence):
        make(*publish, **more)


def test_a_port_of_an_image_that_cannot_be_published_is_named(make, image):
    image.config["config"]["ExposedPorts"] = {"5/sctp": {}}
    image.save()
    make("80")
    with pytest.raises(DashboardError, match="sctp ports cannot be published here"):
        make(publish_all=True)


@pytest.mark.parametrize("publish", ["80:80", "127.0.0.1:1000-1100:1000-1100", "1023:1/udp"])
def test_low_ports_are_an_administrators(make, publish):
    assert make(publish).pk
    restore = gate.use_policy(lambda user, permission, obj: permission is not Permission.PORT_LOW)
    try:
        with pytest.raises(
            DashboardError, match="Ports of the host below 1024 are published by administrators only"
        ) as caught:
            make(publish)
        assert caught.value.status == 403
        assert make("1024:80").pk
    finally:
        restore()


def test_the_policy_gives_low_ports_to_administrators_only(user):
    person = make_member("p")
    assert not gate.offers(person, Permission.PORT_LOW)
    assert gate.offers(person, Permission.CONTAINER_RUN)
    assert gate.offers(user, Permission.PORT_LOW)


@pytest.mark.fault("F13")
def test_a_start_that_was_cut_off_gives_its_ports_back(make, user, queue, engine):
    made = make("8080:80")
    services.start(made, user)
    assert held(made) == ["127.0.0.1:8080->80/tcp"]
    Job.objects.all().delete()  # its worker died, and nobody takes it up again
    engine.seen[made.container_id] = gateway.Observed(gateway.State.CREATED, stage="network")
    reconcile.reconcile()
    made.refresh_from_db()
    assert made.state == "created"
    assert held(made) == []


@pytest.mark.fault("F13")
def test_a_container_that_runs_against_its_row_takes_its_ports_again(up, engine):
    made = up("8080:80")
    PublishedPort.objects.all().delete()
    Container.objects.filter(pk=made.pk).update(state="created")
    reconcile.reconcile()
    made.refresh_from_db()
    assert made.state == "running"
    assert held(made) == ["127.0.0.1:8080->80/tcp"]


def test_the_database_itself_gives_a_port_once(up, make):
    first, second = up("8080:80"), make("80")
    row = PublishedPort.objects.get(container=first)
    with pytest.raises(IntegrityError), transaction.atomic():
        PublishedPort.objects.create(
            container=second, protocol="tcp", address=row.address, port=row.port, container_port=1, first=1, last=1
        )


def test_many_starts_at_once_never_get_one_port(make, user, queue):
    rows = [make("8000-8005:80") for _ in range(8)]
    outcomes = []

    def start(container):
        try:
            services.start(container, user)
            outcomes.append("started")
        except DashboardError as error:
            outcomes.append(str(error).rpartition(": ")[2])
        finally:
            connection.close()

    threads = [threading.Thread(target=start, args=(row,)) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["all ports are allocated"] * 2 + ["started"] * 6
    assert sorted(PublishedPort.objects.values_list("port", flat=True)) == list(range(8000, 8006))


def test_inspect_ps_and_their_shapes(up, user, engine):
    made = up("8080:80", "9000")
    shape = services.inspect(made)
    chosen = made.ports.get(container_port=9000).port
    assert shape["NetworkSettings"]["Ports"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
        "9000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(chosen)}],
        "53/udp": None,
    }
    assert shape["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "", "HostPort": "8080"}],
        "9000/tcp": [{"HostIp": "", "HostPort": ""}],
    }
    assert shape["HostConfig"]["PublishAllPorts"] is False
    assert shape["Config"]["ExposedPorts"] == {"53/udp": {}, "80/tcp": {}, "9000/tcp": {}}
    (row,) = services.chosen_containers(services.containers_for(user), requests.Ps())
    line = services.container_line(row, None)
    assert line.ports == f"53/udp, 127.0.0.1:8080->80/tcp, 127.0.0.1:{chosen}->9000/tcp"
    engine.end(made.container_id, 0)
    made.refresh_from_db()
    assert services.inspect(made)["NetworkSettings"]["Ports"] == {}
    (row,) = services.chosen_containers(services.containers_for(user), requests.Ps(all=True))
    assert services.container_line(row, None).ports == ""


def test_ps_filters_by_the_containers_port(up, user):
    made = up("8080:80", name="web")
    up(name="quiet", expose=("9000/tcp",))

    def names(*filters):
        request = requests.Ps(filters=filters)
        return [row.name for row in services.chosen_containers(services.containers_for(user), request)]

    assert names(("publish", "80")) == ["web"]
    assert names(("publish", "70-90/tcp")) == ["web"]
    assert names(("publish", "8080")) == []
    assert names(("publish", "80/udp")) == []
    assert names(("expose", "9000/tcp")) == ["quiet"]
    assert sorted(names(("expose", "53/udp"))) == ["quiet", "web"]
    assert made.name == "web"
    with pytest.raises(DashboardError, match="invalid filter 'publish=x'"):
        names(("publish", "x"))
