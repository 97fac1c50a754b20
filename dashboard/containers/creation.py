"""Making the row of a container: its id, its name, its address, and all that can be refused before anything is made."""

from __future__ import annotations

import os
import posixpath
import secrets
from collections.abc import Iterable
from dataclasses import replace

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from dashboard import gateway
from dashboard.audit import services as audit
from dashboard.catalog.lookup import names_of
from dashboard.catalog.models import Image
from dashboard.catalog.services import find_image
from dashboard.containers import enginerequest, happenings, lifelimits, mounting, networking, ports, runrules, usage
from dashboard.containers.healthcheck import LEAST_INTERVAL_MS
from dashboard.containers.models import Container, IdMode
from dashboard.containers.restartpolicy import RestartPolicy
from dashboard.containers.words import random_name
from dashboard.core.errors import DashboardError, Refused
from dashboard.core.events import publish
from dashboard.core.gate import Permission, Requester, allows, require
from dashboard.grammar import ContainerOptions
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.hostflags import HOST
from dashboard.grammar.ports import MOST_PORTS
from dashboard.grammar.values import is_container_name, is_hostname
from dashboard.imagepolicy import services as imagepolicy
from dashboard.jobs.host import host_info
from dashboard.teams import scope

ATTEMPTS = 50
NANO = 1_000_000_000
MINIMUM_NANO_CPUS = NANO // 100
MIB = 1024 * 1024


class NameTaken(DashboardError):
    def __init__(self, name: str, holder: str) -> None:
        super().__init__(
            f'Conflict. The container name "/{name}" is already in use by container "{holder}". '
            "You have to remove (or rename) that container to be able to reuse that name.",
            status=409,
        )


def create(user: Requester, options: ContainerOptions) -> Container:
    """A container in state CREATED, with a free address and a free name. Nothing of it is on disk yet.

    Raises:
        NoSuchImage: pull it first.
        ImageRefused: the team's list does not have it.
        NameTaken: 409.
        DashboardError: an option that cannot be; Docker's sentence where it has one.
        Denied: `user` may not.
    """
    require(user, Permission.CONTAINER_RUN)
    team_id = scope.owning(user)
    refuse_impossible(options, user)
    lifelimits.refuse_longer(user, options.to_json(), team_id)
    options = _with_layer_size(options)
    image = find_image(options.image, user)
    imagepolicy.refuse_run(team_id, options.image, names_of(image, user))
    refuse_ports(user, image, options)
    _refuse_other_platform(image, options)
    command_shown = shown_command(image, options)
    for attempt in range(ATTEMPTS):
        name = options.name or random_name(attempt)
        if holder := holder_of(name, team_id):
            if options.name:
                raise NameTaken(name, holder)
            continue
        try:
            made = _insert(user, replace(options, name=name), image.pk, command_shown, team_id)
        except IntegrityError:  # somebody took the name or the address between our look and our insert
            continue
        told = {"t": "container", "team": team_id, "id": made.container_id, "state": made.state, "name": made.name}
        publish("containers", told)
        return made
    msg = _("No free name or address was found for the container. Try again.")
    raise DashboardError(msg, status=503)


def holder_of(name: str, team_id: int | None) -> str | None:
    """The id of the team's container of that name."""
    rows = Container.objects.filter(name=name).filter(Q(team_id=team_id))
    return rows.values_list("container_id", flat=True).first()


def _with_layer_size(options: ContainerOptions) -> ContainerOptions:
    """The server's default is written down with the container: its layer is made once and keeps its size whatever the
    default is later. (The other limits are set anew at each start.)
    """
    if options.storage_bytes is not None:
        return options
    return replace(options, storage_bytes=gateway.engine_config().limits.writable_bytes or None)


def _insert(user: Requester, options: ContainerOptions, image_pk: int, command_shown: str, team_id: int) -> Container:
    with transaction.atomic():
        image = Image.objects.select_for_update().filter(pk=image_pk).first()
        if image is None:
            msg = f"No such image: {options.image}"
            raise DashboardError(msg, status=404)
        made = Container.objects.create(
            container_id=new_id(),
            team_id=team_id,
            name=options.name,
            image=image,
            image_reference=options.image,
            owner_id=getattr(user, "pk", None),
            options=options.to_json(),
            command_shown=command_shown,
            tty=options.tty,
            open_stdin=options.interactive,
            auto_remove=options.auto_remove,
            id_mode=IdMode.HOST if enginerequest.has_host_users(options) else IdMode.OWN,
        )
        networking.claim(user, made, options)
        mounting.claim_volumes(user, made, options)
        usage.hold_new(made)
        happenings.tell(made, "create")
        audit.record(
            "create-container",
            user,
            target=f"{made.name} ({made.container_id[:12]})",
            team_id=team_id,
            parameters=made.options,
        )
        return made


def new_id() -> str:
    """64 hex digits. As in Docker, the short form is never a number, which a program could take for one."""
    while True:
        made = secrets.token_hex(32)
        if not made[:12].isdecimal():
            return made


def _refuse(message: str) -> DashboardError:
    return DashboardError(message, status=400)


def refuse_name(name: str) -> None:
    """What no container can be called.

    Raises:
        DashboardError: 400.
    """
    if not is_container_name(name):
        msg = f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        raise _refuse(msg)


def refuse_impossible(options: ContainerOptions, user: Requester) -> None:
    """What no image could make right.

    Raises:
        DashboardError: 400.
    """
    if options.name:
        refuse_name(options.name)
    if options.hostname and not is_hostname(options.hostname):
        msg = f"invalid hostname format: {options.hostname}"
        raise _refuse(msg)
    if options.workdir and not posixpath.isabs(options.workdir):
        msg = f"the working directory '{options.workdir}' is invalid, it needs to be an absolute path"
        raise _refuse(msg)
    refuse_limits(options)
    if options.auto_remove and RestartPolicy.of(options.restart).name != "no":
        msg = "Conflicting options: cannot specify both --restart and --rm"
        raise _refuse(msg)
    _refuse_health(options)
    _refuse_host_users(options)
    networking.refuse_impossible(options, user)
    enginerequest.refuse_unfit(options)
    mounting.refuse_impossible(options, user)
    runrules.refuse(options, user, scope.owning(user))


def _refuse_health(options: ContainerOptions) -> None:
    times = (options.health_interval_ms, options.health_timeout_ms, options.health_start_period_ms)
    if options.no_healthcheck and (options.health_cmd or options.health_retries is not None or any(times)):
        msg = "--no-healthcheck conflicts with --health-* options"
        raise _refuse(msg)
    if options.health_retries is not None and options.health_retries < 0:
        msg = "--health-retries cannot be negative"
        raise _refuse(msg)
    if options.health_interval_ms and options.health_interval_ms < LEAST_INTERVAL_MS:
        msg = _("A container is asked how it is at most once a second (--health-interval).")
        raise _refuse(msg)


def _refuse_host_users(options: ContainerOptions) -> None:
    """What the engine would refuse at the first start, as far as it has told."""
    if options.userns == HOST and not options.privileged and host_info().get("userns_host") is False:
        msg = _(
            "This host does not allow containers without a user namespace (--userns host): root in one would be root of"
            " the host. Its administrator can, in /etc/berth/engine.toml (userns_host = true)."
        )
        raise Refused(msg)


def refuse_ports(user: Requester, image: Image, options: ContainerOptions) -> None:
    """What cannot be published, or not by this person.

    Raises:
        DashboardError: 400.
            403: a port of the host below 1024, which is an administrator's to give.
    """
    try:
        if options.publish or options.publish_all:
            require(user, Permission.PORT_PUBLISH)
        if options.publish_all:
            ports.refuse_unpublishable(image)
        wanted = ports.bindings_of(image, options)
    except ValueRefused as error:
        raise _refuse(str(error)) from error
    if len(wanted) > MOST_PORTS:
        msg = f"a container publishes at most {MOST_PORTS} ports, and this one wants {len(wanted)}"
        raise _refuse(msg)
    if any(one.host is not None and one.host.first < ports.LOW for one in wanted):
        _require_low_ports(user)


def _require_low_ports(user: Requester) -> None:
    if not allows(user, Permission.PORT_LOW):
        msg = f"Ports of the host below {ports.LOW} are published by administrators only. Name a higher one."
        raise DashboardError(msg, status=403)


def refuse_limits(options: ContainerOptions) -> None:
    """Limits that this host does not give.

    Raises:
        DashboardError: 400.
    """
    least = gateway.engine_config().limits.memory_minimum_bytes
    if options.memory_bytes and options.memory_bytes < least:
        msg = f"Minimum memory limit allowed is {least // MIB}MB"
        raise _refuse(msg)
    least = gateway.engine_config().limits.writable_minimum_bytes
    if options.storage_bytes is not None and options.storage_bytes < least:
        msg = f"Minimum size of the writable layer is {least // MIB}MB"
        raise _refuse(msg)
    there = os.cpu_count() or 1
    if options.nano_cpus and not MINIMUM_NANO_CPUS <= options.nano_cpus <= there * NANO:
        msg = f"range of CPUs is from 0.01 to {there}.00, as there are only {there} CPUs available"
        raise _refuse(msg)


def _refuse_other_platform(image: Image, options: ContainerOptions) -> None:
    wanted = gateway.parse_platform(options.platform)
    if wanted is None:
        return
    if (wanted.os, wanted.architecture) != (image.os, image.architecture):
        msg = (
            f"image with reference {options.image} was found but does not match the specified platform: "
            f"wanted {options.platform}, actual: {image.os}/{image.architecture}"
        )
        raise DashboardError(msg, status=404)


def effective_command(image: Image, options: ContainerOptions) -> tuple[str, ...]:
    """Entrypoint and command as Docker joins them: an entrypoint of one's own drops the image's command."""
    said = image.config.get("config") or {}
    if options.entrypoint is None:
        entrypoint = tuple(said.get("Entrypoint") or ())
        command = options.command or tuple(said.get("Cmd") or ())
    else:
        entrypoint = (options.entrypoint,) if options.entrypoint else ()
        command = options.command
    return entrypoint + command


def shown_command(image: Image, options: ContainerOptions) -> str:
    """As `ps` prints it.

    Raises:
        DashboardError: neither the words nor the image name a command.
    """
    words = effective_command(image, options)
    if not words:
        msg = "No command specified"
        raise _refuse(msg)
    return " ".join(_quoted(words))


def _quoted(words: Iterable[str]) -> list[str]:
    return [f"'{word}'" if " " in word and index else word for index, word in enumerate(words)]
