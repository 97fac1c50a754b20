"""Two teams with a thing of every kind, each called the same, and people in all roles."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.utils import timezone

from dashboard.containers.models import Container, Exec, Trashed
from dashboard.imagepolicy.models import ImageRequest, ImageRule
from dashboard.jobs.models import Job, JobState
from dashboard.networks.models import Network
from dashboard.teams.models import Invitation, Role
from dashboard.volumes.models import Volume
from tests.dashboard.matrix import ROLES
from tests.dashboard.pages.conftest import make_image
from tests.dashboard.people import make_member, make_team

BACKEND = "django.contrib.auth.backends.ModelBackend"


def things_of(team, image, number: int) -> SimpleNamespace:
    container = Container.objects.create(
        container_id=f"{number}a" * 32, team=team, name="web", image=image, image_reference="ubuntu:14.04",
        state="running", tty=True, open_stdin=True, options={"image": "ubuntu:14.04"}, command_shown='"sh"',
    )  # fmt: skip
    shell = Exec.objects.create(
        exec_id=f"{number}b" * 32, container=container, state="running", tty=True, command_shown="secret-command")  # fmt: skip
    trashed = Container.objects.create(
        container_id=f"{number}e" * 32, team=team, name="old" if number == 1 else "theirs-old", image=image,
        image_reference="ubuntu:14.04", state="trashed", options={"image": "ubuntu:14.04"}, command_shown='"sh"',
    )  # fmt: skip
    soon = timezone.now() + timedelta(hours=1)
    Trashed.objects.create(container=trashed, removed_at=timezone.now(), due_at=soon)
    volume = Volume.objects.create(team=team, name="data" if number == 1 else "theirs")
    network = Network.objects.create(
        team=team, name="net", network_id=f"{number}c" * 32, number=number, subnet=f"10.77.{number}.0/24"
    )
    job = Job.objects.create(
        kind="pull_image", team_id=team.pk, state=JobState.RUNNING, params={"reference": "secret:1"}
    )
    member = make_member(f"member-{number}", "viewer", team)
    role = Role.objects.create(team=team, name="spare" if number == 1 else "foreign-spare", permissions=["image.view"])
    invitation = Invitation.objects.create(
        team=team, giver=member, sha256=f"{number}d" * 32, role="viewer", most_uses=3,
        expires_at=timezone.now() + timedelta(days=1), note="secret-note",
    )  # fmt: skip
    own = make_image("secret", "1", [1000], seed=f"{number}ee{number}", team=team)
    rule = ImageRule.objects.create(team=team, pattern="docker.io/library/secret")
    wish = ImageRequest.objects.create(team=team, requester=member, reference="secret:1", reason="secret")
    return SimpleNamespace(
        team=team,
        container=container,
        exec=shell,
        volume=volume,
        network=network,
        job=job,
        args={
            "image": (own.image_id[7:],),
            "container": (container.container_id,),
            "exec": (shell.exec_id,),
            "trashed": (trashed.container_id,),
            "volume": (volume.name,),
            "network": (network.network_id,),
            "job": (job.pk,),
            "member": (member.username,),
            "invitation": (invitation.pk,),
            "role": (role.name,),
            "rule": (rule.pk,),
            "request": (wish.pk,),
        },
    )


@pytest.fixture
def teams(db, monkeypatch):
    cache.clear()
    monkeypatch.setattr("dashboard.jobs.services.enqueue", lambda job: True)
    monkeypatch.setattr("dashboard.jobs.services.wait", lambda job_id, timeout_s: None)
    image = make_image("ubuntu", "14.04", [1000], seed="13b6")
    ours, theirs = make_team("ours"), make_team("theirs")
    return SimpleNamespace(
        ours=things_of(ours, image, 1),
        theirs=things_of(theirs, image, 2),
        people={role: make_member(f"our-{role}", role, ours) for role in ROLES},
        stranger=make_member("stranger", "admin", theirs),
        site=User.objects.create_superuser("site", password=None),
    )
