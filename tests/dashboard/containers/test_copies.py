"""What is asked before a file goes into a container or comes out of it."""

from __future__ import annotations

import pytest

from dashboard.containers import copies, services
from dashboard.containers.models import ContainerState
from dashboard.core import gate
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Denied, Permission
from dashboard.grammar import ContainerOptions
from dashboard.jobs.models import JobState
from dashboard.transfers import services as transfers


@pytest.fixture
def container(present, user):
    present("centos:7")
    return services.create(user, ContainerOptions(image="centos:7", name="calm_tern"))


def test_a_copy_out_is_a_transfer_with_a_job_and_the_name_of_what_it_brings(container, user):
    made = copies.begin_out(container, user, "/var/log/")
    assert (made.filename, made.subject, made.permission) == ("log.tar", container.container_id, "container.copy")
    assert made.job.kind == copies.OUT
    assert made.job.params["path"] == "/var/log/"
    assert copies.begin_out(container, user, "/").filename == f"{container.name}.tar"
    transfers.end(made.key)
    made.job.refresh_from_db()
    assert made.job.state == JobState.CANCELLED


def test_two_copies_of_one_container_go_on_at_a_time(container, user):
    first, second = (copies.begin_in(container, user) for _ in range(2))
    how = {"keep_owners": False, "is_plain": False}
    jobs = {copies.put_in(container, user, one, "/tmp", **how).pk for one in (first, second)}
    assert len(jobs) == 2


@pytest.mark.parametrize(("state", "status"), [(ContainerState.STARTING, 409), (ContainerState.REMOVING, 404)])
def test_one_that_is_being_started_or_removed_is_left_alone(container, user, state, status):
    type(container).objects.filter(pk=container.pk).update(state=state)
    for act in (lambda: copies.begin_out(container, user, "/etc"), lambda: copies.begin_in(container, user)):
        with pytest.raises(DashboardError) as caught:
            act()
        assert caught.value.status == status


def test_who_may_not_copy_is_refused(container, user):
    restore = gate.use_policy(lambda user, permission, obj: permission is not Permission.CONTAINER_COPY)
    try:
        for act in (lambda: copies.begin_out(container, user, "/etc"), lambda: copies.begin_in(container, user)):
            with pytest.raises(Denied):
                act()
    finally:
        restore()
    assert not transfers.open_transfers().exists()
