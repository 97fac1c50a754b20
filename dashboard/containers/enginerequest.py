"""Parts of the engine's request that come from the options alone, so that what it would refuse is refused at once."""

from __future__ import annotations

from dashboard import gateway
from dashboard.containers.limits import asked
from dashboard.core.errors import DashboardError, Refused
from dashboard.grammar import ContainerOptions
from dashboard.grammar.hostflags import HOST
from dashboard.grammar.limitvalues import parse_rate, parse_ulimit, read_switch
from dashboard.grammar.options import networks_of


def names_of(options: ContainerOptions) -> gateway.NameRequest:
    hosts = (host.partition(":") for host in options.hosts)
    return gateway.NameRequest(
        hosts=tuple((name, address) for name, _sign, address in hosts),
        servers=options.dns,
        search=options.dns_search,
        options=options.dns_options,
        domain=options.domainname,
    )


def rights_of(options: ContainerOptions) -> gateway.RightsRequest:
    return gateway.RightsRequest(
        cap_add=options.cap_add,
        cap_drop=options.cap_drop,
        no_new_privileges=read_switch(options.security_opt, "no-new-privileges"),
        unconfined=[option for option in options.security_opt if option.startswith("seccomp=")][-1:]
        == ["seccomp=unconfined"],
    )


def access_of(options: ContainerOptions) -> gateway.AccessRequest:
    """What it gets of the host, if the policies say so."""
    spelled = (("pid", options.pid), ("ipc", options.ipc), ("uts", options.uts))
    namespaces = [kind for kind, said in spelled if said]
    if has_host_network(options):
        namespaces.append("network")
    devices = (device.split(":") for device in options.devices)
    sysctls = (item.partition("=") for item in options.sysctls)
    return gateway.AccessRequest(
        privileged=options.privileged,
        namespaces=tuple(namespaces),
        devices=tuple((path, place, access) for path, place, access in devices),
        sysctls=tuple((name, value) for name, _sign, value in sysctls),
    )


def has_host_network(options: ContainerOptions) -> bool:
    return [one.name for one in networks_of(options)] == [HOST]


def has_host_users(options: ContainerOptions) -> bool:
    """Root in a privileged container is the host's root: the kernel gives nobody else's such rights."""
    return options.userns == HOST or options.privileged


def shares_of(options: ContainerOptions) -> gateway.SharesRequest:
    ulimits = map(parse_ulimit, options.ulimit)
    rates = (
        ("read_bps", options.device_read_bps, True),
        ("write_bps", options.device_write_bps, True),
        ("read_iops", options.device_read_iops, False),
        ("write_iops", options.device_write_iops, False),
    )
    found = ((kind, parse_rate(item, is_bytes=is_bytes)) for kind, items, is_bytes in rates for item in items)
    return gateway.SharesRequest(
        cpu_shares=options.cpu_shares,
        cpus=options.cpuset_cpus,
        memory_nodes=options.cpuset_mems,
        cpu_period_us=options.cpu_period_us,
        memory_swap_bytes=options.memory_swap_bytes,
        memory_reservation_bytes=options.memory_reservation_bytes,
        oom_score=options.oom_score,
        ulimits=tuple((one.name, one.soft, one.hard) for one in ulimits),
        rates=tuple((kind, one.path, one.rate) for kind, one in found),
    )


def refuse_unfit(options: ContainerOptions) -> None:
    """By the engine's own rules, before it is asked.

    Raises:
        DashboardError: 400.
    """
    try:
        names_of(options)
        gateway.refuse_wishes(
            rights_of(options),
            shares_of(options),
            access_of(options),
            memory_bytes=asked(options.memory_bytes),
            has_host_users=has_host_users(options),
        )
        if options.stop_signal:
            gateway.parse_signal(options.stop_signal)
    except gateway.EngineError as error:
        access = access_of(options)
        is_grave = has_host_users(options) or bool(access.namespaces or access.devices)
        raise (Refused if is_grave else DashboardError)(str(error), status=400) from error


def labels_of(image_config: dict[str, object], options: ContainerOptions) -> dict[str, str]:
    """The image's and the container's own, which win."""
    said = image_config.get("config")
    of_image = said.get("Labels") if isinstance(said, dict) else None
    own = (label.partition("=") for label in options.labels)
    return {**(of_image or {}), **{key: value for key, _sign, value in own}}
