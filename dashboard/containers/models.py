"""Containers as rows. The row is the truth that pages show; the reconciler keeps it true."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from dashboard import gateway
from dashboard.catalog.models import Image
from dashboard.containers.restartpolicy import RestartPolicy
from dashboard.core.models import Timestamped
from dashboard.grammar.ports import spelled_address
from dashboard.networks.addresses import address6_of
from dashboard.networks.models import Network
from dashboard.teams.models import Team, main_team_id
from dashboard.volumes.models import Volume

STOP_TIMEOUT_S = 10


class ContainerState(models.TextChoices):
    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    EXITED = "exited"
    REMOVING = "removing"
    DEAD = "dead"  # could not be cleaned up; can only be removed
    TRASHED = "trashed"  # removed, and can be brought back until it goes for ever (ADR 29)


class IdMode(models.TextChoices):
    """Who root in the container is on the host. RUN-19."""

    OWN = "own"  # somebody of 65,536 ids that are this container's alone
    SHARED = "shared"  # of those that all containers have on a kernel that cannot show layers with other owners
    HOST = "host"  # the host's root: `--userns host`
    BEFORE = "before"  # the host's root: made before there was anything else


class Process(Timestamped):
    """What a container and a further command in it have in common: how they take input, and how they ended."""

    state = models.CharField(max_length=12, db_index=True)  # each says which there are
    tty = models.BooleanField(default=False)
    open_stdin = models.BooleanField(default=False)
    exit_code = models.IntegerField(null=True, blank=True)  # None with EXITED: unknown
    oom_killed = models.BooleanField(default=False)
    log_lost = models.BooleanField(default=False)
    error = models.TextField(blank=True, default="")
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    def move(self, *, among: Sequence[str], to: str, **fields: Any) -> bool:  # Any: the row's own fields
        """To state `to` if it is in one of the states `among`; False leaves it as it was. It is read again either way."""
        rows = type(self)._base_manager.filter(pk=self.pk, state__in=among)
        changed = bool(rows.update(state=to, updated_at=timezone.now(), **fields))
        try:
            self.refresh_from_db()
        except type(self).DoesNotExist:
            return False
        return changed


class Present(models.Manager["Container"]):
    """All but what is in the trash, which for every page, command and loop is not there."""

    def get_queryset(self) -> models.QuerySet[Container]:
        return super().get_queryset().exclude(state=ContainerState.TRASHED)


class Container(Process):
    objects = Present()
    with_trash = models.Manager["Container"]()

    container_id = models.CharField(max_length=64, unique=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="containers", default=main_team_id)
    name = models.CharField(max_length=128)
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="containers")
    image_reference = models.CharField(max_length=600)  # as typed
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    state = models.CharField(
        max_length=12, choices=ContainerState.choices, default=ContainerState.CREATED, db_index=True
    )
    options = models.JSONField(default=dict)  # dashboard.grammar.ContainerOptions.to_json()
    command_shown = models.TextField(blank=True, default="")  # entrypoint and command, as `ps` prints them
    auto_remove = models.BooleanField(default=False)
    id_mode = models.CharField(max_length=8, choices=IdMode.choices, default=IdMode.OWN)
    first_id = models.BigIntegerField(null=True, blank=True)  # the host's id of its root, from its first start on
    pid = models.PositiveIntegerField(null=True, blank=True)
    restart_at = models.DateTimeField(null=True, blank=True)  # with EXITED: it starts again then
    restart_wait_ms = models.PositiveIntegerField(default=0)
    restart_count = models.PositiveIntegerField(default=0)  # by its policy, since somebody last started it
    stopped_by_hand = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["team", "name"], condition=~models.Q(state="trashed"), name="container_name_once"
            ),
            models.UniqueConstraint(fields=["first_id"], condition=models.Q(id_mode=IdMode.OWN), name="ids_once"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.short_id})"

    @property
    def short_id(self) -> str:
        return self.container_id[:12]

    @property
    def stop_timeout_s(self) -> int:
        """How long it has to end when nobody says: by `--stop-timeout`."""
        own = self.options.get("stop_timeout_s")
        return own if isinstance(own, int) else STOP_TIMEOUT_S

    @property
    def restart_policy(self) -> RestartPolicy:
        return RestartPolicy.of(str(self.options.get("restart") or ""))

    @property
    def is_restarting(self) -> bool:
        """It waits for its next start by policy, or is in the middle of it."""
        waits = self.state == ContainerState.EXITED and self.restart_at is not None
        return waits or (self.state == ContainerState.STARTING and self.restart_count > 0)

    @property
    def address(self) -> str | None:
        """In its first network."""
        first = min(self.endpoints.all(), key=lambda one: (one.position, one.pk), default=None)
        return None if first is None else first.address


class Trashed(models.Model):
    """A container that was removed and can be brought back: on its way into the trash (REMOVING), or in it (TRASHED)."""

    container = models.OneToOneField(Container, on_delete=models.CASCADE, related_name="trashed")
    remover = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    removed_at = models.DateTimeField()
    due_at = models.DateTimeField(db_index=True)  # then it goes for ever
    volumes = models.BooleanField(default=False)  # its anonymous volumes go with it (`rm -v`)
    places = models.JSONField(default=list)  # the networks that it was in: `trash.Place`
    size_bytes = models.BigIntegerField(null=True)  # of its writable layer; None: not measured yet
    is_going = models.BooleanField(default=False)  # somebody or the clock has asked for its end

    class Meta:
        ordering: ClassVar = ["-removed_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.container_id} until {self.due_at}"


class LifeRules(models.Model):
    """How long a team's containers live, and stay in its trash. All in seconds; None: never, or the server's default."""

    team = models.OneToOneField(Team, on_delete=models.CASCADE, related_name="life_rules")
    expiry_s = models.PositiveIntegerField(null=True)
    idle_s = models.PositiveIntegerField(null=True)
    warning_s = models.PositiveIntegerField(default=15 * 60)
    extension_s = models.PositiveIntegerField(default=3600)  # the longest of one
    extensions = models.PositiveIntegerField(default=3)  # of one run
    trash_s = models.PositiveIntegerField(null=True)

    def __str__(self) -> str:
        return f"life rules of {self.team_id}"


class LifeSpan(models.Model):
    """Of a container's current run, or of its last: when it began, when it was last used, how it was prolonged."""

    container = models.OneToOneField(Container, on_delete=models.CASCADE, related_name="life")
    began_at = models.DateTimeField()
    used_at = models.DateTimeField()
    prolonged_s = models.PositiveIntegerField(default=0)
    extensions = models.PositiveIntegerField(default=0)
    warned_at = models.DateTimeField(null=True, blank=True)
    warned_of = models.CharField(max_length=8, blank=True, default="")  # `lifespans.Cause`
    ends_at = models.DateTimeField(null=True, blank=True)  # as it was warned
    is_over = models.BooleanField(default=False)  # Berth has stopped it; nothing but a person starts it again

    def __str__(self) -> str:
        return f"{self.container_id} from {self.began_at}"


class Endpoint(models.Model):
    """A container's place in a network, from its creation or `network connect` on, whether it runs or not."""

    container = models.ForeignKey(Container, on_delete=models.CASCADE, related_name="endpoints")
    network = models.ForeignKey(Network, on_delete=models.PROTECT, related_name="endpoints")
    position = models.PositiveIntegerField(default=0)  # ports of the host lead to the lowest
    address = models.GenericIPAddressField(protocol="IPv4", null=True, blank=True)  # None in `none`
    ip = models.CharField(max_length=15, blank=True, default="")  # the address that was asked for
    aliases = models.JSONField(default=list)

    class Meta:
        ordering: ClassVar = ["position", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["network", "address"], name="address_once"),
            models.UniqueConstraint(fields=["container", "network"], name="network_once"),
        ]

    def __str__(self) -> str:
        return f"{self.container_id} in {self.network_id}"

    @property
    def endpoint_id(self) -> str:
        return hashlib.sha256(f"{self.network.network_id} {self.container.container_id}".encode()).hexdigest()

    @property
    def mac_address(self) -> str:
        return gateway.container_mac(self.address) if self.address else ""

    @property
    def address6(self) -> str:
        return address6_of(self.network, self.address)


class Run(models.Model):
    """One run of a container, also of one that has been removed since. `ended_at` None: it runs."""

    container_id = models.CharField(max_length=64, db_index=True)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="runs")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="runs")
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["team", "ended_at"], name="run_of_team"),
            models.Index(fields=["owner", "ended_at"], name="run_of_owner"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["container_id"], condition=models.Q(ended_at=None), name="one_run_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.container_id[:12]} from {self.began_at}"


class HealthStatus(models.TextChoices):
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class Health(models.Model):
    """What a container's probes have said. There is none for a container that is asked nothing."""

    container = models.OneToOneField(Container, on_delete=models.CASCADE, related_name="health")
    status = models.CharField(max_length=12, choices=HealthStatus.choices, default=HealthStatus.STARTING)
    failing_streak = models.PositiveIntegerField(default=0)
    log = models.JSONField(default=list)  # the last five, as `inspect` prints them
    next_at = models.DateTimeField(null=True, blank=True, db_index=True)
    exec_id = models.CharField(max_length=64, blank=True, default="")  # of the probe that is on its way
    probe_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.container_id}: {self.status}"


class PublishedPort(models.Model):
    """A port of the host that a container has while it is up: taken at its start, given back at its end.

    One row for each port makes it one container's. That 0.0.0.0 and another address also exclude each other no
    constraint can say; `ports.reserve` looks, and the engine, which binds every port, has the last word.
    """

    container = models.ForeignKey(Container, on_delete=models.CASCADE, related_name="ports")
    protocol = models.CharField(max_length=4)
    address = models.GenericIPAddressField()  # of the host; 0.0.0.0 is all of them, `::` all IPv6 ones
    port = models.PositiveIntegerField()
    container_port = models.PositiveIntegerField()
    first = models.PositiveIntegerField()  # the ports that it may be instead, should a program of the host have this
    last = models.PositiveIntegerField()

    class Meta:
        ordering: ClassVar = ["container_port", "protocol", "address", "port"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["protocol", "port", "address"], name="published_port_once")
        ]

    def __str__(self) -> str:
        return f"{spelled_address(self.address)}:{self.port}->{self.container_port}/{self.protocol}"


class VolumeUse(models.Model):
    """A volume in a container, from its creation to its removal, whether it runs or not."""

    container = models.ForeignKey(Container, on_delete=models.CASCADE, related_name="volume_uses")
    volume = models.ForeignKey(Volume, on_delete=models.PROTECT, related_name="uses")
    target = models.CharField(max_length=4096)  # path in the container

    def __str__(self) -> str:
        return f"{self.volume_id} at {self.target}"


class ExecState(models.TextChoices):
    STARTING = "starting"
    RUNNING = "running"
    EXITED = "exited"  # also: could not be started; forgotten a minute later


class Exec(Process):
    """A further command in a running container. It goes with its container, and a while after its own end."""

    exec_id = models.CharField(max_length=64, unique=True)
    container = models.ForeignKey(Container, on_delete=models.CASCADE, related_name="execs")
    requester = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    state = models.CharField(max_length=12, choices=ExecState.choices, default=ExecState.STARTING, db_index=True)
    options = models.JSONField(default=dict)  # dashboard.grammar.ExecOptions.to_json()
    command_shown = models.TextField(blank=True, default="")  # empty until a shell has been found

    class Meta:
        ordering: ClassVar = ["created_at"]

    def __str__(self) -> str:
        return f"{self.command_shown} in {self.container_id}"
